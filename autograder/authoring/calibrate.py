"""Calibration of loss thresholds: right and wrong answers are trained over many seeds, on every data file.

`calibration.py` next to the hidden tests lists the loss tests (`LOSS_TESTS`). Each is measured with the reference and
with wrong answers, in the same sandbox and with the same probes as in grading. The resulting table is stored next to
the thresholds, and a test compares the two. Where a loss test has a picture of the training, the band that right
answers lie in is measured in the same runs.
"""

import csv
import io
import math
import multiprocessing
import os
import statistics
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authored import load_module
from autograder.authoring.corpus import answer_cell
from autograder.grading.grader import run_factory
from autograder.grading.hidden_tests import LossTest
from autograder.grading.observe import Child, Observer
from autograder.grading.pictures import band_of
from autograder.notebook import NotebookFile
from autograder.release.reference import reference_cells
from autograder.release.released import load_released
from autograder.sandbox.client import Sandbox
from autograder.submissions.reassemble import reassemble

TABLE = "calibration.csv"
REFERENCE = "the reference"
SPARE = 0.5
"""Margin of a band on both sides, relative to its width over the seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Losses of one answer over the seeds; `margin` is from their mean to the limit, in standard deviations."""

    question: str
    test: str
    names: str
    answer: str
    right: bool
    seeds: int
    mean: float
    deviation: float
    low: float
    high: float
    limit: float
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where right answers lie in the picture of a loss test, at one place of its x axis."""

    question: str
    test: str
    names: str
    place: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one calibration measured."""

    rows: list[Row]
    places: list[Place]


def calibrate(assignment: Assignment, data_files: Sequence[Path], seeds: int, jobs: int) -> Measured:
    """Measure every loss test of the assignment; each data file in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(data_files)), mp_context=context, max_tasks_per_child=1) as executor:
        where = (assignment.name, assignment.home, seeds)
        found = [executor.submit(_measure_file, *where, path) for path in data_files]
        files = [future.result() for future in found]
        return Measured(
            rows=[row for one in files for row in one.rows], places=[place for one in files for place in one.places]
        )


def _measure_file(name: str, home: Path, seeds: int, data_file: Path) -> Measured:
    assignment = load_assignment(name, home)
    os.environ[next(iter(assignment.data)).upper()] = str(data_file)
    module = load_module(assignment.hidden_tests_dir, "calibration")
    released = load_released(assignment)
    reference = reference_cells(assignment, released)
    prologues = {name: notebook.shared_steps() for name, notebook in released.items()}
    rows: list[Row] = []
    places: list[Place] = []
    with Sandbox(assignment, prologues) as sandbox:
        start = run_factory(sandbox, assignment)
        for test in module.LOSS_TESTS:
            question = assignment.question(test.question)
            notebook = released[question.notebook]
            program = reassemble(
                notebook, [NotebookFile(name=notebook.name, cells=notebook.cells)], assignment
            ).with_answers(reference)
            for label, bodies in {REFERENCE: {}, **test.wrong}.items():
                cells = {key: answer_cell(notebook, key, _text(body)) for key, body in bodies.items()}
                losses, curves = [], []
                for seed in range(seeds):
                    child = Child(start, [program.with_answers(cells)], seed)
                    observer = Observer(child, question.id, seed)
                    losses.append(test.loss(observer, seed))
                    if test.curve and label == REFERENCE:
                        curves.append(test.curve(observer, seed))
                    child.close()
                rows.append(_row(test, data_file.stem, label, losses))
                places.extend(_places(test, data_file.stem, curves))
    return Measured(rows=rows, places=places)


def _places(test: LossTest, names: str, curves: Sequence[Any]) -> Iterator[Place]:
    if curves:
        for place, (low, high) in enumerate(zip(*band_of(curves, margin=SPARE), strict=True), start=1):
            found = {"low": round(float(low), 4), "high": round(float(high), 4)}
            yield Place(question=test.question, test=test.test, names=names, place=place, **found)


def _text(body: str) -> str:
    return textwrap.dedent(body).strip("\n")


def _row(test: LossTest, names: str, label: str, losses: Sequence[float]) -> Row:
    finite = all(map(math.isfinite, losses))
    mean, deviation = (statistics.fmean(losses), statistics.stdev(losses)) if finite else (math.inf, 0.0)
    right, limit = label == REFERENCE, test.limit()
    margin = (limit - mean if right else mean - limit) / deviation if finite else math.inf
    return Row(
        question=test.question,
        test=test.test,
        names=names,
        answer=label,
        right=right,
        seeds=len(losses),
        mean=round(mean, 4),
        deviation=round(deviation, 4),
        low=round(min(losses), 4) if finite else math.inf,
        high=round(max(losses), 4) if finite else math.inf,
        limit=round(limit, 4),
        margin=round(margin, 1),
    )


def to_csv(rows: Iterable[Row | Place]) -> str:
    tables: list[Mapping[str, Any]] = [asdict(row) for row in rows]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(tables[0]) if tables else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(tables)
    return buffer.getvalue()


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw each answer's mean and range, and its limit, in the image format of the path's extension."""
    from matplotlib.figure import Figure

    rows = [row for row in rows if math.isfinite(row.mean)]
    labels = [f"{row.question} {row.answer} ({row.names})" for row in rows]
    figure = Figure(figsize=(9, 1 + 0.3 * len(rows)), layout="constrained")
    axes: Any = figure.add_subplot()
    for height, row in enumerate(rows):
        colour = "#0072B2" if row.right else "#D55E00"
        axes.plot([row.low, row.high], [height, height], color=colour, linewidth=5, alpha=0.5, solid_capstyle="butt")
        axes.plot(row.mean, height, "o", color=colour)
        axes.plot([row.limit, row.limit], [height - 0.4, height + 0.4], color="black")
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("held-out loss (nats per character): mean and range over the seeds; black: the limit")
    axes.set_title("Right answers end below the limit, wrong ones above")
    figure.savefig(path)
