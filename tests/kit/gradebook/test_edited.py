"""A file of points by hand says what a person changed in it, and nothing that changed in the gradebook since."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from autograder.errors import UsageError
from autograder.gradebook import edited, overrides, schema, views
from autograder.gradebook.overrides import WHOLE, Decision
from autograder.gradebook.store import Gradebook
from autograder.results import Status, SubmissionStatus
from tests.kit.gradebook.entries import question, result, save

Rows = list[list[str]]
LOST = replace(result("eve"), status=SubmissionStatus.UNREADABLE, questions={})


def decided(question: str, points: float | None, student: str = "bob", comment: str = "") -> Decision:
    return Decision(student=student, question=question, points=points, comment=comment)


@pytest.fixture
def class_of_three(book: Gradebook) -> Gradebook:
    save(book, result("ada"), result("bob"), LOST)
    return book


def rows_of(book: Gradebook) -> Rows:
    return list(csv.reader(io.StringIO(views.grades_csv(views.current(book), ["Q1", "Q2"]))))


def put(rows: Rows, student: str, column: str, value: str) -> Rows:
    place = rows[0].index(column)
    return [[*row[:place], value, *row[place + 1 :]] if row[0] == student else row for row in rows]


def text_of(rows: Rows, delimiter: str = ",", ends: str = "\n") -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, lineterminator=ends).writerows(rows)
    return buffer.getvalue()


def read(book: Gradebook, rows: Rows) -> edited.Edited:
    return edited.read_edited(text_of(rows).encode(), "e.csv", book)


def with_commas(rows: Rows) -> Rows:
    return [[cell.replace(".", ",") if cell.replace(".", "").isdigit() else cell for cell in row] for row in rows]


SAVED: dict[str, Callable[[Rows], bytes]] = {
    "as it was": lambda rows: text_of(rows).encode(),
    "Excel, German": lambda rows: text_of(with_commas(rows), ";", "\r\n").encode("cp1252"),
    "Excel, CSV UTF-8": lambda rows: b"\xef\xbb\xbf" + text_of(rows, ";", "\r\n").encode(),
    "Excel, Unicode text": lambda rows: text_of(rows, "\t", "\r\n").encode("utf-16"),
    "Excel, with its line for the separator": lambda rows: b"sep=;\r\n" + text_of(rows, ";", "\r\n").encode(),
    "Excel for the old Mac": lambda rows: text_of(rows, ends="\r").encode(),
    "rows without anything": lambda rows: text_of([*rows, [""] * 5, [" "]]).encode(),
    "columns in another order": lambda rows: text_of([row[::-1] for row in rows]).encode(),
    "rows of others deleted": lambda rows: text_of([row for row in rows if row[0] in ("student", "bob")]).encode(),
    "without the total": lambda rows: text_of([[row[0], *row[5:7]] for row in rows]).encode(),
    "headers in capitals, with blanks": lambda rows: text_of([[f"{c.upper()} " for c in rows[0]], *rows[1:]]).encode(),
    "a cell of any length": lambda rows: text_of(put(rows, "ada", "flags", "x" * 200_000)).encode(),
}


@pytest.mark.parametrize("form", SAVED)
def test_one_edited_cell_is_one_decision_however_it_was_saved(class_of_three: Gradebook, form: str) -> None:
    data = SAVED[form](put(rows_of(class_of_three), "bob", "Q1", "1.5"))
    assert edited.read_edited(data, "e.csv", class_of_three).decisions == [decided("Q1", 1.5)]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({("bob", "total"): "3.5"}, [decided(WHOLE, 3.5)]),
        ({("bob", "total"): "3.5", ("bob", "Q1"): "1.5"}, [decided("Q1", 1.5)]),
        ({("bob", "total"): "4", ("bob", "Q1"): "1.5"}, [decided(WHOLE, 4.0), decided("Q1", 1.5)]),
        ({("eve", "total"): "2"}, [decided(WHOLE, 2.0, "eve")]),
        ({("bob", "Q1"): "1", ("bob", "total"): "3,0"}, []),
    ],
    ids=["the total", "a total that follows", "a total of its own", "unreadable", "written otherwise"],
)
def test_an_edited_total_counts_unless_it_follows_from_the_row(
    class_of_three: Gradebook, cells: dict[tuple[str, str], str], expected: list[Decision]
) -> None:
    rows = rows_of(class_of_three)
    for (student, column), value in cells.items():
        rows = put(rows, student, column, value)
    assert read(class_of_three, rows).decisions == expected


def test_what_is_not_used_is_said(class_of_three: Gradebook) -> None:
    rows = put(
        [[*row, "seen" if place else "Q9"] for place, row in enumerate(rows_of(class_of_three))], "bob", "Q1", ""
    )
    assert read(class_of_three, rows) == edited.Edited(
        notes=["e.csv:3, Q1: empty, so its points stay; write 0 to take them", "e.csv: the column 'Q9' is not used"]
    )


def at(book: Gradebook, table: object, column: str, row: int, minute: int) -> None:
    """Set a time of a row, so that no two are the same."""
    chosen = schema.runs if table is schema.runs else schema.overrides
    with book.writing() as connection:
        values = {column: f"2026-11-20T10:{minute:02}:00+00:00"}
        connection.execute(update(chosen).where(chosen.c.id == row).values(**values))


def test_an_old_copy_takes_nothing_back_that_changed_since(book: Gradebook) -> None:
    """Rescored tests, a colleague's override and a resubmission stay; the one edit counts."""
    save(book, result("ada"), result("bob"), result("cleo"), result("dan"))
    copy = put(rows_of(book), "bob", "Q1", "1.5")
    before = len(book.runs())
    for run in book.runs():
        at(book, schema.runs, "finished", run.id, 1)
    (ada,) = book.saved(student="ada")
    overrides.record(book, [(decided("Q1", 0.5, "ada"), ada)], "tess")
    at(book, schema.overrides, "at", 1, 2)
    better = {"Q1": question(1.0), "Q2": question(1.0)}
    save(book, *(result(one, questions=better) for one in ("bob", "cleo", "dan")))
    for run in book.runs()[before:]:
        at(book, schema.runs, "finished", run.id, 3)
    found = read(book, copy)
    assert found.decisions == [decided("Q1", 1.5)]
    assert found.notes == ["e.csv: written before 4 of its cells changed in the gradebook; these keep their new points"]


