"""Claims: stripped from what students get, evaluated after their cell, each false one named with its line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.authoring import claims
from autograder.errors import MasterError

MASTER = """\
# %% [markdown]
# Two numbers.

# %% tags=["demo"]
left = 1
# CLAIM: left < right
right = 2
# CLAIM: right == 3
# CLAIM: left / (right - 2) > 0

# %%
nothing = 0
"""
GIVEN_OUT = "left = 1\nright = 2"


@pytest.fixture
def master(tmp_path: Path) -> Path:
    path = tmp_path / "master.py"
    path.write_text(MASTER)
    return path


def cells(*sources: str) -> list[dict[str, object]]:
    return [{"cell_type": "code", "id": f"c{i}", "source": source} for i, source in enumerate(sources)]


def test_students_do_not_see_claims() -> None:
    assert claims.without_claims("a = 1\n# CLAIM: a == 1\n    # CLAIM: a > 0\nb = 2") == "a = 1\nb = 2"
    assert claims.without_claims('print("# CLAIM: x")') == 'print("# CLAIM: x")'


def test_claims_are_found_with_their_lines(master: Path) -> None:
    found = claims.by_cell(master, cells("nothing = 0", GIVEN_OUT))
    assert list(found) == ["c1"]
    assert [(claim.line, claim.expression) for claim in found["c1"]] == [
        (6, "left < right"),
        (8, "right == 3"),
        (9, "left / (right - 2) > 0"),
    ]


def test_each_false_claim_is_named(master: Path) -> None:
    about = claims.by_cell(master, cells(GIVEN_OUT))
    notebook = claims.with_evaluation({"cells": cells(GIVEN_OUT)}, about)
    assert [cell["id"] for cell in notebook["cells"]] == ["c0", "c0-claims"]
    code = "\n".join(str(cell["source"]) for cell in notebook["cells"])
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert [outcome[0] for outcome in json.loads(printed)] == [True, False, False]
    assert list(claims.broken_claims({"c0": printed}, about)) == [
        "cell c0, line 8 of the master: `right == 3` is false (right = 2)",
        "cell c0, line 9 of the master: `left / (right - 2) > 0` is false (ZeroDivisionError: division by zero)",
    ]


def test_claims_that_were_not_reached_are_broken(master: Path) -> None:
    about = claims.by_cell(master, cells(GIVEN_OUT))
    (first, *_) = claims.broken_claims({}, about)
    assert first.endswith("`left < right` is false (the run did not get this far)")


def test_a_claim_that_is_no_expression(master: Path) -> None:
    master.write_text(MASTER.replace("right == 3", "right = 3"))
    with pytest.raises(MasterError, match=r"master\.py:8: not an expression: 'right = 3'; correct the claim"):
        claims.read_claims(master)


def test_claims_about_a_cell_that_is_not_released(master: Path) -> None:
    with pytest.raises(MasterError, match=r"master\.py:6: claims about a cell that is not in the release; run"):
        claims.by_cell(master, cells("left = 1"))


def test_ids_of_evaluating_cells_stay_valid() -> None:
    assert len(claims.evaluating("x" * 64)) == 64
