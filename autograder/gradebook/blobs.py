"""Bytes stored once under their digest: answers as they were graded, programs, and replies of students' code.

What consists of parts is stored as the list of its parts' digests, so that equal parts of a class are stored once.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from autograder.errors import GraderFault
from autograder.gradebook import schema

CHUNK = 5000
MAX_BODY = 64 << 20
"""Bytes that a blob may have when it is unpacked."""
RAW, PACKED = b"\0", b"\1"
SAMPLE = 4096
"""Bytes of a body by which it is told whether packing it is worth the time."""
WORTH = 0.9
DIGEST = 16

Key = TypeVar("Key")


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


def write_blobs(connection: Connection, bodies: Mapping[Key, bytes]) -> dict[Key, bytes]:
    """Store the bodies that are new, and return the digest of each."""
    digests = {key: digest(body) for key, body in bodies.items()}
    wanted, known = sorted(set(digests.values())), set[bytes]()
    for start in range(0, len(wanted), CHUNK):
        part = schema.blobs.c.digest.in_(wanted[start : start + CHUNK])
        known |= set(connection.execute(select(schema.blobs.c.digest).where(part)).scalars())
    new = {digests[key]: body for key, body in bodies.items() if digests[key] not in known}
    add_missing(connection, schema.blobs, [{"digest": key, "body": pack(body)} for key, body in new.items()])
    return digests


def write_lists(connection: Connection, lists: Mapping[Key, Sequence[bytes]]) -> dict[Key, bytes]:
    """Store each list of parts, and return the digest of each list."""
    parts = write_blobs(
        connection, {(key, place): part for key, one in lists.items() for place, part in enumerate(one)}
    )
    joined = {key: b"".join(parts[key, place] for place in range(len(one))) for key, one in lists.items()}
    return write_blobs(connection, joined)


def add_missing(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows with new keys."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def read_blobs(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the bodies with these digests. Raises GraderFault if one is missing or damaged."""
    wanted = sorted(set(keys))
    found: dict[bytes, bytes] = {}
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        rows = connection.execute(select(schema.blobs).where(schema.blobs.c.digest.in_(part)))
        found |= {row.digest: unpack(row.body) for row in rows}
    if any(key not in found or digest(found[key]) != key for key in wanted):
        raise _damaged()
    return found


def read_lists(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """Return the parts of the lists with these digests. Raises as `read_blobs`."""
    lists = read_blobs(connection, keys)
    split = {key: [one[at : at + DIGEST] for at in range(0, len(one), DIGEST)] for key, one in lists.items()}
    parts = read_blobs(connection, (part for one in split.values() for part in one))
    return {key: [parts[part] for part in one] for key, one in split.items()}


def pack(body: bytes) -> bytes:
    """Return a body as it is stored: compressed where a sample of it shows that this saves room."""
    if len(body) > 64 and len(zlib.compress(body[:SAMPLE], 1)) < WORTH * min(len(body), SAMPLE):
        return PACKED + zlib.compress(body, 1)
    return RAW + body


def unpack(stored: bytes) -> bytes:
    """Return the body of a stored blob. Raises GraderFault when it is damaged."""
    if stored[:1] == RAW:
        return stored[1:]
    try:
        return zlib.decompressobj().decompress(stored[1:], MAX_BODY)
    except zlib.error:
        raise _damaged() from None


def _damaged() -> GraderFault:
    return GraderFault("a stored text is missing or damaged", "gradebook", "grade again into a new folder")
