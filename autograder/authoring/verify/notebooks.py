"""Checks that run the notebooks from top to bottom in a Jupyter kernel, as released and with the reference."""

import functools
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from autograder.assignment import Assignment
from autograder.authoring import claims, corpus, run_notebook
from autograder.authoring.verify.rule import Rule
from autograder.errors import printable
from autograder.release.released import load_released

PASSES = r"^\s*{0}( results: All test cases passed!|\s+passed\b)"
"""A line of `check_all` for a question whose checks pass: Otter's own, or a row of a table."""
CHECK = re.compile(r'grader\.check\("(\w+)"\)')
Claims = Mapping[str, list[claims.Claim]]
CLOCK = "import time as _time\nprint(_time.process_time())"
SLOWER = 5
"""Wall-clock limit of a single cell, as a multiple of the CPU limit of the whole notebook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookRun:
    """One run. stopped: what ended it early, empty if nothing; checks: the output of each public check, by question.

    cpu_s: of the kernel, by its own clock, including imports; 0 if the run did not finish
    broken: each claim about a demonstration that does not hold; evaluated for the solution only
    """

    stopped: str
    checks: Mapping[str, str]
    check_all: str
    cpu_s: float
    broken: tuple[str, ...] = ()


class Runs:
    """The runs of one assignment's notebooks, by notebook; each runs once, when first needed."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment

    @functools.cached_property
    def release(self) -> dict[str, NotebookRun]:
        """The runs as released. Raises MasterError if there is no usable release."""
        load_released(self.assignment)
        return self._run_all(corpus.released_tables(self.assignment))

    @functools.cached_property
    def solution(self) -> dict[str, NotebookRun]:
        """The runs with solutions. Raises MasterError if there is no usable release, or for an error in a master."""
        tables = {name: run_notebook.solution(self.assignment, name) for name in self.assignment.notebooks}
        about = {
            name: claims.by_cell(self.assignment.masters_dir / f"{name}.py", table["cells"])
            for name, table in corpus.released_tables(self.assignment).items()
        }
        return self._run_all(tables, about)

    def _run_all(
        self, notebooks: Mapping[str, corpus.Notebook], about: Mapping[str, Claims] = MappingProxyType({})
    ) -> dict[str, NotebookRun]:
        with ThreadPoolExecutor(2) as pool:
            one_by_one = (about.get(name, {}) for name in notebooks)
            runs = pool.map(functools.partial(run, self.assignment), notebooks.values(), one_by_one)
            return dict(zip(notebooks, runs, strict=True))

    def both(self) -> Iterator[tuple[str, NotebookRun]]:
        for name, one in self.release.items():
            yield f"{name}.ipynb as released", one
        for name, one in self.solution.items():
            yield f"{name}.ipynb with solutions", one


def run(assignment: Assignment, notebook: corpus.Notebook, about: Claims = MappingProxyType({})) -> NotebookRun:
    """Run a notebook in a copy of the release and evaluate the claims about its cells."""
    clock: dict[str, Any] = {
        "cell_type": "code",
        "id": "clock",
        "source": CLOCK,
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    notebook = claims.with_evaluation(notebook, about)
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        shutil.copytree(assignment.release_dir, folder, dirs_exist_ok=True)
        limit_s = math.ceil(SLOWER * assignment.gate.notebook_cpu_s)
        table, stopped = run_notebook.run(notebook | {"cells": [*notebook["cells"], clock]}, Path(folder), limit_s)
    cpu_s = _printed(table.cells.pop())
    return NotebookRun(
        stopped=stopped,
        checks={found[1]: _printed(cell) for cell in table.cells if (found := CHECK.match(cell.source))},
        check_all="\n".join(_printed(cell) for cell in table.cells if "grader.check_all" in cell.source),
        cpu_s=float(cpu_s) if cpu_s and not stopped else 0.0,
        broken=tuple(claims.broken_claims(_evaluations(table, about), about)),
    )


def _evaluations(table: Any, about: Claims) -> dict[str, str]:
    """Return the output of the evaluating cells, by the id of the cell that each is about."""
    printed = {cell.id: _printed(cell) for cell in table.cells}
    return {cell: printed.get(claims.evaluating(cell), "") for cell in about}


def _printed(cell: Any) -> str:
    """Return the text output of a cell."""
    parts = [
        output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", [])
    ]
    return "\n".join(parts)


def runs_finish(runs: Runs) -> Iterator[str]:
    for which, one in runs.both():
        if one.stopped:
            yield f"{which}: {one.stopped}"


def checks_fail_on_the_release(runs: Runs) -> Iterator[str]:
    for question in runs.assignment.tested:
        said = runs.release[question.notebook].checks.get(question.id)
        if said is None or "failed" not in said.lower():
            yield f"{question.id}: its check does not fail on the release; its output is {_short(said)}"


def checks_pass_on_the_solution(runs: Runs) -> Iterator[str]:
    for question in runs.assignment.tested:
        one = runs.solution[question.notebook]
        said = one.checks.get(question.id)
        if said is None or "passed" not in said or "failed" in said.lower():
            yield f"{question.id}: its check does not pass on the solution; its output is {_short(said)}"
        elif one.check_all and not re.search(PASSES.format(question.id), one.check_all, re.MULTILINE):
            yield f"{question.id}: its check passes below the question but not in check_all: a later cell changes it"


def _short(said: str | None) -> str:
    if said is None:
        return "missing: there is no such cell, or the run stopped before it"
    lines = [printable(line).strip() for line in said.splitlines() if line.strip()]
    return repr(lines[-1][:200]) if lines else "empty"


def claims_hold(runs: Runs) -> Iterator[str]:
    for name, one in runs.solution.items():
        yield from (f"{name}.ipynb, {reason}" for reason in one.broken)


def notebooks_are_quick(runs: Runs) -> Iterator[str]:
    limit = runs.assignment.gate.notebook_cpu_s
    for name, one in runs.solution.items():
        if one.cpu_s > limit:
            took = f"took {one.cpu_s:.0f} s of CPU"
            yield f"{name}.ipynb with solutions {took}, more than gate.notebook_cpu_s = {limit:g}; shorten it"


RULES = (
    Rule(name="notebooks run from top to bottom, as released and with solutions", reasons=runs_finish),
    Rule(name="every public check fails on the release", reasons=checks_fail_on_the_release),
    Rule(name="every public check passes on the solution", reasons=checks_pass_on_the_solution),
    Rule(name="every claim about a demonstration holds", reasons=claims_hold),
    Rule(name="notebooks with solutions stay within gate.notebook_cpu_s", reasons=notebooks_are_quick),
)
