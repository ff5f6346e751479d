"""Observations: what probes saw in a child of the sandbox, requested by hidden tests.

A hidden test calls `observe`; the request goes to a child, and the reply comes back as an Observation, or NoObservation
is raised. `RunFactory` starts children, so that recordings can take their place.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from autograder.grading.memory import digest
from autograder.program import Program
from autograder.results import Flag, Status
from autograder.sandbox.channel import Frame, Value
from autograder.sandbox.replies import Failure, Stopped, probe_request, read_reply

RESTARTS = 1
"""Children per question after crashes; a time-out ends the question at once."""
MAX_LEFT_OUT = 2
"""Pieces of added code left out because they end the program; each costs a run. Beyond that, all are left out."""


class Running(Protocol):
    """An executed program that answers requests, in a child or from a recording."""

    failure: Failure | None
    errors: Mapping[str, str]
    disturbed: bool
    ended_in: str

    @property
    def stopped(self) -> Sequence[Stopped]: ...

    def ask(self, request: bytes, question: str) -> Frame | Failure: ...

    def changed(self) -> bool: ...

    def close(self) -> None: ...


RunFactory = Callable[[Program, int], Running]
"""Starts a child that executes a program, with its random numbers seeded."""

Observe = Callable[..., "Observation"]
"""`observe("probe", **inputs)`: what the probe saw when it ran with the student's code on these inputs."""


class NoObservation(Exception):
    """Raised by `observe` in a hidden test if there is nothing to judge: error, time-out, crash."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Observation(Mapping[str, Value]):
    """The named values that a probe returned. A missing name means that the reply was forged."""

    def __init__(self, seen: Mapping[str, Value]) -> None:
        self._seen = seen

    def __getitem__(self, name: str) -> Value:
        if name not in self._seen:
            raise NoObservation(Failure(status=Status.CRASHED, message=f"the reply has no value {name!r}"))
        return self._seen[name]

    def __contains__(self, name: object) -> bool:
        return name in self._seen

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, or the default where the reply has none."""
        return self._seen.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)


class Starter:
    """Starts the programs of one notebook of one submission; added code that ended its program is left out next time.

    It is left out only from programs with the same combination of code: in others it may do no harm.
    flags: about the code that was left out
    """

    def __init__(self, start: RunFactory) -> None:
        self._start = start
        self._left_out: dict[tuple[str, ...], list[str]] = {}
        self.flags: list[Flag] = []

    def __call__(self, program: Program, seed: int) -> Running:
        """Start a program, without added code that ended it before; at most MAX_LEFT_OUT times."""
        left_out = self._left_out.setdefault(tuple(step.label for step in program.steps), [])
        while True:
            run = self._start(program.without(left_out), seed)
            if run.failure is None or not run.ended_in or len(left_out) == MAX_LEFT_OUT:
                return run
            left_out.append(run.ended_in)
            text = f"{run.ended_in} was left out: {run.failure.message}"
            self.flags.append(Flag(kind="added_code_left_out", text=text))


class Child:
    """A child of the sandbox for one question: started by the first request, and again after a crash."""

    def __init__(self, start: RunFactory, programs: Sequence[Program], seed: int) -> None:
        """programs: what to execute, followed by fallbacks in case it does not finish."""
        self._start = start
        self._programs = list(programs)
        self._seed = seed
        self._run: Running | None = None
        self._restarts = RESTARTS
        self._given_up: Failure | None = None
        self.errors: Mapping[str, str] = {}
        self.stopped: Sequence[Stopped] = ()
        self.flags: list[Flag] = []
        self.left_out_added = False
        self.disturbed = False  # by code that this question does not need

    def ask(self, request: bytes, question: str) -> Frame | Failure:
        """Return the reply to a request of this question's tests, or the failure instead."""
        run = self._ready()
        if isinstance(run, Failure):
            return run
        reply = run.ask(request, question)
        if isinstance(reply, Failure):
            self.close()
            self.disturbed |= reply.status is Status.CRASHED and len(self._programs) > 1
            self._restarts -= 1
            if reply.status is Status.TIMED_OUT or self._restarts < 0:
                self._given_up = reply
        return reply

    def _ready(self) -> Running | Failure:
        """Return a run that executed the program; one that never ends is tried again without added code."""
        if self._given_up:
            return self._given_up
        while self._run is None:
            run = self._start(self._programs[0], self._seed)
            if run.failure is None:
                self._run = run
                self.errors = dict(run.errors)
                self.stopped = tuple(run.stopped)
                self.disturbed |= run.disturbed and len(self._programs) > 1
            elif len(self._programs) > 1:
                text = f"code outside the regions was left out: {run.failure.message}"
                self.flags.append(Flag(kind="added_code_left_out", text=text))
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


class StoredFrame(tuple[bytes, bytearray]):
    """A frame from a recording, whose digest is computed once however often it is judged."""

    @functools.cached_property
    def digest(self) -> bytes:
        return _digest_of((self[0], self[1]))


def _digest_of(frame: Frame) -> bytes:
    """Return the digest of a frame: of each part for itself, as a forged one may be split at another place."""
    if isinstance(frame, StoredFrame):
        return frame.digest
    header, body = frame
    return digest(digest(header) + digest(body))


class Observer:
    """The `observe` of one question of one submission. Asking twice gives the same observation."""

    def __init__(self, child: Child | Running, question: str, seed: int) -> None:
        """seed: of the student's random numbers."""
        self._child = child
        self._question = question
        self._seed = seed
        self._replies: dict[bytes, Frame | Failure] = {}
        self._seen: dict[bytes, Observation | Failure] = {}
        self.conversation: list[tuple[bytes, bytes | None]] = []

    def __call__(self, probe: str, /, **inputs: Value) -> Observation:
        request = probe_request(probe, inputs, self._seed)
        self.conversation.append((request, self.ask(request)))
        return self._observation(request)

    def again(self, probe: str, /, **inputs: Value) -> Observation:
        """Return what a request of the conversation saw. Raises NoObservation for any other: nothing is asked."""
        request = probe_request(probe, inputs, self._seed)
        if all(request != one for one, _ in self.conversation):
            raise NoObservation(Failure(status=Status.ERROR, message="the hidden test did not ask for this"))
        return self._observation(request)

    def _observation(self, request: bytes) -> Observation:
        if request not in self._seen:
            self._seen[request] = self._read(self._replies[request])
        seen = self._seen[request]
        if isinstance(seen, Failure):
            raise NoObservation(seen)
        return seen

    def ask(self, request: bytes) -> bytes | None:
        """Return a digest of the reply to a request; None for a failure, which may not occur again."""
        if request not in self._replies:
            self._replies[request] = self._child.ask(request, self._question)
        reply = self._replies[request]
        if isinstance(reply, Failure):
            return None
        error = self._child.errors.get(self._question, "").encode(errors="replace")
        return digest(_digest_of(reply) + digest(error))

    def _read(self, reply: Frame | Failure) -> Observation | Failure:
        seen = read_reply(reply)
        if not isinstance(seen, Failure):
            return Observation(seen)
        own = self._child.errors.get(self._question) if seen.status is Status.ERROR else None
        return Failure(status=seen.status, message=own) if own else seen
