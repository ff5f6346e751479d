"""Recordings: what a child answered, kept so that it need not be asked again.

A `Recorder` stands in front of what makes children. Where a program ran before, with the same libraries, limits, data
and probes, its replies come from the recording and no child is started; what was never asked is asked in a real child,
and recorded. So a changed hidden test is judged anew without running code, and identical work is done once.

A reply may depend on what was asked before it, as code can keep state. Each is therefore recorded at its place: the
digest of everything that was asked in its child up to it. It serves other orders of asking only where every child of
the program said that its calls left nothing behind (`Facts.kept`); else only the same requests in the same order.

A student who hands in again with one changed answer has a new program, of which most questions use the same code as
before. So a program is also found by the part that a question needs (`Recorder.part`), for its student only: code of
other questions runs in the same child, and one student's code must never speak for another's.
"""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from autograder.grading.memory import digest
from autograder.grading.observe import Running
from autograder.program import Program
from autograder.sandbox.channel import Frame
from autograder.sandbox.replies import Failure, Stopped, probe_of

START = b""
"""The place before anything was asked."""
LOOK = b"changed"
"""What stands for the question whether calls changed what all code shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How a program ended, besides its replies.

    failure: where it did not finish; errors: by step; disturbed: whether a step changed what others find
    stopped, ended_in: what failed outside the answers, and the added code that ended the program
    kept: whether calls left anything behind; True where some child could not be asked after its last reply
    """

    failure: Failure | None
    errors: Mapping[str, str]
    disturbed: bool
    stopped: tuple[Stopped, ...] = ()
    ended_in: str = ""
    kept: bool = False

    @property
    def stateless(self) -> bool:
        """Whether replies may be taken in any order."""
        return not self.kept and not self.disturbed and self.failure is None

    def joined(self, later: "Facts") -> "Facts":
        """Return these facts with what a later child of the program says; a failure that did not come again is over."""
        best = later if self.failure and not later.failure else self
        return replace(best, kept=self.kept or later.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What was answered to a request, by its key: a frame, a failure, or to LOOK yes or no."""

    request: bytes
    answer: Frame | Failure | bool


@dataclass(slots=True, kw_only=True)
class Recording:
    """One program as it ran: its text, what became of it, and its replies by their places.

    facts: None before it ran; parts: what its questions need of it, by digest
    """

    key: bytes
    text: str
    facts: Facts | None = None
    replies: dict[bytes, Reply] = field(default_factory=dict)
    parts: set[bytes] = field(default_factory=set)
    _by_request: dict[bytes, Reply] = field(default_factory=dict)

    def add(self, place: bytes, reply: Reply) -> None:
        """Keep a reply; one that is there already stays, unless it is a failure that did not come again."""
        before = self.replies.get(place)
        if before is None or (isinstance(before.answer, Failure) and not isinstance(reply.answer, Failure)):
            self.replies[place] = reply
            if not isinstance(reply.answer, Failure):
                self._by_request.setdefault(reply.request, reply)

    def find(self, place: bytes, request: bytes, *, any_order: bool) -> Reply | None:
        """Return the reply at a place; any_order: or to the same request at another one."""
        return self.replies.get(place) or (self._by_request.get(request) if any_order else None)


@functools.lru_cache(maxsize=2000)
def _request_digest(request: bytes) -> bytes:
    """Return the digest of a request; hidden tests make the same requests for every submission."""
    return digest(request)


class NeedsChild(BaseException):
    """Something was asked that is not recorded, where no child may be started.

    Not an Exception, so that no hidden test is taken to have raised it.
    """


class Lookup(Protocol):
    """Finds what earlier runs recorded."""

    def __call__(self, key: bytes, /) -> Recording | None:
        """Return the recording of a program by its key."""
        ...

    def parts(self, owner: str, /) -> Mapping[bytes, bytes]:
        """Return the keys of a student's programs by the parts that their questions need."""
        ...


class Watched(Protocol):
    """A child that can also be asked whether calls left anything behind for later ones.

    needs: for each step of the program the numbers of those that it needs, None where that cannot be told
    """

    failure: Failure | None
    errors: Mapping[str, str]
    disturbed: bool
    ended_in: str
    needs: Sequence[Sequence[int] | None]

    @property
    def stopped(self) -> Sequence[Stopped]: ...

    def ask(self, request: bytes) -> Frame | Failure: ...

    def changed(self) -> bool: ...

    def kept(self) -> bool: ...

    def close(self) -> None: ...


Start = Callable[[Program, int], Watched]


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Makes runs that answer from recordings where they can.

    start: makes real children; lookup: finds what earlier runs recorded
    setting: a digest of all that decides a reply besides the program: libraries, limits, release, data
    probes: the digest of each probe's source, by name; any_probe: that of all of them, for a name that is not there
    dependencies: for each question those that it builds on
    """

    start: Start
    lookup: Lookup
    setting: str
    probes: Mapping[str, str]
    any_probe: str = ""
    dependencies: Mapping[str, Collection[str]] = field(default_factory=dict)
    _owner: str = ""
    _parts: Mapping[bytes, bytes] = field(default_factory=dict)
    _new: dict[bytes, Recording] = field(default_factory=dict)
    _known: dict[bytes, Recording | None] = field(default_factory=dict)

    def begin(self, owner: str) -> None:
        """Look up what was recorded of this student's earlier submissions; the programs that follow are theirs."""
        self._owner, self._parts = owner, self.lookup.parts(owner)

    def __call__(self, program: Program, seed: int) -> Running:
        text = program.text()
        key = self._key(seed, text)
        return RecordedRun(self, program, seed, text, key)

    def _key(self, seed: int, *texts: str) -> bytes:
        parts = [self.setting, str(seed), *texts]
        return digest(b"".join(digest(part.encode(errors="surrogatepass")) for part in parts))

    def part(self, program: Program, seed: int, needs: Sequence[Sequence[int] | None], question: str) -> bytes | None:
        """Return what stands for all that can decide a question's replies, None where that may be everything."""
        if not self._owner or len(needs) != len(program.own):
            return None
        wanted = {question, *self.dependencies.get(question, ())}
        numbers: set[int] = set()
        for step, needed in zip(program.own, needs, strict=True):
            if step.question in wanted:
                if needed is None:
                    return None
                numbers.update(needed)
        return self._key(seed, program.text(numbers), self._owner)

    def earlier(self, part: bytes) -> Recording | None:
        """Return the recording of a program of the same student with the same part."""
        key = self._parts.get(part)
        return self.known(key) if key else None

    def request_key(self, request: bytes) -> bytes:
        """Return what stands for a request: its bytes, and the source of the probe that it names."""
        return digest(_request_digest(request) + self.probes.get(probe_of(request), self.any_probe).encode())

    def known(self, key: bytes) -> Recording | None:
        """Return what an earlier run recorded of a program."""
        if key not in self._known:
            self._known[key] = self.lookup(key)
        return self._known[key]

    def new(self, key: bytes, text: str) -> Recording:
        """Return the recording that what children say now is added to."""
        return self._new.setdefault(key, Recording(key=key, text=text))

    def take(self) -> tuple[Recording, ...]:
        """Return what was recorded since the last call, and forget what is known so far."""
        taken = tuple(one for one in self._new.values() if one.facts)
        self._new.clear()
        self._known.clear()
        return taken


class RecordedRun:
    """A run that answers from recordings, and starts a child only for what is not in them.

    Failures are only taken from what an earlier run recorded: within one, code that failed gets its second chance.
    """

    def __init__(self, recorder: Recorder, program: Program, seed: int, text: str, key: bytes) -> None:
        self._start = functools.partial(recorder.start, program, seed)
        self._part = functools.cache(functools.partial(recorder.part, program, seed))
        self._earlier = recorder.earlier
        self._request_key = recorder.request_key
        self._known = recorder.known(key)
        self._new = recorder.new(key, text)
        self._run: Watched | None = None
        self._live = False  # whether the child was asked everything so far, in this order
        self._needs: tuple[tuple[int, ...] | None, ...] = ()  # of the program's steps, if it was started
        self._exact = False  # whether a call of this run left something behind, so that the order of asking counts
        self._asked: list[bytes] = []
        self._place = START
        facts = self._facts() or self._begin()
        self.failure = facts.failure
        self.errors, self.disturbed = facts.errors, facts.disturbed
        self.stopped, self.ended_in = facts.stopped, facts.ended_in

    def _facts(self) -> Facts | None:
        """Return what is known of the program, None where it must run: it never did, or failed in this very run."""
        known, new = self._known.facts if self._known else None, self._new.facts
        if known is None:
            return None if new and new.failure else new
        return known.joined(new) if new else known

    def _stateless(self) -> bool:
        facts = None if self._exact else self._facts()
        return facts is not None and facts.stateless

    def _begin(self) -> Facts:
        """Start a child; where its replies could depend on it, ask what was asked so far."""
        mixed = self._stateless()
        self._run = run = self._start()
        facts = Facts(
            failure=run.failure,
            errors=dict(run.errors),
            disturbed=run.disturbed,
            stopped=tuple(run.stopped),
            ended_in=run.ended_in,
        )
        self._needs = tuple(one if one is None else tuple(one) for one in run.needs)
        self._new.facts = self._new.facts.joined(facts) if self._new.facts else facts
        for request in () if mixed else self._asked:
            run.ask(request)
        self._live = not mixed
        return facts

    def ask(self, request: bytes, question: str) -> Frame | Failure:
        """Return the reply to a request, or the failure instead. After a time-out or crash it is every reply."""
        if self.failure:
            return self.failure
        key = self._request_key(request)
        place = digest(self._place + key)
        answer = self._recorded(place, key)
        if answer is None:
            answer = self._of_part(place, key, question)
        if answer is None:
            answer = self._child().ask(request)
            self._new.add(place, Reply(request=key, answer=answer))
            self._check()
        self._asked.append(request)
        self._place = place
        assert not isinstance(answer, bool), "yes and no are answers to LOOK alone"
        if isinstance(answer, Failure):
            self.failure = answer
        return answer

    def _of_part(self, place: bytes, request: bytes, question: str) -> Frame | None:
        """Return the reply that an earlier program of the student gave, with the same code for this question."""
        part = self._part(self._needs, question) if self._stateless() else None
        if part is None:
            return None
        self._new.parts.add(part)
        earlier = self._earlier(part)
        if earlier is None or earlier.facts is None or not earlier.facts.stateless:
            return None
        reply = earlier.find(place, request, any_order=True)
        if reply is None or not isinstance(reply.answer, tuple):
            return None
        self._new.add(place, reply)
        self._live = False
        return reply.answer

    def _child(self) -> Watched:
        """Return the child, which has seen whatever its next reply may depend on."""
        if self._run and not self._live and not self._stateless():
            self._end()
        if self._run is None:
            self._begin()
        assert self._run is not None
        return self._run

    def _recorded(self, place: bytes, key: bytes) -> Frame | Failure | bool | None:
        """Return what is recorded at this place, or to this request where the order does not count."""
        if self._live:
            return None
        stateless = self._stateless()
        reply = self._known.find(place, key, any_order=stateless) if self._known else None
        if reply is None:
            reply = self._new.find(place, key, any_order=stateless)
            if reply and isinstance(reply.answer, Failure):
                return None
        return reply.answer if reply else None

    def _check(self) -> None:
        """Where a child saw only a part of the conversation, make sure that this call left nothing behind."""
        if not self._live and self._run and self._run.failure is None and self._run.kept():
            self._exact = True
            self._remember_kept()

    def changed(self) -> bool:
        """Return whether calls changed what all code shares since the program ran, by what the child says."""
        if self.failure:
            return True
        if not self._live and self._stateless():
            return False
        place = digest(self._place + LOOK)
        answer = self._recorded(place, LOOK)
        if isinstance(answer, bool):
            return answer
        changed = self._child().changed()
        self._new.add(place, Reply(request=LOOK, answer=changed))
        if changed:
            self._remember_kept()
        return changed

    def _remember_kept(self) -> None:
        assert self._new.facts is not None, "a child that ran has facts"
        self._new.facts = replace(self._new.facts, kept=True)

    def _end(self) -> None:
        """End the child, after asking whether its calls left anything behind."""
        run, self._run, self._live = self._run, None, False
        if run is not None:
            if run.failure or run.kept():
                self._remember_kept()
            run.close()

    def close(self) -> None:
        """End the child, if there is one. Calling it again does nothing."""
        self._end()


def no_child(program: Program, seed: int) -> Watched:
    """Stand for what makes children where none may be started: judging recordings anew."""
    raise NeedsChild(program.notebook)
