"""How a run is asked to end: Ctrl-C, SIGTERM, or SIGHUP when its terminal goes away."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """The run was asked to end."""


class Stopping:
    """Whether a run was asked to end. Use `stoppable`."""

    def __init__(self) -> None:
        # What is ignored stays ignored, as SIGHUP is under nohup and SIGINT in a shell's background.
        self._before = {one: signal.getsignal(one) for one in SIGNALS}
        self._ours = [one for one, handler in self._before.items() if handler is not signal.SIG_IGN]
        self._asked = False

    def listen(self) -> None:
        """Raise Stopped at the first signal; further ones are ignored, so that the run can tidy up."""
        for one in self._ours:
            signal.signal(one, self._stop)

    def check(self) -> None:
        """Raise Stopped if a signal came at a moment when no exception gets through, as in a destructor."""
        if self._asked:
            raise Stopped

    def hold(self) -> None:
        """Ignore the signals from now on: the run is at its end and is only writing down what it has."""
        for one in self._ours:
            signal.signal(one, signal.SIG_IGN)

    def restore(self) -> None:
        """Handle the signals as before."""
        for one in self._ours:
            signal.signal(one, self._before[one])

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.hold()
        self._asked = True
        raise Stopped


@contextlib.contextmanager
def stoppable() -> Iterator[Stopping]:
    """Let the signals that ask a run to end raise Stopped, until the end of the block."""
    stopping = Stopping()
    stopping.listen()
    try:
        yield stopping
    finally:
        stopping.restore()
