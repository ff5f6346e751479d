"""How bytes are stored in less room, without loss.

Numbers that training or rounding made hardly compress by themselves, as most of their bits are noise. So the bytes of
all numbers are sorted by their place in a number, which puts the few that repeat next to each other; and where there
is another array almost like it, only the differences are stored. A text is packed with another one like it as the
dictionary.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

RAW, PACKED, PLANES, NEAR, LIKE = b"\0", b"\1", b"\2", b"\3", b"\4"
"""What a stored body begins with. NEAR and LIKE are followed by the digest of the body that they build on."""
MAX_BODY = 64 << 20
"""Bytes that a body may have when it is unpacked."""
SMALL = 64
"""Bytes up to which nothing is packed."""
NUMBERS = 256
"""Bytes from which numbers are packed as such."""
SAMPLE = 4096
"""Bytes of a body by which it is told whether packing it is worth the time."""
WORTH = 0.9
SPOTS = 64
"""Numbers of an array that stand for all of it when arrays are compared."""
NEAR_BITS = 0.6
"""The part of the bits of a number in which arrays may differ, on average, that are stored as differences."""
WINDOW = 32 << 10
"""Bytes of a dictionary that zlib looks at: its last ones."""

_PLANE = struct.Struct("<cI")
_Numbers = np.ndarray[Any, np.dtype[Any]]


class Damaged(Exception):
    """What is stored is not what was packed."""


def pack(body: bytes, width: int = 1) -> bytes:
    """Return a body as it is stored by itself. width: bytes of each of its numbers, 1 for text."""
    if width > 1 and len(body) >= NUMBERS and len(body) % width == 0:
        return PLANES + bytes([width]) + _planes(np.frombuffer(body, f"<u{width}"))
    if len(body) > SMALL and _compressible(body):
        return PACKED + zlib.compress(body, 1)
    return RAW + body


def pack_near(body: bytes, width: int, base: bytes, name: bytes) -> bytes:
    """Return a body as its differences from one of the same length, whose digest is the name."""
    if width == 1:
        return LIKE + name + _deflate(body, 6, base[-WINDOW:])
    numbers, others = (np.frombuffer(one, f"<i{width}") for one in (body, base))
    return NEAR + name + bytes([width]) + _planes(_unsigned(numbers - others))


def base_of(stored: bytes) -> bytes:
    """Return the digest of the body that a stored one builds on, empty where it stands for itself."""
    return stored[1:17] if stored[:1] in (NEAR, LIKE) else b""


def unpack(stored: bytes, base: bytes = b"") -> bytes:
    """Return the body; base: the one that it builds on. Raises Damaged."""
    kind = stored[:1]
    try:
        if kind == RAW:
            return stored[1:]
        if kind == PACKED:
            return zlib.decompressobj().decompress(stored[1:], MAX_BODY)
        if kind == LIKE:
            return zlib.decompressobj(-zlib.MAX_WBITS, base[-WINDOW:]).decompress(stored[17:], MAX_BODY)
        if kind == PLANES:
            return _from_planes(stored[2:], stored[1]).tobytes()
        if kind == NEAR:
            width = stored[17]
            numbers = np.frombuffer(base, f"<i{width}") + _signed(_from_planes(stored[18:], width))
            return bytes(numbers.tobytes())
    except (zlib.error, struct.error, ValueError, TypeError, IndexError):
        pass
    raise Damaged


def sample(body: bytes, width: int) -> bytes:
    """Return some of the numbers of an array, by which `nearest` compares it with others of its length."""
    numbers = np.frombuffer(body, f"<i{width}")
    return numbers[:: max(1, len(numbers) // SPOTS)][:SPOTS].tobytes()


def nearest(body: bytes, width: int, samples: Sequence[bytes]) -> int | None:
    """Return which of the arrays with these samples has almost the same numbers, None if none has."""
    if not samples:
        return None
    own = np.frombuffer(sample(body, width), f"<i{width}").astype(float)
    others = np.frombuffer(b"".join(samples), f"<i{width}").reshape(len(samples), -1).astype(float)
    bits = np.log2(1 + np.abs(others - own)).mean(1)
    best = int(bits.argmin())
    return best if bits[best] < NEAR_BITS * 8 * width else None


def _unsigned(numbers: _Numbers) -> _Numbers:
    """Map 0, -1, 1, -2, … to 0, 1, 2, 3, …, so that the high bytes of small differences are 0."""
    width = numbers.dtype.itemsize
    return ((numbers << 1) ^ (numbers >> 8 * width - 1)).view(f"<u{width}")


def _signed(numbers: _Numbers) -> _Numbers:
    width = numbers.dtype.itemsize
    one = np.array(1, numbers.dtype)
    signed: _Numbers = (numbers >> one).view(f"<i{width}") ^ -(numbers & one).view(f"<i{width}")
    return signed


def _planes(numbers: _Numbers) -> bytes:
    """Return the lowest bytes of all numbers, then the next ones, and so on, each packed where that saves room."""
    width = numbers.dtype.itemsize
    planes = numbers.view(np.uint8).reshape(-1, width).T
    return b"".join(_plane(plane.tobytes()) for plane in planes)


def _plane(plane: bytes) -> bytes:
    if _compressible(plane):
        packed = _deflate(plane, 1)
        return _PLANE.pack(PACKED, len(packed)) + packed
    return _PLANE.pack(RAW, len(plane)) + plane


def _from_planes(stored: bytes, width: int) -> _Numbers:
    planes, at = [], 0
    for _ in range(width):
        kind, length = _PLANE.unpack_from(stored, at)
        at += _PLANE.size
        content = stored[at : at + length]
        at += length
        if kind == PACKED:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, MAX_BODY)
        planes.append(np.frombuffer(content, np.uint8))
    numbers: _Numbers = np.stack(planes, 1).reshape(-1).view(f"<u{width}")
    return numbers


def _deflate(body: bytes, level: int, dictionary: bytes = b"") -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, 0, dictionary)
    return packer.compress(body) + packer.flush()


def _compressible(body: bytes) -> bool:
    return len(zlib.compress(body[:SAMPLE], 1)) < WORTH * min(len(body), SAMPLE)
