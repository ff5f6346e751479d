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
PROBES = "solutions/tiny/hidden_tests/probes.py"
CORPUS = "solutions/tiny/corpus/Q1.txt"
START = "    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****\n"
END = "    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****\n"
REGION = f"{START}    # BEGIN SOLUTION NO PROMPT\n    return 1\n    # END SOLUTION\n{END}"
Q1_ANSWER = "    half_of_the_number = x / 2\n    return half_of_the_number"
QUESTION_END = "# %% [raw]\n# # END QUESTION\n"

SECOND_CHECK = "def test_half_of_eight(env):\n    assert env['halve'](8) == 4\n"
FIRST_CHECK = "def test_half_of_six(env):"

MISTAKES = [
    Mistake(
        id="points that are no number in the raw cell",
        file=MASTER,
        old="# points: 2",
        new="# points: 1.2.3",
        at="# points: 1.2.3",
        what="'1.2.3' is not a number of points",
    ),
    Mistake(
        id="points that are no number in the heading",
        file=MASTER,
        old="Halve a number (2 points)",
        new="Halve a number (1.2.3 points)",
        at="Halve a number (",
        what="'1.2.3' is not a number of points",
    ),
    Mistake(
        id="points that are no number in the banner",
        file=MASTER,
        old="TODO Q1 (2 points)",
        new="TODO Q1 (2..5 points)",
        at="TODO Q1 (",
        what="'2..5' is not a number of points",
    ),
    Mistake(
        id="two test functions in one check cell",
        file=MASTER,
        old=FIRST_CHECK,
        new=f"{SECOND_CHECK}\n\n{FIRST_CHECK}",
        at=FIRST_CHECK,
        what="a second function test_half_of_six in one check cell, the first is at line",
    ),
    Mistake(
        id="a master in Latin-1",
        file=MASTER,
        old="# ---\n",
        new="# ---\n",
        at="·",
        what="not text in UTF-8; save it as UTF-8",
        encoding="latin-1",
    ),
    Mistake(
        id="a master in UTF-16",
        file=MASTER,
        old="# ---\n",
        new="# ---\n",
        at="# ---\n",
        what="not text in UTF-8; save it as UTF-8",
        encoding="utf-16",
    ),
    Mistake(
        id="a master with a byte order mark",
        file=MASTER,
        old="# ---\n",
        new="# ---\n",
        at="# ---\n",
        what="the file starts with a byte order mark",
        encoding="utf-8-sig",
    ),
    Mistake(
        id="a corpus in Latin-1",
        file=CORPUS,
        old="=== wrong: the double",
        new="=== wrong: das zw\xf6lffache",
        at="=== wrong: das",
        what="not text in UTF-8",
        encoding="latin-1",
    ),
    Mistake(
        id="points that are a text",
        file=TESTS,
        old='"Q1", points=1',
        new='"Q1", points="one"',
        at='@question("Q1", points="one"',
        what="'one' is not a number of points",
    ),
    Mistake(
        id="points below zero",
        file=TESTS,
        old='"Q1", points=1',
        new='"Q1", points=-1',
        at='@question("Q1", points=-1',
        what="-1 is not a number of points",
    ),
    Mistake(
        id="a hint that is none",
        file=TESTS,
        old='hint="Which of the two divisions rounds?"',
        new="hint=None",
        at='@question("Q1", points=1, hint=None',
        what="the hint is None",
    ),
    Mistake(
        id="a hidden test that pytest passes over",
        file=TESTS,
        old="def test_half_of_an_odd_number",
        new="def odd_half_of_an_odd_number",
        at="def odd_half",
        what="the hidden test odd_half_of_an_odd_number is never run; begin its name with test_",
    ),
    Mistake(
        id="a hidden test among the probes",
        file=PROBES,
        old="def halve(",
        new='@question("Q1", points=1, hint="?")\ndef test_halve(observe):\n    pass\n\n\ndef halve(',
        at="def test_halve",
        what="the hidden test test_halve is never run; rename the file to test_*.py",
    ),
    Mistake(
        id="probes that are no Python",
        file=PROBES,
        old="x: float) ->",
        new="x: float ->",
        at="(student: Any, x: float ->",
        what="it cannot be imported (SyntaxError",
    ),
    Mistake(
        id="an entry of the corpus with too few marks",
        file=CORPUS,
        old="=== wrong: rounded down",
        new="== wrong: rounded down",
        at="== wrong: rounded down",
        what="'== wrong: rounded down' looks like the start of an entry or part",
    ),
    Mistake(
        id="an entry of the corpus of another kind",
        file=CORPUS,
        old="=== wrong: rounded down",
        new="=== worng: rounded down",
        at="=== worng: rounded down",
        what="'=== worng: rounded down' looks like the start of an entry or part",
    ),
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


def test_a_corpus_file_of_no_question(finished: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished, home)
    (home / CORPUS).with_name("Q7.txt").write_text("=== right: as well\nreturn x / 2\n", encoding="utf-8")
    with pytest.raises(MasterError, match=r"Q7\.txt:1: a corpus file of no question; name it after a question"):
        read_everything(home)


def test_an_uncollected_file_of_hidden_tests(finished: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished, home)
    (home / TESTS).rename((home / TESTS).with_name("tests_questions.py"))
    with pytest.raises(
        MasterError, match=r"tests_questions\.py:\d+: the hidden test .* rename the file to test_\*\.py"
    ):
        read_everything(home)
