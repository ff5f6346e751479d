"""Points into the files of the LMS: the one column changes, every other byte stays, and people are matched by ids."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.assignment import LatePolicy
from autograder.cli import main
from autograder.commands import export as verbs
from autograder.errors import UsageError
from autograder.gradebook.overrides import WHOLE, Decision, record
from autograder.gradebook.store import open_gradebook
from autograder.platforms.grades import fill_in, report
from autograder.platforms.table import parse_table
from autograder.results import Flag, LmsIdentity, Override, QuestionScore, Result, Status, Student, SubmissionStatus
from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.roster import read_roster
from tests import corpus, downloads
from tests.downloads import CLASS, NOTEBOOKS, PRESENT, Files, Member, zipped

TITLE = "Homework 6"


def result(student: Student, points: float = 1.5, status: str = "graded", submitted: str | None = None) -> Result:
    score = QuestionScore(computed=points, max_points=100, status=Status.FAILED, dependencies="own", tests=())
    return Result(
        student=student,
        submission="x",
        sha256="1",
        assignment="hw",
        version="1",
        status=SubmissionStatus(status),
        max_points=100,
        questions={"B1": score},
        submitted=submitted,
    )


def on(system: str, user: str, student: str = "", **more: str) -> Result:
    identity = LmsIdentity(system=system, user=user)
    return result(Student(id=student or f"who_{user}", lms=identity), status=more.get("status", "graded"))


def lines(*rows: str) -> bytes:
    return "\r\n".join(rows).encode() + b"\r\n"


def canvas_file() -> bytes:
    return lines(*downloads.ROSTERS["canvas gradebook"]())


def moodle_file() -> bytes:
    return lines(*downloads.ROSTERS["moodle worksheet"]())


def csv_file() -> bytes:
    return lines("ID,Points,Comment", *(f'{one.id},,"x, ""y"""' for one in CLASS))


