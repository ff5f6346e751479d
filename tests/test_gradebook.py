"""The gradebook: what was computed comes back, what people decide wins, and the views are safe and whole."""

import csv
import json
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select

from autograder.errors import UsageError
from autograder.gradebook import overrides, reviews, schema, views
from autograder.gradebook.files import cell, file_stem
from autograder.gradebook.overrides import WHOLE, Decision
from autograder.gradebook.reviews import Kind
from autograder.gradebook.store import FILE, Gradebook, open_gradebook
from autograder.results import (
    Audience,
    Flag,
    GradedAnswer,
    LmsIdentity,
    Override,
    QuestionScore,
    Result,
    Status,
    Student,
    SubmissionStatus,
    SubmittedFile,
    TestScore,
    from_json,
    to_json,
)


def question(points: float = 1.0, most: float = 2.0) -> QuestionScore:
    status = Status.PASSED if points == most else Status.FAILED
    test = TestScore(name="a_test", status=status, points=points, max_points=most, message="short", hint="look")
    answer = GradedAnswer(file="hw.ipynb", source="def f():\n    return 'ä'\n")
    return QuestionScore(
        computed=points, max_points=most, status=status, dependencies="own", tests=(test,), answer=answer
    )


def result(student: str = "ada", **changed: Any) -> Result:
    plain: dict[str, Any] = {"student": Student(id=student), "submission": f"{student}/x.ipynb", "sha256": "1"}
    plain |= {"assignment": "hw", "version": "1", "status": SubmissionStatus.GRADED, "max_points": 4.0}
    plain |= {"questions": {"Q1": question(), "Q2": question(2.0)}}
    return Result(**(plain | changed))


FULL = result(
    student="zoë_7",
    flags=(Flag(kind="k", text="odd", question="Q1", audience=Audience.STAFF), Flag(kind="l", text="late")),
    submitted="2026-11-20T23:59:00+01:00",
    late="late",
    files=(SubmittedFile(name="x.ipynb", notebook="hw"), SubmittedFile(name="old", counts=False, why="older")),
)
FULL = replace(
    FULL,
    student=Student(
        id="zoë_7",
        name="Zoë",
        group="g",
        lms=LmsIdentity(system="canvas", user="7", attachments=("9",)),
        extension_minutes=30.0,
    ),
)


@pytest.fixture
def book(tmp_path: Path) -> Any:
    with open_gradebook(tmp_path) as gradebook:
        yield gradebook


def save(gradebook: Gradebook, *results: Result, grader: dict[str, str] | None = None) -> int:
    run = gradebook.begin_run("grade", "{}", "grade x")
    for one in results:
        gradebook.save(run, one, grader or {"engine": "e"})
    gradebook.end_run(run)
    return run


def test_a_result_comes_back_as_it_was(book: Gradebook) -> None:
    run = save(book, FULL, result("ada"))
    first, second = book.saved()
    assert (first.result, second.result) == (result("ada"), FULL)
    assert (second.run, dict(second.grader)) == (run, {"engine": "e"})
    (slim,) = book.saved(student="ada", tests=False)
    assert slim.result.questions["Q1"] == replace(question(), tests=(), answer=None)


def test_json_goes_both_ways() -> None:
    table = json.loads(json.dumps(to_json(FULL)))
    assert from_json(table) == replace(FULL, student=replace(FULL.student, extension_minutes=0))


def test_results_of_the_first_version_are_still_read() -> None:
    old = to_json(result()) | {"flags": ["B3: odd"]}
    for key in ("name", "group", "lms", "submitted", "late", "files", "override"):
        del old[key]
    for score in old["questions"].values():
        for key in ("computed", "override", "answer"):
            del score[key]
    found = from_json(old)
    assert (found.total, [str(flag) for flag in found.flags]) == (3.0, ["B3: odd"])


def test_earlier_runs_stay_readable(book: Gradebook) -> None:
    first = save(book, result("ada"), result("bob"))
    second = save(book, result("ada", questions={"Q1": question(2.0), "Q2": question(2.0)}))
    assert [one.result.total for one in book.saved()] == [4.0, 3.0]
    assert [one.result.total for one in book.saved(run=first)] == [3.0, 3.0]
    assert [one.kind for one in book.runs()] == ["grade", "grade"]
    assert second == first + 1


def test_a_result_saved_twice_in_a_run_counts_once(book: Gradebook) -> None:
    run = save(book, result("ada"))
    book.save(run, result("ada", questions={"Q1": question(0.0)}), {})
    (saved,) = book.saved()
    assert saved.result.total == 0.0


def test_a_second_writer_is_refused_and_a_reader_is_not(book: Gradebook, tmp_path: Path) -> None:
    save(book, result())
    with pytest.raises(UsageError, match="another run is writing"), open_gradebook(tmp_path):
        pass
    with open_gradebook(tmp_path, writing=False) as reader:
        assert len(list(reader.saved())) == 1


def test_no_gradebook_to_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results here"), open_gradebook(tmp_path, writing=False):
        pass


def test_what_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(UsageError, match="cannot be opened"), open_gradebook(tmp_path):
        pass
    with pytest.raises(UsageError, match="not a usable database URL"), open_gradebook(tmp_path, "nonsense"):
        pass


