"""What a TA should look at before anything else, and how each question went, as plain lines and numbers."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autograder.assignment import Question
from autograder.errors import printable
from autograder.results import Result, Status, SubmissionStatus
from autograder.wording import number_of

LISTED = 5
"""How many lines of a kind are printed; the others are counted."""
WIDTH = 62
"""Up to where a line is filled with names, so that it has 80 columns with what comes behind them."""
MAX_NAME = 40
ENDED = {Status.TIMED_OUT: "timed out", Status.CRASHED: "crashed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRow:
    """How a question went: median and mean of the points of those who were graded on it."""

    id: str
    median: float
    mean: float
    points: float


def attention(
    results: Sequence[Result], unmatched: Sequence[str] = (), left_out: Sequence[tuple[str, str]] = ()
) -> list[str]:
    """Return what needs a human's eye: the worst first, a few of each kind by name.

    unmatched: who is not on the roster, and why; left_out: files that belong to nobody, and why
    """
    unreadable = [one for one in results if one.status is SubmissionStatus.UNREADABLE]
    absent = [one.student.id for one in results if one.status is SubmissionStatus.NOT_SUBMITTED]
    ended = [
        f"{one.student.id} {key} {ENDED[score.status]}"
        for one in results
        for key, score in one.questions.items()
        if score.status in ENDED
    ]
    reasons = [f"{one.student.id}: {'; '.join(map(str, one.flags))}" for one in unreadable]
    waiting = [f"{one.student.id} {', '.join(one.waiting)}" for one in results if one.waiting]
    return [
        *_block("unreadable", reasons),
        *_line("written answers that nobody has graded yet", waiting),
        *_flagged(results),
        *_line("timed out or crashed", ended),
        *_line("handed in nothing", absent),
        *_block("not on the roster", unmatched),
        *_block("left out", [f"{name}: {why}" for name, why in left_out]),
    ]


def _flagged(results: Sequence[Result]) -> Iterator[str]:
    """Yield a line for each kind of flag that graded submissions have, the most frequent first."""
    graded = [one for one in results if one.status is SubmissionStatus.GRADED]
    kinds: dict[str, list[str]] = {}
    for one in graded:
        for flag in dict.fromkeys((flag.kind, flag.question) for flag in one.flags):
            kinds.setdefault(flag[0], []).append(" ".join(filter(None, (one.student.id, flag[1]))))
    count = sum(bool(one.flags) for one in graded)
    if count:
        yield f"flagged ({count}), with the reasons in the last columns of grades.csv:"
    ordered = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
    for kind, who in ordered[:LISTED]:
        yield f"  {next(_line(kind.replace('_', ' '), who))}"
    if len(ordered) > LISTED:
        yield f"  and {number_of(len(ordered) - LISTED, 'more kind')}"


def _line(title: str, names: Sequence[str]) -> Iterator[str]:
    """Yield one line with as many names as fit, at least one."""
    if not names:
        return
    line, shown = f"{title} ({len(names)}): ", 0
    for name in names:
        short = printable(name)
        short = short if len(short) <= MAX_NAME else f"{short[:MAX_NAME]}..."
        if shown and len(line) + len(short) > WIDTH:
            break
        line += f"{', ' if shown else ''}{short}"
        shown += 1
    yield line + (f", and {len(names) - shown} more" if shown < len(names) else "")


def _block(title: str, reasons: Sequence[str]) -> Iterator[str]:
    if reasons:
        yield f"{title} ({len(reasons)}):"
    for reason in reasons[:LISTED]:
        yield f"  {printable(reason)}"
    if len(reasons) > LISTED:
        yield f"  and {len(reasons) - LISTED} more"


def per_question(results: Sequence[Result], questions: Sequence[Question]) -> list[QuestionRow]:
    """Return how each question went; those that nobody was graded on, or with answers left to grade, are left out."""
    rows = []
    for question in questions:
        scores = [one.questions[question.id] for one in results if question.id in one.questions]
        points = [score.points for score in scores]
        if points and not any(score.status is Status.WAITING for score in scores):
            rows.append(
                QuestionRow(
                    id=question.id,
                    median=statistics.median(points),
                    mean=statistics.fmean(points),
                    points=question.points,
                )
            )
    return rows
