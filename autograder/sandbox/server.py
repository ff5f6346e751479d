"""The fork server: warm once, then one child per request.

Started by `client.Sandbox` as `python -m autograder.sandbox.server FD`. The first message on the socket FD says what to
load; every later one asks for a child and carries the child's end of its own socket. For each child the server answers
with its pidfd at once, and with its exit status and CPU time when it ended. Source text of a submission never passes
through here, so that nothing of one student is in the memory that the next one's child inherits.
"""

import gc
import importlib
import json
import os
import select
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from autograder import hidden_tests
from autograder.assignment import Limits
from autograder.sandbox import child
from autograder.sandbox.limits import confine

MAX_MESSAGE = 1 << 20


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    config = json.loads(control.recv(MAX_MESSAGE))
    torch.set_num_threads(1)
    sys.path[:0] = [config["working_folder"]]
    os.chdir(config["working_folder"])
    probes = load_probes(Path(config["probes"]))
    modules: dict[str, ModuleType] = {}
    for name, cells in config["prologues"].items():
        modules[name], error = run_prologue(cells)
        if error:
            control.send(json.dumps({"failed": f"{name}: {error}"}).encode())
            return
    warm_up()
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"ready": os.getpid()}).encode())
    serve(control, modules, probes)


def load_probes(folder: Path) -> dict[str, child.Probe]:
    """The public functions of every `probes*.py` in the folder, by name."""
    hidden_tests.__path__.append(str(folder.parent))
    probes: dict[str, child.Probe] = {}
    for path in sorted(folder.glob("probes*.py")):
        module = importlib.import_module(f"{hidden_tests.__name__}.{folder.name}.{path.stem}")
        for name, function in vars(module).items():
            if getattr(function, "__module__", "") == module.__name__ and not name.startswith("_"):
                probes[name] = function
    return probes


def run_prologue(cells: list[dict[str, str]]) -> tuple[ModuleType, str]:
    """A fresh `__main__` in which the given cells before the first answer have been executed, and an error if any."""
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    for cell in cells:
        try:
            exec(compile(cell["source"], f"<{cell['label']}>", "exec"), module.__dict__)
        except Exception as error:
            return module, f"cell {cell['label']}: {type(error).__name__}: {error}"
    return module, ""


def warm_up() -> None:
    """Do once, before any fork, what torch does lazily at first use."""
    weight = torch.randn(8, 8, requires_grad=True)
    for optimiser in (torch.optim.SGD([weight], 0.1), torch.optim.AdamW([weight])):
        hidden = nn.BatchNorm1d(8)(torch.tanh(nn.Linear(8, 8)(nn.Embedding(27, 8)(torch.arange(8))) @ weight))
        F.cross_entropy(hidden, torch.arange(8)).backward()
        optimiser.step()
    torch.multinomial(torch.ones(3), 1)
    np.random.default_rng(0).normal()
    repr(torch.randn(3))


def serve(control: socket.socket, modules: dict[str, ModuleType], probes: dict[str, child.Probe]) -> None:
    """Fork a child for each request until the grader goes away."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    running: dict[int, int] = {}
    while True:
        for fd, _ in poll.poll():
            if fd != control.fileno():
                poll.unregister(fd)
                os.close(fd)
                _, status, usage = os.wait4(running.pop(fd), 0)
                report = {
                    "exit": os.waitstatus_to_exitcode(status),
                    "cpu_s": usage.ru_utime + usage.ru_stime,
                    "memory_mib": usage.ru_maxrss >> 10,
                }
                control.send(json.dumps(report).encode())
                continue
            message, fds, _, _ = socket.recv_fds(control, MAX_MESSAGE, 1)
            if not message:
                return
            request = json.loads(message)
            pid = os.fork()
            if pid == 0:
                start_child(request, fds[0], modules[request["notebook"]], probes)
            os.close(fds[0])
            handle = os.pidfd_open(pid)
            running[handle] = pid
            poll.register(handle, select.POLLIN)
            socket.send_fds(control, [b"{}"], [handle])


def start_child(request: dict[str, Any], fd: int, module: ModuleType, probes: dict[str, child.Probe]) -> None:
    """Never returns: whatever happens in the child ends it."""
    code = 1
    try:
        child.enter(fd, request["scratch"])
        confine(Limits(**request["limits"]))
        child.serve(3, module, probes)
    except EOFError:
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
