"""Handing in again: with the recordings of earlier submissions a student gets what a student without any would get."""

import random
from pathlib import Path

from autograder.authoring import corpus
from autograder.gradebook import recordings
from autograder.gradebook.store import open_gradebook
from autograder.grading.grader import open_grader
from autograder.results import Student
from autograder.submissions.submission import Submission, of_files
from tests import corpus as answers

SUBMISSIONS = 6
CHANGED = 3
SLOW = ("endless", "while True", "recurs", "time.sleep", "range(10**")


def submissions(folder: Path) -> list[Submission]:
    """Submissions of one student: each changes some answers of the one before, to right and wrong ones."""
    choice = random.Random(6)
    assignment = answers.assignment()
    pool = [
        one
        for some in corpus.read_corpus(assignment).values()
        for one in some
        if not any(word in one.body for word in SLOW)
    ]
    current: dict[str, str | corpus.Answer] = dict(answers.reference())
    found = []
    for number in range(SUBMISSIONS):
        current |= {one.question: one for one in choice.sample(pool, CHANGED)}
        path = answers.write(folder / str(number), answers.submission(current))
        found.append(of_files(Student(id="ada"), sorted(path.glob("*.ipynb"))))
    return found


def test_results_are_those_of_a_student_without_earlier_submissions(tmp_path: Path) -> None:
    assignment = answers.assignment()
    handed_in = submissions(tmp_path)
    with open_grader(assignment) as grader:
        plain = [grader.grade(one, assignment.questions) for one in handed_in]
    with (
        open_gradebook(tmp_path / "out") as gradebook,
        open_grader(assignment, lookup=recordings.Recorded(gradebook)) as grader,
    ):
        remembering = []
        for one in handed_in:
            graded = grader.graded(one, assignment.questions)
            remembering.append(graded.result)
            with gradebook.writing() as connection:
                recordings.save(connection, graded.recordings, "{}", one.student.id)
    assert remembering == plain
