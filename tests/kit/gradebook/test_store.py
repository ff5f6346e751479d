"""The gradebook: what was computed comes back, in every database."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from autograder.errors import UsageError
from autograder.gradebook import migrations, schema, views
from autograder.gradebook.store import FILE, Gradebook, open_gradebook
from autograder.results import (
    Flag,
    from_json,
    to_json,
)
from tests.kit.gradebook.entries import FULL, question, result, save


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
        patched.setattr(migrations, "MIGRATIONS", {schema.VERSION: migrate})
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


def test_one_question_is_read_without_the_others(book: Gradebook) -> None:
    save(book, FULL, result("ada"))
    for saved, whole in zip(book.saved(question="Q1"), book.saved(), strict=True):
        assert saved.result == replace(whole.result, questions={"Q1": whole.result.questions["Q1"]})


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
