"""What a run changed: students, questions, points before and after, and why."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autograder.gradebook.files import cell
from autograder.results import QuestionScore, Result, Status, TestScore

COLUMNS = ("student", "question", "before", "after", "why")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One question of one student whose points changed; question `*` is the total.

    why: submission, tests or override
    tests: the hidden tests with a new verdict, as (name, message before, message after)
    """

    student: str
    question: str
    before: float | None
    after: float | None
    why: str
    tests: tuple[tuple[str, str, str], ...] = ()


def changes(before: Result | None, after: Result, why: str) -> Iterator[Change]:
    """Yield what changed between two results of one student; a first result changes nothing."""
    if before is None:
        return
    if before.has_points != after.has_points:
        yield Change(student=after.student.id, question="*", before=_total(before), after=_total(after), why=why)
        return
    questions = dict.fromkeys([*before.questions, *after.questions])
    for question in questions:
        old, new = before.questions.get(question), after.questions.get(question)
        if old is None or new is None or old.points == new.points:
            continue
        cause = "override" if old.override != new.override else why
        yield Change(
            student=after.student.id,
            question=question,
            before=old.points,
            after=new.points,
            why=cause,
            tests=tuple(_tests(old, new)),
        )
    if before.override != after.override and before.total != after.total:
        yield Change(student=after.student.id, question="*", before=before.total, after=after.total, why="override")


def _total(result: Result) -> float | None:
    return result.total if result.has_points else None


def _tests(old: QuestionScore, new: QuestionScore) -> Iterator[tuple[str, str, str]]:
    then, now = ({test.name: test for test in score.tests} for score in (old, new))
    for name in dict.fromkeys([*then, *now]):
        before, after = then.get(name), now.get(name)
        if before is None or after is None or (before.status, before.points) != (after.status, after.points):
            same = before is not None and after is not None and before.status is after.status
            yield name, _said(before, same=same), _said(after, same=same)


def _said(test: TestScore | None, *, same: bool) -> str:
    """What a test said; where its verdict is the same, its points."""
    if test is None:
        return "no such test"
    if same:
        return f"{test.points:g} of {test.max_points:g}"
    return "passed" if test.status is Status.PASSED else test.message or test.status.value


def to_csv(found: Iterable[Change]) -> str:
    """Return the changes as a table."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found:
        writer.writerow([cell(one.student), one.question, _plain(one.before), _plain(one.after), one.why])
    return buffer.getvalue()


def _plain(points: float | None) -> str:
    return "" if points is None else f"{points:g}"


def summary(found: Iterable[Change], total: int) -> str:
    """Return in one line how many students' points went up and down, and how many stayed."""
    by_student: dict[str, float] = {}
    for one in found:
        by_student[one.student] = by_student.get(one.student, 0.0) + (one.after or 0.0) - (one.before or 0.0)
    up = sum(value > 0 for value in by_student.values())
    down = sum(value < 0 for value in by_student.values())
    if not by_student:
        return "no score changed"
    return f"{up} up, {down} down, {total - up - down} unchanged"
