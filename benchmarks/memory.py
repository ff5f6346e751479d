"""Memory of workers: what one more of them costs, as the libraries' pages are shared."""

import os
from collections.abc import Iterator
from pathlib import Path

from autograder.assignment import Assignment
from autograder.grading.workers import workers
from autograder.submissions.submission import Submission

FEW, MANY = 2, 4
"""Numbers of workers that are compared."""


def of_one_more(assignment: Assignment, submission: Submission) -> float:
    """Return the MiB that a further worker takes after it has graded a submission: grader and fork server."""
    few, many = (_all_workers(assignment, submission, jobs) for jobs in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def _all_workers(assignment: Assignment, submission: Submission, jobs: int) -> float:
    """Return the MiB of everything that a run starts, each shared page counted once."""
    ids = tuple(question.id for question in assignment.questions)
    with workers(assignment, jobs) as (executor, grade):
        for future in [executor.submit(grade, submission, ids) for _ in range(2 * jobs)]:
            future.result()
        return sum(_proportional(pid) for pid in _descendants(os.getpid()))


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text(encoding="ascii").split()):
            yield child
            yield from _descendants(child)


def _proportional(pid: int) -> float:
    """Return the MiB of a process: its own pages, and its share of those that it shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
