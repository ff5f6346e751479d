"""Bytes stored once, compressed, under their digest: answers as they were graded, and replies of students' code."""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from autograder.errors import GraderFault
from autograder.gradebook import schema

CHUNK = 5000
MAX_BODY = 64 << 20
"""Bytes that a blob may have when it is unpacked."""

Key = TypeVar("Key")


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def write_blobs(connection: Connection, bodies: Mapping[Key, bytes]) -> dict[Key, bytes]:
    """Store the bodies that are new; the digest of each."""
    digests = {key: digest(body) for key, body in bodies.items()}
    known = set(
        connection.execute(select(schema.blobs.c.digest).where(schema.blobs.c.digest.in_(digests.values()))).scalars()
    )
    new = {digests[key]: body for key, body in bodies.items() if digests[key] not in known}
    add_missing(connection, schema.blobs, [{"digest": key, "body": zlib.compress(body)} for key, body in new.items()])
    return digests


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
        found |= {row.digest: _unpack(row.body) for row in rows}
    if len(found) < len(wanted):
        raise _damaged()
    return found


def _unpack(body: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(body, MAX_BODY)
    except zlib.error:
        raise _damaged() from None


def _damaged() -> GraderFault:
    return GraderFault("a stored text is missing or damaged", "gradebook", "grade again into a new folder")
