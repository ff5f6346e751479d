"""The memory of verdicts: it answers only for conversations that it has seen whole, and stays small."""

from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.grading.memory import Memory, Verdict
from autograder.grading.observe import NoObservation, Observation, Observer
from autograder.results import Status
from autograder.sandbox.channel import Frame
from autograder.sandbox.client import Run

PASSED = Verdict(Status.PASSED, "")
CASES = st.sampled_from(["B3/one/0", "B3/one/1", "B4/two/0"])
EXCHANGE = st.tuples(st.sampled_from([b"ask 1", b"ask 2", b"ask 3"]), st.sampled_from([b"a", b"b", b"c"]))


def conversation_of(case: str, replies: Sequence[bytes]) -> list[tuple[bytes, bytes | None]]:
    """What a deterministic test asks: the next request depends on the case and the replies so far."""
    return [(f"{case} {b'/'.join(replies[:i])!r}".encode(), reply) for i, reply in enumerate(replies)]


def verdict_of(case: str, replies: Sequence[bytes]) -> Verdict:
    return Verdict(Status.FAILED, f"{case} was told {list(replies)}")


class Replies:
    """Gives replies one after the other, and notes what it was asked."""

    def __init__(self, replies: Sequence[bytes]) -> None:
        self.left = list(replies)
        self.asked: list[bytes] = []

    def __call__(self, request: bytes) -> bytes | None:
        self.asked.append(request)
        return self.left.pop(0) if self.left else None


REPLIES = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=3, max_size=3)


@given(st.lists(st.tuples(CASES, REPLIES)), CASES, REPLIES)
def test_a_verdict_is_recalled_for_the_same_replies_and_for_no_others(
    known: list[tuple[str, list[bytes]]], case: str, replies: list[bytes]
) -> None:
    memory = Memory()
    for one, told in known:
        memory.record(one, conversation_of(one, told), verdict_of(one, told))
    ask = Replies(replies)
    found = memory.recall(case, ask)
    if (case, replies) in known:
        assert found == verdict_of(case, replies)
        assert ask.asked == [request for request, _ in conversation_of(case, replies)]
    else:
        assert found is None


def test_what_may_not_come_again_is_not_kept() -> None:
    memory = Memory()
    memory.record("B3/one/0", [(b"ask", b"a"), (b"ask more", None)], Verdict(Status.CRASHED, "ended by SIGSEGV"))
    assert memory.recall("B3/one/0", Replies([b"a", b"b"])) is None


def test_a_case_that_asks_nothing_has_a_verdict() -> None:
    memory = Memory()
    memory.record("B3/one/0", [], PASSED)
    assert memory.recall("B3/one/0", Replies([])) == PASSED


def test_the_memory_stays_small_and_forgets_what_was_not_used() -> None:
    memory = Memory(most=50, most_requests=30)
    memory.record("often", [(b"ask", b"a")], PASSED)
    for number in range(100):
        assert memory.recall("often", Replies([b"a"])) == PASSED
        memory.record("odd", [(b"ask", str(number).encode())], PASSED)
        memory.record("new request", [(str(number).encode(), b"a")], PASSED)
    assert memory.size <= 50 + 30
    assert memory.recall("odd", Replies([b"0"])) is None
    assert memory.recall("odd", Replies([b"99"])) == PASSED


class Replier:
    """A child that gives one reply to everything."""

    def __init__(self, reply: Frame, error: str = "") -> None:
        self.reply = reply
        self.errors = {"B3": error}

    def ask(self, request: bytes, question: str) -> Frame:
        return self.reply


@pytest.mark.parametrize(
    "forged",
    [
        Replier((b"head", bytearray(b"erbody"))),
        Replier((b"headerbody", bytearray())),
        Replier((b"header", bytearray(b"bo")), "dy"),
    ],
    ids=["another split", "no body", "the rest in an error"],
)
def test_a_forged_frame_is_never_taken_for_the_reply_whose_bytes_it_holds(forged: Replier) -> None:
    """Else the verdict on it would be remembered for everybody who gives the right reply."""
    honest = Replier((b"header", bytearray(b"body")))
    digests = [Observer(cast(Run, one), "B3", seed=1).ask(b"ask") for one in (honest, forged)]
    assert digests[0] != digests[1]


def test_a_name_that_the_reply_lacks_ends_the_test_unless_it_is_optional() -> None:
    seen = Observation({"y": 1.0, "none": None})
    assert seen.get("x") is None
    assert seen.get("x", 2.0) == 2.0
    assert "x" not in seen
    assert "none" in seen
    with pytest.raises(NoObservation, match="no value 'x'"):
        seen["x"]
