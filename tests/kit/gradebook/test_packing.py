"""Bodies come back as they were however they are stored, and what is alike takes little."""

import contextlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, text

from autograder.gradebook import blobs, packing, recordings, schema
from autograder.gradebook.blobs import Body, read_blobs, write_blobs
from autograder.gradebook.migrations import prepare
from autograder.gradebook.store import Gradebook
from autograder.gradebook.transcripts import Stored, join, read, split
from autograder.grading.recording import LOOK, Facts, Recording, Reply
from autograder.results import Status
from autograder.sandbox import channel
from autograder.sandbox.replies import Failure
from tests import old_gradebooks

WIDTHS = (1, 2, 4, 8)
CONTENT = st.binary(max_size=700) | st.binary(min_size=1, max_size=9).map(lambda part: part * 800)


def noise(seed: int, count: int = 5000) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.random.default_rng(seed).normal(size=count).astype("<f4")


def rounded_otherwise(seed: int) -> bytes:
    """Return almost the numbers of noise(0)."""
    return (noise(0) * (1 + 1e-7 * noise(seed))).astype("<f4").tobytes()


@given(CONTENT, st.sampled_from(WIDTHS))
def test_what_is_packed_is_unpacked(body: bytes, width: int) -> None:
    assert packing.unpack(packing.pack(body, width)) == body


@given(CONTENT, CONTENT, st.sampled_from(WIDTHS))
def test_what_is_packed_as_differences_is_unpacked_with_their_base(body: bytes, base: bytes, width: int) -> None:
    if width > 1:
        size = min(len(body), len(base)) // width * width
        body, base = body[:size], base[:size]
    stored = packing.pack_near(body, width, base, b"n" * 16)
    assert packing.base_of(stored) == b"n" * 16
    assert packing.unpack(stored, base) == body


@given(st.binary(max_size=200), st.integers(0, 5))
def test_damaged_bytes_raise_nothing_else(content: bytes, kind: int) -> None:
    with contextlib.suppress(packing.Damaged):
        packing.unpack(bytes([kind]) + content, b"abc")


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
def test_differences_are_small_and_extremes_come_back(dtype: str) -> None:
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45] if dtype[0] == "f" else [2**63 - 1, -(2**63), 0, -1]
    base = np.concatenate([noise(1).astype(dtype), np.array(special, dtype), np.zeros(50, dtype)])
    body = np.concatenate([np.nextafter(base[:5000], 9) if dtype[0] == "f" else base[:5000] + 1, base[5000:][::-1]])
    stored = packing.pack_near(body.tobytes(), base.itemsize, base.tobytes(), b"n" * 16)
    assert packing.unpack(stored, base.tobytes()) == body.tobytes()
    assert len(stored) < 0.1 * body.nbytes


REPLY = st.builds(Stored, request=st.binary(max_size=255), answer=st.binary(max_size=300))


@given(st.dictionaries(st.binary(min_size=16, max_size=16), REPLY, max_size=5))
def test_replies_are_split_as_they_were_joined(replies: dict[bytes, Stored]) -> None:
    assert dict(split(join(replies))) == replies


def size(connection: Connection) -> int:
    return int(connection.execute(select(func.sum(func.length(schema.blobs.c.body)))).scalar_one())


def added(connection: Connection, bodies: Sequence[Body]) -> list[int]:
    """Store bodies one after another; how many bytes each took."""
    sizes, before = [], 0
    for body in bodies:
        write_blobs(connection, {0: body})
        sizes.append(size(connection) - before)
        before += sizes[-1]
    return sizes


def test_arrays_almost_alike_are_stored_as_differences(book: Gradebook) -> None:
    """From the nearest one at their place, which need not be the first, and from none elsewhere."""
    other = (2 * noise(1)).tobytes()
    contents = [noise(1).tobytes(), noise(0).tobytes(), rounded_otherwise(2), rounded_otherwise(3), other]
    bodies = [Body(content=one, place=b"p", width=4) for one in contents]
    with book.writing() as connection:
        sizes = added(connection, [*bodies, Body(content=rounded_otherwise(4), place=b"q", width=4)])
        assert max(sizes[2:4]) < 0.4 * min(sizes[:2])
        assert min(sizes[4:]) > 0.8 * sizes[0]
        found = read_blobs(connection, map(blobs.digest, contents))
    assert found == {blobs.digest(one): one for one in contents}


def test_texts_almost_alike_are_stored_as_differences(book: Gradebook) -> None:
    words = [f"{noise(number, 40)}" for number in range(2)]
    texts = [words[0], words[0].replace("1", "one"), words[1]]
    bodies = [Body(content=one.encode(), place=b"p") for one in texts]
    with book.writing() as connection:
        sizes = added(connection, bodies)
        assert sizes[1] < 0.7 * sizes[0]
        contents = [one.content for one in bodies]
        found = read_blobs(connection, map(blobs.digest, contents))
    assert found == {blobs.digest(one): one for one in contents}


def test_bases_are_few_and_no_base_builds_on_another(book: Gradebook) -> None:
    with book.writing() as connection:
        for seed in range(blobs.MOST_BASES + 3):
            write_blobs(connection, {0: Body(content=noise(seed, 100).tobytes(), place=b"p", width=4)})
        write_blobs(connection, {0: Body(content=rounded_otherwise(1), place=b"r", width=4)})
        bases = connection.execute(select(schema.bases.c.digest)).scalars().all()
        bodies = connection.execute(select(schema.blobs.c.body).where(schema.blobs.c.digest.in_(bases))).scalars()
        assert len(bases) == blobs.MOST_BASES + 1
        assert not any(map(packing.base_of, bodies))


def test_a_gradebook_with_a_row_per_reply_is_migrated(book: Gradebook) -> None:
    """Version 4 becomes version 5; what is stored as a whole is read as before."""
    one = Recording(key=b"k" * 16, text='["hw"]\n["Q1"]', facts=Facts(failure=None, errors={}, disturbed=False))
    one.add(b"a" * 16, Reply(request=b"r" * 16, answer=channel.split(channel.encode({"x": noise(0)}))))
    one.add(b"b" * 16, Reply(request=b"s" * 16, answer=Failure(status=Status.CRASHED, message="gone")))
    one.add(b"c" * 16, Reply(request=LOOK, answer=False))
    with book.writing() as connection:
        recordings.save(connection, [one], "{}")
        found = connection.execute(select(schema.programs.c.replies)).scalar_one()
        rows = read(connection, found)
        old_gradebooks.to_version_4(connection)
        row = text("INSERT INTO replies VALUES (:program, :place, :request, :answer)")
        for place, reply in rows.items():
            connection.execute(row, {"program": one.key, "place": place, **reply._asdict()})
    prepare(book.engine, "here")
    assert recordings.load(book, one.key) == one
