"""A roster is read however its program saved it, and what would lose a student is an error with its line."""

from pathlib import Path

import pytest

from autograder.errors import UsageError
from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.roster import read_roster
from tests.downloads import zipped

READ: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "Excel's line for the separator": (b"sep=;\r\nid;name\r\ns1;Ada\r\n", [("s1", "Ada")]),
    "commas in a quoted header": (b'"id";"name";"a, b, c"\ns1;"Ex, Ada";\n', [("s1", "Ex, Ada")]),
    "marks that nobody sees": ("\u200bid,name\n\u200bs1\u200e,\u202bنور\u202c\n".encode(), [("s1", "نور")]),
    "a joiner inside a name": ("id,name\ns1,می\u200cنا\n".encode(), [("s1", "می\u200cنا")]),
    "a cell of any length": (b"id,name,note\ns1,Ada," + b"x" * 200_000 + b"\n", [("s1", "Ada")]),
    "Excel's Unicode text": ("id\tname\r\ns1\tZoë\r\n".encode("utf-16"), [("s1", "Zoë")]),
    "for the old Mac": (b"id,name\rs1,Ada\rs2,Bob\r", [("s1", "Ada"), ("s2", "Bob")]),
    "bytes of no code page": (b"id,name\ns1,A\x81\n", [("s1", "A\x81")]),
    "text after a quote": (b'id,name\n"s1" ,"Ada" Ex\n', [("s1", "Ada Ex")]),
    "Gradescope's roster with its staff": (
        b"First Name,Last Name,SID,Email,Role\n"
        b"Ada,Ex,s1,a@x.org,Student\nTess,T,t1,t@x.org,TA\nI,I,,i@x.org,Instructor\n",
        [("s1", "Ada Ex")],
    ),
}


@pytest.mark.parametrize("form", READ)
def test_every_student_is_read(tmp_path: Path, form: str) -> None:
    data, expected = READ[form]
    (tmp_path / "r.csv").write_bytes(data)
    assert [(one.id, one.name) for one in read_roster(tmp_path / "r.csv")] == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'id,name\ns1,Ada\ns2,"Bob\ns3,Cleo\n', r"r\.csv:3: a quotation mark is never closed"),
        (b"PK\x03\x04\x14\x00", "a workbook of a spreadsheet program; save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "a workbook of a spreadsheet program; save it as CSV"),
        ("id,name\ns1,Ada\n".encode("utf-16-le"), "not a text file in a known encoding; save it as CSV"),
        (b"", "the file is empty"),
    ],
)
def test_what_would_lose_students_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "r.csv").write_bytes(data)
    with pytest.raises(UsageError, match=message):
        read_roster(tmp_path / "r.csv")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("a,Ada Ex,71\nb,Bob Why,72\nc,Cleo Zed,73\n", [[], []]),
        ("a,Ada Ex,72\nb,Bob Why,71\nc,Cleo Zed,73\n", [["name_of_another"], ["name_of_another"]]),
        ("a,A. Example,71\nb,Robert Why,72\n", [[], []]),
    ],
    ids=["right", "one column was sorted by itself", "names that people write otherwise"],
)
def test_ids_that_belong_to_another_name_are_told(tmp_path: Path, rows: str, expected: list[list[str]]) -> None:
    (tmp_path / "r.csv").write_text(f"id,name,lms id\n{rows}")
    download = zipped(tmp_path / "d.zip", {"exada_71_1_hw.ipynb": b"{}", "whybob_72_2_hw.ipynb": b"{}"})
    intake = take_in([download], Wanted(notebooks=("hw",)), read_roster(tmp_path / "r.csv"))
    assert [[flag.kind for flag in one.flags] for one in intake.hand_ins] == expected
