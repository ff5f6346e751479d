"""The gradebook: all computed results and overrides, in one SQL database.

SQLite in the results folder by default, or PostgreSQL. Each result is committed as it comes, so that a run that is
killed loses nothing that was finished. One writer at a time, of a folder and of a database: locks that go away with
their process.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    LABEL_STYLE_TABLENAME_PLUS_COL,
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from autograder.errors import GraderFault, UsageError
from autograder.gradebook import migrations, schema
from autograder.gradebook.rows import Saved, assemble, fingerprint_of, save_result, student_of
from autograder.results import Result, Student

__all__ = ["Gradebook", "Run", "Saved", "connect", "database_url", "now", "open_gradebook", "save_result"]

FILE = "gradebook.db"
LOCK = ".lock"
CHANGING = (schema.results, schema.overrides)
CHUNK = 100
"""Students read per query, so that memory stays flat for any number of students."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One `grade` or `rescore` over the gradebook; times are ISO, `finished` None where it was interrupted."""

    id: int
    kind: str
    started: str
    finished: str | None
    kit: str
    command: str


def now() -> str:
    """Return the time as ISO text with its zone, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Gradebook:
    """An open gradebook. Use `open_gradebook`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def get_meta(self, key: str) -> str:
        """Return a stored text, empty if there is none."""
        with self.engine.connect() as connection:
            query = select(schema.meta.c.value).where(schema.meta.c.key == key)
            return str(connection.execute(query).scalar_one_or_none() or "")

    def set_meta(self, key: str, value: str) -> None:
        """Store a text under a key."""
        with self.writing() as connection:
            connection.execute(schema.meta.delete().where(schema.meta.c.key == key))
            connection.execute(insert(schema.meta).values(key=key, value=value))

    def begin_run(self, kind: str, kit: str, command: str) -> int:
        """Record that a run has started; return its id."""
        row = {"kind": kind, "kit": kit, "command": command, "started": now()}
        with self.writing() as connection:
            return int(connection.execute(insert(schema.runs).values(**row).returning(schema.runs.c.id)).scalar_one())

    def end_run(self, run: int) -> None:
        with self.writing() as connection:
            connection.execute(update(schema.runs).where(schema.runs.c.id == run).values(finished=now()))

    def runs(self) -> list[Run]:
        """Return every run, oldest first."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(schema.runs).order_by(schema.runs.c.id))
            return [Run(**row._mapping) for row in rows]

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction: all of it is kept, or nothing."""
        with self.engine.begin() as connection:
            yield connection

    def save(self, run: int, result: Result, grader: Mapping[str, str]) -> None:
        """Keep a computed result, as `save_result`."""
        with self.writing() as connection:
            save_result(connection, run, result, grader)

    def last_change(self) -> str:
        """Return a text that stands for the last result and the last override."""
        with self.engine.connect() as connection:
            ids = [connection.execute(select(func.max(one.c.id))).scalar_one() for one in CHANGING]
        return " ".join(str(one or 0) for one in ids)

    def changed_since(self, change: str) -> set[str]:
        """Return the students with a result or an override after this `last_change`; all of them where it is empty."""
        after = [int(one) for one in (change or "0 0").split()]
        with self.engine.connect() as connection:
            return {
                student
                for table, last in zip(CHANGING, after, strict=True)
                for student in connection.execute(select(table.c.student).where(table.c.id > last)).scalars()
            }

    def students(self) -> list[Student]:
        """Return everyone the gradebook knows, in the order of their ids."""
        with self.engine.connect() as connection:
            return [
                student_of(row) for row in connection.execute(select(schema.students).order_by(schema.students.c.id))
            ]

    def saved(
        self,
        run: int | None = None,
        *,
        tests: bool = True,
        student: str | None = None,
        question: str | None = None,
        among: Sequence[str] | None = None,
    ) -> Iterator[Saved]:
        """Yield the newest result of each student, in the order of their ids.

        run: as things stood after this run (default: now); student, question: only this one; among: only these students
        tests: with tests and answers, which most views do not need
        """
        if student is not None:
            among = [student]
        newest = select(func.max(schema.results.c.id)).group_by(schema.results.c.student)
        if run is not None:
            newest = newest.where(schema.results.c.run <= run)
        wanted = (
            select(schema.results, schema.submissions, schema.students)
            .join(schema.submissions, schema.results.c.submission == schema.submissions.c.id)
            .join(schema.students, schema.results.c.student == schema.students.c.id)
            .order_by(schema.students.c.id)
            .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
        )
        with self.engine.connect() as connection:
            if among is None:
                among = connection.execute(select(schema.students.c.id).order_by(schema.students.c.id)).scalars().all()
            for start in range(0, len(among), CHUNK):
                these = newest.where(schema.results.c.student.in_(among[start : start + CHUNK]))
                rows = connection.execute(wanted.where(schema.results.c.id.in_(these))).all()
                yield from assemble(connection, rows, tests=tests, question=question)

    def fingerprints(self) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        """Yield for each student the status of the newest result, and the digests of what decided it."""
        results = schema.results.c
        newest = select(func.max(results.id)).group_by(results.student)
        with self.engine.connect() as connection:
            found = select(results.student, results.status, results.grader).where(results.id.in_(newest))
            for row in connection.execute(found):
                yield row.student, row.status, fingerprint_of(row.grader)

    def changed_by(self, run: int) -> list[str]:
        """Return the students with a result of this run or a later one, in the order of their ids."""
        results = schema.results.c
        with self.engine.connect() as connection:
            found = select(results.student).where(results.run >= run).distinct().order_by(results.student)
            return list(connection.execute(found).scalars())


