"""Bytes stored once under their digest: answers as they were graded, programs, and replies of students' code.

What consists of parts is stored as the list of its parts' digests, so that equal parts of a class are stored once.
Replies to the same request, or answers to the same question, are often almost alike. Those that were stored first are
kept as they are, as the bases of the others, of which only the differences are stored (`packing`).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from autograder.errors import GraderFault
from autograder.gradebook import packing, schema

CHUNK = 5000
DIGEST = 16
MOST_BASES = 32
"""Arrays of numbers that are kept as bases at one place; of texts it is one."""
NEAR_ENOUGH = 0.6
"""The part of its own size that an array's differences may take; what takes more may become a base."""

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Bytes to store.

    place: what they are, such as the answer to a question; bodies with the same one are compared
    width: the bytes of each number in it, 1 for text
    """

    content: bytes
    place: bytes = b""
    width: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    digest: bytes
    sample: bytes


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


def write_blobs(connection: Connection, bodies: Mapping[Key, Body]) -> dict[Key, bytes]:
    """Store the bodies that are new, and return the digest of each."""
    digests = {key: digest(body.content) for key, body in bodies.items()}
    wanted, known = sorted(set(digests.values())), set[bytes]()
    for start in range(0, len(wanted), CHUNK):
        part = schema.blobs.c.digest.in_(wanted[start : start + CHUNK])
        known |= set(connection.execute(select(schema.blobs.c.digest).where(part)).scalars())
    new = {digests[key]: body for key, body in bodies.items() if digests[key] not in known}
    bases = _bases(connection, {_place(body) for body in new.values() if body.place})
    chosen = {key: base for key, body in new.items() if (base := _choose(body, bases.get(_place(body), ())))}
    contents = read_blobs(connection, (base.digest for base in chosen.values()))
    rows, added = [], []
    for key, body in new.items():
        near = chosen.get(key)
        stored = _near(body, contents[near.digest], near.digest) if near else None
        if stored is None:
            stored = packing.pack(body.content, body.width)
            added += _as_base(key, body, bases)
        rows.append({"digest": key, "body": stored})
    add_missing(connection, schema.blobs, rows)
    add_missing(connection, schema.bases, added)
    return digests


def _place(body: Body) -> bytes:
    """Return where the bases of a body are; arrays of numbers are compared with those of the same size alone."""
    size = len(body.content) if body.width > 1 else 0
    return digest(b"%d %d " % (body.width, size) + body.place)


def _bases(connection: Connection, places: Iterable[bytes]) -> dict[bytes, list[_Base]]:
    wanted = sorted(places)
    found: dict[bytes, list[_Base]] = {}
    for start in range(0, len(wanted), CHUNK):
        part = schema.bases.c.place.in_(wanted[start : start + CHUNK])
        for row in connection.execute(select(schema.bases).where(part).order_by(schema.bases.c.digest)):
            found.setdefault(row.place, []).append(_Base(digest=row.digest, sample=row.sample))
    return found


def _choose(body: Body, bases: Sequence[_Base]) -> _Base | None:
    """Return the base with which a body is compared."""
    if body.width == 1:
        return bases[0] if bases and len(body.content) > packing.SMALL else None
    best = packing.nearest(body.content, body.width, [one.sample for one in bases])
    return None if best is None else bases[best]


def _near(body: Body, base: bytes, name: bytes) -> bytes | None:
    """Return a body as its differences from a base, None where they are not few enough."""
    stored = packing.pack_near(body.content, body.width, base, name)
    most = NEAR_ENOUGH * len(body.content) if body.width > 1 else len(packing.pack(body.content))
    return stored if len(stored) < most else None


def _as_base(key: bytes, body: Body, bases: dict[bytes, list[_Base]]) -> list[dict[str, Any]]:
    """Return the row of a body that becomes a base, if there are not enough at its place."""
    numbers = body.width > 1
    if not body.place or len(body.content) < (packing.NUMBERS if numbers else packing.SMALL):
        return []
    here = bases.setdefault(_place(body), [])
    if len(here) >= (MOST_BASES if numbers else 1):
        return []
    here.append(_Base(digest=key, sample=packing.sample(body.content, body.width) if numbers else b""))
    return [{"place": _place(body), "digest": key, "sample": here[-1].sample}]


def write_lists(connection: Connection, lists: Mapping[Key, Sequence[Body]]) -> dict[Key, bytes]:
    """Store each list of parts, and return the digest of each list."""
    parts = write_blobs(
        connection, {(key, number): part for key, one in lists.items() for number, part in enumerate(one)}
    )
    joined = {
        key: Body(
            content=b"".join(parts[key, number] for number in range(len(one))),
            place=b"list " + one[0].place if one and one[0].place else b"",
        )
        for key, one in lists.items()
    }
    return write_blobs(connection, joined)


def add_missing(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows with new keys."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def read_blobs(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the bodies with these digests. Raises GraderFault if one is missing or damaged."""
    wanted = set(keys)
    stored = _stored(connection, wanted)
    names = {key: name for key, body in stored.items() if (name := packing.base_of(body))}
    stored |= _stored(connection, set(names.values()) - stored.keys())
    found: dict[bytes, bytes] = {}
    try:
        for key in sorted(wanted | set(names.values()), key=lambda key: key in names):  # bases first
            found[key] = packing.unpack(stored[key], found[names[key]] if key in names else b"")
    except (packing.Damaged, KeyError):
        raise _damaged() from None
    if any(digest(found[key]) != key for key in wanted):
        raise _damaged()
    return {key: found[key] for key in wanted}


def _stored(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, bytes]:
    wanted = sorted(keys)
    found: dict[bytes, bytes] = {}
    for start in range(0, len(wanted), CHUNK):
        part = schema.blobs.c.digest.in_(wanted[start : start + CHUNK])
        rows = connection.execute(select(schema.blobs.c.digest, schema.blobs.c.body).where(part))
        found |= {row.digest: row.body for row in rows}
    return found


def read_lists(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """Return the parts of the lists with these digests. Raises as `read_blobs`."""
    lists = read_blobs(connection, keys)
    split = {key: [one[at : at + DIGEST] for at in range(0, len(one), DIGEST)] for key, one in lists.items()}
    parts = read_blobs(connection, (part for one in split.values() for part in one))
    return {key: [parts[part] for part in one] for key, one in split.items()}


def _damaged() -> GraderFault:
    return GraderFault("a stored text is missing or damaged", "gradebook", "grade again into a new folder")
