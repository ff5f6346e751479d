"""Lateness: minutes after a deadline that has a zone, and what a policy takes off for them."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from autograder.assignment import LatePolicy
from autograder.gradebook.late import deduction, minutes_late
from autograder.results import Result, Student, SubmissionStatus
from tests.test_gradebook import result

BERLIN = datetime.fromisoformat("2026-11-20T23:59:00+01:00")
POLICY = LatePolicy(deadline=BERLIN, grace_minutes=15, percent_per_day=10, most_percent=30, cutoff_minutes=7 * 24 * 60)


def handed_in(at: str | None, **changed: Any) -> Result:
    """A result of 3 points that was handed in at this time."""
    return replace(result(), submitted=at, **changed)


@pytest.mark.parametrize(
    ("at", "points", "reason"),
    [
        ("2026-11-20T23:59:00+01:00", 0, "on time"),
        ("2026-11-20T22:59:00+00:00", 0, "on time"),
        ("2026-11-20T17:59:00-05:00", 0, "on time"),
        ("2026-11-20T23:59:00+00:00", 0.3, "1.0 h late: 10 percent"),
        ("2026-11-21T00:14:00+01:00", 0, "15 minutes late, within the grace period"),
        ("2026-11-21T00:14:01+01:00", 0.3, "16 min late: 10 percent"),
        ("2026-11-21T23:59:00+01:00", 0.3, "1.0 days late: 10 percent"),
        ("2026-11-21T23:59:01+01:00", 0.6, "1.0 days late: 20 percent"),
        ("2026-11-26T23:59:00+01:00", 0.9, "6.0 days late: 30 percent"),
        ("2026-11-27T23:59:01+01:00", 3, "7.0 days late, after the last moment"),
    ],
)
def test_what_lateness_costs(at: str, points: float, reason: str) -> None:
    found = deduction(POLICY, handed_in(at))
    assert found
    assert (found.points, found.reason, found.unknown) == (points, reason, False)


def test_a_change_of_the_clocks_is_no_lateness() -> None:
    """On 25 October 2026 the clocks of Berlin go back from 3:00 to 2:00: 2:30 comes twice."""
    policy = replace(POLICY, deadline=datetime.fromisoformat("2026-10-25T02:30:00+01:00"))
    first, second = (datetime.fromisoformat(f"2026-10-25T02:30:00+0{hours}:00") for hours in (2, 1))
    assert minutes_late(policy, first) == minutes_late(policy, second) == 0
    assert minutes_late(replace(policy, deadline=first), second) == 60


@pytest.mark.parametrize("at", [None, "", "yesterday", "2026-11-30T12:00:00"])
def test_an_unknown_time_costs_nothing_and_is_told(at: str | None) -> None:
    found = deduction(POLICY, handed_in(at))
    assert found
    assert (found.points, found.unknown) == (0.0, True)


def test_an_extension_counts_for_each_member_of_a_group() -> None:
    at = "2026-11-21T12:00:00+01:00"
    extended = Student(id="ada", group="g", extension_minutes=24 * 60)
    found = [deduction(POLICY, handed_in(at, student=one)) for one in (extended, Student(id="bob", group="g"))]
    assert [one.points for one in found if one] == [0, 0.3]


def test_what_was_not_graded_loses_nothing() -> None:
    assert deduction(POLICY, handed_in(None, status=SubmissionStatus.UNREADABLE, questions={})) is None
