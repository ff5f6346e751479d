"""Written, bonus, zero-point and optional questions, from a submission to grades, feedback and report."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment_file import load_assignment
from autograder.cli import main
from autograder.gradebook import rubric
from autograder.gradebook.store import FILE, open_gradebook
from tests import kinds, old_gradebooks
from tests.html_text import Page
from tests.kit.kinds.classes import HOSTILE
from tests.tiny import NAME


@pytest.fixture
def in_course(kinds_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the course's folder."""
    monkeypatch.chdir(kinds_home)


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def result(out: Path, student: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((out / "results" / f"{student}.json").read_text(encoding="utf-8"))
    return table


def test_totals_and_maxima(graded: Path) -> None:
    found = rows(graded)
    assert {key: (row["total"], row["max_points"]) for key, row in found.items()} == {
        "all": ("7.0", "8.0"),
        "bonus": ("2.0", "8.0"),
        "none": ("0.0", "8.0"),
        "old": ("0.0", "5.0"),
    }
    assert [found["all"][key] for key in ("Q3", "Q4", "W1", "W2")] == ["2.0", "0.0", "", ""]
    assert (found["none"]["W1"], found["old"]["W1"], found["old"]["Q3"]) == ("0.0", "", "0.0")


def test_what_the_json_says(graded: Path) -> None:
    one = result(graded, "all")["questions"]
    assert {key: (score["status"], score["bonus"]) for key, score in one.items()} == {
        "Q1": ("passed", False),
        "Q2": ("passed", False),
        "Q3": ("passed", True),
        "Q4": ("passed", False),
        "W1": ("waiting", False),
        "W2": ("waiting", True),
    }
    assert one["W1"]["answer"] == {"file": f"{NAME}.ipynb", "source": HOSTILE}
    assert result(graded, "bonus")["questions"]["Q4"]["status"] == "failed"
    assert result(graded, "none")["questions"]["W1"]["status"] == "not_attempted"


def test_a_submission_from_an_earlier_version_is_not_asked(graded: Path) -> None:
    one = result(graded, "old")
    assert set(one["questions"]) == {"Q1", "Q2", "Q3", "Q4"}
    assert not [flag for flag in one["flags"] if flag["question"].startswith("W")]


@pytest.mark.usefixtures("in_course")
def test_nothing_is_graded_twice(graded: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (out / "grades.csv").read_bytes()
    assert main(["grade", str(graded.parent / "in"), "--out", str(out), "--jobs", "1"]) == 0
    assert "graded again" not in capsys.readouterr().out
    with open_gradebook(out, writing=False) as gradebook:
        assert {saved.run for saved in gradebook.saved()} == {1}
    assert (out / "grades.csv").read_bytes() == before


@pytest.mark.usefixtures("in_course")
def test_points_by_a_person_count_and_outlive_a_rescore(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for question, given in (("W1", "2"), ("W2", "2")):
        assert main(["override", "all", question, given, "--comment", "fine", "--out", str(out)]) == 0
    assert main(["rescore", "--out", str(out)]) == 0
    one = result(out, "all")
    assert (one["total"], one["max_points"]) == (11.0, 8.0)
    assert [one["questions"][key]["status"] for key in ("W1", "W2")] == ["failed", "passed"]
    assert [rows(out)["all"][key] for key in ("W1", "W2")] == ["2.0", "2.0"]
    assert main(["override", "all", "W1", "4", "--comment", "more", "--out", str(out)]) == 2
    capsys.readouterr()
    assert main(["show", "all", "--out", str(out)]) == 0
    assert "W1: 2 of 3" in capsys.readouterr().out


@pytest.mark.usefixtures("in_course")
def test_a_zero_typed_into_the_table_is_a_decision(out: Path) -> None:
    path = out / "grades.csv"
    table = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    column = table[0].index("W1")
    edited = [[*row[:column], "0", *row[column + 1 :]] if row[0] == "all" else row for row in table]
    text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in edited)
    (out / "mine.csv").write_text(text, encoding="utf-8")
    assert main(["override", "--from", str(out / "mine.csv"), "--out", str(out)]) == 0
    assert result(out, "all")["questions"]["W1"]["status"] == "failed"
    assert result(out, "bonus")["questions"]["W2"]["status"] == "waiting"


def feedback(out: Path, student: str) -> tuple[str, str]:
    assert main(["feedback", "--out", str(out)]) == 0
    page = (out / "feedback" / f"{student}.html").read_text(encoding="utf-8")
    return page, (out / "feedback" / f"{student}.txt").read_text(encoding="utf-8")


@pytest.mark.usefixtures("in_course")
def test_feedback_before_and_after_a_person_looked(out: Path, kinds_home: Path) -> None:
    page, text = feedback(out, "all")
    assert "W1: not graded yet, 3 points" in Page(page).text
    assert "Not graded yet, and not in the total: W1, W2" in text
    assert all(line not in page for line in kinds.RUBRIC)
    assert "<script>alert" not in page
    assert "It rounds &lt;script&gt;" in page
    lines = load_assignment(NAME, kinds_home).question("W1").rubric
    comment = rubric.compose(lines, {1}, "Say rounding.")
    assert main(["override", "all", "W1", "2", "--comment", comment, "--out", str(out)]) == 0
    page, text = feedback(out, "all")
    seen = Page(page).text
    assert "W1: 2 of 3 points" in seen
    assert "no: Names rounding (1)" in seen
    assert "yes: Says in which direction <b>it</b> rounds (2)" in seen
    assert "Comment: Say rounding." in seen
    assert "✗ Names rounding (1)\n✓ Says in which direction <b>it</b> rounds (2)\nComment: Say rounding." in text


@pytest.mark.usefixtures("in_course")
def test_feedback_on_questions_that_cost_nothing(out: Path) -> None:
    page, _ = feedback(out, "none")
    seen = " ".join(Page(page).text.split())
    assert "Q3: left out, which costs nothing (2 bonus points)" in seen
    assert "W1: not attempted (3 points)" in seen
    page, _ = feedback(out, "bonus")
    assert "Q4 negate: 0 of 0 points" in " ".join(Page(page).text.split())


@pytest.mark.usefixtures("in_course")
def test_the_report(out: Path) -> None:
    assert main(["report", "--out", str(out)]) == 0
    seen = " ".join(Page((out / "report" / "index.html").read_text(encoding="utf-8")).text.split())
    assert "not graded yet" in seen
    page = (out / "report" / "question-W1.html").read_text(encoding="utf-8")
    assert "1 student: the same words" in Page(page).text
    assert "<script>alert" not in page


@pytest.mark.usefixtures("in_course")
def test_a_gradebook_from_before_there_were_bonus_questions(out: Path) -> None:
    with open_gradebook(out) as gradebook, gradebook.writing() as connection:
        old_gradebooks.to_version_3(connection)
    with open_gradebook(out) as gradebook:
        found = {saved.result.student.id: saved.result for saved in gradebook.saved()}
    assert (out / f"{FILE}.version-3").is_file()
    assert found["all"].questions["Q1"].bonus is False
    assert (found["all"].total, found["all"].waiting) == (7.0, ("W1", "W2"))
