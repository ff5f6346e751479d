"""The fork server: executes the given cells once, then forks one child per request.

Forked from the loader, with the libraries loaded, for `client.Sandbox`. The first message on its socket says what else
to load; every later one requests a child and carries the child's end of its own socket. For each child the server
replies with its pidfd at once, and with its exit status and CPU time when it has ended. Source text of a submission
never passes through here, so that the memory inherited by the next child contains nothing of another student. For the
same reason only probes are imported here, never hidden tests, their inputs or reference answers.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from autograder.assignment import Limits
from autograder.authored import load_module, package_name
from autograder.sandbox import channel, child, confine, jupyter, scratch
from autograder.sandbox.cells import compiled
from autograder.sandbox.needs import given_code

MAX_MESSAGE = 1 << 20
PROBES = "probes*.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running child: its process id, and its scratch folder if that is on disk."""

    pid: int
    folder: Path | None


def main(orders: int, control: int) -> None:
    """Serve the grader at the other end of `control`, until it goes away; the socket for orders is not needed."""
    os.close(orders)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the grader went away
        _main(socket.socket(fileno=control))


def _main(control: socket.socket) -> None:
    first = control.recv(MAX_MESSAGE)
    if not first:
        return  # the grader went away before it had said anything
    config = json.loads(first)
    os.environ.update(config["environment"])
    release, private = Path(config["release"]), [Path(path) for path in config["private"]]
    readable = confine.readable_paths(Path(config["home"]), [Path(path) for path in config["readable"]])
    layers = confine.survey(readable, private, use_namespaces=config["namespaces"])
    missing = confine.missing(layers)
    if missing and not config["unsafe"]:
        control.send(json.dumps({"refused": missing}).encode())
        return
    plan = confine.prepare(readable, layers, Path(config["scratch"]), release)
    channel.loaded_torch()  # found now, before student code can replace the module
    sys.path[:0] = [str(release)]
    os.chdir(release)
    jupyter.install()
    probes = load_probes(Path(config["probes"]))
    texts = [path.read_text(encoding="utf-8") for path in Path(config["probes"]).glob(PROBES)]
    notebooks: dict[str, child.Notebook] = {}
    for name, cells in config["prologues"].items():
        module, error = run_prologue(cells)
        notebooks[name] = child.Notebook(module=module, given=given_code(cells, texts))
        if error:
            control.send(json.dumps({"failed": f"{name}: {error}"}).encode())
            return
    forget(Path(config["probes"]), private, readable)
    plan = confine.close(plan)
    before = child.now()
    gc.collect()
    gc.freeze()
    active = [layer.name for layer in layers if layer.active]
    with contextlib.suppress(BrokenPipeError):  # the grader went away while this was loading
        control.send(json.dumps({"ready": os.getpid(), "active": active, "missing": missing}).encode())
        serve(control, notebooks, probes, plan, before)


def load_probes(folder: Path) -> dict[str, child.Probe]:
    """Return the public functions of every probe file in the folder, by name."""
    probes: dict[str, child.Probe] = {}
    for path in sorted(folder.glob(PROBES)):
        module = load_module(folder, path.stem)
        for name, function in vars(module).items():
            if getattr(function, "__module__", "") == module.__name__ and not name.startswith("_"):
                probes[name] = function
    return probes


def forget(probes: Path, private: Iterable[Path], readable: Iterable[Path]) -> None:
    """Remove private folders from the import system, including its cached lists of file names."""
    for name, module in sys.modules.items():
        if name == package_name(probes):
            module.__path__ = []
    allowed = set(map(str, readable))
    sys.path[:] = [path for path in sys.path if path in allowed]
    private = list(private)
    for path in list(sys.path_importer_cache):
        if any(Path(path).is_relative_to(folder) or folder.is_relative_to(path) for folder in private):
            del sys.path_importer_cache[path]


def run_prologue(cells: list[dict[str, str]]) -> tuple[ModuleType, str]:
    """Return a new `__main__` after executing the given cells before the first answer, and an error if any."""
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    for cell in cells:
        try:
            exec(compiled(cell["source"], f"<{cell['label']}>"), module.__dict__)
        except Exception as error:
            return module, f"cell {cell['label']}: {type(error).__name__}: {error}"
    return module, ""


def serve(
    control: socket.socket,
    notebooks: dict[str, child.Notebook],
    probes: dict[str, child.Probe],
    plan: confine.Plan,
    before: child.Before,
) -> None:
    """Fork a child for each request until the grader disconnects."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    running: dict[int, Running] = {}
    full: set[int] = set()
    while True:
        on_disk = any(one.folder for one in running.values())
        for fd, _ in poll.poll(scratch.LOOK_EVERY_MS if on_disk else None):
            if fd != control.fileno():
                poll.unregister(fd)
                report = end(running.pop(fd), plan, others=bool(running))
                os.close(fd)
                control.send(json.dumps(report | {"scratch_full": fd in full}).encode())
                full.discard(fd)
                continue
            message, fds, _, _ = socket.recv_fds(control, MAX_MESSAGE, 1)
            if not message:
                return
            request = json.loads(message)
            folder = confine.make_scratch(plan)
            pid = os.fork()
            if pid == 0:
                start_child(request, fds[0], notebooks[request["notebook"]], probes, plan, folder, before)
            os.close(fds[0])
            handle = os.pidfd_open(pid)
            running[handle] = Running(pid=pid, folder=folder)
            poll.register(handle, select.POLLIN)
            socket.send_fds(control, [b"{}"], [handle])
        for handle, one in running.items():
            if one.folder and scratch.is_full(one.folder):
                full.add(handle)
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)


def end(one: Running, plan: confine.Plan, *, others: bool) -> dict[str, Any]:
    """Reap a finished child with leftover processes and its folder; return how it ended."""
    _, status, usage = os.wait4(one.pid, 0)
    if not others:
        confine.end_strays(plan)
    if one.folder:
        scratch.remove(one.folder)
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "server_cpu_s": time.process_time(),
    }


def start_child(
    request: dict[str, Any],
    fd: int,
    notebook: child.Notebook,
    probes: dict[str, child.Probe],
    plan: confine.Plan,
    folder: Path | None,
    before: child.Before,
) -> None:
    """Run the child; never returns."""
    code = 1
    try:
        child.enter(fd)
        child.settle(str(confine.confine(plan, Limits(**request["limits"]), folder)))
        child.serve(3, notebook, probes, before)
    except EOFError:
        code = 0
    finally:
        os._exit(code)
