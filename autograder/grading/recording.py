"""Recordings: what a child answered, kept so that it need not be asked again.

A `Recorder` stands in front of what makes children. Where a program ran before, with the same libraries, limits, data
and probes, its replies come from the recording and no child is started; what was never asked is asked in a real child,
and recorded. So a changed hidden test is judged anew without running code, and identical work is done once.

Replies depend on what was asked before only where code keeps state. A child says whether calls changed what all code
shares; where they did, a recording serves only the same requests in the same order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autograder.grading.memory import digest
from autograder.grading.observe import RunFactory, Running
from autograder.program import Program
from autograder.sandbox.channel import Frame
from autograder.sandbox.client import Failure, Stopped, probe_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How a program ended, besides its replies.

    failure: where it did not finish; errors: by step; disturbed: whether a step changed what others find
    stopped, ended_in: what failed outside the answers, and the added code that ended the program
    looked: whether the child was asked, after its last reply, if calls of probes changed what all code shares
    changed_after: after how many replies it first said so
    """

    failure: Failure | None
    errors: Mapping[str, str]
    disturbed: bool
    stopped: tuple[Stopped, ...] = ()
    ended_in: str = ""
    looked: bool = False
    changed_after: int | None = None

    @property
    def stateless(self) -> bool:
        """Whether replies may be taken in any order, by what the child said."""
        return self.looked and self.changed_after is None and not self.disturbed


@dataclass(slots=True, kw_only=True)
class Recording:
    """One program as it ran: its text, what became of it, and its replies by request, in the order of asking."""

    key: bytes
    text: str
    facts: Facts
    replies: dict[bytes, Frame | Failure] = field(default_factory=dict)


class NeedsChild(BaseException):
    """Something was asked that is not recorded, where no child may be started.

    Not an Exception, so that no hidden test is taken to have raised it.
    """


Lookup = Callable[[bytes], Recording | None]
"""Find the recording of a program by its key."""


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Makes runs that answer from recordings where they can.

    start: makes real children; lookup: finds what earlier runs recorded
    setting: a digest of all that decides a reply besides the program: libraries, limits, release, data
    probes: the digest of each probe's source, by name
    new: what was recorded since it was last taken
    """

    start: RunFactory
    lookup: Lookup
    setting: str
    probes: Mapping[str, str]
    new: list[Recording] = field(default_factory=list)

    def __call__(self, program: Program, seed: int) -> Running:
        text = program.text()
        key = digest(b"\0".join([self.setting.encode(), str(seed).encode(), text.encode(errors="surrogatepass")]))
        known = self.lookup(key) or next((one for one in self.new if one.key == key), None)
        return RecordedRun(self, program, seed, text, key, known)

    def request_key(self, request: bytes) -> bytes:
        """Return what a reply is recorded under: the request, and the source of the probe that it names."""
        return digest(request + self.probes.get(probe_of(request), "").encode())

    def take(self) -> list[Recording]:
        """Return what was recorded since the last call."""
        taken, self.new = self.new, []
        return taken


class RecordedRun:
    """A run that answers from a recording, and starts a child only for what is not in it."""

    def __init__(
        self, recorder: Recorder, program: Program, seed: int, text: str, key: bytes, known: Recording | None
    ) -> None:
        self._recorder = recorder
        self._program = program
        self._seed = seed
        self._known = known
        self._run: Running | None = None
        self._asked: list[bytes] = []
        self._made = Recording(key=key, text=text, facts=known.facts if known else _NOTHING)
        if known is None:
            self._begin()
        self.failure = self._made.facts.failure
        self.errors = self._made.facts.errors
        self.disturbed = self._made.facts.disturbed
        self.stopped = self._made.facts.stopped
        self.ended_in = self._made.facts.ended_in

    def _begin(self) -> Running:
        """Start a real child, and bring it to where the conversation is."""
        self._run = run = self._recorder.start(self._program, self._seed)
        self._made.facts = Facts(
            failure=run.failure,
            errors=dict(run.errors),
            disturbed=run.disturbed,
            stopped=tuple(run.stopped),
            ended_in=run.ended_in,
        )
        self._recorder.new.append(self._made)
        for request in self._asked:
            run.ask(request)
        return run

    def ask(self, request: bytes) -> Frame | Failure:
        """Return the reply to a request, or the failure instead. After a time-out or crash it is every reply."""
        if self.failure:
            return self.failure
        key = self._recorder.request_key(request)
        reply = self._recorded(key)
        if reply is None:
            reply = (self._run or self._begin()).ask(request)
            self._made.replies.setdefault(key, reply)
        self._asked.append(request)
        if isinstance(reply, Failure):
            self.failure = reply
        return reply

    def _recorded(self, key: bytes) -> Frame | Failure | None:
        if self._known is None or self._run is not None:
            return None
        if self._known.facts.stateless:
            return self._known.replies.get(key)
        place, order = len(self._asked), list(self._known.replies)
        return self._known.replies[key] if place < len(order) and order[place] == key else None

    def changed(self) -> bool:
        """Return whether calls changed what all code shares since the program ran, by what the child says."""
        if self._run is None and self._known is not None:
            after = self._known.facts.changed_after
            return after is not None and len(self._asked) >= after
        return self._look()

    def _look(self) -> bool:
        assert self._run is not None
        facts = self._made.facts
        changed = self._run.changed()
        after = len(self._asked) if changed and facts.changed_after is None else facts.changed_after
        self._made.facts = replace(facts, looked=True, changed_after=after)
        return changed

    def close(self) -> None:
        """End the child, if there is one. Calling it again does nothing."""
        run, self._run = self._run, None
        if run is not None:
            if self.failure is None and run.failure is None:
                self._run = run
                self._look()
                self._run = None
            run.close()


_NOTHING = Facts(failure=None, errors={}, disturbed=False)


def no_child(program: Program, seed: int) -> Running:
    """Stand for what makes children where none may be started: judging recordings anew."""
    raise NeedsChild(program.notebook)


def merged(recordings: Sequence[Recording]) -> list[Recording]:
    """Join recordings of one program, the later facts and every reply."""
    found: dict[bytes, Recording] = {}
    for one in recordings:
        before = found.get(one.key)
        if before is None:
            found[one.key] = one
        else:
            before.facts = one.facts
            before.replies |= one.replies
    return list(found.values())
