"""Mistakes of an author: each is one line that names the file, the line, what is wrong and how to mend it."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from autograder.assignment import load_assignment
from autograder.collect import collect
from autograder.corpus import read_answers
from autograder.errors import MasterError
from autograder.master import read_masters, reference_answers
from tests import tiny

TOML = "solutions/tiny/assignment.toml"
MASTER = "solutions/tiny/tiny.py"
TESTS = "autograder/hidden_tests/tiny/test_questions.py"
CORPUS = "tests/corpus/tiny/Q1.txt"
START = "    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****\n"
END = "    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****\n"
Q1_ANSWER = "    half_of_the_number = x / 2\n    return half_of_the_number"
QUESTION_END = "# %% [raw]\n# # END QUESTION\n"
REGION = f"{START}    # BEGIN SOLUTION NO PROMPT\n    return 1\n    # END SOLUTION\n{END}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """old, new: the first `old` in the file becomes `new`; at: what stands in the line that the error names."""

    id: str
    file: str
    old: str
    new: str
    at: str
    what: str


MISTAKES = [
    Mistake(id="invalid TOML", file=TOML, old="points = 2", new="points = ", at="points = \n", what="not valid TOML"),
    Mistake(
        id="a table without its end", file=TOML, old="depends = [", new="depends = ", at='depends = "', what="not valid"
    ),
    Mistake(
        id="TOML that ends early",
        file=TOML,
        old='depends = ["Q1"]',
        new="depends = [",
        at="depends = [",
        what="not valid",
    ),
    Mistake(
        id="a text for a number",
        file=TOML,
        old="points = 2",
        new='points = "two"',
        at='"two"',
        what="questions.Q1.points is not a number",
    ),
    Mistake(
        id="a truth for a number",
        file=TOML,
        old="points = 2",
        new="points = true",
        at="true",
        what="questions.Q1.points is not a number",
    ),
    Mistake(
        id="no points at all",
        file=TOML,
        old="points = 2\n",
        new="",
        at="[questions.Q1]",
        what="there is no questions.Q1.points",
    ),
    Mistake(
        id="points below zero",
        file=TOML,
        old="points = 2",
        new="points = -2",
        at="-2",
        what="questions.Q1.points is -2",
    ),
    Mistake(
        id="a fraction for a whole number",
        file=TOML,
        old="memory_mib = 512",
        new="memory_mib = 0.5",
        at="0.5",
        what="limits.memory_mib is not a whole number",
    ),
    Mistake(
        id="a text for a list",
        file=TOML,
        old='["halve"]',
        new='"halve"',
        at='"halve"',
        what="questions.Q1.defines is not a list of texts",
    ),
    Mistake(
        id="an unknown key",
        file=TOML,
        old="defines = ",
        new='define = ["x"]\ndefines = ',
        at="define =",
        what="unknown key questions.Q1.define",
    ),
    Mistake(
        id="an unknown key at the top",
        file=TOML,
        old='version = "1"',
        new='version = "1"\nvresion = "2"',
        at="vresion",
        what="unknown key vresion",
    ),
    Mistake(
        id="a broken pattern", file=TOML, old="'def '", new="'def ('", at="allowed =", what="is no regular expression"
    ),
    Mistake(
        id="an unknown notebook",
        file=TOML,
        old='notebook = "tiny"',
        new='notebook = "tidy"',
        at='"tidy"',
        what="Q1 names an unknown notebook 'tidy'",
    ),
    Mistake(
        id="an id that is none",
        file=TOML,
        old="[questions.Q1]",
        new="[questions.first]",
        at="[questions.first]",
        what="'first' is no id of a question",
    ),
    Mistake(
        id="a dependency that is not there",
        file=TOML,
        old='depends = ["Q1"]',
        new='depends = ["Q9"]',
        at="Q9",
        what="Q2 depends on an unknown question 'Q9'",
    ),
    Mistake(
        id="a circle of dependencies",
        file=TOML,
        old='defines = ["halve"]',
        new='defines = ["halve"]\ndepends = ["Q2"]',
        at='depends = ["Q2"]',
        what="Q1 depends on itself (among Q1, Q2)",
    ),
    Mistake(
        id="a name defined by two questions",
        file=TOML,
        old='["mean_of_halves"]',
        new='["halve"]',
        at='defines = ["halve"]\ndepends',
        what="Q2 defines 'halve', and so does Q1",
    ),
    Mistake(
        id="a question that only assignment.toml knows",
        file=TOML,
        old="[questions.Q2]",
        new='[questions.Q3]\nnotebook = "tiny"\npoints = 1\ndefines = ["third"]\n\n[questions.Q2]',
        at="[questions.Q3]",
        what="there is no question Q3 in tiny.py",
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
        what="the banner of Q2 in the question Q1",
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
        what="an unknown question Q7",
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
        what="a hidden test without its question",
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
        what="'return 0.5 * x' stands before the first entry",
    ),
]


@pytest.fixture(scope="module")
def authored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("authored")
    tiny.write_finished(home, released=False)
    return home


def read_everything(home: Path) -> None:
    """What release, gate and grader read of an assignment, in the order in which they do."""
    tiny.forget()
    assignment = load_assignment("tiny", home)
    read_masters(assignment)
    collect(assignment)
    for question in assignment.questions:
        read_answers(assignment.corpus_dir / f"{question.id}.txt")


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.id)
def test_a_mistake_is_one_line(authored: Path, tmp_path: Path, mistake: Mistake) -> None:
    home = tmp_path / "home"
    shutil.copytree(authored, home, ignore=shutil.ignore_patterns("__pycache__"))
    path = home / mistake.file
    text = path.read_text(encoding="utf-8")
    assert mistake.old in text
    changed = text.replace(mistake.old, mistake.new, 1)
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(MasterError) as caught:
        read_everything(home)
    line = changed[: changed.index(mistake.at)].count("\n") + 1
    message = str(caught.value)
    assert re.fullmatch(r"(.+?): (.+); (.+)", message), message
    assert message.startswith(f"{path}:{line}: ")
    assert mistake.what in message


def test_an_assignment_without_a_mistake_is_read(authored: Path) -> None:
    read_everything(authored)
    assert reference_answers(load_assignment("tiny", authored)) == {
        "Q1": Q1_ANSWER,
        "Q2": "    halves = [halve(value) for value in values]\n    return sum(halves) / len(halves)",
    }


def test_a_master_that_is_not_there(authored: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(authored, home)
    (home / MASTER).unlink()
    with pytest.raises(MasterError, match=r"tiny\.py: there is no such master; "):
        read_everything(home)