def test_points_may_be_set_back_in_a_new_copy(class_of_three: Gradebook) -> None:
    book = class_of_three
    saved = {one.result.student.id: one for one in book.saved()}
    for place, student in enumerate(("ada", "bob"), start=1):
        overrides.record(book, [(decided("Q1", 1.5, student), saved[student])], "tess")
        at(book, schema.overrides, "at", place, 2 + place)
    for run in book.runs():
        at(book, schema.runs, "finished", run.id, 1)
    assert read(book, put(rows_of(book), "ada", "Q1", "1")).decisions == [decided("Q1", 1.0, "ada")]


def test_points_for_a_written_answer_are_a_decision_although_they_are_none(book: Gradebook) -> None:
    waiting = replace(question(0.0), status=Status.WAITING, tests=())
    save(book, result("bob", questions={"Q1": question(1.0), "Q2": waiting}))
    assert read(book, rows_of(book)).decisions == []
    assert read(book, put(rows_of(book), "bob", "Q2", "0")).decisions == [decided("Q2", 0.0)]


def test_a_table_of_overrides(class_of_three: Gradebook) -> None:
    data = b"Student;Question;Points;Comment\r\nbob;q1;1,5;nearly\r\n;;;\r\nada;;;see me\r\n"
    expected = [decided("Q1", 1.5, comment="nearly"), decided(WHOLE, None, "ada", "see me")]
    assert edited.read_edited(data, "e.csv", class_of_three).decisions == expected


TABLE = "student,question,points,comment\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "e.csv:1: neither a copy of grades.csv"),
        ("student,total,Q1\nmallory,1,1\n", "e.csv:2: no student 'mallory'"),
        ("student,total,Q1\nada,1,01. Mai\n", "e.csv:2, Q1: '01. Mai' is not a number"),
        ("student,total,Q1\nada,1,1_0\n", "'1_0' is not a number"),
        ("student,Q1\n,1\n", "e.csv:2: a line without a student"),
        ("student,Q1\nada,1\nbob,1\nada,2\n", "e.csv:4: a second line for ada; the first is line 2"),
        ("student,Q1\neve,1\n", "e.csv:2, Q1: eve has no points for Q1: unreadable"),
        ('student,Q1\n"ada,1\n', "e.csv:2: a quotation mark is never closed"),
        ("PK\x03\x04xl/workbook.xml", "this is a workbook of a spreadsheet program; save it as CSV"),
        ("student,Q1\nada,1\0\n", "not a text file"),
        (f"{TABLE}ada,Q1,x,\n", "e.csv:2, points: 'x' is not a number"),
        (f"{TABLE}ad,Q1,1,\n", "e.csv:2: no student 'ad'"),
        (f"{TABLE},Q1,1,\n", "e.csv:2: a line without a student"),
        (f"{TABLE}ada,Q1,1,\nada,q1,2,\n", "e.csv:3: ada Q1 again, which line 2 decides already"),
    ],
)
def test_files_that_cannot_be_read(class_of_three: Gradebook, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        edited.read_edited(text.encode(), "e.csv", class_of_three)


def test_an_id_that_a_spreadsheet_took_for_a_number(book: Gradebook) -> None:
    save(book, result("007"))
    with pytest.raises(UsageError, match=r"no student '7' \(a spreadsheet may have made it of 007\)"):
        read(book, [["student", "Q1"], ["7", "1"]])


def test_every_edited_copy_is_kept_byte_for_byte(class_of_three: Gradebook, tmp_path: Path) -> None:
    """A second one does not take the place of a first that nobody has imported yet."""
    path = tmp_path / views.GRADES
    kept = []
    for points in ("1.5", "1.5", "2"):
        assert views.write(class_of_three, tmp_path, ["Q1", "Q2"], []) is None
        data = text_of(put(rows_of(class_of_three), "bob", "Q1", points), "\t").encode("utf-16")
        path.write_bytes(data)
        found = views.write(class_of_three, tmp_path, ["Q1", "Q2"], [])
        assert found is not None
        kept.append(found)
        assert found.read_bytes() == data
        assert edited.read_edited(data, "e.csv", class_of_three).decisions == [decided("Q1", float(points))]
    assert [one.name for one in kept] == ["grades.edited.csv", "grades.edited.csv", "grades.edited-2.csv"]
