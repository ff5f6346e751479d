"""Masters, hidden tests and the corpus: what is read of them, and each mistake in them by its line."""

import shutil
from pathlib import Path

import pytest

from autograder.assignment_file import load_assignment
from autograder.authoring.master import reference_answers
from autograder.errors import MasterError
from tests.mistakes import Mistake, assert_one_line, read_everything

MASTER = "solutions/tiny/tiny.py"
TESTS = "solutions/tiny/hidden_tests/test_questions.py"
CORPUS = "solutions/tiny/corpus/Q1.txt"
START = "    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****\n"
END = "    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****\n"
REGION = f"{START}    # BEGIN SOLUTION NO PROMPT\n    return 1\n    # END SOLUTION\n{END}"
Q1_ANSWER = "    half_of_the_number = x / 2\n    return half_of_the_number"
QUESTION_END = "# %% [raw]\n# # END QUESTION\n"

MISTAKES = [
    Mistake(
        id="a solution that is never closed",
        file=MASTER,
        old="    # END SOLUTION\n",
        new="",
        at="# BEGIN SOLUTION NO PROMPT",
        what="a solution is never closed",
    ),
    Mistake(
        id="a solution cell that is never closed",
        file=MASTER,
        old="# %% [raw]\n# # END SOLUTION\n",
        new="",
        at="# # BEGIN SOLUTION",
        what="a solution cell is never closed",
    ),
    Mistake(
        id="a region that is never closed", file=MASTER, old=END, new="", at=START, what="a region is never closed"
    ),
    Mistake(
        id="a prompt that is never closed",
        file=MASTER,
        old='    """ # END PROMPT\n',
        new="",
        at='""" # BEGIN PROMPT',
        what="a prompt is never closed",
    ),
    Mistake(
        id="a question that is never closed",
        file=MASTER,
        old="# %% [raw]\n# # END QUESTION\n",
        new="",
        at="# # BEGIN QUESTION",
        what="a question is never closed",
    ),
    Mistake(
        id="no start line",
        file=MASTER,
        old=START,
        new="",
        at="# BEGIN SOLUTION NO PROMPT",
        what="a solution outside a region; add the START OF YOUR CODE line",
    ),
    Mistake(
        id="no begin of the solution",
        file=MASTER,
        old="    # BEGIN SOLUTION NO PROMPT\n",
        new="",
        at="    # END SOLUTION\n",
        what="the end of a solution that was never opened",
    ),
    Mistake(
        id="no banner",
        file=MASTER,
        old="    # TODO Q1 (2 points)",
        new="    # Now (2 points)",
        at=START,
        what="the region of Q1 has no banner",
    ),
    Mistake(
        id="the banner of another question",
        file=MASTER,
        old="    # TODO Q1 (",
        new="    # TODO Q2 (",
        at="# TODO Q2 (",
        what="the banner of Q2 in question Q1",
    ),
    Mistake(
        id="two regions of one question",
        file=MASTER,
        old=END,
        new=END + REGION.replace("return 1", "return 2"),
        at=f"{START}    # BEGIN SOLUTION NO PROMPT\n    return 2",
        what="a second region of Q1",
    ),
    Mistake(
        id="two questions of one id",
        file=MASTER,
        old="# name: Q2",
        new="# name: Q1",
        at="# name: Q1\n# points: 3",
        what="a second question Q1",
    ),
    Mistake(
        id="a question that only the master knows",
        file=MASTER,
        old=QUESTION_END,
        new=QUESTION_END + QUESTION_END.join(["# %% [raw]\n# # BEGIN QUESTION\n# name: Q7\n\n", ""]),
        at="# name: Q7",
        what="unknown question Q7",
    ),
    Mistake(
        id="no solution",
        file=MASTER,
        old=f"    # BEGIN SOLUTION NO PROMPT\n{Q1_ANSWER}\n    # END SOLUTION\n",
        new="",
        at=START,
        what="Q1 has no solution",
    ),
    Mistake(
        id="no public check",
        file=MASTER,
        old="def test_half_of_six(env):",
        new="def half_of_six(env):",
        at="# name: Q1",
        what="Q1 has no public check",
    ),
    Mistake(
        id="other points in the banner",
        file=MASTER,
        old="TODO Q1 (2 points)",
        new="TODO Q1 (4 points)",
        at="TODO Q1",
        what="Q1 has 4 points in its banner, and 2 in assignment.toml",
    ),
    Mistake(
        id="other points in the heading",
        file=MASTER,
        old="## Q2. The mean of the halves (3 points)",
        new="## Q2. The mean of the halves (5 points)",
        at="## Q2",
        what="Q2 has 5 points in its heading, and 3 in assignment.toml",
    ),
    Mistake(
        id="other points in the question's cell",
        file=MASTER,
        old="# points: 2",
        new="# points: 1",
        at="# points: 1",
        what="Q1 has 1 points in its BEGIN QUESTION cell, and 2 in assignment.toml",
    ),
    Mistake(
        id="hidden tests of other points",
        file=TESTS,
        old='@question("Q1", points=1',
        new='@question("Q1", points=1.5',
        at='@question("Q1", points=1.5',
        what="the hidden tests of Q1 add up to 2.5 points, not 2",
    ),
    Mistake(
        id="a hidden test of an unknown question",
        file=TESTS,
        old='@question("Q2", points=2',
        new='@question("Q5", points=2',
        at='@question("Q5"',
        what="unknown question 'Q5'",
    ),
    Mistake(
        id="a hidden test of no question",
        file=TESTS,
        old="# --- Q2",
        new="def test_nothing(observe: Observe) -> None:\n    pass\n\n\n# --- Q2",
        at="def test_nothing",
        what="a hidden test without a question",
    ),
    Mistake(
        id="a hidden test that cannot be imported",
        file=TESTS,
        old="import pytest\n",
        new="import pytest\nimport no_such_module\n",
        at="import no_such_module",
        what="it cannot be imported (ModuleNotFoundError",
    ),
    Mistake(
        id="a hidden test that is no Python",
        file=TESTS,
        old="observe: Observe) ->",
        new="observe: Observe ->",
        at="(observe: Observe ->",
        what="it cannot be imported (SyntaxError",
    ),
    Mistake(
        id="a wrong answer without its pattern",
        file=CORPUS,
        old="expect: the double of x\n",
        new="",
        at="=== wrong: the double",
        what="the double: a wrong answer needs `expect:`",
    ),
    Mistake(
        id="text before the first answer",
        file=CORPUS,
        old="# Answers to Q1, halve(x).\n",
        new="return 0.5 * x\n",
        at="return 0.5",
        what="'return 0.5 * x' before the first entry",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.id)
def test_a_mistake_is_one_line(finished: Path, tmp_path: Path, mistake: Mistake) -> None:
    assert_one_line(finished, tmp_path, mistake)


def test_an_assignment_without_a_mistake_is_read(finished: Path) -> None:
    read_everything(finished)
    assert reference_answers(load_assignment("tiny", finished)) == {
        "Q1": Q1_ANSWER,
        "Q2": "    halves = [halve(value) for value in values]\n    return sum(halves) / len(halves)",
    }


def test_a_master_that_is_not_there(finished: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished, home)
    (home / MASTER).unlink()
    with pytest.raises(MasterError, match=r"tiny\.py: no such master; "):
        read_everything(home)