FORMS: dict[str, tuple[Callable[[], Files], str, Callable[[], bytes], bool]] = {
    "canvas": (downloads.canvas, "canvas", canvas_file, False),
    "canvas with a roster": (downloads.canvas, "canvas", canvas_file, True),
    "moodle": (downloads.moodle, "moodle", moodle_file, False),
    "moodle flat, with a roster": (lambda: downloads.moodle(flat=True), "moodle", moodle_file, True),
    "moodle blind": (lambda: downloads.moodle(blind=True), "moodle", moodle_file, False),
    "gradescope": (downloads.gradescope, "csv", csv_file, False),
    "nbgrader": (downloads.nbgrader, "csv", csv_file, False),
    "folders": (downloads.folders, "csv", csv_file, False),
    "flat files into canvas": (downloads.flat, "canvas", canvas_file, True),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_goes_back_to_where_it_came_from(tmp_path: Path, form: str) -> None:
    """Each student's own number arrives in their own row, whoever shares their name, and nowhere else."""
    make_files, system, make_template, with_roster = FORMS[form]
    people = read_roster(downloads.roster(tmp_path / "roster.csv")) if with_roster else ()
    intake = take_in([zipped(tmp_path / "d.zip", make_files())], Wanted(notebooks=NOTEBOOKS), people)
    results = [result(student, points_of(student)) for one in intake.hand_ins for student in one.students]
    results += [result(student, status="not_submitted") for student in intake.absent]
    template = make_template()
    filled = fill_in(system, template, results, TITLE, "", "t.csv")
    assert (filled.unknown, len(filled.filled)) == ([], len(PRESENT))
    column = {"canvas": 5, "moodle": 5, "csv": 1}[system]
    before, after = (list(csv.reader(io.StringIO(data.decode()))) for data in (template, filled.data))
    for old, new in zip(before, after, strict=True):
        assert [cell for place, cell in enumerate(old) if place != column] == [
            cell for place, cell in enumerate(new) if place != column
        ]
    values = {member.number: row for member in CLASS for row in after if is_row_of(member, row)}
    for member in CLASS:
        assert values[member.number][column] == ("" if member.absent else f"{member.number + 0.25:.2f}")


def points_of(student: Student) -> float:
    """A number that tells who it is: 3.25 for the third of the class."""
    number = student.lms.user[-2:] if student.lms and student.lms.user.startswith("700") else student.id[-2:]
    return int(number) + 0.25


def is_row_of(member: Member, row: list[str]) -> bool:
    return {member.user, member.id, f"Participant {member.user}"} & set(row[:4]) != set()


CANVAS = (
    "Student,ID,SIS Login ID,Section,{title} (11),{other} (12),Final Score",
    "    Points Possible,,,,100.00,10.00,(read only)",
    '"Example, Ada",1,ada@example.edu,S1,,3,90',
    '"Example, Bob",2,bob@example.edu,S1,EX,,80',
    '"=cmd()",3,eve@example.edu,S1,7.00,,70',
)


def canvas(title: str = TITLE, other: str = "Quiz") -> bytes:
    return lines(*(row.replace("{title}", title).replace("{other}", other) for row in CANVAS))


def test_only_the_cells_that_change_change() -> None:
    filled = fill_in("canvas", canvas(), [on("canvas", "1"), on("canvas", "2"), on("canvas", "4")], TITLE, "", "t")
    assert filled.data == canvas().replace(b"S1,,3,90", b"S1,1.50,3,90")
    assert list(report(filled)) == [
        "1 filled, 1 excused, 1 in the file but not in the results, 1 in the results but not in the file",
        "kept: Example, Bob (EX)",
        "not in the results: =cmd()",
        "not in the file: who_4",
    ]


@pytest.mark.parametrize("status", ["unreadable", "not_submitted"])
def test_who_was_not_graded_keeps_what_the_file_says(status: str) -> None:
    filled = fill_in("canvas", canvas(), [on("canvas", "3", status=status)], TITLE, "", "t")
    assert filled.data == canvas()
    assert "=cmd()" in filled.unreadable + filled.absent


@pytest.mark.parametrize("status", ["unreadable", "not_submitted"])
def test_points_by_hand_count_although_the_tests_graded_nothing(status: str) -> None:
    override = Override(points=7.5, comment="read on paper", by="tess", at="now", computed=0.0)
    one = replace(on("canvas", "3", status=status), override=override, questions={})
    filled = fill_in("canvas", canvas(), [one], TITLE, "", "t")
    assert filled.data == canvas().replace(b"7.00", b"7.50")
    assert (filled.filled, filled.unreadable, filled.absent) == (["=cmd()"], [], [])


@pytest.mark.parametrize(
    ("template", "column", "message"),
    [
        (canvas("Other"), "", "no column is called Homework 6"),
        (canvas(other=TITLE), "", "2 columns are called Homework 6"),
        (b"name,points\r\nx,1\r\n", "", "not a Canvas gradebook"),
        (b"", "", "the file is empty"),
        (canvas(), "Final Score", "no column is called Final Score"),
    ],
)
def test_an_unclear_column_is_refused_as_canvas_would_make_a_new_one(
    template: bytes, column: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        fill_in("canvas", template, [on("canvas", "1")], TITLE, column, "t")


@pytest.mark.parametrize("column", ["12", "Quiz (12)", "Quiz"])
def test_a_column_by_its_name_or_id(column: str) -> None:
    assert b"S1,,1.50,90" in fill_in("canvas", canvas(), [on("canvas", "1")], TITLE, column, "t").data


def test_people_of_one_name_or_one_id_are_never_guessed() -> None:
    same_name = result(Student(id="x1", name="Ada Example"))
    assert fill_in("canvas", canvas(), [same_name], TITLE, "", "t").data == canvas()
    two = [on("canvas", "1", "x1"), on("canvas", "1", "x2")]
    assert fill_in("canvas", canvas(), two, TITLE, "", "t").unknown == ["x1", "x2"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_moodle_in_german(mark: bytes, ends: str) -> None:
    text = ends.join(
        (
            "ID;Vollständiger Name;Status;Bewertung;Bestwertung;Zuletzt geändert (Bewertung)",
            'Teilnehmer/in1;"Müller; Zoë";Abgegeben;;100,00;-',
            "Teilnehmer/in2;Bob;Abgegeben;3,50;100,00;-",
        )
    )
    template = mark + text.encode()
    filled = fill_in("moodle", template, [on("moodle", "1"), on("moodle", "2")], TITLE, "", "t")
    assert filled.data == template.replace(b";;100", b";1,50;100").replace(b"3,50;", b"1,50;")
    assert filled.warnings == []


def test_another_maximum_is_said() -> None:
    filled = fill_in("canvas", canvas().replace(b"100.00", b"20.00"), [on("canvas", "1")], TITLE, "", "t")
    assert filled.warnings == [
        "the file's maximum is 20.00, that of the results 100; correct it in the LMS before you upload"
    ]


CELLS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(CELLS, min_size=1, max_size=4), st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(",;\t"))
def test_a_table_comes_back_as_it_was(cells: list[str], ends: str, delimiter: str) -> None:
    quoted = [f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells]
    text = f"{delimiter.join(['id', 'b', 'c', 'd'][: len(cells)])}{ends}{delimiter.join(quoted)}"
    table = parse_table(text.encode(), "t")
    assert table.replaced({}) == text.encode()
    if table.delimiter == delimiter or len(cells) == 1:
        assert [cell.text for cell in table.rows[1]] == cells


@given(st.lists(st.floats(0, 100).map(lambda points: round(points, 2)), min_size=1, max_size=6))
def test_what_is_filled_in_reads_as_the_points(points: list[float]) -> None:
    people = [f"s{number}" for number in range(len(points))]
    template = lines("id,points,note", *(f"{person},,x" for person in people))
    results = [result(Student(id=person), value) for person, value in zip(people, points, strict=True)]
    filled = fill_in("csv", template, results, TITLE, "points", "t")
    read = {row["id"]: float(row["points"]) for row in csv.DictReader(io.StringIO(filled.data.decode()))}
    assert read == dict(zip(people, points, strict=True))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    with open_gradebook(tmp_path / "out") as gradebook:
        run = gradebook.begin_run("grade", "{}", "grade")
        times = {"ada": "2026-11-21T12:00:00+00:00", "bob": None, "eve": "2026-11-20T12:00:00+00:00"}
        for student, submitted in times.items():
            gradebook.save(run, result(Student(id=student), 10, submitted=submitted), {})
    (tmp_path / "t.csv").write_text("id,points\nada,\nbob,\neve,\n")
    return tmp_path / "out"


@pytest.mark.parametrize("with_late", [False, True])
def test_lateness_counts_only_when_asked(
    out: Path, with_late: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = LatePolicy(deadline=datetime(2026, 11, 20, 23, 59, tzinfo=UTC), percent_per_day=10)
    monkeypatch.setattr(verbs, "chosen", lambda options: replace(corpus.assignment(), late=policy))
    written = out.parent / "new.csv"
    command = ["export", "--to", "csv", "--template", str(out.parent / "t.csv"), "--write", str(written)]
    assert main([*command, "--out", str(out), *(["--with-late"] if with_late else [])]) == 0
    assert written.read_text() == f"id,points\nada,{'9.00' if with_late else '10.00'}\nbob,10.00\neve,10.00\n"
    unknown = "look at this: bob: the time of submission is unknown, so nothing was taken off"
    assert (unknown in capsys.readouterr().out) == with_late


def test_points_that_are_not_final_are_told(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waiting = QuestionScore(computed=0, max_points=2, status=Status.WAITING, dependencies="own", tests=())
    failed = Flag(kind="grader_failed", text="no child started", question="B1")
    unfinished = {
        "ada": replace(result(Student(id="ada")), questions={"W1": waiting}),
        "bob": replace(result(Student(id="bob")), flags=(failed,)),
        "eve": replace(result(Student(id="eve")), questions={"W1": waiting}, flags=(failed,)),
    }
    with open_gradebook(out) as gradebook:
        run = gradebook.begin_run("grade", "{}", "grade")
        for one in unfinished.values():
            gradebook.save(run, one, {})
        saved = next(gradebook.saved(student="eve"))
        decision = Decision(student="eve", question=WHOLE, points=9, comment="x")
        record(gradebook, [(decision, saved)], "tess")
    template = str(out.parent / "t.csv")
    arguments = ["--template", template, "--write", str(out.parent / "new.csv"), "--out", str(out)]
    assert main(["export", "--to", "csv", *arguments]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "look at this" in line] == [
        "look at this: ada: nobody has graded these yet, so they count as 0: W1",
        "look at this: bob: the grader failed, so points are missing; grade again first",
    ]


def test_the_template_is_not_overwritten(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = str(out.parent / "t.csv")
    assert main(["export", "--to", "csv", "--template", template, "--write", template, "--out", str(out)]) == 2
    assert "this would overwrite the template" in capsys.readouterr().err
