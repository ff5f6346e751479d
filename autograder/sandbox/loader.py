"""The loader: the one process that loads the libraries; fork servers and graders are forked from it.

Theory of operation
-------------------
Started by `loading.Loader` as `python -m autograder.sandbox.loader FD` in an environment of its own. It obeys orders
that arrive on the socket FD, one after the other: to load libraries, to warm them up, and to fork a process that calls
a function of the kit. It reads no file of an assignment and is never told anything about one but the names of the
libraries that its given cells import. So whatever it forks, now or later, begins without a secret: no hidden test, no
reference answer, no submission, no name of a student, nothing of the environment of whoever grades.

A forked process has one thread, as this one has, and the descriptors that the order came with, none of another's. It
gets a socket of its own for orders, so that a grader can order its fork server; a fork server closes it.

The loader ends when nobody is left who could order anything: the run that started it and every grader.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from autograder.sandbox import libraries

MAX_ORDER = 1 << 16
MAX_FDS = 8
LULL_MS = 50
"""After so long without an order, what was loaded is warmed up."""


class Loader:
    """The loader's state: who may order, and what it has forked."""

    def __init__(self, first: socket.socket) -> None:
        self._poll = select.poll()
        self._orders: dict[int, socket.socket] = {}
        self._forked: dict[int, int] = {}  # process ids by pidfd
        self._cold = False
        self._add(first)

    def run(self) -> None:
        """Obey orders until nobody is left."""
        while self._orders:
            events = self._poll.poll(LULL_MS if self._cold else None)
            if not events:
                self._warm_up()
            for fd, _ in events:
                if fd in self._forked:
                    self._reap(fd)
                elif fd in self._orders:
                    self._obey(fd)

    def _add(self, orders: socket.socket) -> None:
        self._orders[orders.fileno()] = orders
        self._poll.register(orders, select.POLLIN)

    def _reap(self, handle: int) -> None:
        self._poll.unregister(handle)
        os.waitpid(self._forked.pop(handle), 0)
        os.close(handle)

    def _obey(self, fd: int) -> None:
        orders = self._orders[fd]
        message, fds, _, _ = socket.recv_fds(orders, MAX_ORDER, MAX_FDS)
        if not message:
            self._poll.unregister(fd)
            del self._orders[fd]
            orders.close()
            return
        order = json.loads(message)
        if "load" in order:
            load(order["load"])
            self._cold = True
        elif "fork" in order:
            self._fork(order["fork"], *fds)
        else:
            self._warm_up()

    def _warm_up(self) -> None:
        if self._cold:
            self._cold = False
            libraries.current.warm_up()
            load(["autograder.sandbox.server"])  # here once instead of in every fork server

    def _fork(self, function: str, answer: int, *fds: int) -> None:
        """Fork a process, and answer on this descriptor with its process id and pidfd."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            ours.close()
            os.close(answer)
            for other in self._orders.values():
                other.close()
            for handle in self._forked:
                os.close(handle)
            begin(function, theirs.detach(), fds)
        theirs.close()
        for given in fds:
            os.close(given)
        handle = os.pidfd_open(pid)
        self._forked[handle] = pid
        self._poll.register(handle, select.POLLIN)
        self._add(ours)
        with socket.socket(fileno=answer) as asked, contextlib.suppress(BrokenPipeError):  # who ordered it is gone
            socket.send_fds(asked, [json.dumps({"pid": pid}).encode()], [handle])


def load(names: Sequence[str]) -> None:
    """Import modules of libraries. One that is missing or broken is left to the code that imports it."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if "torch" in sys.modules:
        from autograder.sandbox.with_torch import TorchLibraries

        libraries.choose(TorchLibraries())
        libraries.current.prepare()


def begin(function: str, orders: int, fds: Sequence[int]) -> NoReturn:
    """In a forked process: call `module:function` with the socket for orders and the given descriptors, and exit."""
    code = 1
    try:
        os.setsid()
        gc.enable()
        module, _, name = function.partition(":")
        getattr(importlib.import_module(module), name)(orders, *fds)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    gc.disable()  # what libraries define stays; collecting while they load takes a fifth of the time
    Loader(socket.socket(fileno=int(sys.argv[1]))).run()
