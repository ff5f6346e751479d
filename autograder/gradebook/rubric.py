"""Rubrics of written questions: which lines an answer got, kept in the comment of the override that gives its points.

A decision is therefore whole wherever its comment is shown, and lines that a rubric no longer has stay readable.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from autograder.assignment import Question, RubricLine
from autograder.results import QuestionScore, Status

MARK = re.compile(r"^([✓✗]) (\S+) of (\S+): (.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A line of a rubric and whether an answer got its points; None where nobody said so."""

    line: RubricLine
    given: bool | None


def total(rubric: Sequence[RubricLine], ticked: Collection[int]) -> float:
    """Return the points of the lines with these numbers, from 0."""
    return round(sum(line.points for number, line in enumerate(rubric) if number in ticked), 6)


def compose(rubric: Sequence[RubricLine], ticked: Collection[int], comment: str) -> str:
    """Return the comment of a decision: a line for each line of the rubric, then what the person wrote."""
    lines = [
        f"✓ {line.points:g} of {line.points:g}: {line.text}"
        if number in ticked
        else f"✗ 0 of {line.points:g}: {line.text}"
        for number, line in enumerate(rubric)
    ]
    return "\n".join([*lines, *([comment] if comment else [])])


def split(rubric: Sequence[RubricLine], comment: str) -> tuple[dict[str, bool], str]:
    """Return which lines of the rubric a comment marks, by their text, and the rest of it; the last mark counts."""
    known = {line.text for line in rubric}
    marks: dict[str, bool] = {}
    rest = []
    for line in comment.split("\n"):
        found = MARK.match(line)
        if found and found[4] in known:
            marks[found[4]] = found[1] == "✓"
        else:
            rest.append(line)
    return marks, "\n".join(rest)


def marked(question: Question, score: QuestionScore) -> tuple[tuple[Marked, ...], str]:
    """Return the rubric as it was applied to an answer, and the comment; no rubric before a person gave the points.

    Marks count only if they add up to the points: these may have been changed elsewhere since.
    """
    override = score.override
    if override is None:
        return (), ""
    marks, rest = split(question.rubric, override.comment)
    if override.points is None or score.status is Status.WAITING:
        return (), rest
    agrees = abs(_sum(question.rubric, marks) - override.points) < 1e-9
    return tuple(Marked(line=line, given=marks.get(line.text) if agrees else None) for line in question.rubric), rest


def _sum(rubric: Iterable[RubricLine], marks: dict[str, bool]) -> float:
    return sum(line.points for line in rubric if marks.get(line.text))
