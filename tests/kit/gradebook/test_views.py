"""The views of a gradebook are safe and whole."""

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.gradebook import overrides, views
from autograder.gradebook.changes import changes
from autograder.gradebook.files import cell, file_stem
from autograder.gradebook.store import Gradebook
from autograder.reports.feedback import feedback_html, feedback_text
from autograder.reports.show import history_lines, show
from autograder.results import (
    SubmissionStatus,
)
from tests.classroom import small
from tests.kit.gradebook.entries import FULL, question, result, rows, save


def test_grades_csv_shows_points_of_graded_submissions_only(book: Gradebook, tmp_path: Path) -> None:
    unreadable = result("eve", status=SubmissionStatus.UNREADABLE, questions={})
    save(book, FULL, unreadable, result("ada", questions={"Q1": question()}))
    views.write(book, tmp_path, ["Q1", "Q2", "Q3"], [])
    ada, eve, zoe = rows(tmp_path / views.GRADES)
    assert list(ada)[:5] == ["student", "submission", "status", "total", "max_points"]
    assert list(ada)[5:] == ["Q1", "Q2", "flags", "name", "late", "submitted"]
    assert (ada["total"], ada["Q1"], ada["Q2"]) == ("1.0", "1.0", "")
    assert (eve["total"], eve["Q1"], eve["status"]) == ("", "", "unreadable")
    assert (zoe["name"], zoe["late"], zoe["submitted"]) == ("Zoë", "late", "2026-11-20T23:59:00+01:00")
    assert {path.name for path in (tmp_path / views.RESULTS).iterdir()} == {"ada.json", "eve.json", "zoë_7.json"}


@pytest.mark.parametrize(
    ("status", "head"),
    [
        (SubmissionStatus.UNREADABLE, "eve: unreadable, but 3.5 of 4 by hand"),
        (SubmissionStatus.NOT_SUBMITTED, "eve: nothing handed in, but 3.5 of 4 by hand"),
    ],
)
def test_points_by_hand_count_in_every_view_although_the_tests_graded_nothing(
    book: Gradebook, tmp_path: Path, status: SubmissionStatus, head: str
) -> None:
    save(book, result("eve", status=status, questions={}))
    (before,) = views.current(book)
    (saved,) = book.saved()
    decision = overrides.Decision(student="eve", question=overrides.WHOLE, points=3.5, comment="read on paper")
    overrides.record(book, [(decision, saved)], "tess")
    views.write(book, tmp_path, ["Q1", "Q2"], [])
    (row,) = rows(tmp_path / views.GRADES)
    assert (row["status"], row["total"]) == (status.value, "3.5")
    (now,) = views.current(book)
    assert [(one.before, one.after) for one in changes(before, now, "override")] == [(None, 3.5)]
    lines = list(show(now, {}, history_lines(overrides.history(book))))
    assert lines[0] == head
    assert "by hand: total: 3.5 points, tess" in lines[-1]
    assert "Total: 3.5 of 4" in feedback_text(now, small())
    assert re.search(r"3\.5\s*<small>of 4 points", feedback_html(now, small()))


def test_views_are_the_same_bytes_from_the_same_gradebook(book: Gradebook, tmp_path: Path) -> None:
    save(book, FULL, result("ada"))
    views.write(book, tmp_path, ["Q1"], ["ada"])
    before = {path: path.read_bytes() for path in [tmp_path / views.GRADES, *(tmp_path / views.RESULTS).iterdir()]}
    shutil.rmtree(tmp_path / views.RESULTS)
    views.write(book, tmp_path, ["Q1"], [])
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", '=HYPERLINK("http://x")'])
def test_no_spreadsheet_takes_a_text_for_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_a_text_with_control_characters_stays_on_its_line() -> None:
    assert cell("a\r\nb\x1b[2J\udcff") == "a\\r b\\x1b[2J\\udcff"


@pytest.mark.parametrize(
    ("student", "stem"),
    [
        ("ada", "ada"),
        ("Ada Example_21001", "Ada Example_21001"),
        ("राम", "राम"),
        ("ada@example.org", "ada@example.org"),
    ],
)
def test_file_names_are_the_ids_where_they_can_be(student: str, stem: str) -> None:
    assert file_stem(student) == stem


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True))
def test_two_students_never_share_a_file(students: list[str]) -> None:
    one, other = map(file_stem, students)
    assert one != other
    for stem in (one, other):
        assert stem
        assert "/" not in stem
        assert not stem.startswith(".")
        assert len(stem.encode()) < 200
