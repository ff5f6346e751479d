"""Harmless stand-ins for what Jupyter provides to a cell: `get_ipython()`, `display`, `input`.

Magics and shell commands do nothing, except for the few that other code relies on: `%%writefile`, `%cd` and `%run`.
"""

import builtins
import contextlib
import getpass
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, Self

import IPython
from IPython.utils.text import SList

from autograder.sandbox import cells

WRITES = ("writefile", "file")


class Nothing:
    """An object that accepts any use and does nothing; false, empty, and its own attributes and results."""

    def __getattr__(self, name: str) -> Self:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: object, **named: object) -> Self:
        return self

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __contains__(self, item: object) -> bool:
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None


class Shell(Nothing):
    """The result of `get_ipython()`. Anything not defined here, such as `set_next_input`, does nothing."""

    def run_line_magic(self, name: str, line: str, *rest: object) -> None:
        if name == "cd":
            with contextlib.suppress(OSError):
                os.chdir(os.path.expanduser(line.strip().strip("'\"")) or ".")
        elif name == "run":
            _run_file(line)

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        if name in WRITES:
            _write_file(line, cell)

    def magic(self, line: str) -> None:
        name, _, rest = line.lstrip("%").partition(" ")
        self.run_line_magic(name, rest)

    def system(self, command: str) -> None:
        """Do nothing: no command runs in grading."""

    def getoutput(self, command: str, *rest: object, **named: object) -> Any:
        """Return an empty list of lines, as IPython does for a command without output."""
        return SList()


def _write_file(line: str, cell: str) -> None:
    words = shlex.split(line)
    path = Path(words[-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if words[0] in ("-a", "--append") else "w", encoding="utf-8") as file:
        file.write(cell)
    sys.path_importer_cache.clear()


def _run_file(line: str) -> None:
    """Execute a Python file in the notebook's namespace, like `%run`."""
    words = [word for word in shlex.split(line) if not word.startswith("-")]
    if words and words[0].endswith(".py"):
        exec(cells.compiled(Path(words[0]).read_text(encoding="utf-8"), words[0]), vars(sys.modules["__main__"]))


def _no_input(*arguments: object, **named: object) -> NoReturn:
    raise RuntimeError("input() cannot be answered in grading")


def _display(*objects: object, **named: object) -> None:
    """Show nothing."""


def install() -> None:
    """Make the stand-ins available to every cell."""
    shell = Shell()

    def get_ipython() -> Shell:
        return shell

    found = vars(builtins)
    found.update(get_ipython=get_ipython, display=_display, input=_no_input)
    found.update(_="", __="", ___="", In=[""], Out={})  # as in a kernel that has shown nothing yet
    vars(IPython).update(get_ipython=get_ipython)
    vars(getpass).update(getpass=_no_input)
