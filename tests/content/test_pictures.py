"""The pictures of the lecture's hidden tests: each shows a usual mistake, and never what was expected."""

import re

import pytest

from autograder.grading.grader import Grader
from autograder.grading.judge import judge_case
from autograder.grading.observe import Child, Observer
from autograder.grading.scorer import notebook_seed, seed_of
from autograder.pictures import Picture
from autograder.program import Program, Step
from autograder.reports.feedback import feedback_html
from autograder.results import TestScore
from tests import HOME, corpus
from tests.classroom import result
from tests.content.test_feedback import secret_lines
from tests.html_text import Page

SHOWN = {
    ("B4", "the biased variance kept"): "below",
    ("B4", "stores the deviation"): "below",
    ("B4", "the mean of all batches"): "above",
    ("R1", "the summed loss"): "above",
    ("R1", "means of absolute values"): "below",
    ("R5", "scales fc1 instead"): "above",
    ("R7", "the streams"): "above",
    ("R9", "no step"): "above",
    ("R9", "the summed loss"): "missing",
}
"""Wrong answers of the corpus, and on which side of the band their picture shows them."""


def reference(grader: Grader, notebook: str) -> Program:
    """The notebook with all reference answers."""
    steps = [
        Step(label=cell.question, source=grader.scorer.reference[cell.question], question=cell.question)
        if cell.question
        else Step(label=cell.id, source=cell.source)
        for cell in grader.released[notebook].given()
    ]
    return Program(notebook=notebook, steps=tuple(steps))


def wrong(grader: Grader, question: str, name: str) -> Program:
    one = corpus.assignment().question(question)
    answers = corpus.read_answers(corpus.assignment().corpus_dir / f"{question}.txt")
    body = next(answer.body for answer in answers if answer.name == name and not answer.right)
    return reference(grader, one.notebook).with_answers({question: corpus.answer_cell(question, body)})


def right_picture(grader: Grader, question: str, test: TestScore) -> Picture:
    """The picture of a hidden test's first case, made of what the reference gives."""
    one = corpus.assignment().question(question)
    hidden = next(hidden for hidden in grader.scorer.tests[question] if hidden.name == test.name)
    child = Child(grader.scorer.start, [reference(grader, one.notebook)], notebook_seed(one))
    observer = Observer(child, question, seed_of(one))
    try:
        judge_case(hidden.cases[0], observer)
        assert hidden.picture
        return hidden.picture(observe=observer.again, **hidden.cases[0].parameters)
    finally:
        child.close()


@pytest.mark.parametrize(("question", "name"), SHOWN)
def test_a_mistake_is_seen_and_no_expected_value_is(grader: Grader, question: str, name: str) -> None:
    one = corpus.assignment().question(question)
    program = wrong(grader, question, name)
    score = grader.scorer.score(program, [one])[0][question]
    (test,) = (test for test in score.tests if test.picture)
    assert test.picture
    assert getattr(test.picture, SHOWN[question, name]) > 0
    html = feedback_html(result("ada", questions={question: score}, max_points=one.points), corpus.assignment())
    assert html.count("<figure>") == 1
    assert not [line for line in secret_lines() if line in Page(html).text and line not in program.source_of(question)]
    assert str(HOME) not in html

    right = right_picture(grader, question, test)
    assert not right.tells, "the reference lies within the band"
    assert (test.picture.title, test.picture.low) == (right.title, right.low)
    for place, expected in enumerate(right.yours):
        assert expected is not None
        assert test.picture.low[place] < expected < test.picture.high[place], "the band does not tell it"
        assert expected not in test.picture.line
        if expected not in test.picture.yours:
            assert not re.search(rf"(?<![\d.]){re.escape(f'{expected:.4g}')}(?![\d.])", html[html.index("<figure>") :])
