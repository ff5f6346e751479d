"""The thresholds of loss tests keep their distance from right and wrong answers, on both names files."""

import csv
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from autograder.authored import load_module
from autograder.authoring.calibrate import REFERENCE, TABLE, Row, plot, to_csv
from autograder.grading.pictures import BANDS
from tests import corpus

ASSIGNMENT = corpus.assignment()
SIGMAS = 5
MIN_SEEDS = 20


def rows() -> list[dict[str, str]]:
    with (ASSIGNMENT.hidden_tests_dir / TABLE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def calibration() -> ModuleType:
    return load_module(ASSIGNMENT.hidden_tests_dir, "calibration")


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['question']} {row['answer']} ({row['names']})")
def test_a_limit_is_five_deviations_from_both_sides(row: dict[str, str]) -> None:
    assert int(row["seeds"]) >= MIN_SEEDS
    assert float(row["margin"]) >= SIGMAS
    worst = float(row["high"] if row["right"] == "True" else row["low"])
    assert (worst < float(row["limit"])) == (row["right"] == "True")


def test_every_loss_test_was_measured_on_both_files_with_right_and_wrong_answers() -> None:
    measured = {(row["question"], row["test"], row["names"], row["answer"]) for row in rows()}
    files = {row["names"] for row in rows()}
    assert len(files) == 2
    for test in calibration().LOSS_TESTS:
        assert test.wrong
        for answer in (REFERENCE, *test.wrong):
            assert {(test.question, test.test, file, answer) for file in files} <= measured


def test_the_limits_are_those_that_were_measured() -> None:
    limits = {row["test"]: float(row["limit"]) for row in rows() if row["names"] == "names"}
    assert limits == {test.test: pytest.approx(test.limit(), abs=1e-3) for test in calibration().LOSS_TESTS}


def test_every_curve_was_measured_on_both_files() -> None:
    with (ASSIGNMENT.hidden_tests_dir / BANDS).open(encoding="utf-8", newline="") as file:
        places = [(row["question"], row["test"], row["names"]) for row in csv.DictReader(file)]
    drawn = [test for test in calibration().LOSS_TESTS if test.curve]
    files = {row["names"] for row in rows()}
    assert drawn
    assert set(places) == {(test.question, test.test, name) for test in drawn for name in files}


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    right = Row(
        question="B6",
        test="t",
        names="names",
        answer=REFERENCE,
        right=True,
        seeds=20,
        mean=3.0,
        deviation=0.1,
        low=2.8,
        high=3.2,
        limit=5.5,
        margin=25.0,
    )
    wrong = replace(right, answer="without the norm", right=False, mean=8.0, low=7.8, high=8.2)
    plot([right, wrong], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert to_csv([right, wrong]).count("\n") == 3
