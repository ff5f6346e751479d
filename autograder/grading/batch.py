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
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from autograder.assignment import Assignment, Question
from autograder.assignment_file import load_assignment
from autograder.errors import GraderFault
from autograder.gradebook.files import Gradebook, without_tests
from autograder.results import Flag, Result, Student, SubmissionStatus
from autograder.submissions.submission import HandIn, Submission

if TYPE_CHECKING:  # a grader imports torch, which only the workers need
    from autograder.grading.grader import Grader


P = ParamSpec("P")
T = TypeVar("T")

AHEAD = 2
"""How many loaded submissions may wait for each worker: enough to keep it busy, few enough to keep memory flat."""


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
    hand_ins: Iterable[HandIn],
    questions: Sequence[Question],
    gradebook: Gradebook,
    executor: Executor,
    grade: Callable[[Submission, tuple[str, ...]], Result],
    progress: Callable[[Result], None],
    jobs: int = 1,
) -> list[Result]:
    """Grade what an earlier run has not finished, record each result as it comes, and return all without their tests.

    A submission is loaded when a worker will soon be free for it. That of a group is graded once and counts for all of
    its members. progress is called with each result, also with those taken from an earlier run.
    Raises GraderFault when a worker dies.
    """
    ids = tuple(question.id for question in questions)
    results: list[Result] = []
    pending: dict[Future[Result], tuple[Student, ...]] = {}

    def record(result: Result, students: Iterable[Student]) -> None:
        for student in students:
            own = replace(result, student=student)
            gradebook.record(own)
            take(own)

    def take(result: Result) -> None:
        results.append(without_tests(result))
        progress(result)

    def collect(timeout: float | None) -> None:
        for future in wait(pending, timeout, return_when=FIRST_COMPLETED).done:
            record(future.result(), pending.pop(future))

    try:
        for hand_in in hand_ins:
            submission = hand_in.load()
            earlier = {
                student: gradebook.finished(student.id, submission.label, submission.sha256)
                for student in hand_in.students
            }
            known = [result for result in earlier.values() if result]
            for result in known:
                take(result)
            lacking = tuple(student for student, result in earlier.items() if not result)
            if known:
                record(known[0], lacking)
            else:
                pending[executor.submit(grade, submission, ids)] = lacking
                collect(None if len(pending) > AHEAD * jobs else 0)
        while pending:
            collect(None)
    except BrokenProcessPool as error:
        fix = "run the command again: what is finished is kept"
        raise GraderFault(
            "a worker process was ended from outside, perhaps for want of memory", "grade", fix
        ) from error
    return results


def record_absent(
    students: Iterable[Student],
    assignment: Assignment,
    questions: Sequence[Question],
    gradebook: Gradebook,
    progress: Callable[[Result], None],
) -> list[Result]:
    """Record who handed in nothing. Who has a result of an earlier run, over other files, keeps it."""
    results = []
    for student in students:
        if gradebook.has(student.id):
            continue
        result = Result(
            student=student,
            submission="",
            sha256="",
            assignment=assignment.name,
            version=assignment.version,
            status=SubmissionStatus.NOT_SUBMITTED,
            max_points=sum(question.points for question in questions),
            flags=(Flag(kind="not_submitted", text="handed in nothing"),),
        )
        gradebook.record(result)
        progress(result)
        results.append(result)
    return results


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
