"""Many submissions over an Executor: each worker keeps one sandbox and the collected hidden tests."""

import contextlib
import functools
import hashlib
import multiprocessing
import multiprocessing.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch

from autograder.assignment import Assignment, Question, load_assignment
from autograder.errors import GraderFault, MasterError
from autograder.gradebook import Gradebook, Result, SubmissionStatus
from autograder.intake import Submission
from autograder.notebook import Cell, NotANotebook, find_regions, parse_notebook
from autograder.reassemble import reassemble
from autograder.release import reference_cells
from autograder.released import ReleasedNotebook, names_to_questions, released_notebook
from autograder.sandbox import Sandbox, printable
from autograder.score import HiddenTest, QuestionScore, Status, collect, score_program, unanswered
from autograder.versions import recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """What a worker needs to grade any submission of one assignment."""

    assignment: Assignment
    released: Mapping[str, ReleasedNotebook]
    tests: Mapping[str, Sequence[HiddenTest]]
    reference: Mapping[str, str]
    sandbox: Sandbox

    def grade(
        self,
        submission: Submission,
        questions: Sequence[Question],
        scored: Callable[[str, QuestionScore], None] = lambda question_id, score: None,
    ) -> Result:
        """Grade one submission. Whatever is wrong with it is in the result; only a fault of ours is raised.

        scored: as for score_program.
        """
        common: dict[str, Any] = {
            "student": submission.student,
            "submission": submission.label,
            "sha256": submission.digest(),
            "assignment": self.assignment.name,
            "version": self.assignment.version,
            "max_points": sum(question.points for question in questions),
        }
        submitted, flags = read_files(submission, self.assignment)
        flags = [*map(unconfined, self.sandbox.missing), *flags]
        if not submitted:
            return Result(**common, status=SubmissionStatus.UNREADABLE, flags=tuple(flags))
        scores: dict[str, QuestionScore] = {}
        for name, released in self.released.items():
            wanted = [question for question in questions if question.notebook == name]
            if not wanted:
                continue
            if name not in submitted:
                flags.append(f"{name}.ipynb was not handed in")
                scores |= {one.id: unanswered(one, self.tests[one.id], Status.MISSING) for one in wanted}
                continue
            program = reassemble(released, submitted[name], self.assignment)
            found, notes = score_program(
                program, wanted, self.assignment, self.tests, self.reference, self.sandbox, scored
            )
            scores |= found
            flags.extend(notes)
        ordered = {question.id: scores[question.id] for question in questions}
        return Result(**common, status=SubmissionStatus.GRADED, flags=tuple(flags), questions=ordered)


def unconfined(missing: str) -> str:
    """The flag of a result that came about without a required layer of the sandbox."""
    return f"graded without confinement: {missing}"


def read_files(submission: Submission, assignment: Assignment) -> tuple[dict[str, list[tuple[Cell, ...]]], list[str]]:
    """The cells of each notebook handed in, by the notebook of the assignment it is, and why others do not count."""
    submitted: dict[str, list[tuple[Cell, ...]]] = {}
    flags: list[str] = []
    if not submission.files:
        flags.append("the folder holds no .ipynb file; ask the student for the notebooks themselves")
    for name, data in submission.notebooks():
        label = printable(name)
        try:
            if isinstance(data, NotANotebook):
                raise data
            cells = parse_notebook(data)
        except NotANotebook as reason:
            flags.append(f"{label}: {reason}")
            continue
        which = belongs_to(cells, assignment)
        if which is None:
            flags.append(f"{label}: a notebook of another assignment, it holds no question of {assignment.name}")
        else:
            submitted.setdefault(which, []).append(cells)
    for which, files in submitted.items():
        if len(files) > 1:
            flags.append(f"{which}: {len(files)} files handed in; of each question the last attempt counts")
    return submitted, flags


def belongs_to(cells: Sequence[Cell], assignment: Assignment) -> str | None:
    """The notebook of the assignment that most of the regions in these cells belong to."""
    names = names_to_questions(assignment.questions)
    counts = dict.fromkeys(assignment.notebooks, 0)
    for cell in cells:
        for region in find_regions(cell.lines, names, cell.question) if cell.kind == "code" else []:
            counts[assignment.question(region.question).notebook] += 1
        if cell.question in names.values():
            counts[assignment.question(cell.question).notebook] += 1
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def load_released(assignment: Assignment) -> dict[str, ReleasedNotebook]:
    """The committed release of each notebook. Raises MasterError when it is not there or not usable."""
    released = {}
    older = recorded(assignment)
    for name in assignment.notebooks:
        path = assignment.release_dir / f"{name}.ipynb"
        try:
            cells = parse_notebook(path.read_bytes())
            released[name] = released_notebook(name, assignment.version, cells, assignment.in_notebook(name), older)
        except (OSError, NotANotebook, ValueError) as error:
            raise MasterError(f"no usable release ({error})", path, "run `autograder release`") from error
    return released


