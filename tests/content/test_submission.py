"""What is read of a submission: notebooks by their content, also in archives, and why other files are not."""

import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from autograder.platforms.download import Attached
from autograder.platforms.files import list_folder
from autograder.results import Student
from autograder.submissions.notebooks import read_files
from autograder.submissions.submission import MAX_NOTEBOOKS, HandIn, Kind, Submission
from tests import corpus

NOTEBOOK = json.dumps({"cells": [], "nbformat": 4}).encode()
PATTERN = "batchnorm", "residual_stream"


def packed(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as target:
        for name, data in members.items():
            target.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def load(folder: Path, files: Mapping[str, bytes]) -> Submission:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    found = tuple(Attached(file=file) for file in list_folder(folder))
    return HandIn(students=(Student(id="s"),), files=found, label="s").load()


def read(folder: Path, files: Mapping[str, bytes]) -> dict[str, bytes | str]:
    """The notebooks by name: their bytes, or the reason why there are none."""
    return {file.name: file.reason or file.content for file in load(folder, files).notebooks}


def solved(*questions: str, notebook: str = "batchnorm") -> bytes:
    answers = {question: corpus.reference()[question] for question in questions}
    return json.dumps(corpus.submission(answers)[notebook]).encode()


@pytest.mark.parametrize(
    "name",
    [
        "batchnorm.ipynb",
        "batchnorm.IPYNB",
        "batchnorm.ipynb.json",
        "batchnorm.ipynb.txt",
        "batchnorm",
        "batchnorm.json",
        ".batchnorm.ipynb",
        "a/b/c/batchnorm.ipynb",
    ],
)
@pytest.mark.parametrize("inside", ["folder", "zip", "zip in zip", "zip under another name"])
def test_a_notebook_is_recognised_by_its_content(tmp_path: Path, name: str, inside: str) -> None:
    files = {
        "folder": {name: NOTEBOOK},
        "zip": {"hw.zip": packed({name: NOTEBOOK})},
        "zip in zip": {"hw.zip": packed({"export_2026.zip": packed({name: NOTEBOOK, ".OTTER_LOG": b"never"})})},
        "zip under another name": {"hw.ipynb": packed({name: NOTEBOOK})},
    }[inside]
    assert list(read(tmp_path, files).values()) == [NOTEBOOK]


@pytest.mark.parametrize(
    "files",
    [
        {"__MACOSX/._batchnorm.ipynb": b"\0\0", "._x.ipynb": b"\0", ".ipynb_checkpoints/x-checkpoint.ipynb": NOTEBOOK},
        {"hw.zip": packed({r"hw6\.ipynb_checkpoints\x-checkpoint.ipynb": NOTEBOOK, r"__MACOSX\hw6\._x.ipynb": b"\0"})},
        {"notes.json": b'{"a": 1}', "report.pdf": b"%PDF", "data.npz": packed({"a.npy": b""}), "grades.csv": b"a,b"},
    ],
    ids=["system files", "system files of Windows zips", "other files"],
)
def test_other_files_are_no_notebooks(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert [reason for reason in read(tmp_path, files).values() if isinstance(reason, bytes)] == []


def test_backslashes_separate_folders(tmp_path: Path) -> None:
    assert list(read(tmp_path, {"hw.zip": packed({r"C:\hw6\..\a.ipynb": NOTEBOOK})})) == ["hw.zip/hw6/a.ipynb"]


def test_names_in_utf8_without_the_flag(tmp_path: Path) -> None:
    data = packed({"Übung.ipynb": NOTEBOOK})
    without = bytearray(data)
    for start in (data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8):
        without[start : start + 2] = b"\0\0"
    assert list(read(tmp_path, {"hw.zip": bytes(without)})) == ["hw.zip/Übung.ipynb"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged"),
        (b"PK\x03\x04 and then nothing", "damaged"),
        (packed({}), "the archive is empty"),
        (packed({"a.ipynb": b"x" * 1000}).replace(b"a.ipynb", b"b.ipynb", 1), "damaged"),
        (packed({"1.zip": packed({"2.zip": packed({"a.ipynb": NOTEBOOK})})}), "inside too many others"),
        (
            packed({"a.ipynb": NOTEBOOK}).replace(b"PK\x01\x02\x14\x03\x14\0\0", b"PK\x01\x02\x14\x03\x14\0\x01"),
            "password",
        ),
    ],
    ids=["empty", "cut off", "no members", "names that differ", "too deep", "encrypted"],
)
def test_a_damaged_archive_is_a_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    (found,) = read(tmp_path, {"hw.zip": data}).values()
    assert isinstance(found, str)
    assert reason in found


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_with_any_byte_changed_raises_nothing(tmp_path: Path, method: int) -> None:
    whole, draw = packed({"a.ipynb": NOTEBOOK * 3}, method), random.Random(0)
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] = draw.randrange(256)
        load(tmp_path, {"hw.zip": bytes(data)})


def test_a_bomb_is_a_reason(tmp_path: Path) -> None:
    bomb = packed({f"{number}.ipynb": b" " * (100 << 20) for number in range(4)})
    found = load(tmp_path, {"hw.zip": bomb})
    assert sum(len(file.content) for file in found.files) <= 256 << 20
    assert [file.reason for file in found.files if "reach the limit of" in file.reason]


