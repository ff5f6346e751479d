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
import torch
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select

from autograder.errors import GraderFault, UsageError
from autograder.gradebook import overrides, programs, recordings, reviews, schema, views
from autograder.gradebook.blobs import pack, unpack
from autograder.gradebook.files import cell, file_stem
from autograder.gradebook.overrides import WHOLE, Decision
from autograder.gradebook.programs import Scored
from autograder.gradebook.reviews import Kind
from autograder.gradebook.store import FILE, Gradebook, open_gradebook
from autograder.gradebook.takeover import take_over
from autograder.grading.recording import Facts, Recording, Reply
from autograder.program import Alternative, Program, Step
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
from autograder.sandbox.channel import Frame, encode, split
from autograder.sandbox.replies import Failure, Stopped


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
def book(tmp_path: Path, database: str) -> Any:
    with open_gradebook(tmp_path, database) as gradebook:
        yield gradebook


def save(gradebook: Gradebook, *results: Result, grader: dict[str, str] | None = None) -> int:
    run = gradebook.begin_run("grade", "{}", "grade x")
    for one in results:
        gradebook.save(run, one, grader or {"judging": "e"})
    gradebook.end_run(run)
    return run


def test_a_result_comes_back_as_it_was(book: Gradebook) -> None:
    run = save(book, FULL, result("ada"))
    first, second = book.saved()
    assert (first.result, second.result) == (result("ada"), FULL)
    assert (second.run, dict(second.grader)) == (run, {"judging": "e"})
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
    url = book.engine.url.render_as_string(hide_password=False)
    with pytest.raises(UsageError, match="another run is writing into this folder"), open_gradebook(tmp_path, url):
        pass
    other = tmp_path / "other"
    with pytest.raises(UsageError, match="another run is writing into this database"), open_gradebook(other, url):
        pass
    with open_gradebook(tmp_path, url, writing=False) as reader:
        assert len(list(reader.saved())) == 1


def test_the_locks_end_with_the_run(tmp_path: Path, database: str) -> None:
    for folder in ("one", "other"):
        with open_gradebook(tmp_path / folder, database) as gradebook:
            save(gradebook, result())


def test_no_gradebook_to_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results here"), open_gradebook(tmp_path, writing=False):
        pass


def test_a_database_without_results_is_not_made_by_reading(tmp_path: Path, database: str) -> None:
    url = database or f"sqlite:///{tmp_path}/none.db"
    with pytest.raises(UsageError, match="no results here"), open_gradebook(tmp_path, url, writing=False):
        pass


def test_students_are_in_the_same_order_in_every_database(book: Gradebook) -> None:
    ids = ["Zoe", "ada", "émile", "_x", "10", "9", "a b", "a_b"]
    save(book, *map(result, ids))
    assert [one.result.student.id for one in book.saved()] == sorted(ids)
    assert [one.id for one in book.students()] == sorted(ids)


def test_text_that_a_database_does_not_take_is_kept_as_escapes(book: Gradebook) -> None:
    flags = (Flag(kind="odd", text="a\0b\udcff"),)
    save(book, result(submission="x\udce4.ipynb", flags=flags))
    (saved,) = book.saved()
    assert (saved.result.submission, saved.result.flags[0].text) == ("x\\udce4.ipynb", "a\\x00b\\udcff")


def test_what_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(UsageError, match="cannot be opened"), open_gradebook(tmp_path):
        pass
    with pytest.raises(UsageError, match="not a usable database URL"), open_gradebook(tmp_path / "a", "nonsense"):
        pass
    with (
        pytest.raises(UsageError, match=r"mysql is not supported|not a usable"),
        open_gradebook(tmp_path, "mysql://x/y"),
    ):
        pass


