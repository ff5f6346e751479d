"""Many submissions over an Executor: loaded one by one, graded by workers, passed to the caller as they finish.

Nothing is kept here: results go to the caller at once, so that memory does not grow with the number of submissions.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any

from autograder.grading.graded import Graded, gave_up
from autograder.results import Student
from autograder.submissions.submission import HandIn, Submission

AHEAD = 2
"""Loaded submissions waiting per worker: enough to keep it busy, few enough to keep memory flat."""
TRIES = 2
"""Attempts per submission when workers die; after that, its result says so."""

Grade = Callable[[Submission, tuple[str, ...]], Graded]
"""Grades a submission, given the ids of the questions, in a worker."""


@dataclass(slots=True)
class Job:
    """A submission on its way through a worker, for these students: one, or the members of a group."""

    submission: Submission
    students: tuple[Student, ...]
    questions: tuple[str, ...]
    tries: int = 0


@dataclass(slots=True, kw_only=True)
class Batch:
    """One pass over submissions.

    jobs: tells how many workers there are at the moment
    wanted: the students and questions for which to grade a submission; empty if an earlier run did it all
    record: receives the outcome of a submission, and for whom it counts
    """

    executor: Executor
    grade: Grade
    jobs: Callable[[], int]
    wanted: Callable[[HandIn, Submission], tuple[tuple[Student, ...], tuple[str, ...]]]
    record: Callable[[Graded, Sequence[Student]], object]
    _pending: dict[Future[Graded], Job] = field(default_factory=dict)

    def run(self, hand_ins: Iterable[HandIn]) -> None:
        """Grade everything wanted. A submission is loaded when a worker will soon be free."""
        for job in self._jobs(hand_ins):
            self._submit(job)
            while len(self._pending) > AHEAD * self.jobs() or any(future.done() for future in self._pending):
                self._collect()
        while self._pending:
            self._collect()

    def _jobs(self, hand_ins: Iterable[HandIn]) -> Iterator[Job]:
        for hand_in in hand_ins:
            submission = hand_in.load()
            students, questions = self.wanted(hand_in, submission)
            if students and questions:
                yield Job(submission, students, questions)

    def _submit(self, job: Job) -> None:
        job.tries += 1
        self._pending[self.executor.submit(self.grade, job.submission, job.questions)] = job

    def _collect(self) -> None:
        """Wait for a result and hand it over.

        Where a worker died, everything that was under way is graded again, one at a time: whoever is to blame for a
        second death stands alone, and nobody else pays for it.
        """
        suspects = self._finished()
        if not suspects:
            return
        while self._pending:
            suspects += self._finished()
        while suspects:
            self._submit(suspects.popleft())
            suspects += self._finished()

    def _finished(self) -> deque[Job]:
        """Wait for some calls to end and record what came of them; return the jobs whose worker died."""
        again: deque[Job] = deque()
        for future in wait(self._pending, return_when=FIRST_COMPLETED).done:
            job = self._pending.pop(future)
            try:
                graded = future.result()
            except BrokenExecutor:
                if job.tries < TRIES:
                    again.append(job)
                    continue
                graded = gave_up(job.submission)
            self.record(graded, job.students)
        return again


class InlineExecutor(Executor):
    """Runs each call at once in this process, for a single worker, tests or a debugger."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