def database_url(folder: Path, url: str = "") -> str | URL:
    """Return the URL of the gradebook of a results folder: the given one, else that of its own file."""
    return url or URL.create("sqlite", database=str(folder.resolve() / FILE))  # as text, `?` would end the path


@contextlib.contextmanager
def open_gradebook(folder: Path, url: str = "", *, writing: bool = True) -> Iterator[Gradebook]:
    """Open the gradebook of a results folder, creating both if they do not exist.

    url: a SQLAlchemy URL (default: `gradebook.db` in the folder)
    writing: take the locks; without it there must be a gradebook already
    Raises UsageError where it cannot be opened, or another run is writing into it; GraderFault where it cannot be used
    later on, for instance because the disk is full or the file is damaged.
    """
    path = folder / FILE
    where = make_url(url).render_as_string() if url and "://" in url else url or str(path)
    with contextlib.ExitStack() as stack:
        if writing:
            stack.enter_context(locked(folder))
        engine = connect(database_url(folder, url), writing=writing)
        stack.callback(engine.dispose)
        file = engine.url.database if engine.url.get_backend_name() == "sqlite" else None
        if not writing and file and not Path(file).is_file():
            raise UsageError("no results here", url or folder, "give the folder that `autograder grade --out` wrote")
        try:
            if not writing and migrations.version_of(engine, where) < schema.VERSION:
                stack.enter_context(locked(folder))
                writing = True
            if writing:
                stack.enter_context(_database_locked(engine, where))
                migrations.prepare(engine, where)
        except (SQLAlchemyError, OSError) as error:
            fix = "correct its permissions or --db, or move it away to begin a new one"
            if not writing:
                fix = "correct its permissions, copy the folder to where you may write, or correct --db"
            raise UsageError(f"the gradebook cannot be opened ({_reason(error)})", where, fix) from error
        try:
            yield Gradebook(engine)
        except SQLAlchemyError as error:
            fix = "make room or repair it, then run the same command again: what is finished is kept"
            raise GraderFault(f"the gradebook cannot be used ({_reason(error)})", where, fix) from error


def _reason(error: Exception) -> str:
    return (str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__])[0]


def connect(url: str | URL, *, writing: bool = True) -> Engine:
    """Return the engine of a database. Raises UsageError for a URL that cannot be used.

    writing: without it, a file that may not be written, such as in an archive, is opened all the same
    """
    try:
        engine = create_engine(url)
        if not writing and (file := _read_only(engine.url)):
            return create_engine(url, creator=lambda: sqlite3.connect(file, uri=True, check_same_thread=False))
    except (SQLAlchemyError, ImportError) as error:
        raise UsageError(f"not a usable database URL ({error})", "--db", "give a SQLAlchemy URL") from error
    if engine.url.get_backend_name() not in ("sqlite", "postgresql"):
        what = f"{engine.url.get_backend_name()} is not supported"
        raise UsageError(what, "--db", "use SQLite, or PostgreSQL as postgresql+psycopg://USER@HOST/DATABASE")
    if engine.url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _settings)
    return engine


def _read_only(url: URL) -> str:
    """Return how to open a SQLite file that may not be written, empty for any other database.

    Readers of a file share a log with its writers, which they may not create here; where there is none, nobody writes.
    """
    path = Path(url.database or "").absolute()
    if url.get_backend_name() != "sqlite" or not path.is_file():
        return ""
    if all(os.access(one, os.W_OK, effective_ids=True) for one in (path, path.parent)):
        return ""
    alone = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    return f"{path.as_uri()}?mode=ro{alone}"


def _settings(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the one writer of results. Raises UsageError when another process holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    with _file_locked(folder / LOCK, "another run is writing into this folder", folder):
        yield


@contextlib.contextmanager
def _database_locked(engine: Engine, where: str) -> Iterator[None]:
    """Keep others from writing into a database from another folder, until the end of this process at the latest."""
    taken = "another run is writing into this database"
    if engine.url.get_backend_name() == "sqlite":
        database = engine.url.database
        if not database or database == ":memory:":
            yield
            return
        with _file_locked(Path(database).with_name(f".{Path(database).name}.lock"), taken, where):
            yield
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        got = connection.execute(text("SELECT pg_try_advisory_lock(hashtext('autograder gradebook'))")).scalar_one()
        if not got:
            raise UsageError(taken, where, "wait for it, or choose another database with --db")
        yield


@contextlib.contextmanager
def _file_locked(path: Path, taken: str, where: object) -> Iterator[None]:
    try:
        file = path.open("w")
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(taken, where, "wait for it, or choose another folder with --out") from error
        yield


def _unwritable(folder: Path, error: OSError) -> UsageError:
    what = f"the results cannot be written here ({error.strerror})"
    return UsageError(what, folder, "choose another folder with --out")
