"""Recordings in the gradebook: executed programs and their replies; equal tensors are stored once."""

import collections
import json
import logging
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Row, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from autograder.gradebook import schema, transcripts
from autograder.gradebook.blobs import Body, read_lists, write_lists
from autograder.gradebook.store import Gradebook, connect
from autograder.gradebook.transcripts import Stored
from autograder.grading.observe import StoredFrame
from autograder.grading.recording import Facts, Lookup, Recording, Reply
from autograder.results import Status
from autograder.sandbox.channel import Frame, parts
from autograder.sandbox.replies import Failure, Stopped

FAILURE, ANSWER, FRAME = b"f", b"a", b"d"
"""What an answer in the database begins with: a failure as JSON, yes or no, or the digest of a frame's parts."""
CACHED = 64
"""Recordings that a reader keeps, as classmates' submissions hold the same programs."""

log = logging.getLogger("autograder.recordings")


def save(connection: Connection, recordings: Iterable[Recording], made_with: str, owner: str = "") -> None:
    """Keep recordings; replies that are there already are left as they are, unless only a failure was there.

    made_with: versions of kit, Python and libraries, as JSON
    owner: the student whose programs these are, for whom they are also found by their parts
    """
    parts: dict[bytes, bytes] = {}
    for one in recordings:
        if one.facts is not None:
            _save(connection, one, one.facts, made_with)
            parts |= dict.fromkeys(one.parts if one.facts.stateless else (), one.key)
    if parts and owner:
        table = schema.parts
        connection.execute(table.delete().where(table.c.owner == owner, table.c.part.in_(list(parts))))
        rows = [{"owner": owner, "part": part, "program": key} for part, key in parts.items()]
        connection.execute(table.insert(), rows)


def _save(connection: Connection, one: Recording, facts: Facts, made_with: str) -> None:
    programs = schema.programs
    known = connection.execute(select(programs).where(programs.c.key == one.key)).first()
    before = _replies(connection, known) if known else {}
    new = {place: reply for place, reply in one.replies.items() if _adds(before.get(place), reply)}
    frames = {place: _frame(reply) for place, reply in new.items() if isinstance(reply.answer, tuple)}
    digests = write_lists(connection, frames)
    stored = {place: Stored(reply.request, _pack(reply, digests.get(place, b""))) for place, reply in new.items()}
    replies = transcripts.write(connection, one.text, before | stored) if stored else known and known.replies
    if known is None:
        text = write_lists(connection, {0: [_line(line) for line in one.text.split("\n")]})[0]
        row = {"key": one.key, "text": text, "facts": _facts_to_json(facts), "made_with": made_with}
        connection.execute(programs.insert().values(**row, replies=replies))
    else:
        joined = _facts_to_json(_facts_from_json(known.facts).joined(facts))
        connection.execute(update(programs).where(programs.c.key == one.key).values(facts=joined, replies=replies))


def _replies(connection: Connection, row: Row[Any]) -> dict[bytes, Stored]:
    """Return the replies of a program by their places."""
    return transcripts.read(connection, row.replies) if row.replies else {}


def _adds(before: Stored | None, reply: Reply) -> bool:
    """Return whether a reply is kept: where there is none yet, or only a failure that did not come again."""
    return before is None or (before.answer[:1] == FAILURE and not isinstance(reply.answer, Failure))


def _line(line: str) -> Body:
    """Return a line of a program's text, which begins with the label of its step."""
    content = line.encode(errors="surrogatepass")
    return Body(content=content, place=b"line " + content.partition(b",")[0])


def _frame(reply: Reply) -> list[Body]:
    """Return the header and the arrays of a reply; those of replies to the same request are often alike."""
    assert isinstance(reply.answer, tuple), "only frames have parts"
    header = Body(content=bytes(reply.answer[0]), place=b"header " + reply.request)
    arrays = [
        Body(content=content, place=b"array %d " % number + reply.request, width=width)
        for number, (width, content) in enumerate(parts(*reply.answer))
    ]
    return [header, *arrays]


def _pack(reply: Reply, digest: bytes) -> bytes:
    if isinstance(reply.answer, bool):
        return ANSWER + bytes([reply.answer])
    if isinstance(reply.answer, Failure):
        table = {"status": reply.answer.status.value, "message": reply.answer.message}
        return FAILURE + json.dumps(table).encode()
    return FRAME + digest


