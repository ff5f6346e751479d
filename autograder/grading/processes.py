"""An executor over processes that are forked from a loader, so that the libraries are loaded once for all of them.

Each process is served by a thread of this one, which hands it a call and waits for what comes of it. A process that
dies costs the call that it was at, which fails with BrokenProcessPool; the next call gets a new process, and a new
loader where that has died.
"""

import contextlib
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, NoReturn

from autograder.sandbox import kernel, loading

END_S = 3.0
"""How long a process that is asked to end may take before it is killed."""

Begin = Callable[..., Callable[[], object]]
"""Called in a process before its first call; returns what to call at its end."""


def _nothing() -> None:
    """Do nothing."""


def _begin() -> Callable[[], object]:
    return _nothing


class Processes(Executor):
    """A number of processes, each of which does one call at a time."""

    def __init__(self, loader: loading.Loader, count: int, begin: Begin = _begin, *arguments: Any) -> None:
        """begin: called in each process first, with `arguments`."""
        self._loader = loader
        self._first = ForkingPickler.dumps((begin, arguments))
        self._calls: queue.SimpleQueue[tuple[Future[Any], Any] | None] = queue.SimpleQueue()
        self._ended = False
        self._running: set[_Process] = set()
        self._threads: list[threading.Thread] = []
        self.add(count)

    def add(self, count: int) -> None:
        """Start more processes."""
        started = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
        self._threads += started
        for thread in started:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._calls.put((future, ForkingPickler.dumps((fn, args, kwargs))))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the processes end when all that was submitted is done; with `cancel_futures` at once, without it."""
        self._ended = cancel_futures
        with contextlib.suppress(queue.Empty):
            while cancel_futures and (call := self._calls.get_nowait()):
                call[0].cancel()
        for _ in self._threads:
            self._calls.put(None)
        if cancel_futures:
            self._end()
        for thread in self._threads if wait else ():
            thread.join()

    def _end(self) -> None:
        """End every process, whatever it is doing."""
        for process in tuple(self._running):
            process.ask_to_end()
        deadline = time.monotonic() + END_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for process in tuple(self._running):
            process.forked.kill()

    def _serve(self) -> None:
        """Hand calls to one process until there are no more."""
        process: _Process | None = None
        with contextlib.suppress(Exception):  # the first call tries again, and tells
            process = self._start()
        while (call := self._calls.get()) is not None and not self._ended:
            future, work = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                process = process or self._start()
                done, outcome = process.call(work)
            except (EOFError, OSError) as error:
                future.set_exception(BrokenProcessPool(f"a worker process ended ({type(error).__name__})"))
                self._leave(process)
                process = None
            except BaseException as error:
                future.set_exception(error)
            else:
                (future.set_result if done else future.set_exception)(outcome)
        self._leave(process)

    def _start(self) -> "_Process":
        ours, theirs = socket.socketpair()
        with theirs:
            forked = self._loader.fork("autograder.grading.processes:work", [theirs.fileno()])
        process = _Process(forked=forked, connection=Connection(ours.detach()))
        self._running.add(process)
        try:
            process.connection.send((dict(os.environ), os.getcwd(), sys.path, sys.dont_write_bytecode))
            process.connection.send_bytes(self._first)
        except OSError:
            self._leave(process)
            raise
        return process

    def _leave(self, process: "_Process | None") -> None:
        if process is not None:
            self._running.discard(process)
            process.close()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Process:
    """A process, and the connection to it."""

    forked: loading.Forked
    connection: Connection

    def call(self, work: Any) -> tuple[bool, Any]:
        """Have a call done; return whether it was, and its result, or the error. Raises EOFError and OSError."""
        self.connection.send_bytes(work)
        done, outcome = self.connection.recv()
        return done, outcome

    def ask_to_end(self) -> None:
        with contextlib.suppress(OSError):  # it has ended, and been closed
            signal.pidfd_send_signal(self.forked.handle, signal.SIGTERM)

    def close(self) -> None:
        """Let the process end, and wait for that; kill it if it takes too long."""
        self.connection.close()
        if not select.select([self.forked.handle], [], [], END_S)[0]:
            self.forked.kill()
        os.close(self.forked.handle)


def work(orders: int, calls: int) -> None:
    """In a process that the loader forked: do calls until the other end of the connection `calls` is closed."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)  # without a loader there can be no new fork server
    os.dup2(2, 1)  # standard output belongs to the run; what hidden tests print is a message
    loading.attach(orders)
    connection = Connection(calls)
    environment, folder, path, sys.dont_write_bytecode = connection.recv()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = path
    threading.Thread(target=_end_with, args=(calls,), daemon=True).start()
    begin, arguments = connection.recv()
    end = begin(*arguments)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            function, args, kwargs = connection.recv()
            try:
                outcome = ForkingPickler.dumps((True, function(*args, **kwargs)))
            except Exception as error:
                error.add_note("".join(traceback.format_exception(error)))  # a traceback does not travel
                outcome = ForkingPickler.dumps((False, error))
            connection.send_bytes(outcome)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end()


def _end_with(calls: int) -> NoReturn:
    """End this process if the other one was killed, also in the middle of a call."""
    poll = select.poll()
    poll.register(calls, 0)
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_S)
    os._exit(1)
