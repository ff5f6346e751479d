"""Who is known by another id now keeps everything under the new one, and nobody gets what is another's."""

from dataclasses import replace
from pathlib import Path

import pytest

from autograder.gradebook import overrides, views
from autograder.gradebook.overrides import WHOLE, Decision
from autograder.gradebook.renaming import rename
from autograder.gradebook.store import Gradebook
from autograder.results import Audience, Flag, LmsIdentity, Result, Student, SubmissionStatus
from tests.kit.gradebook.entries import result, save

STRANGER = Flag(kind="not_on_roster", text="no student has this id", audience=Audience.STAFF)
ODD = Flag(kind="odd", text="odd")


def person(student: str, user: str) -> Student:
    return Student(id=student, lms=LmsIdentity(system="canvas", user=user) if user else None)


def of(student: str, user: str, *flags: Flag) -> Result:
    return replace(result(student), student=person(student, user), flags=flags)


def absent(student: str) -> Result:
    return result(student, status=SubmissionStatus.NOT_SUBMITTED, questions={}, sha256="", flags=(ODD,))


def decide(book: Gradebook, student: str, points: float) -> None:
    (saved,) = book.saved(student=student)
    overrides.record(book, [(Decision(student=student, question=WHOLE, points=points, comment="x"), saved)], "tess")


@pytest.mark.parametrize("was_absent", [False, True], ids=["new", "said to be absent"])
def test_results_and_overrides_move_to_the_id_of_the_roster(book: Gradebook, tmp_path: Path, was_absent: bool) -> None:
    save(book, of("bobex_72", "72", STRANGER, ODD), of("ada", "71"), *([absent("b")] if was_absent else []))
    decide(book, "bobex_72", 3.5)
    views.write(book, tmp_path, ["Q1", "Q2"], [])
    lines = rename(book, [person("ada", "71"), person("b", "72")], tmp_path)
    assert lines == ["bobex_72 is b now (canvas id 72); results and overrides moved to the new id"]
    views.write(book, tmp_path, ["Q1", "Q2"], [])
    ada, bob = views.current(book)
    assert (ada.student.id, ada.total) == ("ada", 3.0)
    assert (bob.student.id, bob.status, bob.total) == ("b", "graded", 3.5)
    assert [flag.kind for flag in bob.flags] == ["odd", "override"]
    assert sorted(path.name for path in (tmp_path / views.RESULTS).iterdir()) == ["ada.json", "b.json"]
    assert rename(book, [person("ada", "71"), person("b", "72")], tmp_path) == []


@pytest.mark.parametrize(
    ("known", "people"),
    [
        ([of("a", "71")], [person("a", "71")]),
        ([of("a", "71")], [person("b", "72")]),
        ([of("a", "")], [person("b", "")]),
        ([of("group_71", "71")], [person("a", "71"), person("b", "71")]),
        ([of("a", "71"), of("b", "71")], [person("group_71", "71")]),
        ([of("a", "71"), of("b", "72")], [person("b", "71"), person("a", "72")]),
    ],
    ids=["the same id", "others", "no account", "a group's account", "of a group", "exchanged"],
)
def test_where_it_is_not_certain_nothing_moves(
    book: Gradebook, tmp_path: Path, known: list[Result], people: list[Student]
) -> None:
    save(book, *known)
    before = list(views.current(book))
    assert rename(book, people, tmp_path) == []
    assert list(views.current(book)) == before


def test_two_that_have_results_are_told_and_left(book: Gradebook, tmp_path: Path) -> None:
    save(book, of("bobex_72", "72"), of("b", "72"))
    (line,) = rename(book, [person("b", "72")], tmp_path)
    assert line.startswith("bobex_72 is b now (canvas id 72), and both have results; repeat the overrides of bobex_72")
    assert [one.student.id for one in views.current(book)] == ["b", "bobex_72"]
