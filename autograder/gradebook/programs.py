"""The reassembled programs of results: enough to judge a submission again without its files."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from autograder.gradebook import schema
from autograder.gradebook.blobs import read_blobs, write_blobs
from autograder.gradebook.store import Gradebook
from autograder.program import Alternative, Program, Step
from autograder.results import Audience, Flag, Status


def save(gradebook: Gradebook, run: int, student: str, programs: Iterable[Program]) -> None:
    """Keep the programs of a student's result of this run, one per notebook."""
    found = {one.notebook: json.dumps(_to_json(one)).encode() for one in programs}
    if not found:
        return
    with gradebook.engine.begin() as connection:
        digests = write_blobs(connection, found)
        table = schema.result_programs
        connection.execute(table.delete().where(table.c.student == student, table.c.notebook.in_(list(found))))
        rows = [
            {"student": student, "notebook": notebook, "run": run, "text": digest}
            for notebook, digest in digests.items()
        ]
        connection.execute(table.insert(), rows)


def load(gradebook: Gradebook, student: str) -> dict[str, Program]:
    """Return the programs of a student's newest result, by notebook."""
    table = schema.result_programs
    with gradebook.engine.connect() as connection:
        rows = connection.execute(select(table.c.notebook, table.c.text).where(table.c.student == student)).all()
        bodies = read_blobs(connection, [row.text for row in rows])
    return {row.notebook: _from_json(json.loads(bodies[row.text])) for row in rows}


def _to_json(program: Program) -> dict[str, Any]:
    return asdict(program)


def _from_json(table: dict[str, Any]) -> Program:
    fields = dict(table)
    fields["steps"] = tuple(Step(**step) for step in table["steps"])
    fields["alternatives"] = {
        key: tuple(Alternative(**one) for one in others) for key, others in table["alternatives"].items()
    }
    fields["unanswered"] = {key: Status(status) for key, status in table["unanswered"].items()}
    fields["flags"] = tuple(Flag(**{**flag, "audience": Audience(flag["audience"])}) for flag in table["flags"])
    return Program(**fields)
