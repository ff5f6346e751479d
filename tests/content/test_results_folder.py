"""A results folder or a download that the file system stands in the way of: one line, and nothing finished is lost."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy.exc import OperationalError

from autograder.errors import GraderFault, UsageError
from autograder.gradebook import run as runs
from autograder.gradebook.store import FILE, open_gradebook
from autograder.reports.feedback import write_feedback
from autograder.reports.report import write_report
from autograder.reports.side_by_side import write_similarity
from autograder.submissions.intake import Wanted, take_in
from tests import corpus, quick_grading
from tests.downloads import notebook, write

WANTED = Wanted(notebooks=("batchnorm",))
NOBODY = 65534


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Results of two students."""
    write(tmp_path / "s", {"ada/batchnorm.ipynb": notebook("a"), "bob/batchnorm.ipynb": notebook("b")})
    quick_grading.main(tmp_path / "s", tmp_path / "out")
    return tmp_path / "out"


def finish(out: Path) -> None:
    with open_gradebook(out) as gradebook:
        run = runs.begin(gradebook, corpus.assignment(), (quick_grading.QUESTION,), {}, "grade")
        run.touched |= {"ada", "bob"}
        run.end(out, finished=True)


def test_a_full_disk_while_views_are_written(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (out / "grades.csv").read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(
            UsageError, match=r"grades.csv: it cannot be written \(No space left on device\); make room"
        ):
            finish(out)
    assert (out / "grades.csv").read_bytes() == before
    assert not list(out.rglob(".unfinished*"))
    finish(out)


@pytest.mark.parametrize("name", ["results", "results/ada.json", "grades.csv", "changes.csv"])
def test_a_name_that_is_taken_by_something_else(out: Path, name: str) -> None:
    if (out / name).is_dir():
        for path in (out / name).iterdir():
            path.unlink()
        (out / name).rmdir()
        (out / name).touch()
    else:
        (out / name).unlink(missing_ok=True)
        (out / name / "inner").mkdir(parents=True)
    with pytest.raises(UsageError, match="it cannot be written"):
        finish(out)


def test_a_full_disk_while_a_result_is_kept(out: Path) -> None:
    """SQLite is told that its file may not grow, which is what a full disk is to it."""

    def keep() -> None:
        with open_gradebook(out) as gradebook, gradebook.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            connection.exec_driver_sql("CREATE TABLE more (x)")
            connection.exec_driver_sql("INSERT INTO more VALUES (zeroblob(1000000))")

    with pytest.raises(GraderFault, match=r"gradebook.db: the gradebook cannot be used \(.*full.*\); make room"):
        keep()


def test_a_database_that_is_damaged_in_the_middle(out: Path) -> None:
    with sqlite3.connect(out / FILE) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    data = bytearray((out / FILE).read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    (out / FILE).write_bytes(data)
    with pytest.raises((UsageError, GraderFault), match="the gradebook cannot be"):
        finish(out)


def test_an_error_of_the_database_names_its_reason(out: Path) -> None:
    error = OperationalError("SELECT 1", {}, sqlite3.OperationalError("disk I/O error"))
    with pytest.raises(GraderFault, match=r"the gradebook cannot be used \(disk I/O error\)"), open_gradebook(out):
        raise error


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder for a user who is not root, as root may read everything."""
    before = os.geteuid()
    with TemporaryDirectory() as name:
        if before == 0:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            for folder, _, _ in os.walk(name):
                for inner in Path(folder).iterdir():
                    if inner.is_dir():
                        inner.chmod(0o700)
            os.seteuid(before)


def test_a_folder_that_may_not_be_read_is_a_student_with_that_reason() -> None:
    with as_nobody() as folder:
        write(folder / "s", {"ada/batchnorm.ipynb": notebook("a"), "bob/batchnorm.ipynb": notebook("b")})
        (folder / "s" / "bob").chmod(0)
        intake = take_in([folder / "s"], WANTED)
        ada, bob = [one.load() for one in intake.hand_ins]
        assert (ada.student.id, len(ada.notebooks)) == ("ada", 1)
        assert (bob.student.id, bob.notebooks) == ("bob", ())
        assert "may not" in bob.files[0].reason or "cannot be read (Permission denied)" in bob.files[0].reason


@pytest.mark.parametrize(("path", "message"), [("s", "the folder cannot be read"), ("s/ada", "may not be entered")])
def test_a_download_that_may_not_be_read_is_one_line(path: str, message: str) -> None:
    with as_nobody() as folder:
        write(folder / "s", {"ada/batchnorm.ipynb": notebook("a")})
        (folder / "s").chmod(0)
        with pytest.raises(UsageError, match=message):
            take_in([folder / path], WANTED)


def test_results_that_may_not_be_written_are_read_and_nothing_is_written() -> None:
    with as_nobody() as folder:
        out = folder / "archive"
        with open_gradebook(out) as gradebook:
            gradebook.begin_run("grade", "{}", "grade")
        (out / "gradebook.db").chmod(0o444)
        out.chmod(0o555)
        before = sorted(out.iterdir())
        with open_gradebook(out, writing=False) as gradebook:
            assert len(gradebook.runs()) == 1
        assert sorted(out.iterdir()) == before
        with pytest.raises(UsageError, match="correct its permissions"), open_gradebook(out):
            pass
        for write in (
            lambda: write_feedback([], corpus.assignment(), out),
            lambda: write_report([], corpus.assignment(), out, []),
            lambda: write_similarity([], corpus.assignment(), [], out),
        ):
            with pytest.raises(UsageError, match=r"cannot be written \(Permission denied\); make room or correct"):
                write()


def test_what_a_killed_run_left_is_never_overlooked_where_nothing_may_be_written() -> None:
    """Its log cannot be read without writing: an error says what to do, and never to begin a new gradebook."""
    with as_nobody() as folder:
        out = folder / "archive"
        with open_gradebook(out) as gradebook:
            gradebook.begin_run("grade", "{}", "grade")
            log = (out / "gradebook.db-wal").read_bytes()
        (out / "gradebook.db-wal").write_bytes(log)
        out.chmod(0o555)
        with pytest.raises(UsageError, match="copy the folder to where you may write"):  # noqa: SIM117
            with open_gradebook(out, writing=False):
                pass


@pytest.mark.parametrize("name", ["what?", "50%41", "a#b", "a b ü", "file:x?mode=memory"])
def test_a_results_folder_has_any_name(tmp_path: Path, name: str) -> None:
    with open_gradebook(tmp_path / name) as gradebook:
        gradebook.begin_run("grade", "{}", "grade")
    assert [one.name for one in tmp_path.iterdir()] == [name]
    with open_gradebook(tmp_path / name, writing=False) as gradebook:
        assert len(gradebook.runs()) == 1


def test_hidden_names_are_listed_and_an_out_inside_is_no_student(out: Path) -> None:
    submissions = out.parent / "s"
    write(submissions, {"__notes/x.txt": b"x", ".hidden": b"x", ".dot/batchnorm.ipynb": notebook("d")})
    os.rename(out, submissions / "results of mine")
    wanted = Wanted(notebooks=("batchnorm",), out=submissions / "results of mine")
    intake = take_in([submissions], wanted)
    assert [one.students[0].id for one in intake.hand_ins] == [".dot", "ada", "bob"]
    assert sorted(name for name, _ in intake.left_out) == [".hidden", "__notes", "results of mine"]
