"""Execution of a program's steps in a child, statement by statement: a failing statement affects only itself.

The first error of an answer counts as the answer's own only if it leaves a name of its question undefined.
"""

import __future__

import ast
import builtins
import contextlib
import inspect
import linecache
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, ModuleType
from typing import Any

from autograder.sandbox import cells, libraries
from autograder.sandbox.describe import Missing, describe, note_missing
from autograder.sandbox.limited import Loop, Stopwatch, harmless

Step = Mapping[str, Any]
Outcome = dict[str, Any]


class Runner:
    """Executes steps in a module, in the folder where it was created.

    missing: for names that failed statements would have bound, why they are missing
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._home = os.getcwd()
        self._stopwatch = Stopwatch()
        self._future = 0
        self.missing: Missing = {}

    def run(self, steps: Sequence[Step], announce: Callable[[int], None]) -> tuple[list[Outcome | None], bool]:
        """Execute the steps in order; return None or the error of each. An error ends its statement, not the program.

        An outcome is the first error of the step with two more values. failed: the number of failed statements; own:
        whether the step leaves a name undefined that it should define. The definition in an answer counts even if added
        code rebinds the name. The flag says whether an answer or added code rebound an existing name, such as a helper
        that another answer also has, or one of Python's own, such as sum.

        announce: called with the number of each step of added code, and of the step after it, before it is executed,
        so that the grader knows which code ended the process
        """
        outcomes = []
        rebound = False
        answers: dict[str, Any] = {}
        in_added_code = False
        for number, step in enumerate(steps):
            if step["added"] or in_added_code:
                announce(number)
            in_added_code = step["added"]
            names = names_of(self._module)
            outcomes.append(self._execute(step))
            if step["added"] or step["defines"]:
                now = names_of(self._module)
                rebound = rebound or is_rebound(names, now) or hides_builtin(names, now)
            answers |= {name: self._found[name] for name in step["defines"] if name in self._found}
        self._found.update(answers)
        return outcomes, rebound

    @property
    def _found(self) -> dict[str, Any]:
        return self._module.__dict__

    def _execute(self, step: Step) -> Outcome | None:
        file = f"<{step['label']}>"
        source = step["source"]
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        before = {name: self._found.get(name) for name in step["defines"]}
        with harmless(self._home) if step["added"] else contextlib.nullcontext():
            errors = self._statements(source, file, added=step["added"])
        if not errors:
            return None
        own = any(self._found.get(name) is held for name, held in before.items())
        return describe(errors[0], self.missing) | {"failed": len(errors), "own": own}

    def _statements(self, source: str, file: str, *, added: bool) -> list[BaseException]:
        """Execute a cell and return the errors of its statements."""
        errors: list[BaseException] = []
        stopped_at = 0  # the line up to which the cell was executed as a whole
        if not added and (code := _code(source, file, self._future)):
            try:
                exec(code, self._found)
                return []
            except BaseException as error:
                errors.append(error)
                stopped_at = _line_in(code, error)
        try:
            statements = cells.parse(source, file)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return [error]
        for statement in statements:
            if _first_line(statement) <= stopped_at:
                if stopped_at <= (statement.end_lineno or 0):
                    self._note(statement, errors[0], file)
                continue
            try:
                with self._stopwatch.limit() if added else contextlib.nullcontext():
                    self._statement(statement, file)
            except BaseException as error:
                errors.append(error)
                self._note(statement, error, file)
            if added:
                libraries.current.default_device()
        return errors

    def _note(self, statement: ast.stmt, error: BaseException, file: str) -> None:
        note_missing(statement, error, linecache.getline(file, statement.lineno), self.missing)

    def _statement(self, statement: ast.stmt, file: str) -> None:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            features = [getattr(__future__, alias.name, None) for alias in statement.names]
            self._future |= sum(feature.compiler_flag for feature in features if feature)
        flags = self._future | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(ast.Module([statement], []), file, "exec", flags=flags, dont_inherit=True)
        result = eval(code, self._found)
        if code.co_flags & inspect.CO_COROUTINE:
            loop = Loop()
            try:
                loop.run_until_complete(result)
            finally:
                loop.close()


def _code(source: str, file: str, flags: int) -> CodeType | None:
    """Return the code of a whole cell if it is plain Python; that is faster than statement by statement."""
    if "get_ipython" in source or "__future__" in source:
        return None
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        code = compile(source, file, "exec", flags=flags, dont_inherit=True)
        return code if isinstance(code, CodeType) else None
    return None


def _first_line(statement: ast.stmt) -> int:
    """Return the first line of a statement; for a definition, that of its first decorator."""
    decorated = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    decorators = statement.decorator_list if isinstance(statement, decorated) else []
    return min([statement.lineno, *(one.lineno for one in decorators)])


def _line_in(code: CodeType, error: BaseException) -> int:
    """Return the line at which an error stopped a cell's code; larger than every line if unknown."""
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code is code:
            return trace.tb_lineno
        trace = trace.tb_next
    return sys.maxsize


def names_of(module: ModuleType) -> dict[str, Any]:
    """Return the notebook's global names except Python's own (dunder) ones, and all names in its classes."""
    names = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    for name, value in list(names.items()):
        if isinstance(value, type) and vars(value).get("__module__") == module.__name__:
            names |= {f"{name}.{inner}": held for inner, held in vars(value).items()}
    return names


def is_rebound(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a name was rebound or deleted, or a class gained a name."""
    if any(now.get(name) is not value for name, value in then.items()):
        return True
    return any("." in name and name not in then and name.split(".")[0] in then for name in now)


def hides_builtin(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether there is a new global name that is also one of Python's own, other than a throw-away `_`."""
    return any(name in vars(builtins) and not name.startswith("_") for name in now.keys() - then.keys())
