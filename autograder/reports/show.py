"""`autograder show`: why points were lost, for a TA with a student in front of them."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from autograder.errors import printable
from autograder.gradebook.overrides import WHOLE, Entry
from autograder.reports.words import late_in_words, lost, of_points, points, sentence, which_attempt
from autograder.results import GradedAnswer, QuestionScore, Result, Status, SubmissionStatus

WIDTH = 100
MOST_CODE = 40
"""Lines of an answer that are shown; of a longer one the middle is left out."""


def show(
    result: Result, depends: Mapping[str, tuple[str, ...]], history: Iterable[str] = (), only: str = ""
) -> Iterator[str]:
    """Yield the lines: total, files, flags, then each question that falls short, with its code and its failed tests.

    depends: for each question those it builds on; history: overrides as lines; only: show just this question, in full
    """
    yield from _head(result)
    if result.status is not SubmissionStatus.GRADED:
        yield from history
        return
    if not only:
        for flag in result.flags:
            yield from _wrapped(f"flag: {flag}")
    yield from history
    short = {key: score for key, score in result.questions.items() if not score.full}
    chosen = {only: result.questions[only]} if only else {key: s for key, s in short.items() if _has_code(s)}
    for key, score in chosen.items():
        failed = tuple(other for other in depends.get(key, ()) if other in short)
        yield ""
        yield from question_lines(key, score, failed)
    if not only:
        yield ""
        yield from _rest(result, short)


def history_lines(entries: Iterable[Entry]) -> list[str]:
    """Return each override of a student as a line, including undone ones."""
    lines = []
    for entry in entries:
        one = entry.override
        what = "comment" if one.points is None else f"{points(one.points)} points"
        undone = f" (undone by {entry.undone})" if entry.undone else ""
        question = "total" if entry.question == WHOLE else entry.question
        lines.append(printable(f"by hand: {question}: {what}, {one.by}, {one.at}: {one.comment}{undone}"))
    return lines


def _head(result: Result) -> Iterator[str]:
    student = result.student
    name = f" ({printable(student.name)})" if student.name and student.name != student.id else ""
    group = f", group {printable(student.group)}" if student.group else ""
    who = f"{printable(student.id)}{name}{group}"
    total = f"{points(result.total)} of {points(result.max_points)}"
    by_hand = f", but {total} by hand" if result.has_points else ""
    if result.status is SubmissionStatus.NOT_SUBMITTED:
        yield f"{who}: nothing handed in{by_hand}"
        return
    yield f"{who}: {total if result.status is SubmissionStatus.GRADED else f'unreadable{by_hand}'}"
    when = f", {result.submitted}" if result.submitted else ""
    late = f", {late_in_words(result)}" if late_in_words(result) else ""
    yield from _wrapped(f"handed in: {printable(result.submission)}{when}{late}")
    if result.status is SubmissionStatus.UNREADABLE:
        for flag in result.flags:
            yield from _wrapped(f"reason: {flag}")


def _has_code(score: QuestionScore) -> bool:
    return score.status not in (Status.NOT_ATTEMPTED, Status.MISSING)


def question_lines(key: str, score: QuestionScore, failed: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of one question; failed: the questions it builds on that fall short."""
    yield f"{key}: {of_points(score)}"
    if note := which_attempt(score, failed):
        yield f"  * {note}"
    if score.answer:
        yield from _code(score.answer)
    for test in score.tests:
        if test.status is Status.PASSED:
            continue
        yield from _wrapped(f"  ✗ {sentence(test.name)} ({points(test.points)} of {points(test.max_points)})")
        yield from _wrapped(f"      {printable(lost(test))}")
        if test.hint:
            yield from _wrapped(f"      hint: {test.hint}")
    passed = sum(test.status is Status.PASSED for test in score.tests)
    if passed:
        yield f"  ✓ {passed} of {len(score.tests)} tests passed"


def _code(answer: GradedAnswer) -> Iterator[str]:
    yield f"  from {printable(answer.file)}:" if answer.file else "  as graded:"
    numbered = [
        f"  {number:4} {printable_line(line)}" for number, line in enumerate(answer.source.split("\n"), start=1)
    ]
    if len(numbered) > MOST_CODE:
        half = MOST_CODE // 2
        left_out = len(numbered) - 2 * half
        numbered = [*numbered[:half], f"       … {left_out} lines …", *numbered[-half:]]
    yield from numbered


def printable_line(line: str) -> str:
    """Return a line of code, safe to print, with its indent."""
    return printable(line.expandtabs(4))[: WIDTH * 2]


def _rest(result: Result, short: Mapping[str, QuestionScore]) -> Iterator[str]:
    for status, words in (
        (Status.WAITING, "not graded yet"),
        (Status.NOT_ATTEMPTED, "not attempted"),
        (Status.MISSING, "not found in the submission"),
    ):
        keys = [key for key, score in short.items() if score.status is status]
        if keys:
            yield f"{words}: {', '.join(keys)}"
    full = [key for key in result.questions if key not in short]
    if full:
        yield from _wrapped(f"full marks: {', '.join(full)}")


def _wrapped(text: str) -> Iterator[str]:
    indent = text[: len(text) - len(text.lstrip())]
    yield from textwrap.wrap(text, WIDTH, subsequent_indent=f"{indent}  ", drop_whitespace=True) or [text]
