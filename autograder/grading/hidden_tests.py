"""Hidden tests, collected by pytest once per worker: functions with their question, points and hint."""

import ast
import inspect
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment import Assignment
from autograder.authored import authored_text, forget, load_module
from autograder.errors import MasterError
from autograder.grading.assertions import Numbers
from autograder.grading.observe import Observe
from autograder.grading.pictures import PictureOf

PLACE = re.compile(r'^(?:E +File ")?([^\s":]+\.py)(?:", line |:)(\d+)', re.MULTILINE)
"""The location in a pytest error report, as written in a traceback or a syntax error."""
COLLECTED = "test_*.py"
"""The files that hidden tests are collected from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call of a hidden test's function; the name identifies the parametrisation, if any."""

    name: str
    function: Callable[..., None]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenTest:
    """A hidden test with its cases; it passes if all of them pass.

    picture: draws the case that failed
    """

    name: str
    question: str
    points: float
    hint: str
    cases: tuple[Case, ...]
    picture: PictureOf | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTest:
    """A hidden test that compares a loss with a limit.

    loss: returns the held-out loss of one training with this seed; limit: the test passes below it
    curve: returns what the test's picture shows of it, so that the band of right answers is measured too
    wrong: answers whose loss must exceed the limit or not be finite: texts of regions by question, by what is wrong
    """

    question: str
    test: str
    loss: Callable[[Observe, int], float]
    limit: Callable[[], float]
    wrong: Mapping[str, Mapping[str, str]]
    curve: Callable[[Observe, int], Numbers] | None = None


def question(question_id: str, *, points: float, hint: str) -> pytest.MarkDecorator:
    """Mark a hidden test with the question it belongs to, its points, and a hint for students who fail it."""
    return pytest.mark.question(question_id, points=points, hint=hint)


def picture(draw: PictureOf) -> pytest.MarkDecorator:
    """Mark a hidden test with the function that makes a picture for students who fail it."""
    return pytest.mark.picture.with_args(draw)


class _File(pytest.Module):
    """A file of hidden tests, imported as a module of the assignment's own package."""

    def _getobj(self) -> Any:
        return load_module(self.path.parent, self.path.stem)


class _Collector:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.items: list[pytest.Function] = []
        self.errors: list[MasterError] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "question(id, points, hint): what a hidden test belongs to")
        config.addinivalue_line("markers", "picture(function): what draws the case of a hidden test that failed")

    def pytest_pycollect_makemodule(self, module_path: Path, parent: pytest.Collector) -> pytest.Module:
        return _File.from_parent(parent, path=module_path)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            text = report.longreprtext.strip()
            last = text.splitlines()[-1].removeprefix("E").strip()
            # pytest shortens paths near the working directory
            places = [f"{os.path.abspath(path)}:{line}" for path, line in PLACE.findall(text) if "hidden_tests" in path]
            self.errors.append(MasterError(f"it cannot be imported ({last})", [report.nodeid, *places][-1], "fix it"))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = [item for item in session.items if isinstance(item, pytest.Function)]


def collect(assignment: Assignment) -> dict[str, tuple[HiddenTest, ...]]:
    """Return the hidden tests by question, in the order of the files.

    Raises MasterError for a file that cannot be read or imported, for a test that has no question, would not be
    collected, or has the name of another test of its question, and for points that do not add up.
    """
    folder = assignment.hidden_tests_dir
    check_files(folder)
    collector = _Collector()
    options = ["--collect-only", "--noconftest", "--assert=plain", "--disable-plugin-autoload", "--capture=no"]
    options += [f"-pno:{name}" for name in ("terminal", "cacheprovider", "unraisableexception", "threadexception")]
    forget(folder)
    options += [
        f"--config-file={os.devnull}",
        f"--rootdir={assignment.home}",
        f"--confcutdir={folder}",  # else it looks at everything in every parent folder
        f"--override-ini=python_files={COLLECTED}",
    ]
    code = pytest.main([*options, str(folder)], plugins=[collector])
    if collector.errors:
        raise collector.errors[0]
    if not collector.items:
        raise MasterError(f"no hidden tests (pytest exit {code})", folder, "write them in files test_*.py")
    tests: dict[str, list[HiddenTest]] = {one.id: [] for one in assignment.questions}
    first: dict[str, str] = {}  # location of the first hidden test of a question
    grouped: dict[tuple[str, str], list[pytest.Function]] = {}
    for item in collector.items:
        grouped.setdefault((str(item.path), item.originalname), []).append(item)
    for (path, name), items in grouped.items():
        where = f"{path}:{items[0].function.__code__.co_firstlineno}"
        test = _hidden_test(where, name, items)
        if test.question not in tests:
            raise MasterError(f"unknown question {test.question!r}", where, "use an id of assignment.toml")
        if any(test.name == other.name for other in tests[test.question]):
            raise MasterError(f"{test.question} has two hidden tests {name!r}", where, "rename one of them")
        first.setdefault(test.question, where)
        tests[test.question].append(test)
    for one in assignment.questions:
        if one.written:
            if one.id in first:
                fix = "remove this test, or the rubric in assignment.toml"
                raise MasterError(f"{one.id} is a written question, which people grade", first[one.id], fix)
            continue
        if one.id not in first:
            raise MasterError(f"{one.id} has no hidden tests", folder, "write them")
        total = sum(test.points for test in tests[one.id])
        if abs(total - one.points) > 1e-9:
            what = f"the hidden tests of {one.id} add up to {total:g} points, not {one.points:g}"
            raise MasterError(what, first[one.id], "correct the points here or in assignment.toml")
    return {key: tuple(found) for key, found in tests.items()}


