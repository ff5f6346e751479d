"""The channel between grader and child: frames of JSON and raw arrays of numbers.

A frame is `magic, header length, body length | JSON header | tensor bytes`. The header contains one value; a tensor in
it is a reference into the body, whose dtypes and shapes the header lists. The reader checks every length against a
limit before it allocates memory, and every shape against the body. Malformed bytes raise ChannelError and nothing else.
Arrays arrive as torch tensors in a process that has loaded torch, else as NumPy arrays.
"""

import itertools
import json
import math
import os
import select
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MAGIC = b"AGK1"
FRAME = struct.Struct("<4sIQ")
MAX_HEADER = 4 << 20
MAX_BODY = 16 << 20
MAX_TENSORS = 256
MAX_DEPTH = 24
MAX_RANK = 8
MAX_TEXT = 1 << 20
MAX_ITEMS = 4096

DTYPES: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(name).newbyteorder("<") for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")
}

_NUMPY = (np.generic, np.ndarray)
_quoted = json.encoder.encode_basestring_ascii

Frame = tuple[bytes, bytearray]
"""The header and the body of a frame that was received."""

Deadline = float | Callable[[], float]
"""A time of time.monotonic, or what returns it and may move it on while it is waited for."""

Value = Any
"""None, bool, int, float, str, Tensor or ndarray, Opaque, and lists, tuples and string-keyed dicts of them."""

_torch: Any = None


