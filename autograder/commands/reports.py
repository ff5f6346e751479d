"""Verbs that write pages: feedback, report."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.assignment import Assignment
from autograder.commands.options import Verbs, chosen, results_folder, verb
from autograder.errors import UsageError, printable
from autograder.results import Result
from autograder.wording import number_of

if TYPE_CHECKING:  # a verb imports what it needs when it runs
    from autograder.gradebook.late import Deduction
    from autograder.gradebook.store import Gradebook

SYSTEMS = ("canvas", "moodle")


def add(verbs: Verbs) -> None:
    """Add the verbs of this group."""
    feedback = verb(verbs, "feedback", "write a page and a text for each student: every lost point and why", _feedback)
    results_folder(feedback)
    help_zip = "also write feedback-SYSTEM.zip, which Canvas or Moodle attaches to the submissions"
    feedback.add_argument("--zip", choices=SYSTEMS, metavar="SYSTEM", help=f"{help_zip} (canvas or moodle)")
    report = verb(verbs, "report", "write feedback, the report on the class and the similarity report", _report)
    results_folder(report)
    help_run = "as things stood after this run (default: the newest)"
    report.add_argument("--run", dest="at_run", type=int, metavar="N", help=help_run)


def _feedback(options: argparse.Namespace) -> int:
    from autograder.gradebook.run import deductions
    from autograder.reports.feedback import FOLDER

    assignment = chosen(options)
    with _opened(options) as gradebook:
        results = _results(gradebook, None)
        count = _write_feedback(results, assignment, options.out, deductions(gradebook, assignment))
    print(f"feedback: {options.out / FOLDER} ({number_of(count, 'student')})")
    if options.zip:
        _write_zip(options.zip, results, options.out)
    return 0


def _write_zip(system: str, results: list[Result], folder: Path) -> None:
    from autograder.gradebook.files import file_stem, write_whole
    from autograder.platforms.feedback_zip import feedback_zip
    from autograder.reports.feedback import FOLDER

    ids = [result.student.id for result in results]
    pages = {student: (folder / FOLDER / f"{file_stem(student)}.html").read_bytes() for student in ids}
    made = feedback_zip(system, results, pages)
    path = folder / f"feedback-{system}.zip"
    write_whole(path, made.data)
    print(f"zip: {path} ({made.files} files)")
    for student, why in made.without:
        print(printable(f"not in the zip: {student}: {why}"), file=sys.stderr)


def _report(options: argparse.Namespace) -> int:
    from autograder.gradebook.run import between, deductions
    from autograder.release.reference import reference_cells
    from autograder.release.released import load_released
    from autograder.reports.feedback import FOLDER
    from autograder.reports.report import write_report
    from autograder.reports.side_by_side import FILE, write_similarity

    assignment = chosen(options)
    with _opened(options) as gradebook:
        run = _run(gradebook, options.at_run)
        results = _results(gradebook, run)
        found = list(between(gradebook, run))
        taken_off = deductions(gradebook, assignment)
    count = _write_feedback(results, assignment, options.out, taken_off)
    released = load_released(assignment)
    known = [cell.source for notebook in released.values() for cell in notebook.cells if cell.kind == "code"]
    known += reference_cells(assignment, released).values()
    similarity = write_similarity(results, assignment, known, options.out)
    report = write_report(results, assignment, options.out, found, {FILE: "Similarity"})
    print(f"report: {report}")
    print(f"similarity: {similarity}")
    print(f"feedback: {options.out / FOLDER} ({number_of(count, 'student')})")
    return 0


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator["Gradebook"]:
    from autograder.gradebook.store import open_gradebook

    with open_gradebook(options.out, options.db, writing=False) as gradebook:
        yield gradebook


def _run(gradebook: "Gradebook", wanted: int | None) -> int:
    """Return the run that is asked for, the newest by default. Raises UsageError where there is no such run."""
    runs = [one.id for one in gradebook.runs()]
    if not runs:
        raise UsageError("no run has been recorded", gradebook.engine.url.database, "run `autograder grade` first")
    if wanted is not None and wanted not in runs:
        known = ", ".join(map(str, runs[-10:]))
        raise UsageError("no such run", f"--run {wanted}", f"give one of: {known}")
    return wanted or runs[-1]


def _results(gradebook: "Gradebook", run: int | None) -> list[Result]:
    from autograder.gradebook.views import current

    return list(current(gradebook, run, tests=True))


def _write_feedback(
    results: list[Result], assignment: Assignment, folder: Path, deductions: "Mapping[str, Deduction] | None"
) -> int:
    from autograder.reports.feedback import write_feedback
    from autograder.reports.terminal import counted

    with counted(len(results), "writing feedback") as advance:
        return write_feedback(
            results, assignment, folder, deductions, lambda result: advance(result.student.id, result.status.value)
        )
