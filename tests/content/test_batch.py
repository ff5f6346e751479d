"""A batch: graded once, recorded as it comes, resumed where it was, and never grown by the class."""

import contextlib
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder.gradebook import run as runs
from autograder.gradebook.store import Gradebook, open_gradebook
from autograder.grading.batch import TRIES, Batch, InlineExecutor
from autograder.grading.graded import Graded
from autograder.grading.workers import Keeper
from autograder.results import QuestionScore, Result, Status, Student, SubmissionStatus
from autograder.sandbox.client import ServerGone
from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.submission import HandIn, Submission
from tests import corpus, downloads

ASSIGNMENT = corpus.assignment()
B1, B3 = ASSIGNMENT.select(["B1", "B3"])
GRADER = {"judging": "e", "tests B1": "1", "tests B3": "3"}


def score(points: float, most: float) -> QuestionScore:
    return QuestionScore(computed=points, max_points=most, status=Status.FAILED, dependencies="own", tests=())


class Worker:
    """Grades without running anything, and notes what it was given."""

    def __init__(self, points: float = 1.0) -> None:
        self.points = points
        self.calls: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, submission: Submission, questions: tuple[str, ...]) -> Graded:
        self.calls.append((submission.student.id, questions))
        result = Result(
            student=submission.student,
            submission=submission.label,
            sha256=submission.sha256,
            assignment="x",
            version="1",
            status=SubmissionStatus.GRADED,
            max_points=sum(one.points for one in ASSIGNMENT.select(questions)),
            questions={one.id: score(self.points, one.points) for one in ASSIGNMENT.select(questions)},
        )
        return Graded(result=result)


@pytest.fixture
def book(tmp_path: Path) -> Any:
    with open_gradebook(tmp_path / "out") as gradebook:
        yield gradebook


@pytest.fixture
def hand_ins(tmp_path: Path) -> list[HandIn]:
    for student in ("ada", "bob"):
        (tmp_path / "s" / student).mkdir(parents=True)
        (tmp_path / "s" / student / "batchnorm.ipynb").write_text(f'{{"cells": [], "who": "{student}"}}')
    return take_in([tmp_path / "s"], Wanted(notebooks=ASSIGNMENT.notebooks)).hand_ins


def grade(
    gradebook: Gradebook,
    hand_ins: list[HandIn],
    worker: Worker,
    grader: dict[str, str] | None = None,
    questions: tuple[Any, ...] = (B1, B3),
    executor: Executor | None = None,
) -> runs.GradingRun:
    run = runs.begin(gradebook, ASSIGNMENT, questions, grader or GRADER, "grade")
    batch = Batch(
        executor=executor or InlineExecutor(), grade=worker, jobs=lambda: 1, wanted=run.wanted, record=run.record
    )
    batch.run(hand_ins)
    gradebook.end_run(run.id)
    return run


def test_a_second_run_grades_nothing(book: Gradebook, hand_ins: list[HandIn]) -> None:
    grade(book, hand_ins, Worker())
    again = Worker()
    run = grade(book, hand_ins, again)
    assert again.calls == []
    assert run.changes() == []
    assert run.why(hand_ins) == ["2 of 2 students have results from an earlier run"]


def test_a_changed_test_grades_that_question_alone_and_says_why(book: Gradebook, hand_ins: list[HandIn]) -> None:
    grade(book, hand_ins, Worker())
    changed = GRADER | {"tests B3": "other"}
    worker = Worker(2.0)
    run = runs.begin(book, ASSIGNMENT, (B1, B3), changed, "grade")
    assert run.why(hand_ins)[1:] == ["graded again: 2, because of changes in the hidden tests of B3"]
    run = grade(book, hand_ins, worker, changed)
    assert worker.calls == [("ada", ("B3",)), ("bob", ("B3",))]
    assert [(one.student, one.question, one.before, one.after, one.why) for one in run.changes()] == [
        ("ada", "B3", 1.0, 2.0, "tests"),
        ("bob", "B3", 1.0, 2.0, "tests"),
    ]
    assert grade(book, hand_ins, Worker(), changed).touched == set()