class ChannelError(Exception):
    """The other side sent something that is not a frame, or a value that this side does not accept."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """Stands for an object of a type that the channel does not transmit."""

    type_name: str


def loaded_torch() -> Any:
    """Return the module torch if this process has loaded it, else None; once found it is kept."""
    global _torch
    if _torch is None:
        _torch = sys.modules.get("torch")
    return _torch


def encode(value: Value) -> bytes:
    """Return a frame with this value. Objects that cannot be transmitted become Opaque."""
    bodies: list[memoryview] = []
    specs: list[str] = []
    tree = _json(value, specs, bodies, MAX_DEPTH)
    header = f'{{"value":{tree},"tensors":[{",".join(specs)}]}}'.encode()
    return b"".join([FRAME.pack(MAGIC, len(header), sum(body.nbytes for body in bodies)), header, *bodies])


def split(frame: bytes) -> Frame:
    """Return the header and body of a whole frame."""
    _, header_length, _ = FRAME.unpack_from(frame)
    return frame[FRAME.size : FRAME.size + header_length], bytearray(frame[FRAME.size + header_length :])


def _json(value: Value, specs: list[str], bodies: list[memoryview], depth: int) -> str:
    """Return a value as JSON, and add the arrays in it.

    Built as text, because a tree of values for `json` takes half as long again.
    """
    kind = type(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is str:
        text = value[:MAX_TEXT]
        return _quoted(text if text.isascii() else text.encode("utf-8", "replace").decode())
    if kind is int:
        return str(value) if abs(value) < 1 << 63 else '{"float":"inf"}'
    if kind is float:
        return repr(value) if math.isfinite(value) else f'{{"float":"{value!r}"}}'
    array = None if kind is dict else _array(value)
    if array is not None and len(specs) < MAX_TENSORS and array.ndim <= MAX_RANK:
        specs.append(f'["{array.dtype.str[1:]}",[{",".join(map(str, array.shape))}]]')
        bodies.append(np.ascontiguousarray(array).data)
        return f'{{"tensor":{len(specs) - 1}}}'
    if (
        depth
        and (kind is dict or isinstance(value, Mapping))
        and len(value) <= MAX_ITEMS
        and {*map(type, value)} <= {str}
    ):
        pairs = [f"[{_quoted(key[:MAX_TEXT])},{_json(item, specs, bodies, depth - 1)}]" for key, item in value.items()]
        return f'{{"dict":[{",".join(pairs)}]}}'
    if depth and isinstance(value, (list, tuple)) and len(value) <= MAX_ITEMS:
        form = "tuple" if isinstance(value, tuple) else "list"  # a namedtuple is a tuple too
        items = [_json(item, specs, bodies, depth - 1) for item in value]
        return f'{{"{form}":[{",".join(items)}]}}'
    return f'{{"opaque":{_quoted((value.type_name if isinstance(value, Opaque) else kind.__name__)[:100])}}}'


def _array(value: Value) -> "np.ndarray[Any, np.dtype[Any]] | None":
    """Return the numbers of an array or tensor, or None for anything that cannot be transmitted."""
    torch = loaded_torch()
    if isinstance(value, _NUMPY):
        array = np.asarray(value)
    elif torch is not None and isinstance(value, torch.Tensor):
        try:
            array = (value.float() if value.dtype is torch.bfloat16 else value).numpy(force=True)
        except (RuntimeError, TypeError, ValueError):
            return None
    else:
        return None
    dtype = DTYPES.get(array.dtype.str[1:])
    return None if dtype is None else array.astype(dtype, copy=False)


def decode(header: bytes, body: bytearray) -> Value:
    """Return the value of a frame. Raises ChannelError if anything about it is malformed."""
    try:
        return _decode(header, body)
    except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise ChannelError(f"an impossible value ({type(error).__name__})") from None


def _decode(header: bytes, body: bytearray) -> Value:
    try:
        table = json.loads(header.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ChannelError(f"the header is not JSON ({type(error).__name__})") from None
    if type(table) is not dict or set(table) != {"value", "tensors"} or type(table["tensors"]) is not list:
        raise ChannelError("the header has the wrong keys")
    return _unflatten(table["value"], _tensors(table["tensors"], body), MAX_DEPTH + 1)


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _tensors(specs: list[Any], body: bytearray) -> list[Any]:
    if len(specs) > MAX_TENSORS:
        raise ChannelError("too many tensors")
    torch = loaded_torch()
    tensors, offset = [], 0
    for spec in specs:
        if type(spec) is not list or len(spec) != 2 or type(spec[0]) is not str or spec[0] not in DTYPES:
            raise ChannelError("a tensor has an unknown dtype")
        shape = spec[1]
        if (
            type(shape) is not list
            or len(shape) > MAX_RANK
            or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape)
        ):
            raise ChannelError("a tensor has an invalid shape")
        if math.prod(max(n, 1) for n in shape) > MAX_BODY:
            raise ChannelError("a tensor is too large")
        dtype, count = DTYPES[spec[0]], math.prod(shape)
        if offset + count * dtype.itemsize > len(body):
            raise ChannelError("a tensor is larger than the frame")
        if count:
            array = np.frombuffer(body, dtype, count, offset)
            if spec[0] == "b1":
                array = np.frombuffer(body, np.uint8, count, offset) != 0
            array = array.astype(array.dtype.newbyteorder("="), copy=True).reshape(shape)
        else:
            array = np.zeros(shape, dtype.newbyteorder("="))
        tensors.append(array if torch is None else torch.from_numpy(array))
        offset += count * dtype.itemsize
    if offset != len(body):
        raise ChannelError("the frame is larger than its tensors")
    return tensors


def _unflatten(tree: Any, tensors: list[Any], depth: int) -> Value:
    if depth == 0:
        raise ChannelError("nested too deeply")
    if type(tree) is int and abs(tree) >= 1 << 63:
        raise ChannelError("a number is too large")
    if type(tree) is str:
        tree.encode()  # raises for a lone surrogate, which this side never sends
    if tree is None or type(tree) in (bool, int, float, str):
        return tree
    if type(tree) is not dict or len(tree) != 1:
        raise ChannelError("an unknown kind of value")
    ((kind, inner),) = tree.items()
    if kind == "tensor" and type(inner) is int and 0 <= inner < len(tensors):
        return tensors[inner]
    if kind == "float" and inner in ("inf", "-inf", "nan"):
        return float(inner)
    if kind == "opaque" and type(inner) is str:
        return Opaque(inner[:100])
    if kind in ("list", "tuple") and type(inner) is list:
        items = [_unflatten(item, tensors, depth - 1) for item in inner]
        return tuple(items) if kind == "tuple" else items
    if (
        kind == "dict"
        and type(inner) is list
        and all(type(p) is list and len(p) == 2 and type(p[0]) is str for p in inner)
    ):
        return {key: _unflatten(item, tensors, depth - 1) for key, item in inner}
    raise ChannelError("an unknown kind of value")


def parts(header: bytes, body: bytes | bytearray) -> list[tuple[int, bytes]]:
    """Return the arrays of a frame: how many bytes each number has, and all bytes.

    The whole body is one part, of single bytes, if the header does not say.
    """
    try:
        kinds = [(DTYPES[kind].itemsize, math.prod(shape)) for kind, shape in json.loads(header)["tensors"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return [(1, bytes(body))]
    sizes = [width * count for width, count in kinds]
    if sum(sizes) != len(body) or any(size < 0 for size in sizes):
        return [(1, bytes(body))]
    ends = itertools.accumulate(sizes)
    return [(width, bytes(body[end - size : end])) for (width, _), size, end in zip(kinds, sizes, ends, strict=True)]


def send(fd: int, frame: bytes, deadline: Deadline) -> None:
    """Write a frame to a non-blocking descriptor. Raises OSError, and TimeoutError where it waits too long."""
    left = memoryview(frame)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            _wait(fd, select.POLLOUT, deadline)


def receive(fd: int, deadline: Deadline) -> Value:
    """Read the value of one frame from a non-blocking descriptor.

    Raises TimeoutError where it waits until the deadline, EOFError if the other side closed, ChannelError for bytes
    that are malformed.
    """
    return decode(*receive_frame(fd, deadline))


def receive_frame(fd: int, deadline: Deadline) -> Frame:
    """Read one frame without decoding it. Raises the same errors as `receive`."""
    magic, header_length, body_length = FRAME.unpack(bytes(_read(fd, FRAME.size, deadline)))
    if magic != MAGIC or header_length > MAX_HEADER or body_length > MAX_BODY:
        raise ChannelError("not a frame, or one that is too large")
    header = bytes(_read(fd, header_length, deadline))
    return header, _read(fd, body_length, deadline)


def _read(fd: int, count: int, deadline: Deadline) -> bytearray:
    buffer = bytearray(count)
    left = memoryview(buffer)
    while left:
        try:
            size = os.readv(fd, [left])
        except BlockingIOError:
            _wait(fd, select.POLLIN, deadline)
            continue
        except ConnectionError:
            size = 0
        if not size:
            raise EOFError("the other side closed the channel")
        left = left[size:]
    return buffer


def _wait(fd: int, event: int, deadline: Deadline) -> None:
    poll = select.poll()
    poll.register(fd, event)
    while True:
        left = (deadline() if callable(deadline) else deadline) - time.monotonic()
        if left <= 0:
            raise TimeoutError("the other side did not answer in time")
        if poll.poll(min(left, 86400) * 1000):
            return
