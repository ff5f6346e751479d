"""Handing in again, measured: the CPU of a submission with one changed answer, and of one that nothing changed in."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.assignment import Assignment
from autograder.authoring import corpus
from autograder.gradebook import recordings
from autograder.gradebook.store import Gradebook, open_gradebook
from autograder.grading.grader import Grader, open_grader
from autograder.release.reference import reference_cells
from autograder.release.released import load_released
from autograder.results import Student
from autograder.submissions.submission import Submission, of_files

ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """CPU seconds of grader, fork server and children: for the first submission, a changed one, and the same again.

    changed: the question whose answer changed
    """

    first_s: float
    changed_s: float
    same_s: float
    changed: str


def measure(assignment: Assignment, folder: Path) -> Measured:
    """Grade the reference, then the same with another right answer to one question, then that once more.

    The question is the last one on which no other depends.
    """
    questions = assignment.questions
    used = {key for one in questions for key in assignment.dependencies(one)}
    question = next(one.id for one in reversed(questions) if not one.written and one.id not in used)
    answers = corpus.read_answers(assignment.corpus_dir / f"{question}.txt")
    first = _submission(assignment, folder / "first", {})
    changed = _submission(assignment, folder / "changed", {question: next(one for one in answers if one.right)})
    spent: list[list[float]] = []
    for number in range(ROUNDS):
        with (
            open_gradebook(folder / f"out{number}") as gradebook,
            open_grader(assignment, lookup=recordings.Recorded(gradebook)) as grader,
        ):
            grader.graded(first, questions)  # not kept: what is loaded at first use is no part of the comparison
            spent.append([_cpu_s(grader, gradebook, one) for one in (first, changed, changed)])
    first_s, changed_s, same_s = map(statistics.median, zip(*spent, strict=True))
    return Measured(first_s=first_s, changed_s=changed_s, same_s=same_s, changed=question)


def _cpu_s(grader: Grader, gradebook: Gradebook, submission: Submission) -> float:
    """Return the CPU seconds of grading a submission and of keeping its recordings."""
    before = time.process_time() + grader.sandbox.cpu_s
    graded = grader.graded(submission, grader.assignment.questions)
    with gradebook.writing() as connection:
        recordings.save(connection, graded.recordings, "{}", submission.student.id)
    return time.process_time() + grader.sandbox.cpu_s - before


def _submission(assignment: Assignment, folder: Path, changed: Mapping[str, corpus.Answer]) -> Submission:
    released = load_released(assignment)
    answers: dict[str, str | corpus.Answer] = {**reference_cells(assignment, released), **changed}
    corpus.write(folder, corpus.submission(corpus.released_tables(assignment), released, answers))
    return of_files(Student(id="ada"), sorted(folder.glob("*.ipynb")))
