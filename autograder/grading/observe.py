"""The conversation between a hidden test and a child: `observe`, and a memory of what came of it before.

A hidden test sees nothing but observations and draws nothing at random, so the same replies always lead it to the same
verdict. The memory uses that: it knows what each test asks, and what it said to replies that were seen before. Inputs
and expected values are then computed once a batch and not once a student; only a reply that nobody gave before makes
the test run.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autograder.sandbox.channel import Frame, Value
from autograder.sandbox.client import Failure, FailureKind, Run, Sandbox, probe_request, read_reply
from autograder.submissions.reassemble import Program

RESTARTS = 1
"""How often a question gets a fresh child after a crash; a time-out ends the question at once."""


Observe = Callable[..., "Observation"]
"""`observe("probe", **inputs)`: what the probe saw when it ran beside the student's code on these inputs."""


class NoObservation(Exception):
    """Raised by `observe` in a hidden test when there is nothing to judge: error, time-out, crash."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Observation(Mapping[str, Value]):
    """The named values that a probe returned. A name that is missing was never sent: the reply was forged."""

    def __init__(self, seen: Mapping[str, Value]) -> None:
        self._seen = seen

    def __getitem__(self, name: str) -> Value:
        if name not in self._seen:
            raise NoObservation(Failure(kind=FailureKind.CRASHED, message=f"the answer had no value {name!r}"))
        return self._seen[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)


class Child:
    """A child of the sandbox for one question: started when first asked, started again after a crash."""

    def __init__(
        self, sandbox: Sandbox, programs: Sequence[Program], defines: Mapping[str, Sequence[str]], seed: int
    ) -> None:
        """programs: what to execute, and what to fall back on when that does not come to its end."""
        self._sandbox = sandbox
        self._programs = list(programs)
        self._defines = defines
        self._seed = seed
        self._run: Run | None = None
        self._restarts = RESTARTS
        self._given_up: Failure | None = None
        self.errors: Mapping[str, str] = {}
        self.flags: list[str] = []
        self.left_out_added = False
        self.disturbed = False  # by code that this question can be graded without

    def ask(self, request: bytes) -> Frame | Failure:
        """The reply to a request, or the failure in its place."""
        run = self._ready()
        if isinstance(run, Failure):
            return run
        reply = run.ask(request)
        if isinstance(reply, Failure):
            self.close()
            self.disturbed |= reply.kind is FailureKind.CRASHED and len(self._programs) > 1
            self._restarts -= 1
            if reply.kind is FailureKind.TIMED_OUT or self._restarts < 0:
                self._given_up = reply
        return reply

    def _ready(self) -> Run | Failure:
        """A run that executed the program; a program that never ends is tried again without the added code."""
        if self._given_up:
            return self._given_up
        while self._run is None:
            run = start(self._sandbox, self._programs[0], self._defines, self._seed)
            if run.failure is None:
                self._run = run
                self.errors = dict(run.errors)
                self.disturbed |= run.disturbed and len(self._programs) > 1
            elif len(self._programs) > 1:
                self.flags.append(f"code outside the regions was left out: {run.failure.message}")
                self.left_out_added = True
                del self._programs[0]
            else:
                self._given_up = run.failure
                return run.failure
        return self._run

    def close(self) -> None:
        if self._run:
            self._run.close()
            self._run = None


def start(sandbox: Sandbox, program: Program, defines: Mapping[str, Sequence[str]], seed: int) -> Run:
    """A run of what comes after the given cells that every submission shares."""
    prologue = next(i for i, step in enumerate(program.steps) if step.question or step.added)
    return sandbox.start(program.notebook, program.steps[prologue:], defines, seed)


class Observer:
    """The `observe` of one question of one submission. Asking twice gives the same observation."""

    def __init__(self, child: Child | Run, question: str, seed: int) -> None:
        """seed: of the random numbers that the student's code draws."""
        self._child = child
        self._question = question
        self._seed = seed
        self._replies: dict[bytes, Frame | Failure] = {}
        self._seen: dict[bytes, Observation | Failure] = {}
        self.conversation: list[tuple[bytes, bytes | None]] = []

    def __call__(self, probe: str, /, **inputs: Value) -> Observation:
        request = probe_request(probe, inputs, self._seed)
        self.conversation.append((request, self.ask(request)))
        if request not in self._seen:
            self._seen[request] = self._read(self._replies[request])
        seen = self._seen[request]
        if isinstance(seen, Failure):
            raise NoObservation(seen)
        return seen

    def ask(self, request: bytes) -> bytes | None:
        """A digest of the reply to a request; None for a failure that is no reply, as it may not come again."""
        if request not in self._replies:
            self._replies[request] = self._child.ask(request)
        reply = self._replies[request]
        if isinstance(reply, Failure):
            return None
        error = self._child.errors.get(self._question, "").encode(errors="replace")
        # Each part for itself: a forged frame may hold another's bytes, split at another place.
        return _digest(b"".join(_digest(bytes(part)) for part in (*reply, error)))

    def _read(self, reply: Frame | Failure) -> Observation | Failure:
        seen = read_reply(reply)
        if not isinstance(seen, Failure):
            return Observation(seen)
        own = self._child.errors.get(self._question) if seen.kind is FailureKind.ERROR else None
        return Failure(kind=seen.kind, message=own) if own else seen


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a hidden test's case said: a status, the reason where it is not `passed`, a flag where there is one."""

    status: str
    message: str
    flag: str = ""


@dataclass(slots=True)
class Memory:
    """Verdicts by the replies that led to them, and what each case asks on the way there.

    A conversation is a path: from a case over the digests of its replies. Each place on it holds the next request, or
    the verdict at its end. The places that were used longest ago are forgotten beyond `most`.
    """

    most: int = 20_000
    most_requests: int = 2_000
    _places: OrderedDict[bytes, bytes | Verdict] = field(default_factory=OrderedDict)
    _requests: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many places and requests are kept."""
        return len(self._places) + len(self._requests)

    def requests(self) -> list[bytes]:
        """Every request that was ever made, in the order of its first time."""
        return list(self._requests.values())

    def recall(self, case: str, ask: Callable[[bytes], bytes | None]) -> Verdict | None:
        """The verdict on the replies to what the case asks, None when they are new."""
        place = _digest(case.encode())
        while isinstance(known := self._places.get(place), bytes):
            self._places.move_to_end(place)
            reply = ask(self._requests[known])
            if reply is None:
                return None
            place = _digest(place + reply)
        if known:
            self._places.move_to_end(place)
        return known

    def record(self, case: str, conversation: Sequence[tuple[bytes, bytes | None]], verdict: Verdict) -> None:
        """Keep what a case asked and was told, and what it said to that."""
        place = _digest(case.encode())
        for request, reply in conversation:
            key = _digest(request)
            if reply is None or (key not in self._requests and len(self._requests) >= self.most_requests):
                return
            self._requests.setdefault(key, request)
            self._places[place] = key
            place = _digest(place + reply)
        self._places[place] = verdict
        while len(self._places) > self.most:
            self._places.popitem(last=False)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
