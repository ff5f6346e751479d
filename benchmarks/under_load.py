"""Whether a verdict depends on how busy the machine is: the corpus graded alone, and beside a load.

`python -m benchmarks.under_load` prints every verdict that differs and exits with 1 if there is one. Each submission
answers all questions, with one entry of the corpus each.
"""

import contextlib
import functools
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.progress import track

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authoring import corpus
from autograder.grading.workers import workers
from autograder.release.reference import reference_cells
from autograder.release.released import load_released
from autograder.results import Student
from autograder.submissions.submission import Submission, of_files

TIMES_CORES = 4
Verdicts = dict[tuple[str, str], tuple[str, float]]
"""Status and points by submission and question."""


def write_submissions(assignment: Assignment, folder: Path) -> list[Submission]:
    """Write as many submissions as it takes until every entry of the corpus is in one."""
    tables, released = corpus.released_tables(assignment), load_released(assignment)
    reference, entries = reference_cells(assignment, released), corpus.read_corpus(assignment)
    written = []
    for number in range(max(map(len, entries.values()))):
        chosen: dict[str, str | corpus.Answer] = dict(reference)
        chosen |= {question: known[number] for question, known in entries.items() if number < len(known)}
        place = corpus.write(folder / f"{number:03}", corpus.submission(tables, released, chosen))
        written.append(of_files(Student(id=place.name), sorted(place.glob("*.ipynb"))))
    return written


def verdicts(assignment: Assignment, submissions: Sequence[Submission], what: str) -> tuple[Verdicts, float]:
    """Grade the submissions with one worker per core; also return the seconds that it took."""
    ids = tuple(question.id for question in assignment.questions)
    found: Verdicts = {}
    began = time.monotonic()
    with workers(assignment, os.cpu_count() or 1) as (executor, grade):
        futures = [executor.submit(grade, submission, ids) for submission in submissions]
        for future in track(futures, what):
            result = future.result().result
            found |= {
                (result.student.id, question): (one.status, one.points) for question, one in result.questions.items()
            }
    return found, time.monotonic() - began


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """Keep this many processes computing."""
    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=_compute, args=(os.getpid(),), daemon=True) for _ in range(processes)]
    for one in busy:
        one.start()
    try:
        yield
    finally:
        for one in busy:
            one.kill()
            one.join()


def _compute(parent: int) -> None:
    os.setsid()  # where the kernel shares the cores among sessions, each of these counts like a grader
    while os.getppid() == parent:
        functools.reduce(int.__xor__, range(1 << 20))


def main() -> int:
    assignment = load_assignment(None)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        submissions = write_submissions(assignment, Path(name))
        alone, alone_s = verdicts(assignment, submissions, "alone")
        processes = TIMES_CORES * (os.cpu_count() or 1)
        with load(processes):
            busy, busy_s = verdicts(assignment, submissions, f"beside {processes} busy processes")
    different = [key for key, verdict in alone.items() if busy[key] != verdict]
    for key in different:
        print(*key, *alone[key], "became", *busy[key])
    times = f"{alone_s:.0f} s alone, {busy_s:.0f} s beside {processes} busy processes"
    print(f"{len(alone)} verdicts of {len(submissions)} submissions: {times}")
    print(f"{len(different)} differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