def load(gradebook: Gradebook, key: bytes) -> Recording | None:
    """Return the recording of a program, None if it never ran."""
    with gradebook.engine.connect() as connection:
        row = connection.execute(select(schema.programs).where(schema.programs.c.key == key)).first()
        if row is None:
            return None
        replies = _replies(connection, row)
        frames = (one.answer[1:] for one in replies.values() if one.answer[:1] == FRAME)
        lists = read_lists(connection, [row.text, *frames])
        text = b"\n".join(lists[row.text]).decode(errors="surrogatepass")
        found = Recording(key=key, text=text, facts=_facts_from_json(row.facts))
        for place, one in replies.items():
            found.add(place, Reply(request=one.request, answer=_unpack(one.answer, lists)))
        return found


def _unpack(answer: bytes, lists: dict[bytes, list[bytes]]) -> Frame | Failure | bool:
    kind, content = answer[:1], answer[1:]
    if kind == ANSWER:
        return content == b"\1"
    if kind == FAILURE:
        table = json.loads(content)
        return Failure(status=Status(table["status"]), message=table["message"])
    header, *tensors = lists[content]
    return StoredFrame((header, bytearray(b"".join(tensors))))


class Recorded:
    """A reader of the recordings in a gradebook."""

    def __init__(self, gradebook: Gradebook) -> None:
        self._gradebook = gradebook

    def __call__(self, key: bytes) -> Recording | None:
        return load(self._gradebook, key)

    def parts(self, owner: str) -> dict[bytes, bytes]:
        """Return the keys of a student's programs by the parts that their questions need."""
        table = schema.parts
        with self._gradebook.engine.connect() as connection:
            rows = connection.execute(select(table.c.part, table.c.program).where(table.c.owner == owner))
            return {row.part: row.program for row in rows}


class Remembering(Recorded):
    """A reader that keeps what it read last; for a gradebook that nobody adds recordings to meanwhile."""

    def __init__(self, gradebook: Gradebook) -> None:
        super().__init__(gradebook)
        self._kept: collections.OrderedDict[bytes, Recording | None] = collections.OrderedDict()

    def __call__(self, key: bytes) -> Recording | None:
        if key not in self._kept:
            self._kept[key] = super().__call__(key)
            if len(self._kept) > CACHED:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def open_lookup(url: str | URL, home: str) -> Lookup:
    """Open, in a worker, a reader of the recordings in the gradebook at this URL; if out of reach, one without any.

    home: the machine of the run. On another one a SQLite file is never read, even where a network file system shows it:
    the log that it shares with its writer only works on one machine.
    """
    engine = connect(url)
    file = engine.url.database if engine.url.get_backend_name() == "sqlite" else None
    if file is not None and (machine() != home or not Path(file).is_file()):
        return NothingRecorded()
    try:
        engine.connect().close()
    except SQLAlchemyError as error:
        log.warning("the gradebook cannot be reached from here, so that nothing is taken from recordings: %s", error)
        return NothingRecorded()
    return Recorded(Gradebook(engine))


class NothingRecorded:
    """Stands for a reader where there is nothing to read; what children say is recorded all the same."""

    def __call__(self, key: bytes) -> None:
        return None

    def parts(self, owner: str) -> dict[bytes, bytes]:
        return {}


def machine() -> str:
    """Return what tells this machine from others, as long as it runs."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


def _facts_to_json(facts: Facts) -> str:
    failure = facts.failure
    table = {
        "failure": {"status": failure.status.value, "message": failure.message} if failure else None,
        "errors": dict(facts.errors),
        "disturbed": facts.disturbed,
        "stopped": [asdict(one) for one in facts.stopped],
        "ended_in": facts.ended_in,
        "kept": facts.kept,
    }
    return json.dumps(table)


def _facts_from_json(text: str) -> Facts:
    table: dict[str, Any] = json.loads(text)
    failure = table["failure"]
    return Facts(
        failure=Failure(status=Status(failure["status"]), message=failure["message"]) if failure else None,
        errors=table["errors"],
        disturbed=table["disturbed"],
        stopped=tuple(Stopped(**one) for one in table["stopped"]),
        ended_in=table["ended_in"],
        kept=table["kept"],
    )


def size(gradebook: Gradebook) -> tuple[int, int]:
    """Return how many programs are recorded, and the bytes that all stored texts and tensors take."""
    with gradebook.engine.connect() as connection:
        count = connection.execute(select(func.count()).select_from(schema.programs)).scalar_one()
        total = connection.execute(select(func.sum(func.length(schema.blobs.c.body)))).scalar_one()
        return int(count), int(total or 0)
