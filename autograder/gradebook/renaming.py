"""People whose id changed: the same account of an LMS, under one id in an earlier run and under another one now.

That happens when a roster is given for the first time, or somebody is added to it. Their results, overrides and reviews
move to the new id, so that nobody has two rows and no decision is left behind.
"""

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select, update

from autograder.errors import printable
from autograder.gradebook import schema, views
from autograder.gradebook.files import file_stem, writing
from autograder.gradebook.store import Gradebook
from autograder.results import Student, SubmissionStatus

FEEDBACK = "feedback"
"""The folder of feedback in a results folder."""

Account = tuple[str, str]
"""A system, and its id of a user."""


def rename(gradebook: Gradebook, people: Iterable[Student], folder: Path) -> list[str]:
    """Move what the gradebook has of these people under other ids to their present ones; return what to tell of it.

    people: everyone of this run. An account of several people, such as a group's, tells nobody's id.
    """
    present = {student.id: student for student in people}
    before, now = _accounts(gradebook.students()), _accounts(present.values())
    lines = []
    for account in sorted(before.keys() & now.keys()):
        others = before[account] - present.keys()
        if len(others) != 1 or len(now[account]) != 1:
            continue
        (old,), (new,) = others, now[account]
        with gradebook.writing() as connection:
            moved = _move(connection, old, new)
        who = f"{printable(old)} is {printable(new)} now ({account[0]} id {printable(account[1])})"
        if moved:
            _remove_views(folder, old, new)
            lines.append(f"{who}; results and overrides moved to the new id")
        else:
            lines.append(f"{who}, and both have results; repeat the overrides of {printable(old)}, which do not count")
    return lines


def _accounts(students: Iterable[Student]) -> dict[Account, set[str]]:
    found: dict[Account, set[str]] = {}
    for student in students:
        if student.lms:
            found.setdefault((student.lms.system, student.lms.user), set()).add(student.id)
    return found


def _move(connection: Connection, old: str, new: str) -> bool:
    """Move everything from one id to another; return whether that was possible: the other has no graded result yet."""
    results = schema.results.c
    known = connection.execute(select(results.id, results.status).where(results.student == new)).all()
    if any(row.status != SubmissionStatus.NOT_SUBMITTED for row in known):
        return False
    nothing = [row.id for row in known]
    for table in (schema.flags, schema.scores, schema.tests):
        connection.execute(delete(table).where(table.c.result.in_(nothing)))
    connection.execute(delete(schema.results).where(results.id.in_(nothing)))
    students = schema.students.c
    if not connection.execute(select(students.id).where(students.id == new)).first():
        person = connection.execute(select(schema.students).where(students.id == old)).one()
        connection.execute(insert(schema.students).values(**{**person._mapping, "id": new}))
    for table in schema.tables.tables.values():
        for column in table.columns:
            if column.references(students.id):
                connection.execute(update(table).where(column == old).values({column.name: new}))
    mine = select(results.id).where(results.student == new)
    flags = schema.flags.c
    connection.execute(delete(schema.flags).where(flags.kind == "not_on_roster", flags.result.in_(mine)))
    owner = schema.parts.c.owner
    connection.execute(update(schema.parts).where(owner == old).values(owner=new))
    connection.execute(delete(schema.students).where(students.id == old))
    return True


def _remove_views(folder: Path, *students: str) -> None:
    """Remove the files of these students; those that still count are written again."""
    for stem in map(file_stem, students):
        for place, ending in ((views.RESULTS, "json"), (FEEDBACK, "html"), (FEEDBACK, "txt")):
            path = folder / place / f"{stem}.{ending}"
            with writing(path):
                path.unlink(missing_ok=True)
