"""Wording for statuses, tests and attempts in all reports."""

import math
from collections.abc import Iterable

from autograder.results import QuestionScore, Result, Status, TestScore
from autograder.wording import number_of

IN_WORDS = {
    Status.PASSED: "passed",
    Status.WAITING: "not graded yet",
    Status.FAILED: "failed",
    Status.ERROR: "your code raised an error",
    Status.TIMED_OUT: "your code did not finish in time",
    Status.CRASHED: "your code ended its process",
    Status.NOT_ATTEMPTED: "not attempted",
    Status.MISSING: "missing",
}


def sentence(name: str) -> str:
    """Return the name of a hidden test as a sentence: `normalises_with_eps` becomes `normalises with eps`."""
    return name.replace("_", " ")


def points(value: float) -> str:
    """Return points without needless digits: 2, 2.5, 0.33."""
    return f"{round(value, 2):g}"


def of_points(score: QuestionScore) -> str:
    """Return a question's points as `2.5 of 4`, or as `1 of 2 bonus points`."""
    what = " bonus points" if score.bonus else ""
    if score.status is Status.WAITING:
        return f"not graded yet, {points(score.max_points)}{what or ' points'}"
    return f"{points(score.points)} of {points(score.max_points)}{what}"


def which_attempt(score: QuestionScore, failed: tuple[str, ...]) -> str:
    """Return which answers a question was graded with, empty if they were the student's own.

    failed: the questions that it builds on without full marks
    """
    if score.dependencies != "reference":
        return ""
    needed = " and ".join(failed)
    reason = f", because yours {'fall' if len(failed) > 1 else 'falls'} short" if failed else ""
    return f"graded with the reference's {needed or 'answers to what it builds on'}{reason}"


def lost(test: TestScore) -> str:
    """Return the message of a failed test, else its status."""
    return test.message or IN_WORDS[test.status]


def by_message(tests: Iterable[TestScore]) -> dict[str, list[TestScore]]:
    """Return the tests that were not passed by what they say: an error that all of them ran into is told once."""
    found: dict[str, list[TestScore]] = {}
    for test in tests:
        if test.status is not Status.PASSED:
            found.setdefault(lost(test), []).append(test)
    return found


def late_in_words(result: Result) -> str:
    """Return how late a submission was, empty if it was on time or the time is unknown."""
    if result.late is None or result.late == 0:
        return ""
    if isinstance(result.late, str):
        return "late (as the LMS says)"
    return f"{number_of(math.ceil(result.late), 'minute')} late"
