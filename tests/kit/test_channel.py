"""The channel: what goes in comes out, and no bytes whatever do more than raise ChannelError."""

import contextlib
import json
import math
import os
import time
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograder.sandbox import channel
from autograder.sandbox.channel import Opaque

DTYPES = [
    torch.float16,
    torch.float32,
    torch.float64,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint8,
    torch.bool,
]


def split(frame: bytes) -> tuple[bytes, bytearray]:
    _, header, body = channel.FRAME.unpack(frame[: channel.FRAME.size])
    start = channel.FRAME.size
    assert len(frame) == start + header + body
    return frame[start : start + header], bytearray(frame[start + header :])


def there_and_back(value: Any) -> Any:
    return channel.decode(*split(channel.encode(value)))


plain = st.none() | st.booleans() | st.integers(-(1 << 62), 1 << 62) | st.floats(allow_nan=False) | st.text(max_size=20)
values = st.recursive(
    plain,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(values)
def test_plain_values_round_trip(value: Any) -> None:
    assert there_and_back(value) == value


@given(
    hnp.arrays(
        dtype=hnp.floating_dtypes(sizes=(32, 64), endianness="="), shape=hnp.array_shapes(min_dims=0, min_side=0)
    )
)
def test_arrays_round_trip_as_tensors(array: "np.ndarray[Any, np.dtype[Any]]") -> None:
    back = there_and_back(array)
    assert back.dtype is torch.from_numpy(array).dtype
    np.testing.assert_array_equal(back.numpy(), array)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_round_trips(dtype: torch.dtype) -> None:
    tensor = torch.tensor([[0, 1, 1], [1, 0, 0]]).to(dtype)
    back = there_and_back({"x": tensor})["x"]
    assert back.dtype is dtype
    assert torch.equal(back, tensor)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3).T,
        torch.ones(3, requires_grad=True) * 2,
        torch.nn.Parameter(torch.ones(2)),
        torch.tensor(3.0),
        torch.zeros(0, 4),
        torch.tensor([math.nan, math.inf, -math.inf]),
        torch.ones(1).expand(4),
    ],
    ids=["transposed", "with a graph", "parameter", "scalar", "empty", "not finite", "expanded"],
)
def test_tensors_arrive_as_plain_numbers(tensor: torch.Tensor) -> None:
    back = there_and_back(tensor)
    assert type(back) is torch.Tensor
    assert not back.requires_grad
    assert torch.equal(back.nan_to_num(7.0), tensor.detach().nan_to_num(7.0))


def test_a_named_tuple_arrives_as_a_tuple() -> None:
    Pair = namedtuple("Pair", "a b")
    assert there_and_back(Pair(1, [2])) == (1, [2])


def test_bfloat16_arrives_as_float32() -> None:
    assert there_and_back(torch.ones(2, dtype=torch.bfloat16)).dtype is torch.float32


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("object", object()),
        ("set", {1, 2}),
        ("function", lambda: 0),
        ("complex", 1j),
        ("bytes", b"bytes"),
        ("Tensor", torch.ones(2, dtype=torch.complex64)),
        ("Tensor", torch.ones(2).to_sparse()),
        ("dict", {1: 2}),
    ],
)
def test_other_objects_become_opaque(name: str, value: Any) -> None:
    assert there_and_back([value]) == [Opaque(name)]


@pytest.mark.parametrize("number", [math.inf, -math.inf])
def test_infinities_cross(number: float) -> None:
    assert there_and_back(number) == number


def test_deep_nesting_ends() -> None:
    value: Any = 0
    for _ in range(100):
        value = [value]
    assert "Opaque" in repr(there_and_back(value))


def header(value: Any, tensors: Any = ()) -> bytes:
    return json.dumps({"value": value, "tensors": list(tensors)}).encode()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"", b""),
        (b"{", b""),
        (b"[" * 100_000, b""),
        (b'{"value": NaN, "tensors": []}', b""),
        (b'{"value": ' + b"9" * 5000 + b', "tensors": []}', b""),
        (b'{"value": 1}', b""),
        (b"\xff", b""),
        (header({"tensor": 0}), b""),
        (header({"tensor": -1}, [["f8", [1]]]), b"\0" * 8),
        (header({"tensor": True}, [["f8", [1]], ["f8", [1]]]), b"\0" * 16),
        (header(1, [["f8", [2]]]), b"\0" * 8),
        (header(1, [["f8", [1]]]), b"\0" * 16),
        (header(1, [["O", [1]]]), b"\0" * 8),
        (header(1, [["f8", [-1]]]), b""),
        (header(1, [["f8", [1 << 39, 1 << 39]]]), b""),
        (header(1, [["f8", [1.0]]]), b"\0" * 8),
        (header(1, [["f8", [True]]]), b"\0" * 8),
        (header(1, [["f8", [1] * 9]]), b"\0" * 8),
        (header(1, [["f8"]]), b""),
        (header(1, [["u1", [0]]] * 300), b""),
        (header({"list": 3}), b""),
        (header({"dict": [["a"]]}), b""),
        (header({"dict": [[1, 2]]}), b""),
        (header({"float": "1"}), b""),
        (header({"pickle": "x"}), b""),
        (header({"list": [], "tuple": []}), b""),
        (header([1, 2]), b""),
    ],
)
def test_malformed_frames_are_refused(head: bytes, body: bytes) -> None:
    with pytest.raises(channel.ChannelError):
        channel.decode(head, bytearray(body))


@given(st.binary(max_size=300), st.binary(max_size=50))
def test_any_bytes_give_a_value_or_channel_error(head: bytes, body: bytes) -> None:
    with contextlib.suppress(channel.ChannelError):
        channel.decode(head, bytearray(body))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def soon() -> float:
    return time.monotonic() + 5


def test_a_frame_through_a_pipe(pipe: tuple[int, int]) -> None:
    channel.send(pipe[1], channel.encode({"x": torch.ones(3)}), soon())
    assert torch.equal(channel.receive(pipe[0], soon())["x"], torch.ones(3))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EOFError),
        (channel.encode(1)[:-1], EOFError),
        (b"nonsense" * 10, channel.ChannelError),
        (channel.FRAME.pack(channel.MAGIC, 0xFFFFFFFF, 0), channel.ChannelError),
        (channel.FRAME.pack(channel.MAGIC, 10, 1 << 60), channel.ChannelError),
    ],
    ids=["closed", "half a frame", "junk", "huge header", "huge body"],
)
def test_a_bad_frame_through_a_pipe(pipe: tuple[int, int], data: bytes, error: type[Exception]) -> None:
    os.write(pipe[1], data)
    os.close(pipe[1])
    with pytest.raises(error):
        channel.receive(pipe[0], soon())


def test_silence_times_out(pipe: tuple[int, int]) -> None:
    with pytest.raises(TimeoutError):
        channel.receive(pipe[0], time.monotonic() + 0.05)


def test_a_reader_that_does_not_read_times_out(pipe: tuple[int, int]) -> None:
    with pytest.raises(TimeoutError):
        channel.send(pipe[1], b"x" * (1 << 21), time.monotonic() + 0.05)


def test_a_deadline_may_move_on_while_it_is_waited_for(pipe: tuple[int, int]) -> None:
    moments = [time.monotonic() - 1 + 1.01, time.monotonic() + 0.05, time.monotonic() + 0.05]

    def deadline() -> float:
        return moments.pop(0) if len(moments) > 1 else moments[0]

    with pytest.raises(TimeoutError):
        channel.receive(pipe[0], deadline)
    assert len(moments) == 1
