"""The reassembled programs of results: enough to judge a submission again without its files."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, select

from autograder.gradebook import schema
from autograder.gradebook.blobs import Body, read_lists, write_lists
from autograder.gradebook.store import Gradebook
from autograder.program import Alternative, Program, Step
from autograder.results import Audience, Flag, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A notebook of a result: its program, None where it was not handed in, and the flags that came of scoring it."""

    program: Program | None
    notes: tuple[Flag, ...]


def save(connection: Connection, run: int, student: str, found: Mapping[str, Scored], *, whole: bool) -> None:
    """Keep the notebooks of a student's result of this run; whole: nothing of an earlier submission stays."""
    table = schema.result_programs
    old = table.delete().where(table.c.student == student)
    connection.execute(old if whole else old.where(table.c.notebook.in_(list(found))))
    digests = write_lists(connection, {key: _lines(one.program) for key, one in found.items() if one.program})
    rows = [
        {
            "student": student,
            "notebook": notebook,
            "run": run,
            "text": digests.get(notebook),
            "notes": json.dumps([asdict(flag) for flag in one.notes]),
        }
        for notebook, one in found.items()
    ]
    if rows:
        connection.execute(table.insert(), rows)


def load(gradebook: Gradebook, student: str) -> dict[str, Scored]:
    """Return the notebooks of a student's newest result, by name."""
    table = schema.result_programs
    with gradebook.engine.connect() as connection:
        rows = connection.execute(select(table).where(table.c.student == student)).all()
        lists = read_lists(connection, [row.text for row in rows if row.text])
    return {
        row.notebook: Scored(
            program=_from_lines(lists[row.text]) if row.text else None,
            notes=tuple(map(_flag, json.loads(row.notes))),
        )
        for row in rows
    }


def _lines(program: Program) -> list[Body]:
    """Return the program as lines of JSON: each step, as steps of a class are often the same, then the rest."""
    table = asdict(program)
    steps = table.pop("steps")
    lines = [
        Body(content=json.dumps(step).encode(), place=b"step " + step["label"].encode(errors="surrogatepass"))
        for step in steps
    ]
    return [*lines, Body(content=json.dumps(table).encode(), place=b"program " + program.notebook.encode())]


def _from_lines(lines: list[bytes]) -> Program:
    *steps, fields = map(json.loads, lines)
    fields["steps"] = tuple(Step(**step) for step in steps)
    fields["alternatives"] = {
        key: tuple(Alternative(**{**one, "flag": _flag(one["flag"])}) for one in others)
        for key, others in fields["alternatives"].items()
    }
    fields["unanswered"] = {key: Status(status) for key, status in fields["unanswered"].items()}
    fields["flags"] = tuple(map(_flag, fields["flags"]))
    fields["not_asked"] = tuple(fields.get("not_asked", ()))
    return Program(**fields)


def _flag(table: dict[str, Any]) -> Flag:
    return Flag(**{**table, "audience": Audience(table["audience"])})
