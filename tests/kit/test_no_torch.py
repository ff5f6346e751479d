"""Tables, estimators and plots on their way from student code in the sandbox to a verdict, where no torch is loaded."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.assignment_file import load_assignment
from autograder.authoring import corpus
from autograder.grading.grader import open_grader
from autograder.grading.processes import Processes
from autograder.results import Student
from autograder.sandbox.loading import Loader
from autograder.submissions.submission import of_files
from tests import analysis

Verdict = tuple[float, str, str]
"""Points, status, and what the failed tests say."""

ANSWERS = [
    ("T1", 'return prices.sort_values("price", ascending=False).head(count).reset_index(drop=True)', 2, "passed", ""),
    (
        "T1",
        "return prices.nlargest(count, 'price')[['town', 'size']]",
        0,
        "failed",
        "column 'price' is missing in your table",
    ),
    (
        "T1",
        "return prices.nsmallest(count, 'price')",
        0,
        "failed",
        "your table['town'] in row 0 is 'Ulm' where 'Bonn' was",
    ),
    (
        "T1",
        "return prices.nlargest(count, 'price')[::-1]",
        0,
        "failed",
        "your table has the right rows in the wrong order",
    ),
    (
        "T1",
        "return prices.nlargest(count, 'price')['price']",
        0,
        "failed",
        "your table is a Series; a DataFrame was expected",
    ),
    (
        "T1",
        "return prices.nlargest(count, 'price').to_dict()",
        0,
        "failed",
        "your table is a dict; a DataFrame was expected",
    ),
    ("T1", "return prices.nlargest(count, 'Price')", 0, "error", "KeyError: 'Price'"),
    ("T2", "model = Ridge(alpha=0.5)\nreturn model.fit(prices[['size']].to_numpy(), prices['price'])", 3, "passed", ""),
    ("T2", "return Ridge(alpha=0.5)", 0, "failed", "your model is not fitted; call `fit` before you return it"),
    ("T2", "return Ridge().fit(prices[['size']], prices['price'])", 0, "failed", "alpha=1; alpha=0.5 was expected"),
    (
        "T2",
        "import sklearn.linear_model as m\nreturn m.LinearRegression().fit(prices[['size']], prices['price'])",
        0,
        "failed",
        "your model is a LinearRegression; a Ridge was expected",
    ),
    (
        "T2",
        "return Ridge(alpha=0.5).fit(prices[['price']], prices['size'])",
        1,
        "failed",
        "your slope matches that of the size over the price",
    ),
    (
        "T3",
        "figure, ax = plt.subplots()\nax.plot(prices['size'], prices['price'])\nax.set_title('PRICE')\nreturn figure",
        2,
        "passed",
        "",
    ),
    ("T3", "plt.plot(prices['size'], prices['price'])", 0, "failed", "your plot has no title"),
    ("T3", "plt.plot(prices['price'], prices['size'])\nplt.title('price')", 0, "failed", "x and y swapped"),
    ("T3", "return None", 0, "failed", "your plot has no axes: nothing was drawn"),
]


def judge_all(home: Path) -> tuple[list[Verdict], bool]:
    """Grade each answer, in a worker; also return whether torch was loaded there."""
    assignment = load_assignment(analysis.NAME, home)
    found = []
    with open_grader(assignment) as grader:
        tables = corpus.released_tables(assignment)
        for number, (question, body, *_) in enumerate(ANSWERS):
            answer = corpus.answer_cell(grader.released[analysis.NAME], question, body)
            folder = corpus.write(home / str(number), corpus.submission(tables, grader.released, {question: answer}))
            submission = of_files(Student(id="s"), [folder / f"{analysis.NAME}.ipynb"])
            score = grader.grade(submission, [assignment.question(question)]).questions[question]
            said = " | ".join(test.message for test in score.tests if test.message)
            found.append((score.points or 0.0, str(score.status), said))
    return found, "torch" in sys.modules


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Verdict], bool]]:
    home = tmp_path_factory.mktemp("analysis")
    analysis.write_analysis(home)
    with Loader(load_assignment(analysis.NAME, home)) as loader, Processes(loader, 1) as process:
        yield process.submit(judge_all, home).result()


def test_neither_grader_nor_sandbox_loads_torch(judged: tuple[list[Verdict], bool]) -> None:
    """That the sandbox does not is asserted by the hidden test of T1."""
    verdicts, torch = judged
    assert not torch
    assert verdicts[0][0] == 2


@pytest.mark.parametrize("number", range(len(ANSWERS)), ids=lambda number: f"{ANSWERS[number][0]}-{number}")
def test_verdicts_on_tables_estimators_and_plots(judged: tuple[list[Verdict], bool], number: int) -> None:
    _, _, points, status, said = ANSWERS[number]
    verdict = judged[0][number]
    assert verdict[:2] == (points, status), verdict
    assert said in verdict[2]
