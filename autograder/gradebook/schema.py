"""The tables of a gradebook.

Everything a run computes is kept: results belong to runs, so earlier runs stay readable. Texts and replies are stored
once, under the digest of their bytes (`blobs`).
"""

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
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
)
from sqlalchemy import Text as PlainText

VERSION = 5


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

bases = Table(
    "bases",
    tables,
    Column("place", LargeBinary(16), primary_key=True),  # what they are, such as replies to the same request
    Column("digest", LargeBinary(16), ForeignKey("blobs.digest"), primary_key=True),
    Column("sample", LargeBinary, nullable=False),  # some of its numbers; empty for a text
    sqlite_with_rowid=False,
)
"""Blobs from which others at the same place may be stored as differences; they are themselves stored whole."""

programs = Table(
    "programs",
    tables,
    Column("key", LargeBinary(16), primary_key=True),
    Column("text", LargeBinary(16), nullable=False),  # the digest of what was executed
    Column("facts", Text, nullable=False),  # JSON: how the program ended, and whether its calls left anything behind
    Column("made_with", Text, nullable=False),  # JSON: versions of kit, Python and torch
    Column("replies", LargeBinary(16)),  # the digest of all its replies (`transcripts`); none if it gave none
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
