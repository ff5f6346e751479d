"""Results at rest: what a spreadsheet and a later run make of them."""

import csv
from pathlib import Path
from typing import Any

import pytest

from autograder.gradebook.files import Gradebook
from autograder.results import Flag, Result, Student, SubmissionStatus


def result(**changed: Any) -> Result:
    plain: dict[str, Any] = {"student": Student(id="ada"), "submission": "ada/x.ipynb", "sha256": "1"}
    plain |= {"assignment": "hw", "version": "1", "status": SubmissionStatus.GRADED, "max_points": 1.0}
    return Result(**(plain | changed))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", '=HYPERLINK("http://x")'])
@pytest.mark.parametrize("column", ["student", "submission", "flags"])
def test_no_spreadsheet_takes_a_name_for_a_formula(tmp_path: Path, column: str, text: str) -> None:
    values = {"flags": (Flag(kind="k", text=text),), "student": Student(id=text), "submission": text}
    path = Gradebook(tmp_path, "f").write_grades([result(**{column: values[column]})], [])
    with path.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row[column] == f"'{text}"


def test_a_name_with_control_characters_stays_on_its_line(tmp_path: Path) -> None:
    path = Gradebook(tmp_path, "f").write_grades([result(submission="a\r\nb\x1b[2J\udcff/x.ipynb")], [])
    assert len(path.read_bytes().splitlines()) == 2
    assert b"\x1b" not in path.read_bytes()


@pytest.mark.parametrize("changed", ["", "submission", "sha256", "grader"])
def test_an_earlier_result_counts_for_the_same_submission_and_grader_only(tmp_path: Path, changed: str) -> None:
    """A file that a TA renamed, from `hw.ipynb` to `hw.zip`, has the same bytes and is read in another way."""
    Gradebook(tmp_path, "f").record(result())
    asked = {"submission": "ada/x.ipynb", "sha256": "1", "grader": "f"} | ({changed: "other"} if changed else {})
    later = Gradebook(tmp_path, asked["grader"])
    assert (later.finished("ada", asked["submission"], asked["sha256"]) is None) == bool(changed)
