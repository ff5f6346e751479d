"""Many submissions over an Executor: each worker keeps one sandbox and the collected hidden tests."""

import contextlib
import functools
import hashlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.util
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from autograder.assignment import Assignment, Question
from autograder.assignment_file import load_assignment
from autograder.errors import GraderFault
from autograder.gradebook.files import Gradebook, without_tests
from autograder.results import Result
from autograder.submissions.intake import Submission

if TYPE_CHECKING:  # a grader imports torch, which only the workers need
    from autograder.grading.grader import Grader


P = ParamSpec("P")
T = TypeVar("T")

AHEAD = 512
"""How many submissions may wait for a worker: enough for the largest number of workers."""


def fingerprint(assignment: Assignment, questions: Sequence[Question], missing: Sequence[str] = ()) -> str:
    """A digest of all that decides a result but the submission: kit, assignment, names file, questions.

    missing: the required layers of the sandbox that are not there, so that no such result passes for a confined one.
    """
    total = hashlib.sha256(repr([[question.id for question in questions], *missing]).encode())
    folders = [Path(__file__).parent, assignment.masters_dir, assignment.hidden_tests_dir, assignment.release_dir]
    files = {
        path for folder in folders for kind in ("*.py", "*.toml", "*.ipynb", "*.json") for path in folder.rglob(kind)
    }
    for path in [*sorted(files), *filter(Path.is_file, assignment.readable)]:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def grade_batch(
    submissions: Sequence[Submission],
    questions: Sequence[Question],
    gradebook: Gradebook,
    executor: Executor,
    grade: Callable[[Submission, tuple[str, ...]], Result],
    progress: Callable[[Result], None],
) -> list[Result]:
    """Grade what an earlier run has not finished, record each result as it comes, and return all without their tests.

    progress is called with each result, also with those taken from an earlier run.
    Raises GraderFault when a worker dies.
    """
    ids = tuple(question.id for question in questions)
    results = []
    waiting: list[Submission] = []
    for submission in submissions:
        finished = gradebook.finished(submission.student.id, submission.label, submission.digest())
        if finished:
            results.append(without_tests(finished))
            progress(finished)
        else:
            waiting.append(submission)
    try:
        for result in _results(executor, (functools.partial(grade, submission, ids) for submission in waiting)):
            gradebook.record(result)
            results.append(without_tests(result))
            progress(result)
    except BrokenProcessPool as error:
        fix = "run the command again: what is finished is kept"
        raise GraderFault(
            "a worker process was ended from outside, perhaps for want of memory", "grade", fix
        ) from error
    return results


def _results(executor: Executor, calls: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What the calls return, as it comes. A result is given away at once, so that it can be recorded and forgotten."""
    pending: set[Future[T]] = set()
    for call in calls:
        pending.add(executor.submit(call))
        done, pending = wait(pending, None if len(pending) > AHEAD else 0, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)
    yield from (future.result() for future in as_completed(pending))


class InlineExecutor(Executor):
    """Runs each call at once in this process: what one worker, a test or a debugger wants."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextlib.contextmanager
def workers(
    assignment: Assignment, jobs: int, unsafe: bool = False
) -> Iterator[tuple[Executor, Callable[[Submission, tuple[str, ...]], Result]]]:
    """An executor over `jobs` workers and the function to submit to it."""
    if jobs == 1:
        from autograder.grading.grader import open_grader

        with open_grader(assignment, unsafe=unsafe) as grader:
            yield InlineExecutor(), functools.partial(_grade, grader)
        return
    context = multiprocessing.get_context("spawn")
    where = (assignment.name, assignment.home, unsafe)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=where) as executor:
        yield executor, _grade_in_worker


def _grade(grader: "Grader", submission: Submission, question_ids: tuple[str, ...]) -> Result:
    return grader.grade(submission, grader.assignment.select(question_ids))


_grader: "Grader | None" = None


def _start_worker(name: str, home: Path, unsafe: bool) -> None:
    """Open this worker process's grader; it is closed when the process ends."""
    global _grader
    from autograder.grading.grader import open_grader

    threading.Thread(target=_end_with_parent, daemon=True).start()
    stack = contextlib.ExitStack()
    _grader = stack.enter_context(open_grader(load_assignment(name, home), unsafe=unsafe))
    multiprocessing.util.Finalize(None, stack.close, exitpriority=10)


def _end_with_parent() -> None:
    """A worker whose run was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _grade_in_worker(submission: Submission, question_ids: tuple[str, ...]) -> Result:
    assert _grader is not None
    return _grade(_grader, submission, question_ids)
