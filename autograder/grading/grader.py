"""One submission -> one result: intake's files, put into the release, scored by the hidden tests."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from autograder.assignment import Assignment, Question
from autograder.authoring.build import reference_cells
from autograder.errors import MasterError, printable
from autograder.gradebook.files import Result, SubmissionStatus
from autograder.grading.hidden_tests import collect
from autograder.grading.scorer import QuestionScore, Scored, Scorer, Status, unanswered
from autograder.notebook import Cell, NotANotebook, find_regions, parse_notebook
from autograder.release.released import ReleasedNotebook, names_to_questions, released_notebook
from autograder.release.versions import recorded
from autograder.sandbox.client import Sandbox
from autograder.submissions.intake import Submission
from autograder.submissions.reassemble import reassemble


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """What a worker needs to grade any submission of one assignment."""

    assignment: Assignment
    released: Mapping[str, ReleasedNotebook]
    scorer: Scorer

    def grade(
        self, submission: Submission, questions: Sequence[Question], scored: Scored = lambda question_id, score: None
    ) -> Result:
        """Grade one submission. Whatever is wrong with it is in the result; only a fault of ours is raised.

        scored: as for Scorer.score.
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
        flags = [*map(unconfined, self.scorer.sandbox.missing), *flags]
        if not submitted:
            return Result(**common, status=SubmissionStatus.UNREADABLE, flags=tuple(flags))
        scores: dict[str, QuestionScore] = {}
        for name, released in self.released.items():
            wanted = [question for question in questions if question.notebook == name]
            if not wanted:
                continue
            if name not in submitted:
                flags.append(f"{name}.ipynb was not handed in")
                scores |= {one.id: unanswered(one, self.scorer.tests[one.id], Status.MISSING) for one in wanted}
                continue
            program = reassemble(released, submitted[name], self.assignment)
            found, notes = self.scorer.score(program, wanted, scored)
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
    for which in [name for name in assignment.notebooks if name not in submitted]:
        parts = [part for files in submitted.values() for cells in files if (part := part_of(cells, which, assignment))]
        if parts:
            submitted[which] = parts
            flags.append(f"{which}: no file of its own, its questions were found in another notebook")
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


def part_of(cells: Sequence[Cell], which: str, assignment: Assignment) -> tuple[Cell, ...]:
    """The cells from each region of this notebook on to the next region of another; none where there is no region."""
    part: list[Cell] = []
    inside = False
    for cell in cells:
        owners = {
            assignment.question(region.question).notebook
            for region in (
                find_regions(cell.lines, names_to_questions(assignment.questions)) if cell.kind == "code" else []
            )
        }
        inside = which in owners if owners else inside
        part += [cell] * inside
    return tuple(part)


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


@contextlib.contextmanager
def open_grader(assignment: Assignment, *, unsafe: bool = False, namespaces: bool = True) -> Iterator[Grader]:
    """A grader with a running sandbox; this process computes with one thread from then on.

    unsafe, namespaces: as for Sandbox.
    """
    torch.set_num_threads(1)  # the tensors here are small: more threads only wait for each other
    released = load_released(assignment)
    with Sandbox(assignment, released, unsafe=unsafe, namespaces=namespaces) as sandbox:  # loads beside what follows
        reference = reference_cells(assignment, released)
        tests = collect(assignment)
        scorer = Scorer(assignment=assignment, tests=tests, reference=reference, sandbox=sandbox)
        sandbox.ready()
        yield Grader(assignment=assignment, released=released, scorer=scorer)
