"""The corpus of truth: every wrong answer loses points at its own question and nowhere else, every right one none."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from autograder.batch import Grader
from autograder.intake import Submission
from tests import corpus

FILES = sorted(corpus.ANSWERS.glob("*.txt"))
ENTRIES = [answer for file in FILES for answer in corpus.read_answers(file)]


def grade(grader: Grader, answer: corpus.Answer, folder: Path) -> dict[str, Any]:
    """The scores of the answer's own question and of those that build on it, every other answer being the reference."""
    assignment = corpus.assignment()
    corpus.write(folder, corpus.submission(dict(corpus.reference()) | {answer.question: answer}))
    touched = [
        q for q in assignment.questions if answer.question == q.id or answer.question in assignment.dependencies(q)
    ]
    notebook = assignment.question(answer.question).notebook
    handed_in = Submission(student="s", label="s", files=(folder / f"{notebook}.ipynb",))
    result = grader.grade(handed_in, touched).to_json()
    return json.loads(json.dumps(result["questions"]))  # type: ignore[no-any-return]


@pytest.mark.parametrize("answer", ENTRIES, ids=lambda answer: answer.id)
def test_answer(grader: Grader, answer: corpus.Answer, tmp_path: Path) -> None:
    scores = grade(grader, answer, tmp_path)
    own = scores.pop(answer.question)
    messages = [
        f"{test['name']}: {test['status']}: {test['message']}" for test in own["tests"] if test["status"] != "passed"
    ]
    if answer.right:
        assert own["points"] == own["max_points"], messages
    else:
        assert own["points"] < own["max_points"], "it got full marks"
        assert any(re.search(answer.expect, message) for message in messages), messages
    short = {key: score["tests"] for key, score in scores.items() if score["points"] < score["max_points"]}
    assert not short, f"points were lost elsewhere: {short}"
