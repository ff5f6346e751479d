"""The tables of a gradebook, and how a file of an older version becomes one of this version.

Everything a run computes is kept: results belong to runs, so an earlier run stays readable after the next one. Texts
and replies are stored once, under the digest of their bytes (`blobs`).
"""

import shutil
from collections.abc import Callable, Mapping

from sqlalchemy import (
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
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
    update,
)

from autograder.errors import UsageError

VERSION = 1
MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {}
"""By version: what turns a gradebook of the version before it into one of this version."""

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
    Column("id", String(400), primary_key=True),
    Column("name", Text, nullable=False),
    Column("team", Text),  # `group` is a word of SQL
    Column("lms", Text),  # JSON: system, user, attachments
    Column("extension", Float, nullable=False),  # minutes
)

submissions = Table(
    "submissions",
    tables,
    Column("id", Integer, primary_key=True),
    Column("student", String(400), ForeignKey("students.id"), nullable=False),
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
    Column("student", String(400), ForeignKey("students.id"), nullable=False),
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
    Column("student", String(400), ForeignKey("students.id"), nullable=False),
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
    Column("student", String(400), ForeignKey("students.id"), nullable=False),
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
    Column("body", LargeBinary, nullable=False),  # zlib
)

programs = Table(
    "programs",
    tables,
    Column("key", LargeBinary(16), primary_key=True),
    Column("text", LargeBinary(16), nullable=False),  # the digest of what was executed
    Column("facts", Text, nullable=False),  # JSON: how the program ended, and whether it changed what all code shares
    Column("made_with", Text, nullable=False),  # JSON: versions of kit, Python and torch, and the limits
)

replies = Table(
    "replies",
    tables,
    Column("program", LargeBinary(16), ForeignKey("programs.key"), primary_key=True),
    Column("request", LargeBinary(16), primary_key=True),
    Column("position", Integer, nullable=False),  # in the order of asking
    Column("reply", Text, nullable=False),  # JSON: a failure, or the digests of the header and of each tensor
)

result_programs = Table(
    "result_programs",
    tables,
    Column("student", String(400), ForeignKey("students.id"), primary_key=True),
    Column("notebook", String(100), primary_key=True),
    Column("run", Integer, ForeignKey("runs.id"), nullable=False),
    Column("text", LargeBinary(16), nullable=False),  # the digest of the program as JSON
)


def prepare(engine: Engine, where: str) -> None:
    """Create the tables of a new gradebook, or bring those of an older version up to date, keeping a copy of a file.

    Raises UsageError for a gradebook of a newer version.
    """
    if not inspect(engine).has_table("meta"):
        with engine.begin() as connection:
            tables.create_all(connection)
            connection.execute(insert(meta).values(key="version", value=str(VERSION)))
        return
    with engine.begin() as connection:
        found = int(connection.execute(select(meta.c.value).where(meta.c.key == "version")).scalar_one())
    if found > VERSION:
        what = f"a gradebook of version {found}, made by a newer kit; this kit reads up to version {VERSION}"
        raise UsageError(what, where, "update the kit")
    if found < VERSION and engine.url.get_backend_name() == "sqlite" and engine.url.database:
        shutil.copyfile(engine.url.database, f"{engine.url.database}.version-{found}")
    for version in range(found + 1, VERSION + 1):
        with engine.begin() as connection:
            MIGRATIONS[version](connection)
            connection.execute(update(meta).where(meta.c.key == "version").values(value=str(version)))