def fingerprint(assignment: Assignment, questions: Sequence[Question], missing: Sequence[str] = ()) -> str:
    """A digest of all that decides a result but the submission: kit, assignment, names file, questions.

    missing: the required layers of the sandbox that are not there, so that no such result passes for a confined one.
    """
    total = hashlib.sha256(repr([[question.id for question in questions], *missing]).encode())
    folders = [Path(__file__).parent, assignment.masters_dir, assignment.hidden_tests_dir, assignment.release_dir]
    files = {
        path for folder in folders for kind in ("*.py", "*.toml", "*.ipynb", "*.json") for path in folder.rglob(kind)
    }
    for path in [*sorted(files), assignment.names_file]:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


@contextlib.contextmanager
def open_grader(assignment: Assignment, *, unsafe: bool = False, namespaces: bool = True) -> Iterator[Grader]:
    """A grader with a running sandbox; this process computes with one thread from then on.

    unsafe, namespaces: as for Sandbox.
    """
    torch.set_num_threads(1)  # the tensors here are small: more threads only wait for each other
    released = load_released(assignment)
    reference = reference_cells(assignment, released)
    tests = collect(assignment)
    with Sandbox(assignment, released, unsafe=unsafe, namespaces=namespaces) as sandbox:
        yield Grader(assignment=assignment, released=released, tests=tests, reference=reference, sandbox=sandbox)


def grade_batch(
    submissions: Sequence[Submission],
    questions: Sequence[Question],
    gradebook: Gradebook,
    executor: Executor,
    grade: Callable[[Submission, tuple[str, ...]], dict[str, Any]],
    progress: Callable[[dict[str, Any]], None],
) -> list[dict[str, Any]]:
    """Grade what an earlier run has not finished, record each result as it comes, and return all of them.

    progress is called with each result, also with those taken from an earlier run.
    Raises GraderFault when a worker dies.
    """
    ids = tuple(question.id for question in questions)
    tables = []
    waiting: list[Submission] = []
    for submission in submissions:
        finished = gradebook.finished(submission.student, submission.digest())
        if finished:
            tables.append(finished)
            progress(finished)
        else:
            waiting.append(submission)
    try:
        for future in as_completed([executor.submit(grade, submission, ids) for submission in waiting]):
            table = gradebook.record(future.result())
            tables.append(table)
            progress(table)
    except BrokenProcessPool as error:
        fix = "run the command again: what is finished is kept"
        raise GraderFault(
            "a worker process was ended from outside, perhaps for want of memory", "grade", fix
        ) from error
    return tables


P = ParamSpec("P")
T = TypeVar("T")


class InlineExecutor(Executor):
    """Runs each call when its result is asked for, in this process: what one worker, a test or a debugger wants."""

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
) -> Iterator[tuple[Executor, Callable[[Submission, tuple[str, ...]], dict[str, Any]]]]:
    """An executor over `jobs` workers and the function to submit to it."""
    if jobs == 1:
        with open_grader(assignment, unsafe=unsafe) as grader:
            yield InlineExecutor(), functools.partial(_grade, grader)
        return
    context = multiprocessing.get_context("spawn")
    where = (assignment.name, assignment.home, unsafe)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=where) as executor:
        yield executor, _grade_in_worker


def _grade(grader: Grader, submission: Submission, question_ids: tuple[str, ...]) -> dict[str, Any]:
    return grader.grade(submission, grader.assignment.select(question_ids)).to_json()


_grader: Grader | None = None


def _start_worker(name: str, home: Path, unsafe: bool) -> None:
    """Open this worker process's grader; it is closed when the process ends."""
    global _grader
    stack = contextlib.ExitStack()
    _grader = stack.enter_context(open_grader(load_assignment(name, home), unsafe=unsafe))
    multiprocessing.util.Finalize(None, stack.close, exitpriority=10)


def _grade_in_worker(submission: Submission, question_ids: tuple[str, ...]) -> dict[str, Any]:
    assert _grader is not None
    return _grade(_grader, submission, question_ids)
