"""A student who corrects an answer never loses points by it, whatever the other answers are."""

import itertools
from pathlib import Path

from autograder.assignment_file import load_assignment
from autograder.authoring.corpus import read_corpus
from autograder.grading.grader import open_grader
from autograder.submissions.intake import Wanted, take_in
from tests.kit.test_rescore import ANSWERS, write_submission


def test_a_corrected_answer_never_lowers_a_score(finished: Path, tmp_path: Path) -> None:
    assignment = load_assignment("tiny", finished)
    wrong = {
        question: [one.body for one in answers if not one.right and not one.before]
        + [changed[question] for changed in ANSWERS.values() if question in changed]
        for question, answers in read_corpus(assignment).items()
    }
    scores: dict[tuple[str | None, str | None], dict[str, float]] = {}
    with open_grader(assignment) as grader:
        for number, pair in enumerate(itertools.product([None, *wrong["Q1"]], [None, *wrong["Q2"]])):
            changed = {key: body for key, body in zip(("Q1", "Q2"), pair, strict=True) if body}
            folder = write_submission(finished, tmp_path / str(number), changed)
            (hand_in,) = take_in([folder], Wanted(notebooks=assignment.notebooks)).hand_ins
            result = grader.grade(hand_in.load(), assignment.questions)
            scores[pair] = {key: score.points for key, score in result.questions.items()}
    for (first, second), points in scores.items():
        for corrected in ((None, second), (first, None)):
            for key, better in scores[corrected].items():
                assert better >= points[key], (key, first, second)
