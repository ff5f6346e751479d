"""A Dask cluster on this machine against local workers on the same cores, one after the other in each round.

`python -m benchmarks.on_dask` prints the ratio of their throughputs, and that of each round.
"""

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path

from distributed import LocalCluster

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.grading.batch import Grade
from autograder.grading.cluster import connected
from autograder.grading.workers import workers
from autograder.submissions.submission import Submission

JOBS = 2
CLASS = 12
"""Submissions in one measurement: enough that its end, when one worker waits for the other, weighs little."""
ROUNDS = 5


def measure(
    assignment: Assignment, submission: Submission, rounds: int = ROUNDS, count: int = CLASS
) -> Iterator[tuple[float, float]]:
    """Yield for each round the submissions per second of the cluster and of local workers."""
    ids = tuple(question.id for question in assignment.questions)
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(
            LocalCluster(n_workers=JOBS, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1")
        )
        far = stack.enter_context(stack.enter_context(connected(cluster.scheduler_address, assignment)).workers())
        near = stack.enter_context(workers(assignment, JOBS))
        for both in (far, near):
            _rate(*both, submission, ids, 2 * JOBS)  # opens the graders
        for _ in range(rounds):
            yield _rate(*far, submission, ids, count), _rate(*near, submission, ids, count)


def _rate(executor: Executor, grade: Grade, submission: Submission, ids: Sequence[str], count: int) -> float:
    began = time.perf_counter()
    for future in [executor.submit(grade, submission, tuple(ids)) for _ in range(count)]:
        future.result()
    return count / (time.perf_counter() - began)


def main() -> int:
    """Measure with the reference of the only assignment here."""
    from benchmarks.bench import reference

    assignment = load_assignment(None)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        ratios = []
        for far, near in measure(assignment, reference(assignment, Path(name) / "reference")):
            ratios.append(far / near)
            print(f"{far:.2f} per second on the cluster, {near:.2f} with local workers: {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
