"""All replies of a program in one blob: most of their places and requests are those of other programs too."""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from autograder.gradebook.blobs import Body, read_blobs, write_blobs

_HEAD = struct.Struct("<16sBI")


class Stored(NamedTuple):
    """A reply: the key of its request, and its answer, a byte that says what it is and then the content or digest."""

    request: bytes
    answer: bytes


def write(connection: Connection, text: str, replies: Mapping[bytes, Stored]) -> bytes:
    """Store the replies of the program with this text, by their places; return the digest."""
    content = join(replies)
    notebook = text.partition("\n")[0].encode(errors="surrogatepass")
    return write_blobs(connection, {0: Body(content=content, place=b"replies " + notebook)})[0]


def read(connection: Connection, digest: bytes) -> dict[bytes, Stored]:
    """Return the replies by their places."""
    return dict(split(read_blobs(connection, [digest])[digest]))


def join(replies: Mapping[bytes, Stored]) -> bytes:
    """Return replies as they are stored."""
    return b"".join(
        _HEAD.pack(place, len(one.request), len(one.answer)) + one.request + one.answer
        for place, one in replies.items()
    )


def split(content: bytes) -> Iterator[tuple[bytes, Stored]]:
    """Yield the replies that were joined, with their places."""
    at = 0
    while at < len(content):
        place, *sizes = _HEAD.unpack_from(content, at)
        middle = at + _HEAD.size + sizes[0]
        end = middle + sizes[1]
        yield place, Stored(content[at + _HEAD.size : middle], content[middle:end])
        at = end
