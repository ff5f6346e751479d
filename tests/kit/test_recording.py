"""Recordings: replies are used again only where they are provably the same, and what is new is asked in a child."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autograder.grading.recording import NeedsChild, Recorder, Recording, no_child
from autograder.program import Program, Step
from autograder.results import Status
from autograder.sandbox import libraries
from autograder.sandbox.channel import Frame
from autograder.sandbox.replies import Failure, Stopped, probe_request
from autograder.sandbox.state import Snapshot
from autograder.sandbox.with_torch import TorchLibraries

CRASH = Failure(status=Status.CRASHED, message="gone")
Behaviour = Callable[[Sequence[bytes]], str | Failure]
"""What a program replies to the last request of a conversation."""


def stateless(asked: Sequence[bytes]) -> str | Failure:
    return f"saw {asked[-1].decode()}"


def counting(asked: Sequence[bytes]) -> str | Failure:
    return f"call {len(asked)}: {asked[-1].decode()}"


@dataclass(slots=True, kw_only=True)
class FakeRun:
    """A child that replies as its program behaves."""

    behaviour: Behaviour
    keeps: Callable[[Sequence[bytes]], bool]
    failure: Failure | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    disturbed: bool = False
    ended_in: str = ""
    stopped: Sequence[Stopped] = ()
    needs: Sequence[Sequence[int] | None] = ()
    asked: list[bytes] = field(default_factory=list)
    closed: bool = False

    def ask(self, request: bytes) -> Frame | Failure:
        self.asked.append(request)
        reply = self.behaviour(self.asked)
        if isinstance(reply, Failure):
            self.failure = reply
            return reply
        return reply.encode(), bytearray()

    def changed(self) -> bool:
        return self.keeps(self.asked)

    def kept(self) -> bool:
        return self.keeps(self.asked)

    def close(self) -> None:
        self.closed = True


class Children:
    """Starts fake children, and remembers them."""

    needs: Sequence[Sequence[int] | None] = ()

    def __init__(
        self, behaviour: Behaviour = stateless, keeps: Callable[[Sequence[bytes]], bool] | None = None
    ) -> None:
        self.behaviour = behaviour
        self.keeps = keeps or (lambda asked: behaviour is counting and bool(asked))
        self.runs: list[FakeRun] = []
        self.failure: Failure | None = None

    def __call__(self, program: Program, seed: int) -> FakeRun:
        run = FakeRun(behaviour=self.behaviour, keeps=self.keeps, failure=self.failure, needs=self.needs)
        self.runs.append(run)
        return run


def program(source: str = "def f(): pass") -> Program:
    return Program(notebook="hw", steps=(Step(label="Q1", source=source, question="Q1"),))


@dataclass(slots=True)
class Book:
    """What earlier runs recorded."""

    found: dict[bytes, Recording] = field(default_factory=dict)
    by_part: dict[bytes, bytes] = field(default_factory=dict)

    def __call__(self, key: bytes, /) -> Recording | None:
        return self.found.get(key)

    def parts(self, owner: str, /) -> dict[bytes, bytes]:
        return self.by_part if owner == "ada" else {}

    def recorder(
        self, children: Callable[[Program, int], FakeRun], setting: str = "s", any_probe: str = "p"
    ) -> Recorder:
        return Recorder(start=children, lookup=self, setting=setting, probes={}, any_probe=any_probe)

    def keep(self, recorder: Recorder) -> None:
        for one in recorder.take():
            known = self.found.setdefault(one.key, Recording(key=one.key, text=one.text))
            assert one.facts
            known.facts = known.facts.joined(one.facts) if known.facts else one.facts
            self.by_part |= dict.fromkeys(one.parts, one.key)
            for place, reply in one.replies.items():
                known.add(place, reply)


def converse(recorder: Recorder, requests: Sequence[bytes], source: str = "def f(): pass") -> list[str | Failure]:
    run = recorder(program(source), 1)
    replies = [run.ask(request, "Q1") for request in requests]
    run.close()
    return [reply if isinstance(reply, Failure) else reply[0].decode() for reply in replies]


def recorded(children: Children, *requests: bytes) -> Book:
    book = Book()
    recorder = book.recorder(children)
    converse(recorder, requests)
    book.keep(recorder)
    return book


def test_what_was_recorded_needs_no_child_in_any_order() -> None:
    book = recorded(Children(), b"a", b"b")
    replaying = Recorder(start=no_child, lookup=book, setting="s", probes={}, any_probe="p")
    assert converse(replaying, [b"b", b"a", b"b"]) == ["saw b", "saw a", "saw b"]
    with pytest.raises(NeedsChild):
        converse(replaying, [b"a", b"c"])


def test_where_calls_leave_something_behind_only_the_same_order_counts() -> None:
    book = recorded(Children(counting), b"a", b"b", b"c")
    children = Children(counting)
    assert converse(book.recorder(children), [b"a", b"b"]) == ["call 1: a", "call 2: b"]
    assert children.runs == []
    assert converse(book.recorder(children), [b"a", b"c"]) == ["call 1: a", "call 2: c"]
    assert [run.asked for run in children.runs] == [[b"a", b"c"]], "the child is asked what it missed first"


def test_a_new_request_is_asked_in_a_child_and_nothing_else_is() -> None:
    book, children = recorded(Children(), b"a", b"b"), Children()
    recorder = book.recorder(children)
    assert converse(recorder, [b"a", b"new", b"b"]) == ["saw a", "saw new", "saw b"]
    assert [(run.asked, run.closed) for run in children.runs] == [([b"new"], True)]
    book.keep(recorder)
    assert converse(book.recorder(children), [b"new", b"b"]) == ["saw new", "saw b"]
    assert len(children.runs) == 1


def test_a_new_request_that_leaves_something_behind_makes_the_order_count() -> None:
    def late(asked: Sequence[bytes]) -> str | Failure:
        return f"{asked[-1].decode()} after new" if b"new" in asked[:-1] else f"saw {asked[-1].decode()}"

    def keeps(asked: Sequence[bytes]) -> bool:
        return b"new" in asked

    book = recorded(Children(late, keeps), b"a", b"b")
    children = Children(late, keeps)
    assert converse(book.recorder(children), [b"a", b"new", b"b"]) == ["saw a", "saw new", "b after new"]


@pytest.mark.parametrize("changed", [{"setting": "other"}, {"any_probe": "other"}])
def test_other_settings_or_probes_are_asked_anew(changed: dict[str, str]) -> None:
    book, children = recorded(Children(), b"a"), Children()
    assert converse(book.recorder(children, **changed), [b"a"]) == ["saw a"]
    assert len(children.runs) == 1


def test_a_changed_probe_is_asked_anew_and_the_others_are_not() -> None:
    first, other = probe_request("first", {}, 1), probe_request("other", {}, 1)
    book = Book()
    sources = {"first": "1", "other": "1"}
    recorder = Recorder(start=Children(), lookup=book, setting="s", probes=sources)
    converse(recorder, [first, other])
    book.keep(recorder)
    children = Children()
    recorder = Recorder(start=children, lookup=book, setting="s", probes=sources | {"other": "2"})
    converse(recorder, [first, other])
    assert [run.asked for run in children.runs] == [[other]]


def test_another_program_or_seed_shares_nothing() -> None:
    book, children = recorded(Children(), b"a"), Children()
    recorder = book.recorder(children)
    converse(recorder, [b"a"], "def f(): return 1")
    run = recorder(program(), 2)
    run.ask(b"a", "Q1")
    run.close()
    assert len(children.runs) == 2


def test_failures_are_replies_too_but_get_their_second_chance_within_a_run() -> None:
    def crashing(asked: Sequence[bytes]) -> str | Failure:
        return CRASH if asked[-1] == b"bad" else stateless(asked)

    book, children = Book(), Children(crashing)
    recorder = book.recorder(children)
    for _ in range(2):
        assert converse(recorder, [b"a", b"bad", b"b"]) == ["saw a", CRASH, CRASH]
    assert len(children.runs) == 2
    book.keep(recorder)
    replaying = Recorder(start=no_child, lookup=book, setting="s", probes={}, any_probe="p")
    assert converse(replaying, [b"a", b"bad"]) == ["saw a", CRASH]
    with pytest.raises(NeedsChild):
        converse(replaying, [b"bad"])


def test_a_failure_that_does_not_come_again_is_forgotten() -> None:
    book, children = Book(), Children()
    recorder = book.recorder(children)
    children.behaviour = lambda asked: CRASH
    converse(recorder, [b"a"])
    children.behaviour = stateless
    converse(recorder, [b"a"])
    book.keep(recorder)
    assert converse(book.recorder(children), [b"a"]) == ["saw a"]
    assert len(children.runs) == 2


def test_a_program_that_does_not_finish_is_not_started_again_by_a_later_run() -> None:
    book, children = Book(), Children()
    children.failure = Failure(status=Status.TIMED_OUT, message="endless")
    recorder = book.recorder(children)
    assert converse(recorder, [b"a"]) == [children.failure]
    converse(recorder, [b"a"])
    assert len(children.runs) == 2, "within a run it gets its second chance"
    book.keep(recorder)
    assert converse(book.recorder(children), [b"a"]) == [children.failure]
    assert len(children.runs) == 2


def test_whether_calls_changed_something_is_recorded_at_its_place() -> None:
    book, asked = Book(), []
    recorder = book.recorder(Children(keeps=lambda asked: len(asked) >= 2))
    for source in (recorder, None):
        replay = source or Recorder(start=no_child, lookup=book, setting="s", probes={}, any_probe="p")
        run = replay(program(), 1)
        seen = []
        for request in (b"a", b"b"):
            run.ask(request, "Q1")
            seen.append(run.changed())
        run.close()
        asked.append(seen)
        if source:
            book.keep(recorder)
    assert asked == [[False, True], [False, True]]


# Programs of one student that have a part in common


def two_answers(first: str, second: str = "def g(): pass") -> Program:
    steps = (Step(label="Q1", source=first, question="Q1"), Step(label="Q2", source=second, question="Q2"))
    return Program(notebook="hw", steps=steps)


def hand_in(book: Book, children: Children, program: Program, owner: str = "ada") -> list[bytes]:
    """Ask for both questions of a program; return what its child was asked."""
    recorder, before = book.recorder(children), len(children.runs)
    recorder.begin(owner)
    run = recorder(program, 1)
    replies = [run.ask(request, question) for request, question in ((b"a", "Q1"), (b"b", "Q2"))]
    run.close()
    assert replies == [(b"saw a", bytearray()), (b"saw b", bytearray())]
    book.keep(recorder)
    return [request for run in children.runs[before:] for request in run.asked]


def test_a_changed_answer_costs_that_answer_and_the_other_keeps_its_replies() -> None:
    book, children = Book(), Children()
    children.needs = ([0], [1])
    assert hand_in(book, children, two_answers("def f(): return 1")) == [b"a", b"b"]
    assert hand_in(book, children, two_answers("def f(): return 2")) == [b"a"]
    assert hand_in(book, children, two_answers("def f(): return 3")) == [b"a"], "also from the second submission"
    replaying = Recorder(start=no_child, lookup=book, setting="s", probes={}, any_probe="p")
    run = replaying(two_answers("def f(): return 2"), 1)
    assert run.ask(b"b", "Q2") == (b"saw b", bytearray()), "the recording of each program is complete"


@pytest.mark.parametrize(
    ("needs", "owner", "asked"),
    [
        (([0], [0, 1]), "ada", [b"a", b"b"]),  # the second answer uses the first
        (([0], None), "ada", [b"a", b"b"]),  # it may use anything
        ((), "ada", [b"a", b"b"]),  # the child did not say
        (([0], [1]), "bob", [b"a", b"b"]),  # one student's code never speaks for another's
    ],
)
def test_replies_are_kept_only_for_the_same_code_of_the_same_student(
    needs: Sequence[Sequence[int] | None], owner: str, asked: list[bytes]
) -> None:
    book, children = Book(), Children()
    children.needs = needs
    hand_in(book, children, two_answers("def f(): return 1"))
    assert hand_in(book, children, two_answers("def f(): return 2"), owner) == asked


def test_a_part_of_a_program_whose_calls_leave_something_behind_is_asked_anew() -> None:
    book, children = Book(), Children(keeps=lambda asked: b"a" in asked)
    children.needs = ([0], [1])
    hand_in(book, children, two_answers("def f(): return 1"))
    assert hand_in(book, children, two_answers("def f(): return 2")) == [b"a", b"b"]


def test_declared_dependencies_belong_to_the_part() -> None:
    book, children = Book(), Children()
    children.needs = ([0], [1])
    for first, asked in (("def f(): return 1", [b"a", b"b"]), ("def f(): return 2", [b"a", b"b"])):
        recorder = replace(book.recorder(children), dependencies={"Q2": {"Q1"}})
        recorder.begin("ada")
        run = recorder(two_answers(first), 1)
        run.ask(b"a", "Q1")
        run.ask(b"b", "Q2")
        run.close()
        book.keep(recorder)
        assert children.runs[-1].asked == asked


REQUESTS = st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=4)


@given(st.lists(REQUESTS, max_size=4), REQUESTS, st.sampled_from([stateless, counting]))
def test_replies_are_those_of_a_fresh_child(before: list[list[bytes]], requests: list[bytes], how: Behaviour) -> None:
    book, children = Book(), Children(how)
    for conversation in before:
        recorder = book.recorder(children)
        converse(recorder, conversation)
        book.keep(recorder)
    fresh = [how(requests[: place + 1]) for place in range(len(requests))]
    assert converse(book.recorder(children), requests) == fresh


# What a child can tell of what calls leave behind


CODE = {
    "nothing": ("def f(): return 1", False),
    "a list that grows": ("seen = []\ndef f(): seen.append(1)", True),
    "a default that grows": ("def f(seen=[]): seen.append(1)", True),
    "an attribute of a function": ("def f(): f.calls = 1", True),
    "a closure": ("def g():\n    n = [0]\n    def f(): n[0] += 1\n    return f\nf = g()", True),
    "an attribute of a class": ("class C:\n    n = 0\ndef f(): C.n += 1", True),
    "an attribute of an object": ("class C: pass\nc = C()\ndef f(): c.n = 1", True),
    "a slot": ("class C:\n    __slots__ = ('n',)\nc = C()\nc.n = 1000\ndef f(): c.n += 1000", True),
    "a dict deep down": ("d = {'a': ([{}],)}\ndef f(): d['a'][0][0]['x'] = 1", True),
    "a generator": ("g = (n for n in range(3))\ndef f(): next(g)", True),
    "a cache": ("import functools\n@functools.cache\ndef h(n): return n\ndef f(): h(1)", True),
    "a tensor in place": ("t = torch.zeros(3)\ndef f(): t.add_(1)", True),
    "the data of a tensor": ("t = torch.zeros(3, requires_grad=True)\ndef f(): t.data += 1", True),
    "a gradient": ("t = torch.zeros(3, requires_grad=True)\ndef f(): t.sum().backward()", True),
    "a buffer of a layer": ("m = torch.nn.BatchNorm1d(3)\ndef f(): m(torch.randn(4, 3))", True),
    "a generator of random numbers": ("g = torch.Generator()\ndef f(): torch.randn(3, generator=g)", True),
    "a layer that is only used": ("m = torch.nn.Linear(3, 3)\ndef f(): m(torch.randn(4, 3))", False),
    "a layer of its own": ("def f():\n    m = torch.nn.BatchNorm1d(3)\n    m(torch.randn(4, 3))", False),
    "an array": ("a = np.zeros(3)\ndef f(): a[0] = 1", True),
    "a set": ("s = set()\ndef f(): s.add(1)", True),
}


@pytest.mark.parametrize(("code", "kept"), CODE.values(), ids=CODE)
def test_what_calls_leave_behind_is_seen(code: str, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "current", TorchLibraries())
    module = ModuleType("__main__")
    exec("import torch\nimport numpy as np\n" + code, module.__dict__)
    torch.manual_seed(0)
    snapshot = Snapshot([module])
    module.__dict__["f"]()
    assert snapshot.is_as_it_was() is not kept
