"""The list of mutants that are right answers too belongs to the reference answers as they are now."""

import ast
import textwrap
import tomllib
from typing import Any

import pytest

from autograder.authoring.master import reference_answers
from tests import corpus

ASSIGNMENT = corpus.assignment()
MUTANTS: list[dict[str, Any]] = tomllib.loads(
    (ASSIGNMENT.masters_dir / "equivalent_mutants.toml").read_text(encoding="utf-8")
)["mutant"]


@pytest.fixture(scope="module")
def lines() -> dict[str, set[str]]:
    """The lines of each reference answer, as ast.unparse writes them, without indentation."""
    found = {}
    answers = reference_answers(ASSIGNMENT)
    for question in (one.id for one in ASSIGNMENT.tested):
        tree = ast.parse(textwrap.dedent(answers[question]).strip("\n"))
        found[question] = {line.strip() for line in ast.unparse(tree).splitlines()}
    return found


def test_each_mutant_changes_a_line_of_the_reference_answer(lines: dict[str, set[str]]) -> None:
    stale = [(one["question"], one["line"]) for one in MUTANTS if one["line"] not in lines[one["question"]]]
    assert stale == []


def test_each_mutant_is_listed_once_and_has_a_reason() -> None:
    keys = [(one["question"], one["line"], one["becomes"]) for one in MUTANTS]
    assert len(keys) == len(set(keys))
    assert all(one["reason"] and one["line"] != one["becomes"] for one in MUTANTS)
