"""All replies of a program in one blob: most of their places and requests are those of other programs too."""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from autograder.gradebook.blobs import Body, read_blobs, write_blobs

_HEAD = struct.Struct("<16s16sI")


class Stored(NamedTuple):
    """A reply: the key of its request, and its answer, a byte that says what it is and then the content or digest."""

    request: bytes
    answer: bytes


def write(connection: Connection, text: str, replies: Mapping[bytes, Stored]) -> bytes:
    """Store the replies of the program with this text, by their places; return the digest."""
    content = b"".join(_HEAD.pack(place, one.request, len(one.answer)) + one.answer for place, one in replies.items())
    notebook = text.partition("\n")[0].encode(errors="surrogatepass")
    return write_blobs(connection, {0: Body(content=content, place=b"replies " + notebook)})[0]


def read(connection: Connection, digest: bytes) -> dict[bytes, Stored]:
    """Return the replies by their places."""
    return dict(_split(read_blobs(connection, [digest])[digest]))


def _split(content: bytes) -> Iterator[tuple[bytes, Stored]]:
    at = 0
    while at < len(content):
        place, request, length = _HEAD.unpack_from(content, at)
        at += _HEAD.size + length
        yield place, Stored(request, content[at - length : at])
