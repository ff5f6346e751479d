"""The corpus of truth: every wrong answer loses points at its own question and nowhere else, every right one none."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from autograder.grading.grader import Grader
from autograder.results import Student, to_json
from autograder.submissions.submission import of_files
from tests import corpus

QUESTIONS = corpus.assignment().tested
ANSWERS = {one.id: corpus.read_answers(corpus.assignment().corpus_dir / f"{one.id}.txt") for one in QUESTIONS}


def grade(grader: Grader, answer: corpus.Answer, folder: Path) -> dict[str, Any]:
    """The scores of the answer's own question and of those that use it; every other answer is the reference."""
    assignment = corpus.assignment()
    corpus.write(folder, corpus.submission(dict(corpus.reference()) | {answer.question: answer}))
    touched = [one for one in QUESTIONS if answer.question in (one.id, *one.depends)]
    notebook = assignment.question(answer.question).notebook
    handed_in = of_files(Student(id="s"), [folder / f"{notebook}.ipynb"])
    return to_json(grader.grade(handed_in, touched))["questions"]  # type: ignore[no-any-return]


def judge(answer: corpus.Answer, scores: dict[str, Any]) -> None:
    """Assert that the scores are what the answer deserves."""
    own = scores[answer.question]
    messages = [f"{t['name']}: {t['status']}: {t['message']}" for t in own["tests"] if t["status"] != "passed"]
    if answer.right:
        assert own["points"] == own["max_points"], messages
    else:
        assert own["points"] < own["max_points"], "it got full marks"
        assert any(re.search(answer.expect, message) for message in messages), messages
    unclear = [
        message for message in messages if re.search(r": crashed: |could not be used|\b1 of 1 entries\b", message)
    ]
    assert unclear == [], "a message does not say what is wrong with the answer"
    for key, score in scores.items():
        assert key == answer.question or score["points"] == score["max_points"], f"lost points at {key}: {score}"


def check(grader: Grader, question: str, folder: Path, subtests: pytest.Subtests) -> None:
    """Judge every answer to a question, and see that each hidden test has a wrong answer that fails it."""
    tripped: set[str] = set()
    for answer in ANSWERS[question]:
        with subtests.test(answer.id):
            scores = grade(grader, answer, folder)
            tripped |= {t["name"] for t in scores[question]["tests"] if not answer.right and t["status"] != "passed"}
            judge(answer, scores)
    every = {test.name for test in grader.scorer.tests[question]}
    assert every - tripped == set(), "no wrong answer of the corpus fails these hidden tests"


def ids(notebook: str) -> list[str]:
    return [question.id for question in corpus.assignment().tested if question.notebook == notebook]


# A class a notebook, because a class is what the test workers share out.


class TestBatchnorm:
    @pytest.mark.parametrize("question", ids("batchnorm"))
    def test_answers(self, grader: Grader, question: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
        check(grader, question, tmp_path, subtests)


class TestResidualStream:
    @pytest.mark.parametrize("question", ids("residual_stream"))
    def test_answers(self, grader: Grader, question: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
        check(grader, question, tmp_path, subtests)


PARTLY_RIGHT = [
    ("B1", "another key", 1.0),
    ("B1", "three digits", 1.0),
    ("B3", "columns written into zeros of single precision", 5.5),
    ("B4", "a running mean of single precision", 8.5),
    ("B4", "one gamma for all features, zeros and ones otherwise", 2.5),
    ("B4", "the sign of gamma lost in evaluation", 7.5),
    ("B5", "another order", 4.5),
    ("B5", "written into zeros of single precision", 5.5),
    ("B8", "all at once", 2.5),
    ("B9", "gamma forgotten", 0.5),
    ("B9", "the weight in single precision", 3.5),
    ("R1", "a list", 3.0),
    ("R2", "the norm without weight and bias", 4.5),
    ("R2", "a norm with another eps", 4.5),
    ("R3", "a Python list", 3.75),
    ("R3", "a list beside a Sequential", 4.75),
    ("R3", "max_norm", 4.75),
    ("R3", "head without bias", 4.75),
    ("R3", "inp without a bias", 4.75),
    ("R3", "norm_f without weight and bias", 4.25),
    ("R4", "returns the blocks", 2.5),
    ("R4", "every block but the last", 1.0),
    ("R5", "a list", 3.5),
    ("R7", "a list", 4.0),
    ("R7", "the embedding left out", 2.5),
    ("R7", "stacked along the batch", 4.0),
    ("R9", "gradients clipped to norm 5", 3.0),
    ("R9", "stops at a loss that is not finite", 3.75),
    ("R10", "one text", 1.5),
]


@pytest.mark.parametrize(("question", "name", "least"), PARTLY_RIGHT)
def test_one_slip_keeps_the_points_of_what_is_right(
    grader: Grader, tmp_path: Path, question: str, name: str, least: float
) -> None:
    (answer,) = [one for one in ANSWERS[question] if one.name == name]
    own = grade(grader, answer, tmp_path)[question]
    assert least <= own["points"] < own["max_points"], own["tests"]


def test_the_corpus_is_large_enough() -> None:
    for right, of_each, together in ((True, 2, 60), (False, 5, 120)):
        counts = Counter(answer.question for answers in ANSWERS.values() for answer in answers if answer.right == right)
        assert counts.total() >= together
        assert [one.id for one in QUESTIONS if counts[one.id] < of_each] == []


def test_names_of_answers_are_unique() -> None:
    for answers in ANSWERS.values():
        assert max(Counter(answer.id for answer in answers).values()) == 1


def test_the_same_submission_always_gets_the_same_score(grader: Grader, tmp_path: Path) -> None:
    corpus.write(tmp_path, corpus.submission(corpus.reference()))
    files = tuple(sorted(tmp_path.glob("*.ipynb")))
    results = [to_json(grader.grade(of_files(Student(id="s"), files), QUESTIONS)) for _ in range(3)]
    assert results[0] == results[1] == results[2]
    assert results[0]["total"] == corpus.assignment().max_points
