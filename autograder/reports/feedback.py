"""What a student reads: every lost point with its reason, as a page and as text for an LMS's comment field.

Never in it: names of staff, other students, reference code, or where the grader lies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from autograder.assignment import Assignment, Question
from autograder.gradebook.files import file_stem, make_folder, write_whole
from autograder.gradebook.late import Deduction
from autograder.gradebook.rubric import Marked, marked
from autograder.reports.code import Line, code_lines, failing_line, own_lines
from autograder.reports.html import clipped, render, visible, without_paths
from autograder.reports.pictures import figure
from autograder.reports.words import IN_WORDS, by_message, late_in_words, of_points, points, sentence, which_attempt
from autograder.results import Audience, QuestionScore, Result, Status, SubmissionStatus, TestScore

FOLDER = "feedback"
MOST_TEXT = 3000
"""Characters that every LMS takes as a comment."""
MOST_PAGE = 100_000
"""Bytes of a page."""
NOTHING = (Status.NOT_ATTEMPTED, Status.MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many characters of an answer and of any other text a page shows, and whether it shows pictures."""

    code: int
    text: int
    pictures: bool = True


SIZES = (
    Size(code=8000, text=600),
    Size(code=2000, text=600),
    Size(code=600, text=200),
    Size(code=0, text=40, pictures=False),
)
"""From roomy to tight: a page takes the first with which it fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one or more hidden tests that were not passed say."""

    names: tuple[str, ...]
    message: str
    hints: tuple[str, ...]
    points: str
    figures: tuple[Markup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One question as a page tells it.

    state: full, part, none, nothing (no answer) or waiting (for a person)
    text: of a written answer; rubric: what a person said to its lines
    """

    id: str
    defines: str
    score: QuestionScore
    state: str
    outcome: str
    attempt: str
    comment: str
    failed: tuple[Told, ...]
    passed: tuple[str, ...]
    code: tuple[Line, ...]
    text: str = ""
    rubric: tuple[Marked, ...] = ()

    @property
    def in_full(self) -> bool:
        """Whether there is something to explain."""
        return self.state in ("part", "none", "waiting") or bool(self.score.override)


def write_feedback(
    results: Iterable[Result],
    assignment: Assignment,
    folder: Path,
    deductions: Mapping[str, Deduction] | None = None,
    written: Callable[[Result], None] = lambda result: None,
) -> int:
    """Write feedback/<student>.html and .txt for each result; how many students.

    deductions: for lateness, by student; written: called after each
    """
    target = folder / FOLDER
    make_folder(target)
    count = 0
    for result in results:
        stem = file_stem(result.student.id)
        deduction = (deductions or {}).get(result.student.id)
        write_whole(target / f"{stem}.html", feedback_html(result, assignment, deduction))
        write_whole(target / f"{stem}.txt", feedback_text(result, assignment, deduction))
        written(result)
        count += 1
    return count


def feedback_html(result: Result, assignment: Assignment, deduction: Deduction | None = None) -> str:
    """Return the page of one student, below 100 kB.

    deduction: for lateness, where the assignment has a policy
    """
    page = ""
    for size in SIZES:
        page = _page(result, assignment, deduction, size)
        if len(page.encode()) < MOST_PAGE:
            break
    return page


def _page(result: Result, assignment: Assignment, deduction: Deduction | None, size: Size) -> str:
    parts = [part_of(key, score, result, assignment, size) for key, score in result.questions.items()]
    return render(
        "feedback.html",
        title=assignment.title,
        name=clipped(result.student.name or result.student.id, 200),
        student=clipped(result.student.id, 200),
        result=result,
        graded=result.has_points,
        status=result.status.value,
        total=points(_counts(result, deduction)),
        share=_counts(result, deduction) / result.max_points if result.max_points else 0.0,
        facts=list(_facts(result, deduction, size)),
        comment=_comment(result, size),
        notes=[clipped(note, size.text) for note in _notes(result)[:40]],
        parts=parts,
        detailed=[part for part in parts if part.in_full],
        full=[part for part in parts if part.state == "full" and not part.in_full],
        nothing=[part for part in parts if part.state == "nothing" and not part.in_full],
    )


def _counts(result: Result, deduction: Deduction | None) -> float:
    """Return the points that count in the end."""
    return result.total - (deduction.points if deduction else 0.0)


def _facts(result: Result, deduction: Deduction | None, size: Size) -> Iterator[tuple[str, str]]:
    """Yield what was handed in and when, as pairs of a term and its value."""
    used = [one for one in result.files if one.counts]
    for one in used or ():
        yield "File", clipped(one.name, size.text)
    if not used and result.submission:
        yield "Submission", clipped(without_paths(result.submission), size.text)
    for one in result.files:
        if not one.counts:
            yield "Not used", clipped(f"{one.name}: {one.why}" if one.why else one.name, size.text)
    if result.submitted:
        yield "Handed in", clipped(_time(result.submitted), 40)
    if late := late_in_words(result):
        yield "Lateness", late
    if deduction and deduction.points:
        yield "Taken off", f"{points(deduction.points)} of {points(result.total)} points: {deduction.reason}"


def _time(iso: str) -> str:
    """Return an ISO time as people write it, its zone kept."""
    day, _, clock = iso.partition("T")
    return f"{day}, {clock[:5]} {clock[8:]}".strip() if clock else iso


def _comment(result: Result, size: Size) -> str:
    """Return what a person decided about the whole submission."""
    override = result.override
    if override is None:
        return ""
    by_hand = "The total was set by hand. " if override.points is not None else ""
    return clipped(by_hand + override.comment, size.text * 4)


def _notes(result: Result) -> list[str]:
    """Return the flags that the student may read; overrides stand with their question."""
    flags = [one for one in result.flags if one.audience is Audience.STUDENT and one.kind != "override"]
    return list(dict.fromkeys(without_paths(str(flag)) for flag in flags))


def part_of(key: str, score: QuestionScore, result: Result, assignment: Assignment, size: Size) -> Part:
    """Return one question of a result in the words of a page."""
    state = _state(score)
    one = next((one for one in assignment.questions if one.id == key), Question(id=key, notebook="", points=0))
    if one.written:
        return _written(one, score, state, size)
    return Part(
        id=key,
        defines=", ".join(one.defines),
        score=score,
        state=state,
        outcome=_outcome(score, one),
        attempt=_attempt(key, score, result, assignment),
        comment=_by_hand(score, size),
        failed=tuple(_told(score.tests, size)) if state != "nothing" else (),
        passed=tuple(sentence(test.name) for test in score.tests if test.status is Status.PASSED),
        code=answer_code(key, score, assignment, size) if state in ("part", "none") or score.override else (),
    )


def _written(one: Question, score: QuestionScore, state: str, size: Size) -> Part:
    """Return a written question: the answer as text, and what a person said about it."""
    rubric, comment = marked(one, score)
    by_hand = score.override is not None and score.override.points is not None
    return Part(
        id=one.id,
        defines="",
        score=score,
        state=state,
        outcome="graded by a person" if by_hand else _outcome(score, one),
        attempt="",
        comment=clipped(comment, size.text * 4),
        failed=(),
        passed=(),
        code=(),
        text=clipped(visible(score.answer.source), size.code) if score.answer and size.code else "",
        rubric=rubric,
    )


def answer_code(key: str, score: QuestionScore, assignment: Assignment, size: Size) -> tuple[Line, ...]:
    """Return the student's own lines, and those that an error was raised in."""
    if score.answer is None or not size.code:
        return ()
    source = score.answer.source
    marked = {failing_line(test.message, key) for test in score.tests} - {0}
    return tuple(code_lines(source, own_lines(source, key, assignment), marked, size.code))


def _state(score: QuestionScore) -> str:
    if score.status in NOTHING:
        return "nothing"
    if score.status is Status.WAITING:
        return "waiting"
    if score.full:
        return "full"
    return "part" if score.points > 0 else "none"


def _outcome(score: QuestionScore, one: Question) -> str:
    """Return how a question ended, in a few words."""
    if score.status is Status.WAITING:
        return IN_WORDS[score.status]
    if score.status in NOTHING and one.optional:
        return "left out, which costs nothing"
    if score.status is Status.NOT_ATTEMPTED:
        return "not attempted"
    if score.status is Status.MISSING:
        return "not found in your submission"
    failed = sum(test.status is not Status.PASSED for test in score.tests)
    if failed:
        return f"{failed} of {len(score.tests)} tests not passed"
    return "all tests passed"


def _attempt(key: str, score: QuestionScore, result: Result, assignment: Assignment) -> str:
    """Return which answers counted, and why that is fair."""
    known = {one.id: one for one in assignment.questions}
    needed = assignment.dependencies(known[key]) if key in known else frozenset()
    short = (one for one in known if one in needed and one in result.questions and not result.questions[one].solved)
    note = which_attempt(score, tuple(short))
    if not note:
        return ""
    return f"{note[0].upper()}{note[1:]}: a mistake there costs points there only."


def _by_hand(score: QuestionScore, size: Size) -> str:
    override = score.override
    if override is None:
        return ""
    changed = override.points is not None and override.points != score.computed
    said = f"Set by hand to {points(score.points)}; the tests gave {points(score.computed)}. " if changed else ""
    return clipped(said + override.comment, size.text * 4)


def _told(tests: Iterable[TestScore], size: Size) -> Iterator[Told]:
    """Yield what the tests that were not passed say."""
    for message, group in by_message(tests).items():
        hints = dict.fromkeys(clipped(test.hint, size.text) for test in group if test.hint)
        reached, most = (sum(getattr(test, kind) for test in group) for kind in ("points", "max_points"))
        yield Told(
            names=tuple(clipped(sentence(test.name), size.text) for test in group),
            message=clipped(without_paths(message), size.text),
            hints=tuple(hints),
            points=f"{points(reached)} of {points(most)}",
            figures=tuple(figure(test.picture) for test in group if test.picture and size.pictures),
        )


def feedback_text(result: Result, assignment: Assignment, deduction: Deduction | None = None) -> str:
    """Return the same in plain text of at most 3,000 characters, with less detail the more there is to say."""
    text = ""
    for size in (Size(code=0, text=600), Size(code=0, text=160), Size(code=0, text=60)):
        text = visible("\n".join(_lines(result, assignment, deduction, size))) + "\n"
        if len(text) <= MOST_TEXT:
            return text
    more = "… the rest is in your feedback page\n"
    return text[: MOST_TEXT - len(more)].rpartition("\n")[0] + f"\n{more}"


def _lines(result: Result, assignment: Assignment, deduction: Deduction | None, size: Size) -> Iterator[str]:
    yield clipped(assignment.title, 200)
    if result.status is SubmissionStatus.NOT_SUBMITTED:
        yield "Nothing was handed in."
        if not result.has_points:
            return
    elif result.status is SubmissionStatus.UNREADABLE:
        yield "Your submission could not be read, so it was not graded by the tests."
    if result.has_points:
        yield f"Total: {points(_counts(result, deduction))} of {points(result.max_points)}"
        if result.waiting:
            yield f"Not graded yet, and not in the total: {', '.join(result.waiting)}"
    for term, value in list(_facts(result, deduction, size))[:8]:
        yield f"{term}: {_one_line(clipped(value, 160))}"
    if comment := _comment(result, size):
        yield f"Comment: {_one_line(comment)}"
    for note in _notes(result)[:5]:
        yield f"Note: {_one_line(clipped(note, size.text))}"
    parts = [part_of(key, score, result, assignment, size) for key, score in result.questions.items()]
    full = [part.id for part in parts if part.state == "full" and not part.in_full]
    if full:
        yield f"Full marks: {', '.join(full)}"
    for outcome in dict.fromkeys(part.outcome for part in parts if part.state == "nothing"):
        keys = [part.id for part in parts if part.state == "nothing" and part.outcome == outcome]
        yield f"{outcome[0].upper()}{outcome[1:]}: {', '.join(keys)}"
    for part in parts:
        if part.in_full and part.state != "waiting":
            yield ""
            yield from _part_lines(part)


def _part_lines(part: Part) -> Iterator[str]:
    yield f"{part.id}: {of_points(part.score)}"
    if part.attempt:
        yield part.attempt
    for one in part.rubric:
        sign = {True: "✓", False: "✗", None: "-"}[one.given]
        yield f"{sign} {_one_line(one.line.text)} ({points(one.line.points)})"
    if part.comment:
        yield f"Comment: {_one_line(part.comment)}"
    for test in part.failed:
        yield f"- {'; '.join(test.names)} ({test.points}): {_one_line(test.message)}"
        for hint in test.hints:
            yield f"  Hint: {_one_line(hint)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