def _hidden_test(where: str, name: str, items: Sequence[pytest.Function]) -> HiddenTest:
    mark = items[0].get_closest_marker("question")
    if mark is None or len(mark.args) != 1 or set(mark.kwargs) != {"points", "hint"}:
        raise MasterError("a hidden test without a question", where, 'add @question("ID", points=..., hint="...")')
    cases = []
    for item in items:
        callspec = getattr(item, "callspec", None)
        parameters = dict(callspec.params) if callspec else {}
        if unknown := set(item.fixturenames) - set(parameters) - {"observe", "request"}:
            raise MasterError(
                f"unknown parameter {', '.join(sorted(unknown))}", where, "use only `observe` and parametrised names"
            )
        case = _case_name(callspec.id, parameters) if callspec else ""
        cases.append(Case(name=case, function=item.function, parameters=parameters))
    drawing = items[0].get_closest_marker("picture")
    draw = drawing.args[0] if drawing else None
    if draw is not None:
        try:
            inspect.signature(draw).bind(observe=None, **cases[0].parameters)
        except TypeError as error:
            what = f"its picture cannot be called ({error})"
            raise MasterError(what, where, "give its function the parameters of the hidden test") from None
    points, hint = mark.kwargs["points"], mark.kwargs["hint"]
    if isinstance(points, bool) or not isinstance(points, int | float) or not 0 <= points < math.inf:
        raise MasterError(f"{points!r} is not a number of points", where, "give a number such as 2 or 0.5")
    if not isinstance(hint, str):
        raise MasterError(f"the hint is {hint!r}", where, "write a sentence for a student who fails this test")
    return HiddenTest(
        name=name.removeprefix("test_"),
        question=str(mark.args[0]),
        points=float(points),
        hint=hint,
        cases=tuple(cases),
        picture=draw,
    )


def check_files(folder: Path) -> None:
    """Read every module next to the hidden tests, probes too, which the sandbox could only fail to load.

    Raises MasterError for one that is not UTF-8 or not Python, and for a hidden test that would never be collected.
    """
    for path in sorted(folder.glob("*.py")):
        text = authored_text(path)
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            what = f"it cannot be imported ({type(error).__name__}: {getattr(error, 'msg', error)})"
            raise MasterError(what, f"{path}:{line}", "fix that line") from None
        for function, fix in _not_collected(path, tree):
            raise MasterError(f"the hidden test {function.name} is never run", f"{path}:{function.lineno}", fix)


def _not_collected(path: Path, tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Yield the functions marked with `@question` that pytest would pass over, each with what to rename."""
    for function in tree.body:
        marks = function.decorator_list if isinstance(function, ast.FunctionDef) else []
        names = {mark.func.id for mark in marks if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name)}
        if not isinstance(function, ast.FunctionDef) or "question" not in names:
            continue
        if not path.match(COLLECTED):
            yield function, f"rename the file to {COLLECTED}"
        elif not function.name.startswith("test"):
            yield function, "begin its name with test_"


def _case_name(case_id: str, parameters: Mapping[str, Any]) -> str:
    """Return `n=2, eps=0.1` if the parameters are plain values, else pytest's id."""
    if all(isinstance(value, bool | int | float | str) for value in parameters.values()):
        return ", ".join(f"{name}={value}" for name, value in parameters.items())
    return f"case {case_id}"
