"""The grader's side: starts the fork server, sends programs to children, enforces wall-clock limits."""

import contextlib
import json
import os
import select
import signal
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from autograder.assignment import Assignment, Limits
from autograder.errors import GraderFault
from autograder.program import Step
from autograder.results import Status
from autograder.sandbox import channel, confine, loading, scratch
from autograder.sandbox.imports import libraries_of
from autograder.sandbox.replies import Failure, Stopped, note_failure

START_S = 120
EXIT_S = 10
MOST_WAITED = 20
"""How many times its wall time a child may wait for a free core; then the machine is too busy to grade on."""
LEAVE_S = 1.5
"""How long a killed fork server may take to be gone, on a busy machine."""


class Sandbox:
    """One fork server. Use it as a context manager; it serves one child at a time.

    Entering it orders the server from the loader at hand; `ready` waits until it has loaded, as does the first child.
    Raises GraderFault if the server does not start or disappears.
    """

    def __init__(
        self,
        assignment: Assignment,
        prologues: Mapping[str, Sequence[Step]],
        *,
        unsafe: bool = False,
        namespaces: bool = True,
    ) -> None:
        """prologues: by notebook, the steps that every submission shares

        unsafe: continue if a required layer is missing; namespaces: use them if the machine has them."""
        self._assignment = assignment
        self._choice = {"unsafe": unsafe, "namespaces": namespaces}
        self._loaded = False
        self._loader = contextlib.ExitStack()
        self._server: loading.Forking | None = None
        self.children_cpu_s = self._server_cpu_s = 0.0  # of children that have ended, and of the server itself
        self.active: frozenset[str] = frozenset()
        self.missing: tuple[str, ...] = ()
        self._prologues = {
            name: [{"label": step.label, "source": step.source} for step in steps] for name, steps in prologues.items()
        }

    def __enter__(self) -> "Sandbox":
        self._scratch = Path(tempfile.mkdtemp(prefix="grading-"))
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        try:
            self._start(theirs)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self, theirs: socket.socket) -> None:
        with theirs:
            orders = self._loader.enter_context(loading.at_hand(self._assignment))
            sources = [step["source"] for steps in self._prologues.values() for step in steps]
            orders.load(libraries_of(sources, self._assignment.release_dir))
            orders.warm_up()
            self._server = orders.fork("autograder.sandbox.server:main", [theirs.fileno()])
        config = {
            "home": str(self._assignment.home),
            "probes": str(self._assignment.hidden_tests_dir),
            "private": [str(path) for path in confine.private_folders(self._assignment)],
            "release": str(self._assignment.release_dir),
            "readable": [str(path) for path in self._assignment.readable],
            "scratch": str(self._scratch),
            "environment": _environment(self._scratch, self._assignment),
            "prologues": self._prologues,
            **self._choice,
        }
        self._control.send(json.dumps(config).encode())

    def ready(self) -> None:
        """Wait until the server has loaded; from then on `active` and `missing` name the layers of confinement."""
        if self._loaded or self._server is None:
            return
        self._server.result()
        reply = self._receive(START_S)[0]
        if "refused" in reply:
            raise confine.unconfined(reply["refused"])
        if "ready" not in reply:
            raise GraderFault(
                "a given cell of the release fails", reply.get("failed", "fork server"), "correct the master"
            )
        self.active, self.missing = frozenset(reply["active"]), tuple(reply["missing"])
        self._loaded = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill the server, which has nothing to tidy up, and remove its scratch folder; its children end with it."""
        if self._server is not None and self._server.end():
            self._control.settimeout(LEAVE_S)
            with contextlib.suppress(OSError):
                while self._control.recv(1 << 16):
                    pass  # it ends when all who held the other end are gone
        self._server = None
        self._control.close()
        self._loader.close()
        scratch.remove(self._scratch)

    def start(
        self,
        notebook: str,
        steps: Sequence[Step],
        defines: Mapping[str, Sequence[str]],
        seed: int,
        modules: Mapping[str, str] | None = None,
        *,
        watched: bool = False,
    ) -> "Run":
        """Return a child that executes these steps (those after the notebook's prologue), ready for probes.

        modules: the text of Python files that the steps may import, by their names
        watched: so that `kept` can be asked
        """
        return Run(self, notebook, steps, defines, seed, self._assignment.limits, modules or {}, watched=watched)

    def spawn(self, notebook: str, limits: Limits, end: socket.socket) -> int:
        """Fork a child that owns `end`; return its pidfd."""
        self.ready()
        request = {"notebook": notebook, "limits": asdict(limits)}
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], [end.fileno()])
        except OSError as error:
            raise _server_gone() from error
        _, (handle,) = self._receive(EXIT_S)
        return handle

    def reap(self, handle: int) -> dict[str, Any]:
        """Kill a child if it still runs, and return how it ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        report, _ = self._receive(EXIT_S)
        os.close(handle)
        self.children_cpu_s += float(report["cpu_s"])
        self._server_cpu_s = float(report["server_cpu_s"])
        return report

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the fork server and of all its finished children."""
        return self.children_cpu_s + self._server_cpu_s

    def _receive(self, timeout_s: float) -> tuple[dict[str, Any], list[int]]:
        self._control.settimeout(timeout_s)
        try:
            message, fds, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
        except OSError as error:
            raise _server_gone() from error
        if not message:
            raise _server_gone()
        return json.loads(message), fds


def waited_s(handle: int) -> float:
    """Return the seconds that a process, by its pidfd, was ready to run and had no core; 0 where nothing tells."""
    try:
        info = Path(f"/proc/self/fdinfo/{handle}").read_text(encoding="ascii")
        pid = next(line.split()[1] for line in info.splitlines() if line.startswith("Pid:"))
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError, StopIteration):
        return 0.0


class ServerGone(GraderFault):
    """The fork server ended, or does not answer."""


def _server_gone() -> ServerGone:
    return ServerGone("it ended or hangs", "fork server", "run the command again; finished submissions are kept")


def _environment(scratch: Path, assignment: Assignment) -> dict[str, str]:
    """Return what the fork server changes in its environment: its home, and data files that were chosen."""
    chosen = {name.upper(): str(assignment.data_file(name)) for name in assignment.data if name.upper() in os.environ}
    return {"HOME": str(scratch), **chosen}


class Run:
    """One child with one program. `failure` is set if the program did not finish.

    errors: the first error of each step, by label; it does not stop the program. For an answer it is listed only if a
    name of its question is left undefined
    stopped: failures outside the answers, in order
    ended_in: the label of the added code that was running when the program failed, if any, as the child reports it
    disturbed: whether a step changed what other steps see, such as torch's functions, as the child reports it
    needs: of a watched run: for each step the numbers of those that it needs, None where that cannot be told
    """

    def __init__(
        self,
        sandbox: Sandbox,
        notebook: str,
        steps: Sequence[Step],
        defines: Mapping[str, Sequence[str]],
        seed: int,
        limits: Limits,
        modules: Mapping[str, str],
        *,
        watched: bool,
    ) -> None:
        self._sandbox = sandbox
        self._limits = limits
        self._started = time.monotonic()
        self.cpu_s = 0.0
        self.errors: Mapping[str, str] = {}
        self.stopped: Sequence[Stopped] = ()
        self.ended_in = ""
        self.failure: Failure | None = None
        self.disturbed = False
        self.needs: Sequence[Sequence[int] | None] = ()
        self._open = True
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        with theirs:
            self._handle = sandbox.spawn(notebook, limits, theirs)
        program = [
            {
                "label": step.label,
                "source": step.source,
                "added": step.added,
                "defines": list(defines.get(step.question, ())),
            }
            for step in steps
        ]
        request = {"steps": program, "seed": seed, "modules": dict(modules), "watched": watched}
        reply = self._read(self.ask(channel.encode(request)))
        if watched and isinstance(reply, dict):
            self.needs = reply["needs"]  # nothing of the program has run yet: this is the kit's own word
            reply = self._read(self._exchange(None))
        for _ in steps:
            if not (isinstance(reply, dict) and set(reply) == {"at"}):
                break
            number = reply["at"]
            step = steps[number] if type(number) is int and 0 <= number < len(steps) else None
            self.ended_in = step.label if step and step.added else ""
            reply = self._read(self._exchange(None))
        if isinstance(reply, Failure):
            return
        self.ended_in = ""
        outcomes = reply.get("outcomes") if isinstance(reply, dict) else None
        if not isinstance(outcomes, list) or len(outcomes) != len(steps):
            self._fail(Status.CRASHED, "the reply to the program was malformed")
            return
        self.disturbed = reply.get("disturbed") is not False
        errors: dict[str, str] = {}
        stopped: list[Stopped] = []
        for step, outcome in zip(steps, outcomes, strict=True):
            if outcome is not None:
                note_failure(step, outcome, errors, stopped)
        self.errors, self.stopped = errors, stopped

    def _deadline(self) -> float:
        """Return until when the child may answer: its wall time, and as long again as it waited for a free core.

        So a verdict does not depend on how busy the machine is; CPU time ends what computes, the clock what sleeps.
        """
        end = self._started + self._limits.wall_s
        return end if time.monotonic() < end else end + min(waited_s(self._handle), MOST_WAITED * self._limits.wall_s)

    def ask(self, request: bytes, question: str = "") -> channel.Frame | Failure:
        """Return the undecoded reply to a request. After a time-out or crash, every reply is that failure.

        question: whose test asks, which makes no difference to a child
        """
        return self._exchange(request)

    def _exchange(self, request: bytes | None) -> channel.Frame | Failure:
        """Send a request, if any, and return the next frame."""
        if self.failure:
            return self.failure
        try:
            if request is not None:
                channel.send(self._socket.fileno(), request, self._deadline)
            return channel.receive_frame(self._socket.fileno(), self._deadline)
        except TimeoutError:
            return self._fail(Status.TIMED_OUT, f"no reply within {self._limits.wall_s:g} s: infinite loop?")
        except channel.ChannelError as error:
            return self._fail(Status.CRASHED, f"the reply was malformed: {error}")
        except (EOFError, OSError):
            return self._fail(Status.CRASHED, "")
        except BaseException:
            self._fail(Status.CRASHED, "the grader was interrupted")  # whoever tidies up must not wait for this child
            raise

    def changed(self) -> bool:
        """Return whether calls have changed shared names since the program ran, as the child reports it."""
        reply = self._read(self.ask(channel.encode({})))
        return not isinstance(reply, dict) or reply.get("changed") is not False

    def kept(self) -> bool:
        """Whether calls left anything behind since the program ran, by what the child says; it must be watched."""
        reply = self._read(self.ask(channel.encode({"kept": True})))
        return not isinstance(reply, dict) or reply.get("kept") is not False

    def close(self) -> None:
        """End the child. Calling it again does nothing."""
        if self._open:
            self._open = False
            self._socket.close()
            self._exit = self._sandbox.reap(self._handle)
            self.cpu_s = float(self._exit["cpu_s"])

    def _read(self, reply: channel.Frame | Failure) -> Any:
        if isinstance(reply, Failure):
            return reply
        try:
            return channel.decode(*reply)
        except channel.ChannelError as error:
            return self._fail(Status.CRASHED, f"the reply was malformed: {error}")

    def _fail(self, status: Status, message: str) -> Failure:
        ended = status is Status.CRASHED and not message
        if ended:
            select.select([self._handle], [], [], 1.0)
        self.close()
        if ended:
            status, message = self._why()
        self.failure = Failure(status=status, message=message)
        return self.failure

    def _why(self) -> tuple[Status, str]:
        code = int(self._exit["exit"])
        if self._exit["scratch_full"]:
            return Status.CRASHED, "wrote more files or bytes to disk than allowed"
        if code == -signal.SIGXCPU or self.cpu_s >= self._limits.cpu_s - 0.5:
            return Status.TIMED_OUT, f"used more than {self._limits.cpu_s:g} s of CPU: infinite loop?"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            return Status.CRASHED, f"the process was killed by {name}"
        return Status.CRASHED, f"the process exited (exit code {code})"
