"""Overrides: points and comments by people, which replace computed points, with who, when and why. None is ever lost.

A file of overrides is applied as a whole or not at all.
"""

import contextlib
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from autograder.errors import UsageError
from autograder.gradebook import schema
from autograder.gradebook.store import Gradebook, Saved, now
from autograder.results import Audience, Flag, Override, QuestionScore, Result, Status

WHOLE = "*"
"""Stands for the whole submission."""
POINTS = re.compile(r"[-+]?(?:\d+[.,]?\d*|[.,]\d+)", re.ASCII)
COLUMNS = ("student", "question", "points", "comment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An override to record. question: an id, or * for the whole submission; points: None for a comment only."""

    student: str
    question: str
    points: float | None
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An override in the gradebook's history; `undone` is empty while it counts."""

    id: int
    student: str
    question: str
    override: Override
    sha256: str
    undone: str


class Overtaken(Exception):
    """Somebody else decided first. keys: student and question of each such decision."""

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__(keys)
        self.keys = keys


def find_student(saved: Iterable[Saved], wanted: str) -> Saved:
    """Return the result of the student with this id, or whose id or name contains this text.

    Raises UsageError if none or more than one matches.
    """
    everyone = list(saved)
    exact = [one for one in everyone if one.result.student.id == wanted]
    text = wanted.casefold()
    people = exact or [
        one
        for one in everyone
        if text in one.result.student.id.casefold() or text in one.result.student.name.casefold()
    ]
    if len(people) == 1:
        return people[0]
    if not people:
        raise UsageError("no such student", wanted, "give an id or part of a name from grades.csv")
    names = ", ".join(sorted(one.result.student.id for one in people)[:20])
    raise UsageError(f"{len(people)} students match", wanted, f"give one of: {names}")


def check(decision: Decision, saved: Saved, *, bonus: bool) -> Decision:
    """Return the decision if it is valid. Raises UsageError for an unknown question or impossible points."""
    where = f"{decision.student} {decision.question}"
    questions = saved.result.questions
    if decision.question != WHOLE and decision.question not in questions:
        known = ", ".join(questions) or "none"
        raise UsageError("no such question in this result", where, f"give one of: {known}, or * for the total")
    beyond = sum(score.max_points for score in questions.values() if score.bonus)
    most = saved.result.max_points + beyond if decision.question == WHOLE else questions[decision.question].max_points
    points = decision.points
    if points is None:
        if not decision.comment:
            raise UsageError("neither points nor a comment", where, "give at least one of them")
        return decision
    if not math.isfinite(points) or points < 0:
        raise UsageError(f"{points:g} points", where, "give a number that is not negative")
    if points > most and not bonus:
        raise UsageError(f"{points:g} points of {most:g}", where, "give no more, or add --bonus")
    return decision


@contextlib.contextmanager
def deciding(gradebook: Gradebook) -> Iterator[Connection]:
    """Begin a transaction in which nobody else decides anything.

    It waits for others who decide, not for a run that grades: the row that it locks is written by no run.
    """
    with gradebook.writing() as connection:
        version = schema.meta.c.key == "version"
        connection.execute(update(schema.meta).where(version).values(value=schema.meta.c.value))
        yield connection


def stamp(entries: Iterable[Entry]) -> str:
    """Return how far a history goes: its newest override, and how many are undone."""
    known = list(entries)
    return f"{max((one.id for one in known), default=0)}.{sum(bool(one.undone) for one in known)}"


def record(
    gradebook: Gradebook,
    decisions: Sequence[tuple[Decision, Saved]],
    by: str,
    seen: Mapping[tuple[str, str], str] | None = None,
) -> None:
    """Record all of these decisions.

    seen: by student and question, the stamp of the history that the decision was made on
    Raises Overtaken, and records nothing, where such a history has gone on since.
    """
    at = now()
    rows = [
        {
            "student": saved.result.student.id,
            "question": decision.question,
            "points": decision.points,
            "comment": decision.comment,
            "by": by,
            "at": at,
            "computed": computed_points(saved.result, decision.question),
            "sha256": saved.result.sha256,
        }
        for decision, saved in decisions
    ]
    if not rows:
        return
    with deciding(gradebook) as connection:
        if seen is not None:
            _check_seen(connection, seen)
        connection.execute(insert(schema.overrides), rows)


def _check_seen(connection: Connection, seen: Mapping[tuple[str, str], str]) -> None:
    questions = {question for _, question in seen}
    found: dict[tuple[str, str], list[Entry]] = {}
    for row in connection.execute(select(schema.overrides).where(schema.overrides.c.question.in_(questions))):
        found.setdefault((row.student, row.question), []).append(_entry(row))
    overtaken = [key for key, known in seen.items() if stamp(found.get(key, ())) != known]
    if overtaken:
        raise Overtaken(overtaken)


def computed_points(result: Result, question: str) -> float:
    """Return the points by tests alone for a question, or for the whole submission."""
    if question != WHOLE:
        return result.questions[question].computed
    return round(sum(score.computed for score in result.questions.values()), 6)


def undo(gradebook: Gradebook, student: str, question: str, by: str) -> Entry:
    """Undo the newest override of a question that still counts; it stays in the history.

    Raises UsageError if there is none.
    """
    entries = [one for one in history(gradebook, student) if one.question == question and not one.undone]
    if not entries:
        raise UsageError("there is no override to undo", f"{student} {question}", "see `autograder show`")
    undo_all(gradebook, [entries[-1].id], by)
    return entries[-1]


def undo_all(gradebook: Gradebook, ids: Collection[int], by: str) -> int:
    """Undo the overrides with these ids; how many of them still counted."""
    columns = schema.overrides.c
    counting = update(schema.overrides).where(columns.id.in_(ids), columns.undone_at.is_(None))
    with deciding(gradebook) as connection:
        return connection.execute(counting.values(undone_by=by, undone_at=now())).rowcount


def history(gradebook: Gradebook, student: str | None = None, question: str | None = None) -> list[Entry]:
    """Return every override, oldest first, of all students or one, of all questions or one."""
    query = select(schema.overrides).order_by(schema.overrides.c.id)
    if student is not None:
        query = query.where(schema.overrides.c.student == student)
    if question is not None:
        query = query.where(schema.overrides.c.question == question)
    with gradebook.engine.connect() as connection:
        return [_entry(row) for row in connection.execute(query)]


def _entry(row: Any) -> Entry:
    return Entry(
        id=row.id,
        student=row.student,
        question=row.question,
        override=Override(points=row.points, comment=row.comment, by=row.by, at=row.at, computed=row.computed),
        sha256=row.sha256,
        undone=f"{row.undone_by}, {row.undone_at}" if row.undone_at else "",
    )


def apply(result: Result, entries: Sequence[Entry]) -> Result:
    """Return the result with the overrides that count, and a flag for each.

    The newest points count, and all comments stay. A flag says where the submission changed since, another one where
    the computed points did.
    """
    effective: dict[str, Override] = {}
    flags = list(result.flags)
    for entry in entries:
        if entry.undone or (entry.question != WHOLE and entry.question not in result.questions):
            continue
        before = effective.get(entry.question)
        points = before.points if before and entry.override.points is None else entry.override.points
        comments = [one for one in (before.comment if before else "", entry.override.comment) if one]
        effective[entry.question] = replace(entry.override, points=points, comment="\n".join(comments))
        flags.extend(_flags(result, entry))
    scores = {
        key: _decided(score, effective[key]) if key in effective else score for key, score in result.questions.items()
    }
    return replace(result, questions=scores, override=effective.get(WHOLE), flags=tuple(dict.fromkeys(flags)))


def _decided(score: QuestionScore, override: Override) -> QuestionScore:
    """Return a score with an override; a written question with points is graded now."""
    score = replace(score, override=override)
    if score.status is Status.WAITING and override.points is not None:
        return replace(score, status=Status.PASSED if override.points >= score.max_points else Status.FAILED)
    return score


def _flags(result: Result, entry: Entry) -> list[Flag]:
    question = "" if entry.question == WHOLE else entry.question
    computed = computed_points(result, entry.question)
    override = entry.override
    what = "the total" if entry.question == WHOLE else "the question"
    flags = []
    if override.points is not None:
        comment = f": {override.comment}" if override.comment else ""
        tested = entry.question == WHOLE or result.questions[entry.question].status is not Status.WAITING
        text = f"{override.points:g} by hand{f' ({computed:g} by the tests)' if tested else ''}{comment}"
        flags.append(Flag(kind="override", question=question, text=text))
    if override.points is not None and override.computed is not None and override.computed != computed:
        text = (
            f"look again: {what} was overridden when the tests gave {override.computed:g}; now they give {computed:g}"
        )
        flags.append(Flag(kind="override_look_again", question=question, text=text, audience=Audience.STAFF))
    if entry.sha256 != result.sha256:
        text = f"{what} was overridden before the student handed in again"
        flags.append(Flag(kind="override_resubmitted", question=question, text=text, audience=Audience.STAFF))
    return flags


def read_points(text: str, where: str) -> float:
    """Return the points that a person wrote. Raises UsageError for what is no number."""
    if not POINTS.fullmatch(text.strip()):
        raise UsageError(f"{text!r} is not a number", where, "give points, such as 2.5")
    return float(text.replace(",", "."))
