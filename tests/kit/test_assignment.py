"""assignment.toml: what it holds, and each mistake in it by its line."""

from dataclasses import replace
from pathlib import Path

import pytest

from autograder.assignment_file import load_assignment
from autograder.errors import UsageError
from tests.mistakes import Mistake, assert_one_line

TOML = "solutions/tiny/assignment.toml"

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
        id="a string for a number",
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
        what="questions.Q1.points is missing",
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
        id="a fraction for an integer",
        file=TOML,
        old="memory_mib = 512",
        new="memory_mib = 0.5",
        at="0.5",
        what="limits.memory_mib is not a whole number",
    ),
    Mistake(
        id="a string for a list",
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
        id="a pattern of every line",
        file=TOML,
        old="'def '",
        new="''",
        at="allowed =",
        what="'' matches every line",
    ),
    Mistake(
        id="a broken pattern",
        file=TOML,
        old="'def '",
        new="'def ('",
        at="allowed =",
        what="is not a valid regular expression",
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
        id="an invalid id",
        file=TOML,
        old="[questions.Q1]",
        new="[questions.first]",
        at="[questions.first]",
        what="'first' is not a valid question id",
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
        id="a notebook listed twice",
        file=TOML,
        old='notebooks = ["tiny"]',
        new='notebooks = ["tiny", "tiny"]',
        at="notebooks = [",
        what="the notebook 'tiny' is listed twice",
    ),
    Mistake(
        id="a keyword for a name",
        file=TOML,
        old='["mean_of_halves"]',
        new='["class"]',
        at='["class"]',
        what="Q2 defines 'class', which is not a Python name",
    ),
    Mistake(
        id="a dependency cycle",
        file=TOML,
        old='defines = ["halve"]',
        new='defines = ["halve"]\ndepends = ["Q2"]',
        at='depends = ["Q2"]',
        what="Q1 depends on itself (cycle: Q1, Q2)",
    ),
    Mistake(
        id="a name defined by two questions",
        file=TOML,
        old='["mean_of_halves"]',
        new='["halve"]',
        at='defines = ["halve"]\ndepends',
        what="Q2 and Q1 both define 'halve'",
    ),
    Mistake(
        id="a question that only assignment.toml knows",
        file=TOML,
        old="[questions.Q2]",
        new='[questions.Q3]\nnotebook = "tiny"\npoints = 1\ndefines = ["third"]\n\n[questions.Q2]',
        at="[questions.Q3]",
        what="no question Q3 in tiny.py",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.id)
def test_a_mistake_is_one_line(finished: Path, tmp_path: Path, mistake: Mistake) -> None:
    assert_one_line(finished, tmp_path, mistake)


def test_what_a_file_holds(finished: Path) -> None:
    assignment = load_assignment(home=finished)
    assert (assignment.name, assignment.title, assignment.max_points) == ("tiny", "Halves", 5)
    assert assignment.dependencies(assignment.question("Q2")) == {"Q1"}
    assert assignment.readable == (assignment.release_dir,)


def test_an_environment_variable_chooses_another_data_file(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assignment = replace(load_assignment("tiny", finished), data={"numbers": "data/numbers.txt"})
    monkeypatch.delenv("NUMBERS", raising=False)
    assert assignment.readable == (assignment.release_dir, finished / "data/numbers.txt")
    monkeypatch.setenv("NUMBERS", str(finished / "own.txt"))
    assert assignment.readable == (assignment.release_dir, finished / "own.txt")


@pytest.mark.parametrize(
    ("name", "message"), [(None, "0 assignments found"), ("none", "no such assignment; choose from none")]
)
def test_an_assignment_that_is_not_there(tmp_path: Path, name: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_assignment(name, tmp_path)
