"""What people have looked at, and what they want a colleague to look at: marks beside the overrides, with who and when.

A mark that is taken back stays in the table. `reviewed` counts for the submission that it was given to: it does not
hold for a later one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import insert, select, update

from autograder.gradebook import schema
from autograder.gradebook.overrides import deciding
from autograder.gradebook.store import Gradebook, now


class Kind(StrEnum):
    """What a mark says."""

    REVIEWED = "reviewed"
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark that counts. question: an id, or * for the whole submission; note: why, for a flag"""

    id: int
    student: str
    question: str
    kind: Kind
    note: str
    by: str
    at: str
    sha256: str


def mark(
    gradebook: Gradebook, students: Iterable[tuple[str, str]], question: str, kind: Kind, note: str, by: str
) -> None:
    """Mark a question of these students, given with the digests of their submissions; who has the mark keeps it."""
    at = now()
    table = schema.reviews
    with deciding(gradebook) as connection:
        counts = select(table.c.student, table.c.sha256).where(
            table.c.question == question, table.c.kind == kind.value, table.c.undone_at.is_(None)
        )
        known = {(row.student, row.sha256) for row in connection.execute(counts)}
        rows = [
            {
                "student": student,
                "question": question,
                "kind": kind.value,
                "note": note,
                "by": by,
                "at": at,
                "sha256": sha,
            }
            for student, sha in students
            if (student, sha) not in known or kind is Kind.FLAG
        ]
        if rows:
            connection.execute(insert(table), rows)


def take_back(gradebook: Gradebook, student: str, question: str, kind: Kind, by: str) -> None:
    """Take the marks of this kind off a question of a student."""
    columns = schema.reviews.c
    chosen = (columns.student == student, columns.question == question, columns.kind == kind.value)
    with deciding(gradebook) as connection:
        counting = update(schema.reviews).where(*chosen, columns.undone_at.is_(None))
        connection.execute(counting.values(undone_by=by, undone_at=now()))


def marks(gradebook: Gradebook, question: str | None = None, student: str | None = None) -> Sequence[Mark]:
    """Return the marks that count, oldest first, of everything or of one question or student."""
    table = schema.reviews
    query = select(table).where(table.c.undone_at.is_(None)).order_by(table.c.id)
    if question is not None:
        query = query.where(table.c.question == question)
    if student is not None:
        query = query.where(table.c.student == student)
    with gradebook.engine.connect() as connection:
        return [
            Mark(
                id=row.id,
                student=row.student,
                question=row.question,
                kind=Kind(row.kind),
                note=row.note,
                by=row.by,
                at=row.at,
                sha256=row.sha256,
            )
            for row in connection.execute(query)
        ]
