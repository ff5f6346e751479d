"""Lateness: minutes after a deadline, and the deduction by a policy. Nothing is computed without a policy.

Canvas and Gradescope apply their own policies, so none is the default. A change of policy requires no grading.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from autograder.assignment import LatePolicy
from autograder.results import Result

DAY = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduction:
    """The deduction from one student's points, and why. unknown: the time of submission is unknown."""

    points: float
    reason: str
    unknown: bool = False


def minutes_late(policy: LatePolicy, submitted: datetime, extension_minutes: float = 0) -> float:
    """Return the minutes after a student's own deadline, 0 at it or before. Both times carry their zone.

    Minutes are those that pass, also where clocks change in between.
    """
    due = policy.deadline.astimezone(UTC) + timedelta(minutes=extension_minutes)
    return max(0.0, (submitted - due).total_seconds() / 60)


def deduction(policy: LatePolicy, result: Result) -> Deduction | None:
    """Return the deduction from a result, None if it has no points."""
    if not result.has_points:
        return None
    try:
        submitted = datetime.fromisoformat(result.submitted or "")
    except ValueError:
        return Deduction(points=0.0, reason="the time of submission is unknown", unknown=True)
    if submitted.tzinfo is None:
        return Deduction(points=0.0, reason="the time of submission has no time zone", unknown=True)
    late = minutes_late(policy, submitted, result.student.extension_minutes)
    if late <= policy.grace_minutes:
        return Deduction(points=0.0, reason=f"{_in_words(late)} late, within the grace period" if late else "on time")
    if policy.cutoff_minutes is not None and late > policy.cutoff_minutes:
        return Deduction(points=result.total, reason=f"{_in_words(late)} late, after the cut-off")
    days = math.ceil(late / DAY)
    percent = min(policy.most_percent, policy.percent_per_day * days)
    points = round(result.total * percent / 100, 6)
    return Deduction(points=points, reason=f"{_in_words(late)} late: {percent:g} percent")


def _in_words(minutes: float) -> str:
    if minutes < 60:
        return f"{math.ceil(minutes)} min"
    if minutes < DAY:
        return f"{minutes / 60:.1f} h"
    return f"{minutes / DAY:.1f} days"
