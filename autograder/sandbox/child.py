"""A child: executes one program, then calls probes on request until it is killed.

This runs in the same process as the student's code. Nothing is decided here: the child reports values and errors, and
the grader trusts none of them.
"""

import contextlib
import itertools
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from operator import is_
from pathlib import Path
from types import ModuleType
from typing import Any

from autograder.authored import PACKAGE
from autograder.sandbox import channel, libraries, steps
from autograder.sandbox.describe import describe
from autograder.sandbox.needs import Given, needs
from autograder.sandbox.state import Snapshot
from autograder.sandbox.steps import is_rebound, names_of

FOREVER = float("inf")
OUR_OWN = ("autograder", "__main__")

SharedState = list[dict[str, Any]]
Probe = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """A module in which the given code before the first answer was executed, and that code."""

    module: ModuleType
    given: Given


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a program finds when it starts: the shared state, the release's own modules, the last module imported."""

    shared: SharedState
    modules: tuple[ModuleType, ...]
    newest: str


class Student:
    """The notebook as a probe sees it: its global names as attributes."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        try:
            return self._module.__dict__[name]
        except KeyError:
            raise NameError(f"{name} is not defined: its cell stopped with an error, or was changed") from None


def serve(fd: int, notebook: Notebook, probes: Mapping[str, Probe], before: Before) -> None:
    """Receive a program on `fd`, execute it, reply with the outcome of each step, then serve probes.

    If the program is watched, what its steps need of each other is sent first, before any of its code has run. Before
    the reply come notes about which step is running, for added code only.

    notebook: where the program is executed
    before: what the program finds. The answer to the program also says whether one step changed what others find; a
    request that names no probe asks whether the probes' calls did so since, and with `kept` also whether they left
    anything behind that later calls could find.
    """
    sys.modules["__main__"] = module = notebook.module
    request = channel.receive(fd, FOREVER)
    libraries.current.one_thread()
    libraries.current.seed(request["seed"])
    if request.get("watched"):
        unknown = [None] * len(request["steps"])  # what a module that was handed in does is not looked at
        found = unknown if request["modules"] else needs(request["steps"], notebook.given)
        channel.send(fd, channel.encode({"needs": found}), FOREVER)
    offer(request["modules"])
    runner = steps.Runner(module)
    outcomes, rebound = runner.run(
        request["steps"], lambda number: channel.send(fd, channel.encode({"at": number}), FOREVER)
    )
    channel.send(fd, channel.encode({"outcomes": outcomes, "disturbed": rebound or is_changed(before.shared)}), FOREVER)
    shared, names = shared_state(), names_of(module)
    snapshot = None
    if request.get("watched"):
        imported = own_modules(names_since(before.newest), request["modules"])
        snapshot = Snapshot([module, *before.modules, *imported])
    student = Student(module)
    while True:
        request = channel.receive(fd, FOREVER)
        if "probe" not in request:
            changed = is_changed(shared) or len(names) != len(names_of(module)) or is_rebound(names, names_of(module))
            kept = changed or not (snapshot and snapshot.is_as_it_was()) if request.get("kept") else None
            channel.send(fd, channel.encode({"changed": changed, "kept": kept}), FOREVER)
            continue
        libraries.current.seed(request["seed"])
        try:
            frame = channel.encode({"seen": dict(probes[request["probe"]](student, **request["inputs"]))})
        except BaseException as error:
            frame = channel.encode({"error": describe(error, runner.missing)})
        channel.send(fd, frame, FOREVER)


def now() -> Before:
    """Return what a program would find in this process."""
    modules = own_modules(sys.modules, ())
    return Before(shared=shared_state(), modules=tuple(modules), newest=next(reversed(sys.modules)))


def shared_state() -> SharedState:
    """Return what all code of a notebook shares, by name: settings, then what each library's module or class holds."""
    return [_settings(), *(dict(vars(owner)) for owner in libraries.current.shared)]


def _settings() -> dict[str, Any]:
    shared = libraries.current.shared
    settings = libraries.current.switches() | {"trace": sys.gettrace()}
    settings |= {"threads": threading.active_count(), "timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0}
    settings |= {owner.__name__: sys.modules.get(owner.__name__) for owner in shared if isinstance(owner, ModuleType)}
    return settings


def is_changed(before: SharedState) -> bool:
    """Return whether a shared name was bound to another object.

    New names in a module do not count, because libraries add them lazily; in a class they may hide an inherited one.
    """
    settings, *held = before
    if is_rebound(settings, _settings()):
        return True
    for owner, then in zip(libraries.current.shared, held, strict=True):
        now = vars(owner)
        if not all(map(is_, map(now.get, then), then.values())) or (isinstance(owner, type) and len(now) != len(then)):
            return True
    return False


def enter(fd: int) -> None:
    """Close every descriptor except the channel, which becomes 3; input and output are discarded."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if fd != 3:
        os.dup2(fd, 3)
    os.closerange(4, 1 << 16)
    os.set_blocking(3, False)


def offer(modules: Mapping[str, str]) -> None:
    """Make submitted Python files importable, after the libraries and the release's own modules."""
    if not modules:
        return
    folder = Path(tempfile.gettempdir(), "handed-in")
    for name, text in modules.items():
        package = any(other.startswith(f"{name}.") for other in modules)
        path = folder.joinpath(*name.split("."), *(["__init__"] if package else [])).with_suffix(".py")
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="replace")
    sys.path.append(str(folder))


def names_since(newest: str) -> list[str]:
    """Return the names of the modules imported after this one.

    Older ones are not looked at: touching each would copy its page of memory, and take longer than the snapshot.
    """
    return list(itertools.takewhile(lambda name: name != newest, reversed(sys.modules)))


def own_modules(names: Iterable[str], handed_in: Container[str]) -> list[ModuleType]:
    """Return the modules among these that were handed in or came with the release: those that no library holds."""
    found = []
    for name in list(names):
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None) or sys.prefix
        library = not os.path.isabs(file) or file.startswith((sys.prefix, sys.base_prefix))
        ours = name.split(".")[0] in OUR_OWN or name.startswith(PACKAGE)
        if isinstance(module, ModuleType) and not ours and (name in handed_in or not library):
            found.append(module)
    return found


def settle(scratch: str) -> None:
    """Use the scratch folder, which disappears with the child, for everything that the code writes and imports."""
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    tempfile.tempdir = None
    sys.path.insert(0, scratch)
