"""The other side of the loader: starts it, and orders it to load and to fork."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.assignment import Assignment
from autograder.errors import GraderFault
from autograder.sandbox import scratch

FORK_S = 120
"""How long the loader may take to load what was ordered before, and to fork."""


class LoaderGone(GraderFault):
    """The loader ended, or does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """A process that the loader forked. It is the loader's child: `handle`, a pidfd, tells when it has ended."""

    pid: int
    handle: int

    def kill(self) -> None:
        """Kill the process and its group. Calling it again does nothing."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)
            os.killpg(self.pid, signal.SIGKILL)  # not reached where the number could belong to another process


class Forking:
    """A process that the loader will fork when it has done what was ordered before."""

    def __init__(self, answers: socket.socket) -> None:
        self._answers = answers
        self._forked: Forked | None = None

    def result(self, timeout_s: float = FORK_S) -> Forked:
        """Wait until it is forked. Raises LoaderGone, also if that takes too long."""
        if self._forked is None:
            self._answers.settimeout(timeout_s)
            try:
                message, handles, _, _ = socket.recv_fds(self._answers, 1 << 12, 1)
            except OSError as error:
                raise _gone() from error
            if not message:
                raise _gone()
            self._answers.close()
            self._forked = Forked(pid=json.loads(message)["pid"], handle=handles[0])
        return self._forked

    def end(self) -> bool:
        """Kill the process; return False if there is none yet, which is left to notice that nobody talks to it."""
        try:
            forked = self.result(0)
        except LoaderGone:
            self._answers.close()
            return False
        forked.kill()
        os.close(forked.handle)
        return True


class Orders:
    """A socket for orders to the loader. Any thread may use it."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._socket.settimeout(FORK_S)

    def load(self, names: Sequence[str]) -> None:
        """Order to import these libraries; does not wait. Raises LoaderGone, as all methods do."""
        self._send({"load": list(names)})

    def warm_up(self) -> None:
        """Order to trigger the lazy initialisation of what is loaded; does not wait."""
        self._send({"warm up": True})

    def fork(self, function: str, fds: Sequence[int]) -> Forking:
        """Order a process, after all that was ordered before, that calls `module:function` of the kit; does not wait.

        The function receives the descriptor of a socket for orders of its own, and these descriptors.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._send({"fork": function}, [theirs.fileno(), *fds])
            except LoaderGone:
                ours.close()
                raise
        return Forking(ours)

    def _send(self, order: dict[str, object], fds: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._socket, [json.dumps(order).encode()], fds)
        except OSError as error:
            raise _gone() from error

    def close(self) -> None:
        """Give no more orders. Calling it again does nothing."""
        self._socket.close()


def _gone() -> LoaderGone:
    return LoaderGone("it ended or hangs", "loader of the libraries", "run the command again")


class Loader:
    """A loader of this process's own. Use it as a context manager; it is killed at the end, what it forked is not."""

    def __init__(
        self, assignment: Assignment, environment: Mapping[str, str] | None = None, first: Sequence[str] = ()
    ) -> None:
        """It first loads what every grader of this assignment takes.

        environment: what differs from the usual environment of a loader; first: modules to import before the others
        """
        self._home = assignment.home
        self._environment = environment or {}
        self._names = [*first, "torch" if assignment.uses_torch else "numpy"]
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()

    def __enter__(self) -> "Loader":
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def fork(self, function: str, fds: Sequence[int]) -> Forked:
        """Fork a process as Orders.fork does, and wait for it; from a new loader if this one has died."""
        orders = self.orders
        try:
            return orders.fork(function, fds).result()
        except LoaderGone:
            with self._lock:
                if self.orders is orders:  # no other thread has started a new one
                    self._stack.close()
                    self._start()
            return self.orders.fork(function, fds).result()

    def _start(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="grading-"))
        self._stack.callback(scratch.remove, folder)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.orders = Orders(ours)
        self._stack.callback(self.orders.close)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "autograder.sandbox.loader", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**_environment(folder), **self._environment},
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None,
                start_new_session=True,
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        self.orders.load(self._names)


_mine: Orders | None = None


def attach(fd: int) -> None:
    """In a process that the loader forked: keep its socket for orders."""
    global _mine
    _mine = Orders(socket.socket(fileno=fd))


@contextlib.contextmanager
def at_hand(assignment: Assignment) -> Iterator[Orders]:
    """Open the loader that this process was forked from, or start one."""
    if _mine is not None:
        yield _mine
        return
    with Loader(assignment) as loader:
        yield loader.orders


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of the loader: nothing of the grader's except the paths of Python's libraries."""
    kept = {key: os.environ[key] for key in ("PYTHONPATH",) if key in os.environ}
    return kept | {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "TQDM_DISABLE": "1",
    }