def test_some_questions_add_to_what_is_there(book: Gradebook, hand_ins: list[HandIn]) -> None:
    grade(book, hand_ins, Worker(), questions=(B1,))
    grade(book, hand_ins[:1], Worker(2.0), questions=(B3,))
    ada, bob = [saved.result for saved in book.saved()]
    assert {key: one.points for key, one in ada.questions.items()} == {"B1": 1.0, "B3": 2.0}
    assert (ada.max_points, list(bob.questions)) == (B1.points + B3.points, ["B1"])


def test_a_changed_submission_is_graded_anew(book: Gradebook, hand_ins: list[HandIn], tmp_path: Path) -> None:
    grade(book, hand_ins, Worker())
    (tmp_path / "s" / "bob" / "batchnorm.ipynb").write_text('{"cells": []}')
    worker = Worker(3.0)
    later = take_in([tmp_path / "s"], Wanted(notebooks=ASSIGNMENT.notebooks)).hand_ins
    run = grade(book, later, worker)
    assert worker.calls == [("bob", ("B1", "B3"))]
    assert {one.why for one in run.changes()} == {"submission"}


def test_a_group_is_graded_once_and_counts_for_all(book: Gradebook, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    downloads.zipped(path, downloads.gradescope())
    intake = take_in([path], Wanted(notebooks=downloads.NOTEBOOKS))
    worker = Worker()
    grade(book, intake.hand_ins, worker)
    assert [one.id for one in book.students()] == [one.id for one in downloads.PRESENT]
    assert len(worker.calls) == len(downloads.PRESENT) - 1


def test_who_handed_in_nothing_has_a_row_and_keeps_an_earlier_one(book: Gradebook, hand_ins: list[HandIn]) -> None:
    grade(book, hand_ins, Worker())
    run = runs.begin(book, ASSIGNMENT, (B1,), GRADER, "grade")
    assert run.absent(Student(id="eve")).status is SubmissionStatus.NOT_SUBMITTED
    assert run.absent(Student(id="ada")).status is SubmissionStatus.GRADED
    assert [saved.result.student.id for saved in book.saved()] == ["ada", "bob", "eve"]


class Dying(Executor):
    """Breaks as often as it is told before it works, as a pool does whose process is killed."""

    def __init__(self, deaths: int) -> None:
        self.deaths = deaths

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.deaths:
            self.deaths -= 1
            future: Future[Any] = Future()
            future.set_exception(BrokenProcessPool("killed"))
            return future
        return InlineExecutor().submit(fn, *args, **kwargs)


def test_a_worker_that_dies_costs_a_retry(book: Gradebook, hand_ins: list[HandIn]) -> None:
    run = grade(book, hand_ins, Worker(), executor=Dying(1))
    assert run.failed == 0
    assert [saved.result.status for saved in book.saved()] == [SubmissionStatus.GRADED] * 2


def test_a_submission_at_which_workers_die_again_and_again_gets_a_row(book: Gradebook, hand_ins: list[HandIn]) -> None:
    run = grade(book, hand_ins[:1], Worker(), executor=Dying(TRIES))
    (saved,) = book.saved()
    assert run.failed == 1
    assert saved.result.flags[0].kind == "grader_failed"
    worker = Worker()
    grade(book, hand_ins[:1], worker)
    assert worker.calls == [("ada", ("B1", "B3"))], "the next run tries again"


class Killed(Executor):
    """A pool that dies at one submission, and takes with it what is under way; before that, nothing is finished."""

    def __init__(self, killer: str) -> None:
        self.killer = killer
        self.dead = False
        self.under_way: list[Future[Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.under_way.append(future)
        if args[0].student.id == self.killer:
            for one in self.under_way:
                one.set_exception(BrokenProcessPool("killed"))
            self.under_way, self.dead = [], True
        elif self.dead:
            future.set_result(fn(*args, **kwargs))
            self.under_way = []
        return future


def test_nobody_pays_for_a_neighbour_that_kills_workers(book: Gradebook, tmp_path: Path) -> None:
    """All that was under way at the first death is graded again, one by one; only the killer dies again."""
    for student in ("ada", "bob", "cem", "dan"):
        (tmp_path / "s" / student).mkdir(parents=True)
        (tmp_path / "s" / student / "batchnorm.ipynb").write_text(f'{{"cells": [], "who": "{student}"}}')
    hand_ins = take_in([tmp_path / "s"], Wanted(notebooks=ASSIGNMENT.notebooks)).hand_ins
    worker = Worker()
    run = grade(book, hand_ins, worker, executor=Killed("cem"))
    assert run.failed == 1
    assert [saved.result.student.id for saved in book.saved() if saved.result.flags] == ["cem"]
    assert sorted(student for student, _ in worker.calls) == ["ada", "bob", "dan"]


class Servers:
    """Stands for the graders that a keeper opens: each one's fork server dies as often as told."""

    def __init__(self, deaths: int) -> None:
        self.deaths = deaths
        self.opened = 0

    @contextlib.contextmanager
    def __call__(self, *arguments: Any, **options: Any) -> Iterator["Servers"]:
        self.opened += 1
        yield self

    def graded(self, submission: Submission, questions: Any) -> Graded:
        if self.deaths:
            self.deaths -= 1
            raise ServerGone("it ended or hangs", "fork server", "x")
        return Worker()(submission, tuple(one.id for one in questions))


@pytest.mark.parametrize(("deaths", "opened", "failed"), [(0, 1, 0), (1, 2, 0), (2, 3, 1)])
def test_a_killed_fork_server_is_started_again(
    book: Gradebook, hand_ins: list[HandIn], monkeypatch: pytest.MonkeyPatch, deaths: int, opened: int, failed: int
) -> None:
    """Once costs a retry; twice at one submission is a row that says so, and the next submission is graded."""
    servers = Servers(deaths)
    monkeypatch.setattr("autograder.grading.grader.open_grader", servers)
    run = runs.begin(book, ASSIGNMENT, (B1, B3), GRADER, "grade")
    keeper = Keeper(ASSIGNMENT, unsafe=False, open_lookup=None)
    batch = Batch(executor=InlineExecutor(), grade=keeper.grade, jobs=lambda: 1, wanted=run.wanted, record=run.record)
    batch.run(hand_ins)
    keeper.close()
    ada, bob = [saved.result for saved in book.saved()]
    assert (servers.opened, run.failed) == (opened, failed)
    assert [flag.kind for flag in ada.flags] == ["grader_failed"] * failed
    assert bob.status is SubmissionStatus.GRADED


def test_a_finished_submission_is_recorded_before_the_next_is_begun(book: Gradebook, hand_ins: list[HandIn]) -> None:
    """A run that hangs at the next one, and is stopped there, has kept it."""
    seen: list[list[str]] = []

    class Looking(Worker):
        def __call__(self, submission: Submission, questions: tuple[str, ...]) -> Graded:
            seen.append([one.id for one in book.students()])
            return super().__call__(submission, questions)

    grade(book, hand_ins, Looking())
    assert seen == [[], ["ada"]]


def test_memory_does_not_grow_with_the_class(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        files = {
            f"a{n}_{n}_{n}_batchnorm.ipynb": b'{"cells": [], "x": "' + b"y" * 500_000 + b'"}' for n in range(count)
        }
        path = tmp_path / f"{count}.zip"
        downloads.zipped(path, files)
        intake = take_in([path], Wanted(notebooks=ASSIGNMENT.notebooks))
        with open_gradebook(tmp_path / f"out{count}") as gradebook:
            tracemalloc.start()
            try:
                grade(gradebook, intake.hand_ins, Worker(), questions=(replace(B1),))
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert peak(60) < 1.5 * peak(6)
