"""The tables of a gradebook, and the migration of older versions.

Everything a run computes is kept: results belong to runs, so earlier runs stay readable. Texts and replies are stored
once, under the digest of their bytes (`blobs`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy import Text as PlainText

from autograder.errors import UsageError

VERSION = 4


class Text(TypeDecorator[str]):
    """Text of any content: what some database does not take, NUL and halves of surrogate pairs, is kept as escapes."""

    impl = PlainText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value.replace("\0", "\\x00").encode(errors="backslashreplace").decode()


ID = String(400).with_variant(String(400, collation="C"), "postgresql")
"""A student's id, which sorts by its characters in every database."""

tables = MetaData()

meta = Table("meta", tables, Column("key", String(40), primary_key=True), Column("value", Text, nullable=False))

runs = Table(
    "runs",
    tables,
    Column("id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),  # grade, rescore or import
    Column("started", String(40), nullable=False),
    Column("finished", String(40)),
    Column("kit", String(40), nullable=False),
    Column("command", Text, nullable=False),
)

students = Table(
    "students",
    tables,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("team", Text),  # `group` is a word of SQL
    Column("lms", Text),  # JSON: system, user, attachments
    Column("extension", Float, nullable=False),  # minutes
)

submissions = Table(
    "submissions",
    tables,
    Column("id", Integer, primary_key=True),
    Column("student", ID, ForeignKey("students.id"), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("label", Text, nullable=False),
    Column("submitted", String(40)),
    Column("late", String(40)),  # JSON: minutes, or what the LMS says
    Column("files", Text, nullable=False),  # JSON
)
Index("submissions_of_student", submissions.c.student)

results = Table(
    "results",
    tables,
    Column("id", Integer, primary_key=True),
    Column("run", Integer, ForeignKey("runs.id"), nullable=False),
    Column("student", ID, ForeignKey("students.id"), nullable=False),
    Column("submission", Integer, ForeignKey("submissions.id"), nullable=False),
    Column("status", String(20), nullable=False),
    Column("assignment", String(100), nullable=False),
    Column("version", String(40), nullable=False),
    Column("max_points", Float, nullable=False),
    Column("grader", Text, nullable=False),  # JSON: digests of all that decides a result besides the submission
    UniqueConstraint("run", "student"),
)
Index("results_of_student", results.c.student)

scores = Table(
    "scores",
    tables,
    Column("result", Integer, ForeignKey("results.id"), primary_key=True),
    Column("question", String(20), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("computed", Float, nullable=False),
    Column("max_points", Float, nullable=False),
    Column("status", String(20), nullable=False),
    Column("dependencies", String(20), nullable=False),
    Column("file", Text),
    Column("answer", LargeBinary(16)),  # the digest of the code as it was graded
    Column("bonus", Boolean, nullable=False),
)

tests = Table(
    "tests",
    tables,
    Column("result", Integer, ForeignKey("results.id"), primary_key=True),
    Column("question", String(20), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("points", Float, nullable=False),
    Column("max_points", Float, nullable=False),
    Column("message", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("picture", Text),  # JSON; none where there is nothing to draw
)

flags = Table(
    "flags",
    tables,
    Column("result", Integer, ForeignKey("results.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("kind", String(60), nullable=False),
    Column("question", String(20), nullable=False),
    Column("text", Text, nullable=False),
    Column("audience", String(20), nullable=False),
)

overrides = Table(
    "overrides",
    tables,
    Column("id", Integer, primary_key=True),
    Column("student", ID, ForeignKey("students.id"), nullable=False),
    Column("question", String(20), nullable=False),  # or * for the whole submission
    Column("points", Float),  # none: only a comment
    Column("comment", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", String(40), nullable=False),
    Column("computed", Float),
    Column("sha256", String(64), nullable=False),
    Column("undone_by", String(200)),
    Column("undone_at", String(40)),
)
Index("overrides_of_student", overrides.c.student)

reviews = Table(
    "reviews",
    tables,
    Column("id", Integer, primary_key=True),
    Column("student", ID, ForeignKey("students.id"), nullable=False),
    Column("question", String(20), nullable=False),  # or * for the whole submission
    Column("kind", String(20), nullable=False),  # reviewed or flag
    Column("note", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", String(40), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("undone_by", String(200)),
    Column("undone_at", String(40)),
)
Index("reviews_of_question", reviews.c.question)

blobs = Table(
    "blobs",
    tables,
    Column("digest", LargeBinary(16), primary_key=True),
    Column("body", LargeBinary, nullable=False),  # a byte that says how it is packed, then the content
)

programs = Table(
    "programs",
    tables,
    Column("key", LargeBinary(16), primary_key=True),
    Column("text", LargeBinary(16), nullable=False),  # the digest of what was executed
    Column("facts", Text, nullable=False),  # JSON: how the program ended, and whether its calls left anything behind
    Column("made_with", Text, nullable=False),  # JSON: versions of kit, Python and torch
)

replies = Table(
    "replies",
    tables,
    Column("program", LargeBinary(16), ForeignKey("programs.key"), primary_key=True),
    Column("place", LargeBinary(16), primary_key=True),  # the digest of all that was asked in its child up to here
    Column("request", LargeBinary(16), nullable=False),
    Column("answer", LargeBinary, nullable=False),  # a byte that says what it is, then the content or its digest
    sqlite_with_rowid=False,
)

parts = Table(
    "parts",
    tables,
    Column("owner", ID, primary_key=True),
    Column("part", LargeBinary(16), primary_key=True),  # the digest of what a question needs of a program
    Column("program", LargeBinary(16), ForeignKey("programs.key"), nullable=False),
    sqlite_with_rowid=False,
)
"""The programs of each student's submissions by their parts, for what did not change when a student hands in again."""

result_programs = Table(
    "result_programs",
    tables,
    Column("student", ID, ForeignKey("students.id"), primary_key=True),
    Column("notebook", String(100), primary_key=True),
    Column("run", Integer, ForeignKey("runs.id"), nullable=False),
    Column("text", LargeBinary(16)),  # the digest of the program; none where the notebook was not handed in
    Column("notes", Text, nullable=False),  # JSON: the flags that came of scoring this notebook
)


def _with_pictures(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE tests ADD COLUMN picture TEXT"))


def _with_bonus(connection: Connection) -> None:
    """Add what says whether a question is a bonus; until version 4 none was."""
    connection.execute(text("ALTER TABLE scores ADD COLUMN bonus BOOLEAN NOT NULL DEFAULT FALSE"))


MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {2: parts.create, 3: _with_pictures, 4: _with_bonus}
"""By version: what upgrades a gradebook from the version before."""


def prepare(engine: Engine, where: str) -> None:
    """Create the tables of a new gradebook, or upgrade those of an older version, keeping a copy of a file.

    Raises UsageError for a gradebook of a newer version.
    """
    if not inspect(engine).has_table("meta"):
        with engine.begin() as connection:
            tables.create_all(connection)
            connection.execute(insert(meta).values(key="version", value=str(VERSION)))
        return
    found = version_of(engine, where)
    if found < VERSION and engine.url.get_backend_name() == "sqlite" and engine.url.database:
        copy = f"{engine.url.database}.version-{found}"
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM INTO :copy"), {"copy": copy})  # with what is not in the main file yet
    for version in range(found + 1, VERSION + 1):
        with engine.begin() as connection:
            MIGRATIONS[version](connection)
            connection.execute(update(meta).where(meta.c.key == "version").values(value=str(version)))


def version_of(engine: Engine, where: str) -> int:
    """Return the version of a gradebook. Raises UsageError for a newer one than this kit knows, or where none is."""
    if not inspect(engine).has_table("meta"):
        raise UsageError("no results here", where, "give the folder that `autograder grade --out` wrote")
    with engine.connect() as connection:
        found = int(connection.execute(select(meta.c.value).where(meta.c.key == "version")).scalar_one())
    if found > VERSION:
        what = f"a gradebook of version {found}, made by a newer kit; this kit reads up to version {VERSION}"
        raise UsageError(what, where, "update the kit")
    return found
