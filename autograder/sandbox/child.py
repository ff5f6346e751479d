"""A child: executes one program, then calls probes when it is asked to, until it is killed.

This runs beside the student's code. Nothing here decides anything: it reports values and errors, and the grader
believes none of it.
"""

import builtins
import linecache
import math
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from autograder.sandbox import channel

ADDED_CODE_S = 2.0
"""Wall seconds that one piece of added code may take; it is stopped then, and the rest goes on."""
FOREVER = float("inf")
MAX_MESSAGE = 1000

SHARED = (builtins, math, np, torch, torch.Tensor, torch.autograd, nn, nn.Module, nn.functional, nn.init, torch.optim)

SharedState = list[dict[str, Any]]
Probe = Callable[..., Mapping[str, Any]]


class _TooSlow(BaseException):
    """Added code took longer than its share; not an Exception, so that `except Exception` lets it pass."""


class Student:
    """What a probe sees of the notebook: its global names as attributes."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        try:
            return self._module.__dict__[name]
        except KeyError:
            raise NameError(f"{name} is not defined: its cell stopped with an error, or was changed") from None


def serve(fd: int, module: ModuleType, probes: Mapping[str, Probe], before: SharedState) -> None:
    """Receive a program on `fd`, execute it in `module`, answer with what became of each step, then serve probes.

    before: the shared state that the program finds. The answer to the program also says whether one step changed what
    others find; a request that names no probe asks whether the probes' calls did so since.
    """
    sys.modules["__main__"] = module
    request = channel.receive(fd, FOREVER)
    torch.set_num_threads(1)
    _seed(request["seed"])
    outcomes, rebound = run_program(request["steps"], module)
    channel.send(fd, channel.encode({"outcomes": outcomes, "disturbed": rebound or is_changed(before)}), FOREVER)
    shared, names = shared_state(), _names(module)
    student = Student(module)
    while True:
        request = channel.receive(fd, FOREVER)
        if "probe" not in request:
            changed = is_changed(shared) or len(names) != len(_names(module)) or _is_rebound(names, _names(module))
            channel.send(fd, channel.encode({"changed": changed}), FOREVER)
            continue
        _seed(request["seed"])
        try:
            frame = channel.encode({"seen": dict(probes[request["probe"]](student, **request["inputs"]))})
        except BaseException as error:
            frame = channel.encode({"error": describe(error)})
        channel.send(fd, frame, FOREVER)


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(
        seed
    )  # torch.manual_seed asks every kind of device too, which takes ten times as long
    np.random.seed(seed % (1 << 32))


def shared_state() -> SharedState:
    """What all code of a notebook shares, by name: the functions of torch and others, and torch's switches."""
    switches = {"dtype": torch.get_default_dtype(), "grad": torch.is_grad_enabled(), "trace": sys.gettrace()}
    switches |= {"threads": threading.active_count(), "timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0}
    switches |= {owner.__name__: sys.modules.get(owner.__name__) for owner in SHARED if isinstance(owner, ModuleType)}
    return [switches, *(dict(vars(owner)) for owner in SHARED)]


def is_changed(before: SharedState) -> bool:
    """Whether something shared was bound to another object.

    New names in a module do not count, as libraries add them when they load; in a class they may hide an inherited one.
    """
    after = shared_state()
    pairs = list(zip(before, after, strict=True))
    if any(_is_rebound(then, now) for then, now in pairs):
        return True
    classes = [pair for owner, pair in zip(SHARED, pairs[1:], strict=True) if isinstance(owner, type)]
    return any(len(then) != len(now) for then, now in classes)


def _names(module: ModuleType) -> dict[str, Any]:
    """The notebook's global names, without those that Python itself adds, as for warnings; and of its classes all."""
    names = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    for name, value in list(names.items()):
        if isinstance(value, type) and vars(value).get("__module__") == module.__name__:
            names |= {f"{name}.{inner}": held for inner, held in vars(value).items()}
    return names


def _is_rebound(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a name stands for another object now, or for none, or a class has a name that it did not have."""
    if any(now.get(name) is not value for name, value in then.items()):
        return True
    return any("." in name and name not in then and name.split(".")[0] in then for name in now)


def run_program(steps: Sequence[Mapping[str, Any]], module: ModuleType) -> tuple[list[dict[str, Any] | None], bool]:
    """Execute the steps in order; for each None, or what went wrong. An error ends its step and not the program.

    What an answer defined counts, also where added code bound the name again.
    The flag says whether an answer or added code bound a name anew that was there before it, such as a helper's that
    another answer has too.
    """
    outcomes = []
    rebound = False
    answers: dict[str, Any] = {}
    for step in steps:
        names = _names(module)
        outcomes.append(_execute(step, module))
        if step["added"] or step["defines"]:
            rebound = rebound or _is_rebound(names, _names(module))
        answers |= {name: module.__dict__[name] for name in step["defines"] if name in module.__dict__}
    module.__dict__.update(answers)
    return outcomes, rebound


def _execute(step: Mapping[str, Any], module: ModuleType) -> dict[str, Any] | None:
    file = f"<{step['label']}>"
    source = step["source"]
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    if step["added"]:
        signal.signal(signal.SIGALRM, _alarm)
        signal.setitimer(signal.ITIMER_REAL, ADDED_CODE_S)
    try:
        exec(_compiled(source, file), module.__dict__)
    except BaseException as error:
        return describe(error)
    finally:
        if step["added"]:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def _alarm(number: int, frame: FrameType | None) -> None:
    raise _TooSlow(f"stopped after {ADDED_CODE_S:g} s")


def _compiled(source: str, file: str) -> Any:
    """The code object; lines of IPython magic (`%`, `!`) are left out when the text is not Python with them."""
    try:
        return compile(source, file, "exec", dont_inherit=True)
    except SyntaxError:
        lines = source.split("\n")
        python = [_without_magic(line) for line in lines]
        if python == lines:
            raise
        return compile("\n".join(python), file, "exec", dont_inherit=True)


def _without_magic(line: str) -> str:
    text = line.lstrip()
    return line[: len(line) - len(text)] + "pass" if text.startswith(("%", "!")) else line


def describe(error: BaseException) -> dict[str, Any]:
    """An error as plain values: its type, its message, and the last line of the student's cells it came from."""
    place: dict[str, Any] = {"cell": "", "line": 0, "text": ""}
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith("<"):
        place = {"cell": error.filename[1:-1], "line": error.lineno or 0, "text": (error.text or "").strip()}
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<") and frame.filename in linecache.cache:
            place = {"cell": frame.filename[1:-1], "line": frame.lineno or 0, "text": frame.line or ""}
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        message = "(the error has no message)"
    return {"type": type(error).__name__, "message": message[:MAX_MESSAGE], **place}


def enter(fd: int) -> None:
    """Close every descriptor but the channel, which becomes 3; input and output go nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if fd != 3:
        os.dup2(fd, 3)
    os.closerange(4, 1 << 16)
    os.set_blocking(3, False)


def settle(scratch: str) -> None:
    """Make the scratch folder, which goes away with the child, the place for whatever the code writes."""
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    tempfile.tempdir = None