def test_an_older_gradebook_is_migrated_and_a_newer_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_gradebook(tmp_path) as gradebook:
        save(gradebook, result())

    def migrate(connection: Connection) -> None:
        connection.execute(insert(schema.meta).values(key="migrated", value="yes"))

    with monkeypatch.context() as patched:
        patched.setattr(schema, "VERSION", schema.VERSION + 1)
        patched.setattr(schema, "MIGRATIONS", {schema.VERSION: migrate})
        with open_gradebook(tmp_path) as newer:
            assert newer.get_meta("migrated") == "yes"
            assert len(list(newer.saved())) == 1
    copy = tmp_path / f"{FILE}.version-{schema.VERSION}"
    with sqlite3.connect(copy) as old:
        assert old.execute("select count(*) from results").fetchone() == (1,)
    with pytest.raises(UsageError, match="made by a newer kit"), open_gradebook(tmp_path):
        pass


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
    with pytest.raises(UsageError, match=r"2 students fit.*ada_1, adam_2"):
        overrides.find_student(book.saved(), "ada")
    with pytest.raises(UsageError, match="no such student"):
        overrides.find_student(book.saved(), "eve")


def test_an_edited_grades_csv_is_kept_and_read_as_overrides(book: Gradebook, tmp_path: Path) -> None:
    save(book, result("ada"), result("bob"))
    assert views.write(book, tmp_path, ["Q1", "Q2"], ["ada", "bob"]) is None
    path = tmp_path / views.GRADES
    row = "bob,bob/x.ipynb,graded,3.0,4.0,1"
    path.write_text(path.read_text().replace(f"{row}.0", f"{row}.5"))
    kept = views.write(book, tmp_path, ["Q1", "Q2"], [])
    assert kept == tmp_path / views.EDITED
    current = {one.student.id: one for one in views.current(book)}
    found = overrides.read_edited(kept.read_text(), current)
    assert found == [Decision(student="bob", question="Q1", points=1.5, comment="")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "neither a copy of grades.csv"),
        ("student,total,Q1\neve,1,1\n", "no student 'eve'"),
        ("student,total,Q1\nada,1,many\n", "'many' is not a number"),
        ("student,question,points,comment\nada,Q1,x,\n", "'x' is not a number"),
    ],
)
def test_tables_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        overrides.read_edited(text, {"ada": result()})


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_grades_csv_shows_points_of_graded_submissions_only(book: Gradebook, tmp_path: Path) -> None:
    unreadable = result("eve", status=SubmissionStatus.UNREADABLE, questions={})
    save(book, FULL, unreadable, result("ada", questions={"Q1": question()}))
    views.write(book, tmp_path, ["Q1", "Q2", "Q3"], [])
    ada, eve, zoe = rows(tmp_path / views.GRADES)
    assert list(ada)[:5] == ["student", "submission", "status", "total", "max_points"]
    assert list(ada)[5:] == ["Q1", "Q2", "flags", "name", "late", "submitted"]
    assert (ada["total"], ada["Q1"], ada["Q2"]) == ("1.0", "1.0", "")
    assert (eve["total"], eve["Q1"], eve["status"]) == ("", "", "unreadable")
    assert (zoe["name"], zoe["late"], zoe["submitted"]) == ("Zoë", "late", "2026-11-20T23:59:00+01:00")
    assert {path.name for path in (tmp_path / views.RESULTS).iterdir()} == {"ada.json", "eve.json", "zoë_7.json"}


def test_views_are_the_same_bytes_from_the_same_gradebook(book: Gradebook, tmp_path: Path) -> None:
    save(book, FULL, result("ada"))
    views.write(book, tmp_path, ["Q1"], ["ada"])
    before = {path: path.read_bytes() for path in [tmp_path / views.GRADES, *(tmp_path / views.RESULTS).iterdir()]}
    shutil.rmtree(tmp_path / views.RESULTS)
    views.write(book, tmp_path, ["Q1"], [])
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", '=HYPERLINK("http://x")'])
def test_no_spreadsheet_takes_a_text_for_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_a_text_with_control_characters_stays_on_its_line() -> None:
    assert cell("a\r\nb\x1b[2J\udcff") == "a\\r b\\x1b[2J\\udcff"


@pytest.mark.parametrize(
    ("student", "stem"),
    [
        ("ada", "ada"),
        ("Ada Example_21001", "Ada Example_21001"),
        ("राम", "राम"),
        ("ada@example.org", "ada@example.org"),
    ],
)
def test_file_names_are_the_ids_where_they_can_be(student: str, stem: str) -> None:
    assert file_stem(student) == stem


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True))
def test_two_students_never_share_a_file(students: list[str]) -> None:
    one, other = map(file_stem, students)
    assert one != other
    for stem in (one, other):
        assert stem
        assert "/" not in stem
        assert not stem.startswith(".")
        assert len(stem.encode()) < 200


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


def test_one_question_is_read_without_the_others(book: Gradebook) -> None:
    save(book, FULL, result("ada"))
    for saved, whole in zip(book.saved(question="Q1"), book.saved(), strict=True):
        assert saved.result == replace(whole.result, questions={"Q1": whole.result.questions["Q1"]})


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
