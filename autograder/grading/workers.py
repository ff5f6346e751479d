"""Workers: processes that each keep one grader with its sandbox, behind an Executor.

Interrupting a run ends every worker at once, with its fork server and children: what a worker was doing is done again
by the next run.
"""

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.errors import GraderFault, KitError
from autograder.grading.batch import TRIES, Grade
from autograder.grading.graded import Graded, gave_up
from autograder.grading.processes import Processes
from autograder.release.released import load_released
from autograder.sandbox.imports import libraries_of
from autograder.sandbox.loading import Loader, LoaderGone
from autograder.submissions.submission import Submission

if TYPE_CHECKING:  # a grader imports torch, which only the workers need
    from autograder.grading.grader import Grader
    from autograder.grading.recording import Lookup

OpenLookup = Callable[[], "Lookup"]
"""Opens, in a worker, a lookup of the recordings of earlier runs."""

log = logging.getLogger("autograder.workers")


@contextlib.contextmanager
def workers(
    assignment: Assignment,
    jobs: int,
    open_lookup: OpenLookup | None = None,
    *,
    unsafe: bool = False,
    loaded: Loader | None = None,
) -> Iterator[tuple[Executor, Grade]]:
    """Open an executor over `jobs` workers; it comes with the function to submit to it.

    loaded: the loader to fork them from, instead of one of their own
    """
    with contextlib.nullcontext(loaded) if loaded else Loader(assignment) as opened:
        at_once = min(jobs, max(1, len(os.sched_getaffinity(0)) - 1))  # a core is left to the loader
        pool = Processes(opened, at_once, _start_worker, assignment.name, assignment.home, unsafe, open_lookup)
        try:
            load_libraries(opened, assignment)
            pool.add(jobs - at_once)
            yield pool, _grade_in_worker
            pool.shutdown()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def load_libraries(loader: Loader, assignment: Assignment) -> None:
    """Order what fork servers will need besides, to be loaded while the processes forked before open their graders."""
    steps = [step for notebook in load_released(assignment).values() for step in notebook.shared_steps()]
    with contextlib.suppress(LoaderGone):  # the next fork starts another one, and fork servers order this themselves
        loader.orders.load(libraries_of([step.source for step in steps], assignment.release_dir))
        loader.orders.warm_up()


class Keeper:
    """Keeps a grader open, and opens a new one where its fork server was ended from outside.

    A submission at which that happens twice gets a row that says so. A grader that cannot be opened is an error.
    `grade` and `open` are called by one thread; `end` by any, whatever that one is doing.
    """

    def __init__(self, assignment: Assignment, unsafe: bool, open_lookup: OpenLookup | None) -> None:
        self._assignment = assignment
        self._unsafe = unsafe
        self._lookup = open_lookup() if open_lookup else None
        self._stack = contextlib.ExitStack()
        self._grader: Grader | None = None
        self._ended = False

    def grade(self, submission: Submission, questions: tuple[str, ...]) -> Graded:
        from autograder.sandbox.client import ServerGone

        for _ in range(TRIES):
            grader = self.open()
            try:
                return grader.graded(submission, self._assignment.select(questions))
            except ServerGone:
                log.warning("the fork server ended; starting it again")
                self.close()
        return gave_up(submission)

    def open(self) -> "Grader":
        """Return the open grader, opening it where it is not. Raises KitError."""
        from autograder.grading.grader import open_grader

        if self._ended:
            raise GraderFault("the run that it worked for has ended", "grader", "run the command again")
        if self._grader is None:
            opened = open_grader(self._assignment, unsafe=self._unsafe, lookup=self._lookup)
            self._grader = self._stack.enter_context(opened)
        return self._grader

    def end(self) -> None:
        """Close the grader for good, also while another thread grades with it."""
        self._ended = True
        self.close()

    def close(self) -> None:
        self._grader = None
        with contextlib.suppress(Exception):  # the fork server may have been killed
            self._stack.close()
        self._stack = contextlib.ExitStack()


class _Ended(KeyboardInterrupt):
    """This worker was asked to end while it was at work. Hidden tests let it through, as they do Ctrl-C."""


_keeper: Keeper | None = None
_failure: KitError | None = None
_at_work = True


def _start_worker(name: str, home: Path, unsafe: bool, open_lookup: OpenLookup | None) -> Callable[[], None]:
    """Open this worker process's grader; return what closes it.

    An error is kept for the first call; raising it here would only break the pool.
    """
    global _keeper, _failure, _at_work
    for one in (signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)  # the run that gets them too ends its workers
    signal.signal(signal.SIGTERM, _end_this)
    try:
        _keeper = Keeper(load_assignment(name, home), unsafe, open_lookup)
        _keeper.open()
    except KitError as error:
        _failure = error
    except _Ended:
        _leave()
    _at_work = False
    return _keeper.close if _keeper else lambda: None


def _end_this(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if _at_work:
        raise _Ended
    _leave()


def _leave() -> None:
    """End this process; the executor would make a result of an exception."""
    if _keeper is not None:
        _keeper.close()
    os._exit(1)


def _grade_in_worker(submission: Submission, questions: tuple[str, ...]) -> Graded:
    global _at_work
    if _failure is not None or _keeper is None:
        raise _failure or RuntimeError("this process was not started as a worker")
    _at_work = True
    try:
        return _keeper.grade(submission, questions)
    except _Ended:
        _leave()
        raise
    finally:
        _at_work = False
