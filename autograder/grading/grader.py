"""One submission -> one result: intake's files, put into the release, scored by the hidden tests."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from autograder.assignment import Assignment, Question
from autograder.grading.hidden_tests import collect
from autograder.grading.missing_names import MissingNames, names_not_run
from autograder.grading.observe import RunFactory
from autograder.grading.scorer import Scored, Scorer, unanswered
from autograder.program import Program
from autograder.release.reference import reference_cells
from autograder.release.released import ReleasedNotebook, load_released
from autograder.results import Audience, Flag, QuestionScore, Result, Status, SubmissionStatus
from autograder.sandbox.client import Run, Sandbox
from autograder.submissions.intake import Submission
from autograder.submissions.notebooks import read_files
from autograder.submissions.reassemble import reassemble


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """What a worker needs to grade any submission of one assignment.

    not_run: for each notebook, the names that only cells make which grading does not run, and what kind of cell
    """

    assignment: Assignment
    released: Mapping[str, ReleasedNotebook]
    not_run: Mapping[str, Mapping[str, str]]
    scorer: Scorer
    sandbox: Sandbox

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
        flags = [*map(unconfined, self.sandbox.missing), *flags]
        if not submitted:
            return Result(**common, status=SubmissionStatus.UNREADABLE, flags=tuple(flags))
        scores: dict[str, QuestionScore] = {}
        handed_in = [file for files in submitted.values() for file in files]
        for name, released in self.released.items():
            wanted = [question for question in questions if question.notebook == name]
            if not wanted:
                continue
            if name not in submitted:
                flags.append(Flag(kind="notebook_missing", text=f"{name}.ipynb was not handed in"))
                scores |= {one.id: unanswered(one, self.scorer.tests[one.id], Status.MISSING) for one in wanted}
                continue
            program = reassemble(released, submitted[name], self.assignment)
            missing = MissingNames(not_run=self.not_run[name], files=handed_in)

            def explained(question_id: str, score: QuestionScore, missing: MissingNames = missing) -> None:
                scored(question_id, missing.in_score(score))

            found, notes = self.scorer.score(program, wanted, explained)
            scores |= {question: missing.in_score(score) for question, score in found.items()}
            flags.extend(missing.in_flags(notes))
        ordered = {question.id: scores[question.id] for question in questions}
        return Result(**common, status=SubmissionStatus.GRADED, flags=tuple(flags), questions=ordered)


def unconfined(missing: str) -> Flag:
    """Return the flag of a result that was computed without a required layer of the sandbox."""
    return Flag(kind="unconfined", text=f"graded without confinement: {missing}", audience=Audience.STAFF)


@contextlib.contextmanager
def open_grader(assignment: Assignment, *, unsafe: bool = False, namespaces: bool = True) -> Iterator[Grader]:
    """Open a grader with a running sandbox; this process computes with one thread from then on.

    unsafe, namespaces: as for Sandbox.
    """
    torch.set_num_threads(1)  # the tensors here are small: more threads only wait for each other
    released = load_released(assignment)
    prologues = {name: notebook.shared_steps() for name, notebook in released.items()}
    with Sandbox(assignment, prologues, unsafe=unsafe, namespaces=namespaces) as sandbox:  # loads beside what follows
        reference = reference_cells(assignment, released)
        tests = collect(assignment)
        start = run_factory(sandbox, assignment)
        scorer = Scorer(assignment=assignment, tests=tests, reference=reference, start=start)
        not_run = {name: names_not_run(notebook) for name, notebook in released.items()}
        sandbox.ready()
        yield Grader(assignment=assignment, released=released, not_run=not_run, scorer=scorer, sandbox=sandbox)


def run_factory(sandbox: Sandbox, assignment: Assignment) -> RunFactory:
    """Return what starts a program in a child of this sandbox."""
    defines = {one.id: one.defines for one in assignment.questions}

    def start(program: Program, seed: int) -> Run:
        return sandbox.start(program.notebook, program.own, defines, seed)

    return start