def test_an_older_gradebook_is_migrated_and_a_newer_one_refused(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_gradebook(tmp_path, database) as gradebook:
        save(gradebook, result())

    def migrate(connection: Connection) -> None:
        connection.execute(insert(schema.meta).values(key="migrated", value="yes"))

    with monkeypatch.context() as patched:
        patched.setattr(schema, "VERSION", schema.VERSION + 1)
        patched.setattr(schema, "MIGRATIONS", {schema.VERSION: migrate})
        with open_gradebook(tmp_path, database, writing=False) as newer:
            assert newer.get_meta("migrated") == "yes"
            assert len(list(newer.saved())) == 1
    with pytest.raises(UsageError, match="made by a newer kit"), open_gradebook(tmp_path, database):
        pass
    if database:
        return
    copy = tmp_path / f"{FILE}.version-{schema.VERSION}"
    with sqlite3.connect(copy) as old:
        assert old.execute("select count(*) from results").fetchone() == (1,)


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


def first_version(folder: Path, *results: Result) -> None:
    """What the kit's first version wrote: flags as text, no answers, and no database."""
    (folder / views.RESULTS).mkdir()
    for one in results:
        table = to_json(one) | {"flags": ["Q1: odd"], "grader": {"engine": "e"}}
        for key in ("name", "group", "lms", "submitted", "late", "files", "override"):
            del table[key]
        for score in table["questions"].values():
            for key in ("computed", "override", "answer"):
                del score[key]
        (folder / views.RESULTS / f"{one.student.id}.json").write_text(json.dumps(table))
    (folder / views.GRADES).write_text(views.grades_csv(results, ["Q1", "Q2"]))


def test_results_of_the_first_version_are_taken_over(tmp_path: Path, database: str) -> None:
    first_version(tmp_path, result("ada"), result("bob"))
    (tmp_path / views.RESULTS / "broken.json").write_text("{}")
    with open_gradebook(tmp_path, database) as gradebook:
        broken, line = take_over(gradebook, tmp_path)
        assert "broken.json: not taken over" in broken
        assert line == "2 results of an earlier version were taken over into the gradebook"
        assert [run.kind for run in gradebook.runs()] == ["import"]
        found = [(one.result.student.id, one.result.total, one.grader) for one in gradebook.saved()]
        assert found == [("ada", 3.0, {}), ("bob", 3.0, {})]
        assert [str(flag) for one in gradebook.saved() for flag in one.result.flags] == ["Q1: odd"] * 2
        assert take_over(gradebook, tmp_path) == [], "once"


def test_an_edited_grades_csv_of_the_first_version_is_kept(tmp_path: Path) -> None:
    first_version(tmp_path, result("ada"))
    path = tmp_path / views.GRADES
    path.write_text(path.read_text().replace(",4.0,1.0,", ",4.0,1.5,"))
    with open_gradebook(tmp_path) as gradebook:
        assert take_over(gradebook, tmp_path)[-1].endswith(views.EDITED)
    assert ",4.0,1.5," in (tmp_path / views.EDITED).read_text()


# Recordings


def recording(**replies: Failure | bool | Frame) -> Recording:
    facts = Facts(failure=None, errors={"Q1": "no"}, disturbed=False, stopped=(Stopped(statements=1, error="e"),))
    found = Recording(key=b"k" * 16, text='["a"]\n["\udcff"]', facts=facts)
    for name, answer in replies.items():
        found.add(name.encode().ljust(16), Reply(request=b"r" * 16, answer=answer))
    return found


def keep(gradebook: Gradebook, one: Recording) -> Recording:
    with gradebook.writing() as connection:
        recordings.save(connection, [one], "{}")
    found = recordings.load(gradebook, one.key)
    assert found is not None
    return found


HALVES = torch.full((50, 50), 0.5)
NOISE = torch.randn(50, 50, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("value", [None, {"seen": {"a": HALVES, "b": NOISE, "c": HALVES}}, "text"], ids=str)
def test_replies_come_back_as_they_were(book: Gradebook, value: Any) -> None:
    frame = split(encode(value))
    one = recording(a=frame, b=Failure(status=Status.CRASHED, message="gone\0"), c=True, d=False)
    assert keep(book, one) == one


def test_equal_tensors_are_stored_once_and_a_header_that_lies_as_a_whole(book: Gradebook) -> None:
    keep(book, recording(a=split(encode([HALVES, NOISE])), b=split(encode([NOISE, HALVES]))))
    count = recordings.size(book)[1]
    keep(book, recording(c=split(encode({"x": NOISE}))))
    assert recordings.size(book)[1] - count < 200
    lying = (b'{"value":1,"tensors":[["f8",[3]]]}', bytearray(b"no"))
    assert keep(book, recording(d=lying)).replies[b"d".ljust(16)].answer == lying


def test_a_later_reply_replaces_a_failure_and_no_other(book: Gradebook) -> None:
    crash, first, second = Failure(status=Status.CRASHED, message=""), split(encode(1)), split(encode(2))
    keep(book, recording(a=crash, b=first))
    keep(book, recording(a=second, b=crash))
    found = keep(book, recording(b=second))
    assert [one.answer for one in sorted(found.replies.values(), key=lambda one: one.answer != second)] == [
        second,
        first,
    ]


def test_what_one_child_says_of_what_calls_leave_behind_holds_for_the_program(book: Gradebook) -> None:
    assert not keep(book, recording()).facts.kept  # type: ignore[union-attr]
    kept = recording()
    kept.facts = replace(kept.facts, kept=True)  # type: ignore[type-var]
    keep(book, kept)
    found = keep(book, recording())
    assert found.facts
    assert found.facts.kept
    assert not found.facts.stateless


@given(st.binary(max_size=300) | st.binary(min_size=1, max_size=4).map(lambda part: part * 5000))
def test_what_is_packed_is_unpacked(body: bytes) -> None:
    assert unpack(pack(body)) == body


def test_a_damaged_gradebook_is_one_line(book: Gradebook) -> None:
    one = recording(a=split(encode(HALVES)))
    keep(book, one)
    with book.writing() as connection:
        connection.execute(schema.blobs.update().values(body=pack(b"x" * 99)))
    with pytest.raises(GraderFault, match="damaged"):
        recordings.load(book, one.key)


def test_a_program_comes_back_as_it_was(book: Gradebook) -> None:
    run = save(book, result())
    flag = Flag(kind="k", text="t", question="Q1", audience=Audience.STAFF)
    program = Program(
        notebook="hw",
        steps=(Step(label="Q1", source="def f(): 'ä\n'", question="Q1"), Step(label="x", source="1", added=True)),
        unanswered={"Q2": Status.MISSING},
        files={"Q1": "x.ipynb"},
        flags=(flag,),
        defined={"f": "cell 1"},
        alternatives={"Q1": (Alternative(source="s", file="y.ipynb", flag=flag),)},
        modules={"helper": "x = 1"},
    )
    found = {"hw": Scored(program=program, notes=(flag,)), "other": Scored(program=None, notes=())}
    with book.writing() as connection:
        programs.save(connection, run, "ada", found, whole=True)
    assert programs.load(book, "ada") == found
    with book.writing() as connection:
        programs.save(connection, run, "ada", {"hw": found["other"]}, whole=False)
    assert programs.load(book, "ada") == {"hw": found["other"], "other": found["other"]}


def test_a_result_is_json_with_a_line_for_each_test(book: Gradebook, tmp_path: Path) -> None:
    save(book, FULL)
    views.write(book, tmp_path, ["Q1", "Q2"], [])
    text = (tmp_path / "results" / "zoë_7.json").read_text(encoding="utf-8")
    (saved,) = book.saved()
    assert json.loads(text) == json.loads(json.dumps(to_json(FULL) | {"grader": dict(saved.grader)}))
    (line, _) = [line for line in text.splitlines() if "a_test" in line]
    assert json.loads(line)["status"] == "failed"


def test_many_students_are_read_in_parts(book: Gradebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of their ids, each once, also where only some are asked for, and whatever the size of a part."""
    everyone = [f"s{number:02}" for number in range(23)]
    save(book, *map(result, everyone))
    for size in (1, 5, 23, 100):
        monkeypatch.setattr("autograder.gradebook.store.CHUNK", size)
        assert [one.result.student.id for one in book.saved(tests=False)] == everyone
        assert [one.result.student.id for one in book.saved(among=everyone[3:17])] == everyone[3:17]
        assert [student for student, _, _ in book.fingerprints()] == everyone


def test_what_a_run_changed_names_its_students_alone(book: Gradebook) -> None:
    save(book, result("ada"), result("bob"))
    again = save(book, result("bob"))
    assert book.changed_by(again) == ["bob"]
    assert book.changed_by(1) == ["ada", "bob"]