def test_only_so_many_notebooks_are_read_and_the_newest_are_kept(tmp_path: Path) -> None:
    found = load(tmp_path, {"hw.zip": packed({f"x ({number}).ipynb": NOTEBOOK for number in range(999)})})
    assert [file.name for file in found.notebooks] == [
        f"hw.zip/x ({number}).ipynb" for number in range(999 - MAX_NOTEBOOKS, 999)
    ]
    assert [flag.kind for flag in found.flags] == ["too_many_files"]


def test_only_so_many_members_are_looked_at(tmp_path: Path) -> None:
    found = load(tmp_path, {"hw.zip": packed({f"{number}.txt": b"" for number in range(10_000)})})
    assert [flag.text for flag in found.flags] == ["more than 1000 files; the others were ignored"]


def test_links_and_devices_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "zero.ipynb").symlink_to("/dev/zero")
    (tmp_path / "gone.ipynb").symlink_to(tmp_path / "nothing")
    found = read(tmp_path, {"x.ipynb": NOTEBOOK})
    assert {name: reason for name, reason in found.items() if isinstance(reason, str)} == {
        "pipe.ipynb": "this is a device or a pipe, not a file",
        "zero.ipynb": "this is a link, which is not followed; submit the file itself",
        "gone.ipynb": "this is a link, which is not followed; submit the file itself",
    }


def test_files_come_from_oldest_to_newest(tmp_path: Path) -> None:
    names = ["x_old.ipynb", "x.ipynb", "x (9).ipynb", "x (10).ipynb"]
    assert list(read(tmp_path, dict.fromkeys(reversed(names), NOTEBOOK))) == names


def test_the_time_of_an_export_counts_although_the_zip_was_renamed(tmp_path: Path) -> None:
    new = packed({"x.ipynb": NOTEBOOK, "__zip_filename__": b"x_2026_11_20T10_00_00_000000.zip"})
    old = packed({"x.ipynb": NOTEBOOK, "__zip_filename__": b"x_2026_11_19T10_00_00_000000.zip"})
    assert list(read(tmp_path, {"hw.zip": new, "hw (1).zip": old})) == ["hw (1).zip/x.ipynb", "hw.zip/x.ipynb"]


def test_modules_are_collected_as_text(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        {
            "hw/x.ipynb": NOTEBOOK,
            "hw/helper.py": "K = 'é'\n".encode(),
            "hw/src/more.py": b"\xff = 1",
            "apart.py": b"1",
            "huge.py": b"#" * (2 << 20),
            "export.py": b"# %%\nx = 1\n# %%\ny = 2\n",
        },
    )
    assert found.modules == {"helper.py": "K = 'é'\n", "src/more.py": "\ufffd = 1", "apart.py": "1"}
    assert {file.name for file in found.notebooks} == {"hw/x.ipynb", "export.py"}
    assert [file.reason for file in found.files if file.kind is Kind.OTHER] == ["a Python file of more than 1 MiB"]


def test_a_submission_travels(tmp_path: Path) -> None:
    found = load(tmp_path, {"x.ipynb": NOTEBOOK, "helper.py": b"1"})
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again.sha256 == found.sha256
    assert load(tmp_path, {"helper.py": b"2"}).sha256 != found.sha256


def test_each_question_is_taken_from_the_newest_file_that_attempts_it(tmp_path: Path) -> None:
    files = {"batchnorm.ipynb": solved("B1"), "batchnorm (2).ipynb": solved("B2"), "batchnorm (10).ipynb": b"{"}
    found = read_files(load(tmp_path, files), corpus.assignment())
    assert [file.name for file in found.notebooks["batchnorm"]] == ["batchnorm.ipynb", "batchnorm (2).ipynb"]
    texts = {flag.kind: flag.text for flag in found.flags}
    assert "from oldest to newest: batchnorm.ipynb, batchnorm (2).ipynb;" in texts["several_files"]
    assert "batchnorm (10).ipynb: the file is cut off" in texts["unreadable_file"]
    both = found.counted({"batchnorm": frozenset({"batchnorm.ipynb", "batchnorm (2).ipynb"})})
    assert [(file.name, file.counts) for file in both] == [
        ("batchnorm.ipynb", True),
        ("batchnorm (2).ipynb", True),
        ("batchnorm (10).ipynb", False),
    ]
    one = found.counted({"batchnorm": frozenset({"batchnorm (2).ipynb"})})
    assert one[0].why == "older than batchnorm (2).ipynb, which attempts everything in it"


def test_what_was_handed_in_instead_of_a_notebook_is_named(tmp_path: Path) -> None:
    found = read_files(load(tmp_path, {"report.pdf": b"%PDF", "helper.py": b"1"}), corpus.assignment())
    assert [flag.text for flag in found.flags] == [
        "no notebook was handed in, only report.pdf, helper.py; hand in the .ipynb files themselves"
    ]


def test_an_unreadable_notebook_is_not_called_missing(tmp_path: Path) -> None:
    files = {"batchnorm.ipynb": b"<<<<<<< HEAD\n{}", "residual_stream.ipynb": solved("R1", notebook="residual_stream")}
    found = read_files(load(tmp_path, files), corpus.assignment())
    assert list(found.notebooks) == ["residual_stream"]
    assert "merge conflict markers" in found.unreadable["batchnorm"]
