"""Recordings in the gradebook: executed programs and their replies; equal tensors are stored once."""

import functools
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, func, select, update

from autograder.gradebook import schema
from autograder.gradebook.blobs import add_missing, read_blobs, write_blobs
from autograder.gradebook.store import Gradebook, connect
from autograder.grading.recording import Facts, Lookup, Recording
from autograder.results import Status
from autograder.sandbox.channel import Frame, parts
from autograder.sandbox.client import Failure, Stopped


def save(gradebook: Gradebook, recordings: Iterable[Recording], made_with: str) -> None:
    """Keep recordings; replies that are there already are left as they are.

    made_with: versions of kit, Python and libraries, and the limits, as JSON
    """
    with gradebook.engine.begin() as connection:
        for one in recordings:
            _save(connection, one, made_with)


def _save(connection: Connection, one: Recording, made_with: str) -> None:
    text = write_blobs(connection, {0: one.text.encode(errors="surrogatepass")})[0]
    facts = json.dumps(_facts_to_json(one.facts))
    row = {"key": one.key, "text": text, "facts": facts, "made_with": made_with}
    add_missing(connection, schema.programs, [row])
    connection.execute(update(schema.programs).where(schema.programs.c.key == one.key).values(facts=facts))
    before = select(func.count()).select_from(schema.replies).where(schema.replies.c.program == one.key)
    place = int(connection.execute(before).scalar_one())
    pieces: dict[tuple[bytes, int], bytes] = {}
    for request, reply in one.replies.items():
        if not isinstance(reply, Failure):
            header, body = reply
            pieces |= {(request, i): part for i, part in enumerate([bytes(header), *parts(header, body)])}
    digests = write_blobs(connection, pieces)
    rows = []
    for position, (request, reply) in enumerate(one.replies.items(), start=place):
        if isinstance(reply, Failure):
            table: dict[str, Any] = {"status": reply.status.value, "message": reply.message}
        else:
            keys = sorted(key for key in digests if key[0] == request)
            table = {"parts": [digests[key].hex() for key in keys]}
        rows.append({"program": one.key, "request": request, "position": position, "reply": json.dumps(table)})
    add_missing(connection, schema.replies, rows)


def load(gradebook: Gradebook, key: bytes) -> Recording | None:
    """Return the recording of a program, None if it never ran."""
    with gradebook.engine.connect() as connection:
        row = connection.execute(select(schema.programs).where(schema.programs.c.key == key)).first()
        if row is None:
            return None
        wanted = select(schema.replies).where(schema.replies.c.program == key).order_by(schema.replies.c.position)
        found = [(reply.request, json.loads(reply.reply)) for reply in connection.execute(wanted)]
        needed = {bytes.fromhex(part) for _, table in found for part in table.get("parts", ())}
        bodies = read_blobs(connection, {*needed, row.text})
        return Recording(
            key=key,
            text=bodies[row.text].decode(errors="surrogatepass"),
            facts=_facts_from_json(json.loads(row.facts)),
            replies={request: _reply(table, bodies) for request, table in found},
        )


def open_lookup(url: str) -> Lookup:
    """Open, in a worker, a reader of the recordings in the gradebook at this URL."""
    gradebook = Gradebook(connect(url))
    return functools.partial(load, gradebook)


def _reply(table: dict[str, Any], bodies: dict[bytes, bytes]) -> Frame | Failure:
    if "status" in table:
        return Failure(status=Status(table["status"]), message=table["message"])
    header, *tensors = (bodies[bytes.fromhex(part)] for part in table["parts"])
    return header, bytearray(b"".join(tensors))


def _facts_to_json(facts: Facts) -> dict[str, Any]:
    failure = facts.failure
    return {
        "failure": {"status": failure.status.value, "message": failure.message} if failure else None,
        "errors": dict(facts.errors),
        "disturbed": facts.disturbed,
        "stopped": [asdict(one) for one in facts.stopped],
        "ended_in": facts.ended_in,
        "looked": facts.looked,
        "changed_after": facts.changed_after,
    }


def _facts_from_json(table: dict[str, Any]) -> Facts:
    failure = table["failure"]
    return Facts(
        failure=Failure(status=Status(failure["status"]), message=failure["message"]) if failure else None,
        errors=table["errors"],
        disturbed=table["disturbed"],
        stopped=tuple(Stopped(**one) for one in table["stopped"]),
        ended_in=table["ended_in"],
        looked=table["looked"],
        changed_after=table["changed_after"],
    )


def size(gradebook: Gradebook) -> tuple[int, int]:
    """Return how many replies are recorded, and the bytes that all stored texts and tensors take."""
    with gradebook.engine.connect() as connection:
        count = connection.execute(select(func.count()).select_from(schema.replies)).scalar_one()
        total = connection.execute(select(func.sum(func.length(schema.blobs.c.body)))).scalar_one()
        return int(count), int(total or 0)
