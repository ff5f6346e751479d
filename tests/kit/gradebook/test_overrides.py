"""What people decide wins, is never lost, and is never decided by two at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from autograder.errors import UsageError
from autograder.gradebook import overrides, reviews, schema, views
from autograder.gradebook.overrides import WHOLE, Decision
from autograder.gradebook.reviews import Kind
from autograder.gradebook.store import Gradebook
from autograder.results import (
    Override,
)
from tests.kit.gradebook.entries import FULL, question, result, save

POINTS = st.floats(0, 2).map(lambda value: round(value, 2))


@given(st.lists(st.tuples(st.sampled_from(["Q1", "Q2", WHOLE]), st.none() | POINTS, st.booleans()), max_size=8))
def test_the_newest_override_that_was_not_undone_counts(steps: list[tuple[str, float | None, bool]]) -> None:
    entries = [
        overrides.Entry(
            id=number,
            student="ada",
            question=key,
            override=Override(points=points, comment=f"c{number}", by="ta", at="now", computed=1.0),
            sha256="1",
            undone="ta, later" if undone else "",
        )
        for number, (key, points, undone) in enumerate(steps)
    ]
    found = overrides.apply(result(), entries)
    for key in ("Q1", "Q2"):
        given_points = [points for one, points, undone in steps if one == key and not undone and points is not None]
        assert found.questions[key].points == (given_points or [result().questions[key].computed])[-1]
    whole = [points for one, points, undone in steps if one == WHOLE and not undone and points is not None]
    assert found.total == (whole[-1] if whole else round(sum(q.points for q in found.questions.values()), 6))


def decide(gradebook: Gradebook, student: str, key: str, points: float | None, comment: str = "") -> None:
    saved = overrides.find_student(gradebook.saved(), student)
    decision = Decision(student=student, question=key, points=points, comment=comment)
    overrides.record(gradebook, [(overrides.check(decision, saved, bonus=False), saved)], "ta")


def test_an_override_outlives_grading_and_says_look_again(book: Gradebook) -> None:
    save(book, result())
    decide(book, "ada", "Q1", 1.5, "nearly")
    (seen,) = views.current(book)
    assert (seen.total, [str(flag) for flag in seen.flags]) == (3.5, ["Q1: 1.5 by hand (1 by the tests): nearly"])
    save(book, result(questions={"Q1": question(0.5), "Q2": question(2.0)}, sha256="2"))
    (seen,) = views.current(book)
    assert seen.total == 3.5
    kinds = [flag.kind for flag in seen.flags]
    assert kinds == ["override", "override_look_again", "override_resubmitted"]


def test_undo_is_in_the_history(book: Gradebook) -> None:
    save(book, result())
    decide(book, "ada", "Q1", 1.5)
    decide(book, "ada", "Q1", 0.5)
    overrides.undo(book, "ada", "Q1", "boss")
    (seen,) = views.current(book)
    assert seen.questions["Q1"].points == 1.5
    assert [bool(entry.undone) for entry in overrides.history(book, "ada")] == [False, True]
    overrides.undo(book, "ada", "Q1", "boss")
    with pytest.raises(UsageError, match="no override to undo"):
        overrides.undo(book, "ada", "Q1", "boss")


@pytest.mark.parametrize(
    ("key", "points", "comment", "message"),
    [
        ("Q9", 1.0, "", "no such question"),
        ("Q1", 2.5, "", "2.5 points of 2"),
        ("Q1", -1.0, "", "-1 points"),
        ("Q1", float("nan"), "", "nan points"),
        ("Q1", None, "", "neither points nor a comment"),
        (WHOLE, 9.0, "", "9 points of 4"),
    ],
)
def test_what_cannot_be_decided(book: Gradebook, key: str, points: float | None, comment: str, message: str) -> None:
    save(book, result())
    with pytest.raises(UsageError, match=message):
        decide(book, "ada", key, points, comment)
    assert overrides.history(book) == []


def test_students_are_found_by_part_of_their_name(book: Gradebook) -> None:
    save(book, result("ada_1"), result("adam_2"), FULL)
    assert overrides.find_student(book.saved(), "ada_1").result.student.id == "ada_1"
    assert overrides.find_student(book.saved(), "ZOË").result.student.id == "zoë_7"
    with pytest.raises(UsageError, match=r"2 students match.*ada_1, adam_2"):
        overrides.find_student(book.saved(), "ada")
    with pytest.raises(UsageError, match="no such student"):
        overrides.find_student(book.saved(), "eve")


def decide_after(gradebook: Gradebook, seen: str, by: str) -> bool:
    """Decide on Q1 of ada, having seen this much of its history; whether it was recorded."""
    saved = next(gradebook.saved(student="ada"))
    decision = Decision(student="ada", question="Q1", points=2.0, comment=by)
    try:
        overrides.record(gradebook, [(decision, saved)], by, {("ada", "Q1"): seen})
    except overrides.Overtaken:
        return False
    return True


def test_a_decision_on_a_history_that_has_gone_on_is_not_recorded(book: Gradebook) -> None:
    save(book, result("ada"))
    first = overrides.stamp(())
    assert decide_after(book, first, "tess")
    assert not decide_after(book, first, "tim")
    second = overrides.stamp(overrides.history(book, "ada", "Q1"))
    overrides.undo(book, "ada", "Q1", "tess")
    assert not decide_after(book, second, "tim")
    assert decide_after(book, overrides.stamp(overrides.history(book, "ada", "Q1")), "tim")
    assert [one.override.by for one in overrides.history(book)] == ["tess", "tim"]


def test_of_many_who_decide_at_the_same_moment_one_does(book: Gradebook) -> None:
    save(book, result("ada"))
    ready = threading.Barrier(8)

    def try_it(number: int) -> bool:
        ready.wait()
        return decide_after(book, overrides.stamp(()), f"ta {number}")

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(try_it, range(8))) == [False] * 7 + [True]
    assert len(overrides.history(book)) == 1


def test_several_are_undone_in_one_step_and_each_once(book: Gradebook) -> None:
    save(book, result("ada"), result("bob"))
    decisions = [
        (Decision(student=s.result.student.id, question="Q1", points=2.0, comment="x"), s) for s in book.saved()
    ]
    overrides.record(book, decisions, "tess")
    ids = [one.id for one in overrides.history(book)]
    assert overrides.undo_all(book, ids[:1], "tim") == 1
    assert overrides.undo_all(book, [*ids, 99], "tess") == 1
    assert [one.undone.partition(",")[0] for one in overrides.history(book)] == ["tim", "tess"]


def test_marks_count_until_they_are_taken_back_and_stay_in_the_table(book: Gradebook) -> None:
    save(book, result("ada"), result("bob"))
    for by in ("tess", "tim"):
        reviews.mark(book, [("ada", "1"), ("bob", "1")], "Q1", Kind.REVIEWED, "", by)
    reviews.mark(book, [("ada", "1")], "Q1", Kind.FLAG, "look", "tess")
    reviews.mark(book, [("ada", "1")], "Q1", Kind.FLAG, "you too", "tim")
    kinds = [(one.student, one.kind, one.note, one.by) for one in reviews.marks(book, "Q1")]
    assert kinds == [
        ("ada", Kind.REVIEWED, "", "tess"),
        ("bob", Kind.REVIEWED, "", "tess"),
        ("ada", Kind.FLAG, "look", "tess"),
        ("ada", Kind.FLAG, "you too", "tim"),
    ]
    reviews.take_back(book, "ada", "Q1", Kind.FLAG, "tim")
    assert [one.kind for one in reviews.marks(book, student="ada")] == [Kind.REVIEWED]
    with book.engine.connect() as connection:
        rows = connection.execute(select(schema.reviews.c.undone_by).order_by(schema.reviews.c.id)).scalars().all()
    assert rows == [None, None, "tim", "tim"]
