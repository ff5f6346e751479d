"""Points into the files that an LMS takes back: one column changes, every other byte stays."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.cli import main
from autograder.errors import UsageError
from autograder.gradebook.store import open_gradebook
from autograder.platforms.grades import fill_in, report
from autograder.platforms.table import Filled, parse_table
from autograder.results import LmsIdentity, QuestionScore, Result, Status, Student, SubmissionStatus
from tests import corpus


def result(student: str, points: float, user: str = "", system: str = "canvas", status: str = "graded") -> Result:
    score = QuestionScore(computed=points, max_points=100, status=Status.FAILED, dependencies="own", tests=())
    return Result(
        student=Student(id=student, name="N", lms=LmsIdentity(system=system, user=user) if user else None),
        submission="x",
        sha256="",
        assignment="hw",
        version="1",
        status=SubmissionStatus(status),
        max_points=100,
        questions={"Q1": score} if status == "graded" else {},
    )


CANVAS = (
    'Student,ID,SIS Login ID,Section,"Home, work (77)",Other (78),Final Score\r\n'
    ",,,,Manual Posting,,\r\n"
    "    Points Possible,,,,100.00,5,(read only)\r\n"
    '"Example, Ada",1,a,S1,,3,\r\n'
    '"Example, Ada",2,b,S1,"50.00",3,\r\n'
    'Bob "B" Table,3,c,S1,EX,3,\r\n'
    '"=""x""",4,d,S1,,3,\r\n'
    "Eve,5,e,S1,-,,\r\n"
    "Flo,6,f,S1,7.50,,\r\n"
    "Student \u00fc,7,g,S1,96.50,,"
)
RESULTS = [
    result("a", 97.25, "1"),
    result("exampleada_2", 88, "2"),
    result("c", 50, "3"),
    result("d", 0, "4", status="unreadable"),
    result("e", 0, "5", status="not_submitted"),
    result("f", 0),
    result("g", 96.5, "7"),
    result("z", 3, "99"),
]


def fill(text: str, system: str = "canvas", column: str = "", title: str = "Home, work") -> Filled:
    return fill_in(system, text.encode(), RESULTS, title, column, "file.csv")


def test_canvas() -> None:
    filled = fill(CANVAS)
    expected = CANVAS.replace("a,S1,,", "a,S1,97.25,").replace('"50.00"', '"88.00"').replace("7.50", "0.00")
    assert filled.data.decode() == expected
    assert list(report(filled)) == [
        "4 filled, 1 unreadable left empty, 1 handed in nothing, 1 excused, 1 in the results but not in the file",
        "unreadable: x",
        "handed in nothing: Eve",
        'kept: Bob "B" Table (EX)',
        "not in the file: z",
    ]


@pytest.mark.parametrize("column", ["Home, work (77)", "77", "Home, work"])
def test_the_column_of_canvas_may_be_named(column: str) -> None:
    assert fill(CANVAS, column=column, title="x").data == fill(CANVAS).data


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        (CANVAS, "Nothing", "no column is called Nothing; choose one with --column: Home, work; Other"),
        (CANVAS, "Final Score", "no column is called"),
        (CANVAS.replace("Other (78)", '"Home, work (78)"'), "", "2 columns are called Home, work"),
        ("a,b\n1,2\n", "", "not a Canvas gradebook"),
        ("", "", "the file is empty"),
    ],
)
def test_what_is_not_clear_is_refused(text: str, column: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fill(text, column=column)


def test_another_maximum_is_told() -> None:
    (warning,) = fill(CANVAS.replace("100.00", "20")).warnings
    assert "the file's maximum is 20, that of the results 100" in warning


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_moodle_in_german_with_decimal_commas(mark: str, end: str) -> None:
    lines = [
        "ID;Vollständiger Name;Status;Bewertung;Bestwertung;Zuletzt geändert (Bewertung);Feedback als Kommentar",
        "Teilnehmer/in1;Ada;Zur Bewertung abgegeben;;100,00;-;",
        'Teilnehmer/in2;Ada;x;"50,00";100,00;Freitag;"<p>a;b</p>"',
        "Teilnehmer/in8;Cem;x;;100,00;-;",
    ]
    text = mark + end.join(lines) + end
    results = [result("x", 97.5, "1", "moodle"), result("y", 12, "2", "moodle"), result("1", 3, "1", "canvas")]
    filled = fill_in("moodle", text.encode(), results, "t", "", "w.csv")
    expected = text.replace("abgegeben;;", "abgegeben;97,50;").replace('"50,00"', '"12,00"')
    assert filled.data.decode() == expected
    assert (filled.without, filled.unknown) == (["Teilnehmer/in8"], ["1"])


def test_what_moodle_will_not_take_is_told() -> None:
    locked = "Identifier,Grade,Maximum grade,Grade can be changed\nParticipant 1,,0,Yes\nParticipant 2,,0,No\n"
    scale = "Identifier,Grade,Scale\nParticipant 1,,Fail/Pass\n"
    told = [fill_in("moodle", text.encode(), [], "t", "", "w.csv").warnings for text in (locked, scale)]
    assert told == [
        ["Participant 2: this grade cannot be changed, so Moodle will skip it; unlock it first"],
        ["the assignment is graded by a scale, of which Moodle takes only its words; give it points in Moodle"],
    ]


def test_a_decimal_comma_between_commas_is_quoted() -> None:
    text = 'Identifier,Full name,ID number,Grade,Maximum grade\nParticipant 1,Ada,s1,,"100,00"\n'
    filled = fill_in("moodle", text.encode(), [result("s1", 1.5)], "t", "", "w.csv")
    assert filled.data.decode() == text.replace("s1,,", 's1,"1,50",')


def test_a_table_of_a_course() -> None:
    text = "\ufeffMatrikelnummer;Punkte;Note\na;;1\nq;7;2\n"
    filled = fill(text, "csv", "Punkte")
    assert filled.data.decode() == text.replace("a;;1", "a;97.25;1")
    assert filled.without == ["q"]


def test_names_alone_match_nobody() -> None:
    filled = fill_in("csv", b"id,name,points\nx1,N,\n", RESULTS, "t", "", "f")
    assert filled.data == b"id,name,points\nx1,N,\n"


Cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=8)


@given(st.lists(st.lists(Cells, min_size=2, max_size=4), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_a_table_is_read_as_csv_and_written_back_byte_for_byte(rows: list[list[str]], end: str) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator=end).writerows(rows)
    data = buffer.getvalue().encode()
    table = parse_table(data, "x")
    assert table.replaced({}) == data
    if table.delimiter == ",":
        assert [[cell.text for cell in row] for row in table.rows] == list(
            csv.reader(io.StringIO(data.decode(), newline=""))
        )


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_gradebook(tmp_path) as gradebook:
        run = gradebook.begin_run("grade", "{}", "grade")
        for one in RESULTS:
            gradebook.save(run, one, {})
    title = corpus.assignment().title
    template = tmp_path / "gradebook.csv"
    template.write_text(f'Student,ID,Section,"{title} (5)"\nAda,1,S,\n')
    command = ["export", "--to", "canvas", "--template", str(template), "--out", str(tmp_path)]
    assert main([*command, "--write", str(tmp_path / "new.csv")]) == 0
    assert (tmp_path / "new.csv").read_text().endswith("Ada,1,S,97.25\n")
    assert capsys.readouterr().out.startswith("1 filled, 7 in the results but not in the file\n")
    assert main([*command, "--write", str(template)]) == 2
    assert "this would overwrite the template" in capsys.readouterr().err
