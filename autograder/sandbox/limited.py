"""Protection of later code from added code: time limits, and global settings that are restored."""

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
"""CPU seconds per statement of added code; after that it is stopped and the next one runs."""
TOTAL_S = 4.0
"""CPU seconds for all added code of a program; after that each statement gets LEAST_S."""
LEAST_S = 0.1
PATIENCE = 5
"""Wall-clock limit as a multiple of the CPU limit; only code that sleeps reaches it."""
COMPUTING = 0.2
"""Share of the CPU limit above which code does not count as asleep: the machine may just be busy."""
AGAIN_S = 0.5
"""Seconds until a statement that caught the first stop is stopped again."""


class _TooSlow(BaseException):
    """Added code exceeded its time; not an Exception, so that `except Exception` does not catch it."""


class Stopwatch:
    """Stops statements of added code that take too long."""

    def __init__(self) -> None:
        self._left_s = TOTAL_S
        self._left_wall_s = TOTAL_S * PATIENCE
        self._running = False

    @contextlib.contextmanager
    def limit(self) -> Iterator[None]:
        """Raise inside the block if it takes too long."""
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
    """Restore global state after added code: the libraries' settings and the working directory `home`.

    Inside the block, calls that would end the process raise an error instead.
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
        raise RuntimeError(f"os.{name}() is not allowed in grading")

    return refuse


class _Sleeper:
    """A selector in which nothing is ever ready, because there is neither a network nor another process."""

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the awaited result will never arrive")
        time.sleep(timeout)
        return []


class Loop(asyncio.BaseEventLoop):
    """An event loop for `await` at the top level of a cell; it needs no sockets, which the sandbox forbids."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Sleeper()

    def _process_events(self, events: list[Any]) -> None:
        """Do nothing: there are no events."""

    def _write_to_self(self) -> None:
        """Do nothing: no other thread is waiting."""
