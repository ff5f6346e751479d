"""Workers: processes that each keep one grader with its sandbox, behind an Executor.

A pool whose process died is replaced by a new one. Interrupting a run ends every worker at once: what a worker was
doing is done again by the next run.
"""

import contextlib
import functools
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.util
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.errors import KitError
from autograder.grading.batch import Grade, InlineExecutor
from autograder.grading.graded import Graded
from autograder.submissions.submission import Submission

if TYPE_CHECKING:  # a grader imports torch, which only the workers need
    from autograder.grading.grader import Grader
    from autograder.grading.recording import Lookup

OpenLookup = Callable[[], "Lookup"]
"""Opens, in a worker, what finds the recordings of earlier runs."""

log = logging.getLogger("autograder.workers")


class Pool(Executor):
    """A process pool that is replaced when one of its processes dies.

    Calls that were under way fail with BrokenProcessPool.
    """

    def __init__(self, start: Callable[[], ProcessPoolExecutor]) -> None:
        self._start = start
        self._pool = start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        try:
            return self._pool.submit(fn, *args, **kwargs)
        except BrokenProcessPool:
            log.warning("a worker process ended; starting the workers again")
            self._pool.shutdown(wait=False)
            self._pool = self._start()
            return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)


@contextlib.contextmanager
def workers(
    assignment: Assignment, jobs: int, *, unsafe: bool = False, open_lookup: OpenLookup | None = None
) -> Iterator[tuple[Executor, Grade]]:
    """Open an executor over `jobs` workers; it comes with the function to submit to it."""
    if jobs == 1:
        keeper = _Keeper(assignment, unsafe, open_lookup)
        try:
            yield InlineExecutor(), keeper.grade
        finally:
            keeper.close()
        return
    context = multiprocessing.get_context("spawn")
    where = (assignment.name, assignment.home, unsafe, open_lookup)
    start = functools.partial(ProcessPoolExecutor, jobs, mp_context=context, initializer=_start_worker, initargs=where)
    pool = Pool(start)
    try:
        yield pool, _grade_in_worker
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()
        raise


class _Keeper:
    """Keeps a grader open, and opens a new one, once per submission, where its fork server was ended from outside."""

    def __init__(self, assignment: Assignment, unsafe: bool, open_lookup: OpenLookup | None) -> None:
        self._assignment = assignment
        self._unsafe = unsafe
        self._lookup = open_lookup() if open_lookup else None
        self._stack = contextlib.ExitStack()
        self._grader: Grader | None = None

    def grade(self, submission: Submission, questions: tuple[str, ...]) -> Graded:
        from autograder.sandbox.client import ServerGone

        try:
            return self._once(submission, questions)
        except ServerGone:
            log.warning("the fork server ended; starting it again")
            self.close()
            return self._once(submission, questions)

    def _once(self, submission: Submission, questions: tuple[str, ...]) -> Graded:
        from autograder.grading.grader import open_grader

        if self._grader is None:
            opened = open_grader(self._assignment, unsafe=self._unsafe, lookup=self._lookup)
            self._grader = self._stack.enter_context(opened)
        return self._grader.graded(submission, self._assignment.select(questions))

    def open(self) -> None:
        """Open the grader now, so that the first submission need not wait for it."""
        from autograder.grading.grader import open_grader

        self._grader = self._stack.enter_context(
            open_grader(self._assignment, unsafe=self._unsafe, lookup=self._lookup)
        )

    def close(self) -> None:
        self._grader = None
        with contextlib.suppress(Exception):  # what is left of a fork server that was killed
            self._stack.close()
        self._stack = contextlib.ExitStack()


_keeper: _Keeper | None = None
_failure: KitError | None = None


def _start_worker(name: str, home: Path, unsafe: bool, open_lookup: OpenLookup | None) -> None:
    """Open this worker process's grader; it is closed when the process ends.

    An error is kept for the first call: one that is raised here would only break the pool.
    """
    global _keeper, _failure
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run that is interrupted ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _keeper = _Keeper(load_assignment(name, home), unsafe, open_lookup)
        _keeper.open()
        multiprocessing.util.Finalize(None, _keeper.close, exitpriority=10)
    except KitError as error:
        _failure = error


def _end_with_parent() -> None:
    """End this worker when its run was killed; it would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _grade_in_worker(submission: Submission, questions: tuple[str, ...]) -> Graded:
    if _failure is not None or _keeper is None:
        raise _failure or RuntimeError("this process was not started as a worker")
    return _keeper.grade(submission, questions)
