"""What keeps added code from harming what comes after it: limits on its time, and switches that are put back."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

from autograder.sandbox import libraries

STATEMENT_S = 2.0
"""CPU seconds that one statement of added code may take; it is stopped then, and the next one goes on."""
TOTAL_S = 4.0
"""CPU seconds that all added code of a program may take; from then on a statement has LEAST_S."""
LEAST_S = 0.1
PATIENCE = 5
"""How much longer than its CPU time added code may take by the clock; only what sleeps takes that long."""
COMPUTING = 0.2
"""The share of its CPU time from which on code does not count as asleep; a busy machine may be the reason then."""
AGAIN_S = 0.5
"""How soon a statement is stopped again that caught the first stop."""


class _TooSlow(BaseException):
    """Added code took longer than its share; not an Exception, so that `except Exception` lets it pass."""


class Stopwatch:
    """Stops statements of added code that take too long."""

    def __init__(self) -> None:
        self._left_s = TOTAL_S
        self._left_wall_s = TOTAL_S * PATIENCE
        self._running = False

    @contextlib.contextmanager
    def limit(self) -> Iterator[None]:
        """Raise in the code inside when it takes too long."""
        cpu_s, wall_s = time.process_time(), time.monotonic()
        self._share_s = max(LEAST_S, min(STATEMENT_S, self._left_s, self._left_wall_s / PATIENCE))
        self._began_s = cpu_s
        signal.signal(signal.SIGPROF, self._stop)
        signal.signal(signal.SIGALRM, self._stop)
        self._running = True
        signal.setitimer(signal.ITIMER_PROF, self._share_s, AGAIN_S)
        signal.setitimer(signal.ITIMER_REAL, self._share_s * PATIENCE, AGAIN_S)
        try:
            yield
        finally:
            self._running = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._left_s -= time.process_time() - cpu_s
            self._left_wall_s -= time.monotonic() - wall_s

    def _stop(self, number: int, frame: FrameType | None) -> None:
        computing = time.process_time() - self._began_s > COMPUTING * self._share_s
        if self._running and not (number == signal.SIGALRM and computing):
            raise _TooSlow(f"stopped after {self._share_s:g} s")


@contextlib.contextmanager
def harmless(home: str) -> Iterator[None]:
    """Put back what added code switches for all code: the libraries' settings, and the working directory `home`.

    While it runs, nothing that ends the process does so.
    """
    ends = {name: getattr(os, name) for name in ("_exit", "abort", "kill", "killpg")}
    vars(os).update({name: _refuse(name) for name in ends})
    try:
        with libraries.current.put_back():
            yield
    finally:
        vars(os).update(ends)
        with contextlib.suppress(OSError):
            os.chdir(home)


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(*arguments: object) -> NoReturn:
        raise RuntimeError(f"os.{name}() is not carried out in grading")

    return refuse


class _Sleeper:
    """Stands in for a selector: nothing is ever ready, as there is neither a network nor another process."""

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the awaited result never comes")
        time.sleep(timeout)
        return []


class Loop(asyncio.BaseEventLoop):
    """An event loop for `await` at the top level of a cell; it needs no sockets, which the sandbox forbids."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Sleeper()

    def _process_events(self, events: list[Any]) -> None:
        """Nothing to do, as there are no events."""

    def _write_to_self(self) -> None:
        """Nobody waits in another thread."""
