"""Written answers on the review page."""

import re
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment_file import load_assignment
from autograder.gradebook import overrides
from autograder.gradebook.store import open_gradebook
from autograder.release.reference import reference_answers
from tests import kinds
from tests.html_text import Page
from tests.tiny import NAME


def ticks(html: str) -> list[bool]:
    """Which lines of the rubric are ticked in a form."""
    return ["checked" in box for box in re.findall(r'<input type="checkbox" name="line"[^>]*>', html)]


@pytest.fixture
def tess(out: Path, kinds_home: Path) -> Any:
    """A TA who reviews this class."""
    pytest.importorskip("starlette", reason="the extra `review` is not installed")
    from autograder.review.publish import Publisher
    from tests.kit.review.session import Session

    assignment = load_assignment(NAME, kinds_home)
    publisher = Publisher(out, "", assignment)
    return Session(out, assignment=assignment, reference=reference_answers(assignment), publisher=publisher, names=True)


def test_a_written_answer_stands_beside_the_model_answer_and_the_rubric(tess: Any) -> None:
    html = tess.item("all", "W1")
    seen = Page(html).text
    assert "W1: not graded yet, 3 points" in " ".join(seen.split())
    assert "It rounds &lt;script&gt;alert(1)&lt;/script&gt; **down**." in html
    assert kinds.MODEL in seen
    assert all(line in seen for line in kinds.RUBRIC)
    assert ticks(html) == [False, False]


@pytest.mark.parametrize(
    ("lines", "given", "comment", "points", "recorded"),
    [
        (["0", "1"], "", "", 3.0, "✓ 1 of 1: {0}\n✓ 2 of 2: {1}"),
        (["1"], "", "Say rounding.", 2.0, "✗ 0 of 1: {0}\n✓ 2 of 2: {1}\nSay rounding."),
        ([], "0", "", 0.0, "✗ 0 of 1: {0}\n✗ 0 of 2: {1}"),
        (["0"], "2.5", "nearly", 2.5, "✓ 1 of 1: {0}\n✗ 0 of 2: {1}\nnearly"),
        ([], "", "Please ask me.", None, "Please ask me."),
    ],
    ids=["all lines", "one line", "none", "other points", "a comment only"],
)
def test_ticked_lines_become_points_and_a_comment(
    tess: Any, out: Path, lines: list[str], given: str, comment: str, points: float | None, recorded: str
) -> None:
    answer = tess.decide("all", "W1", rubric="1", line=lines, points=given, comment=comment)
    assert answer.status_code in (200, 303)
    with open_gradebook(out, writing=False) as gradebook:
        (entry,) = overrides.history(gradebook, "all")
    assert (entry.override.points, entry.override.comment) == (points, recorded.format(*kinds.RUBRIC))
    seen = " ".join(Page(tess.item("all", "W1")).text.split())
    assert ("not graded yet" in seen) is (points is None)


def test_other_points_need_a_reason(tess: Any) -> None:
    answer = tess.decide("all", "W1", rubric="1", line=["0"], points="3", comment="")
    assert answer.status_code == 400
    assert "The ticked lines add up to 1 points: give the reason for 3 as a comment." in answer.text
    assert ticks(answer.text) == [True, False]


def test_a_decision_is_given_again_to_the_same_words_only(tess: Any, out: Path) -> None:
    tess.decide("all", "W2", rubric="1", line=["0"], points="", comment="Yes.")
    use = re.search(r"use=(\d+)#decide", tess.item("bonus", "W2"))
    assert use
    html = tess.page(f"/question/W2/{tess.who('bonus')}?use={use[1]}")
    assert ticks(html) == [True]
    assert "Yes.</textarea>" in html
    groups = " ".join(Page(tess.page("/question/W2")).text.split())
    assert "2 students: the same words" in groups
    preview = tess.post("/preview", tess.form("bonus", "W2", rubric="1", line=["0"]))
    shown = " ".join(Page(preview.text).text.split())
    assert "Points: 2" in shown
    assert "✓ 2 of 2: Any reason" in shown
    chosen = re.findall(r'name="chosen" value="([^"]*)"', preview.text)
    group = re.search(r'name="group" value="([^"]*)"', preview.text)
    assert group
    fields = {"question": "W2", "who": tess.who("bonus"), "group": group[1], "points": "2", "chosen": chosen}
    tess.post("/apply", fields | {"comment": "✓ 2 of 2: Any reason", "reviewed": "1"})
    with open_gradebook(out, writing=False) as gradebook:
        assert {entry.student for entry in overrides.history(gradebook, question="W2")} == {"all", "bonus"}


def test_the_page_of_a_student_shows_written_answers(tess: Any) -> None:
    seen = " ".join(Page(tess.page(f"/student/{tess.who('all')}")).text.split())
    assert "W2: not graded yet, 2 bonus points" in seen
    assert "A sum loops in C." in seen
