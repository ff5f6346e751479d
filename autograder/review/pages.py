"""The pages of the review as HTML: typed objects in, text out. Nothing here reads or writes a gradebook."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment

from autograder.assignment import Assignment, RubricLine
from autograder.gradebook.overrides import WHOLE, Entry, stamp
from autograder.gradebook.reviews import Kind, Mark
from autograder.reports.code import Line, code_lines, split_lines
from autograder.reports.feedback import Part, Size, answer_code, part_of
from autograder.reports.html import TEMPLATES, clipped, environment
from autograder.reports.report import group_title
from autograder.reports.words import by_message, points, sentence
from autograder.results import Flag, QuestionScore, Result, Student
from autograder.review.work import GROUP, RANDOM, Group, Item, Progress, Queue, alias, batches, phrases, shown

OWN = Path(__file__).parent / "templates"
SIZE = Size(code=20_000, text=2000)
MOST_LABEL = 120
RUBRIC_KEYS = "qwetyuiovbxzalhm"
"""Keys that tick the first lines of a rubric; none of them does anything else."""
SAID = {
    "saved": "Saved.",
    "applied": "Saved for all chosen students.",
    "undone": "Undone; it stays in the history.",
    "nothing": "It was undone already.",
    "marked": "Marked as reviewed.",
    "unmarked": "No longer marked as reviewed.",
    "flagged": "Flagged for a colleague.",
    "resolved": "The flag is resolved.",
    "all": "Everything here is reviewed.",
}
"""What a page says after a redirect, by the word in its address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What every page needs. path: its own address; seed: of the aliases; reference: answers by question"""

    nonce: str
    path: str
    by: str
    names: bool
    seed: str
    assignment: Assignment
    reference: Mapping[str, str]

    def label(self, student: Student) -> str:
        """Return what a page calls somebody: a name only where names were asked for."""
        text = student.name or student.id if self.names else f"student {alias(self.seed, student.id)}"
        return clipped(text, MOST_LABEL)

    def remark(self, flag: Flag, student: Student) -> str:
        """Return the text of a flag, without who it is about where names are hidden: file names often tell."""
        text = str(flag)
        for known in (student.name, student.id):
            if known and not self.names:
                text = re.sub(re.escape(known), "…", text, flags=re.IGNORECASE)
        return clipped(text, SIZE.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What a form is about. alias: empty where it is about nobody alone"""

    question: str
    alias: str
    order: str = RANDOM

    @property
    def address(self) -> str:
        """The page that it stands on."""
        if self.question == WHOLE:
            return f"/student/{self.alias}"
        return f"/question/{quote(self.question, safe='')}" + (f"/{self.alias}" if self.alias else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The fields of a decision as texts. seen: the stamp of the history; shown: a digest of the result

    ticked: the lines of the rubric that were chosen; None where the form has none
    """

    points: str = ""
    comment: str = ""
    bonus: bool = False
    reviewed: bool = True
    seen: str = ""
    shown: str = ""
    ticked: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A member of a group in a preview: the points now and after, and what was decided by hand."""

    alias: str
    label: str
    seen: str
    shown: str
    now: float
    after: float
    by_hand: str
    chosen: bool


def message_html(view: View, head: str, text: str) -> str:
    """Return a page with one message."""
    return _render("message.html", view, head=head, text=text)


def overview_html(
    view: View,
    results: Sequence[Result],
    questions: Mapping[str, Progress],
    students: Mapping[str, Progress],
    flags: Iterable[Mark],
    said: str,
) -> str:
    """Return the page to begin with."""
    people = {result.student.id: result.student for result in results}
    rows = [
        (f"/student/{alias(view.seed, key)}", view.label(result.student), _total(result), students[key])
        for key, result in ((one.student.id, one) for one in results)
    ]
    whole = Progress(
        reviewed=sum(one.reviewed for one in questions.values()), count=sum(one.count for one in questions.values())
    )
    flagged = []
    for flag in flags:
        where = Where(question=flag.question, alias=alias(view.seed, flag.student))
        flagged.append((flag, where.address, view.label(people[flag.student]) if flag.student in people else ""))
    rows.sort(key=lambda row: row[1].casefold())
    title = view.assignment.title
    return _render(
        "overview.html", view, title=title, whole=whole, questions=questions, students=rows, flags=flagged, said=said
    )


def groups_html(view: View, queue: Queue, said: str) -> str:
    """Return the page of a question: its answers by what they do."""
    return _render(
        "groups.html",
        view,
        question=queue.question,
        defines=_defines(view, queue.question),
        done=Progress(reviewed=queue.reviewed, count=len(queue.items)),
        groups=[_group(group) for group in queue.groups],
        batches=batches(queue.history),
        said=said,
    )


def _group(group: Group) -> dict[str, Any]:
    first = next((item for item in group.items if item.reviewed is None), group.items[0])
    where = Where(question=group.cluster.question, alias=first.alias)
    score = first.score
    return {
        "link": f"{where.address}?order={GROUP}",
        "count": len(group.items),
        "title": group_title(group.cluster),
        "points": f"{points(group.cluster.points)} of {points(score.max_points)}",
        "reviewed": group.reviewed,
        "failed": [
            ([clipped(sentence(test.name), 300) for test in tests], clipped(message, 300))
            for message, tests in by_message(group.cluster.failed).items()
        ],
    }


def item_html(
    view: View, queue: Queue, place: int, whole: Result, where: Where, form: Form, *, problem: str, said: str
) -> str:
    """Return the page of one answer. whole: all questions of the student, for what this one builds on."""
    item = queue.items[place]
    before, after = queue.beside(place, -1), queue.beside(place, 1)
    unreviewed = queue.unreviewed(place)
    group = queue.group(item.group)
    key = queue.question
    return _render(
        "item.html",
        view,
        where=where,
        label=view.label(item.result.student),
        part=_part(view, key, item.score, replace(whole, questions={**whole.questions, key: item.score})),
        reference=reference_lines(view, key),
        model=model_answer(view, key),
        rubric=[(line, RUBRIC_KEYS[number : number + 1]) for number, line in enumerate(_rubric(view, key))],
        place=place,
        done=Progress(reviewed=queue.reviewed, count=len(queue.items)),
        before=before.alias if before else "",
        after=after.alias if after else "",
        unreviewed=unreviewed.alias if unreviewed else "",
        notes=[view.remark(flag, whole.student) for flag in whole.flags if flag.question == key],
        form=replace(form, seen=stamp(item.history), shown=item.shown),
        group=len(group.items) if group else 0,
        phrases=phrases(queue.history),
        reviewed=item.reviewed,
        flags=item.flags,
        entries=item.history,
        together=_together(queue.history),
        problem=problem,
        said=said,
    )


def preview_html(view: View, where: Where, key: str, rows: Sequence[Row], form: Form, problem: str) -> str:
    """Return what a decision would do to each member of a group."""
    return _render("preview.html", view, where=where, group=key, rows=rows, form=form, problem=problem)


def preview_rows(view: View, items: Iterable[Item], given: float | None, chosen: Iterable[str] | None) -> list[Row]:
    """Return the members of a group. chosen: aliases, None for those without points by hand"""
    wanted = None if chosen is None else set(chosen)
    rows = []
    for item in items:
        by_hand = item.score.override
        decided = by_hand is not None and by_hand.points is not None
        rows.append(
            Row(
                alias=item.alias,
                label=view.label(item.result.student),
                seen=stamp(item.history),
                shown=item.shown,
                now=item.score.points,
                after=item.score.points if given is None else given,
                by_hand=f"{'points' if decided else 'comment'} by {by_hand.by}: {by_hand.comment}" if by_hand else "",
                chosen=not decided if wanted is None else item.alias in wanted,
            )
        )
    return rows


def student_html(
    view: View,
    result: Result,
    neighbours: tuple[str, str, str],
    marks: Sequence[Mark],
    done: Progress,
    entries: Sequence[Entry],
    form: Form,
    *,
    problem: str,
    said: str,
) -> str:
    """Return the page of one student. neighbours: aliases of the one before, after, and the next with work left"""
    reviewed = {one.question for one in marks if one.kind is Kind.REVIEWED and one.sha256 == result.sha256}
    before, after, unreviewed = neighbours
    of_whole = [one for one in entries if one.question == WHOLE]
    return _render(
        "student.html",
        view,
        where=Where(question=WHOLE, alias=alias(view.seed, result.student.id)),
        label=view.label(result.student),
        total=_total(result) or result.status.value.replace("_", " "),
        most=result.max_points,
        done=done,
        before=before,
        after=after,
        unreviewed=unreviewed,
        notes=[view.remark(flag, result.student) for flag in result.flags if flag.kind != "override"],
        parts=[
            (_part(view, key, score, result), key in reviewed, reference_lines(view, key), model_answer(view, key))
            for key, score in result.questions.items()
        ],
        flags=[one for one in marks if one.kind is Kind.FLAG and one.question == WHOLE],
        entries=of_whole,
        together={one.id: (one.id,) for one in of_whole},
        form=replace(form, seen=stamp(of_whole), shown=shown(result)),
        problem=problem,
        said=said,
    )


def reference_lines(view: View, question: str) -> list[Line]:
    """Return the reference answer as code, nothing where there is none."""
    source = "" if _rubric(view, question) else view.reference.get(question, "")
    return code_lines(source, range(1, len(split_lines(source)) + 1), most=SIZE.code) if source else []


def model_answer(view: View, question: str) -> str:
    """Return the model answer of a written question, nothing where there is none."""
    return clipped(view.reference.get(question, ""), SIZE.code) if _rubric(view, question) else ""


def _rubric(view: View, question: str) -> tuple[RubricLine, ...]:
    return next((one.rubric for one in view.assignment.questions if one.id == question), ())


def _part(view: View, key: str, score: QuestionScore, result: Result) -> Part:
    part = part_of(key, score, result, view.assignment, SIZE)
    if _rubric(view, key):
        return part
    return replace(part, code=answer_code(key, score, view.assignment, SIZE))


def _together(history: Iterable[Entry]) -> dict[int, tuple[int, ...]]:
    """By override: all that were recorded in the same step and count."""
    history = list(history)
    alone = {entry.id: (entry.id,) for entry in history}
    return alone | {key: batch.ids for batch in batches(history) for key in batch.ids}


def _total(result: Result) -> str:
    return f"{points(result.total)} of {points(result.max_points)}" if result.has_points else ""


def _defines(view: View, question: str) -> str:
    return ", ".join(next((one.defines for one in view.assignment.questions if one.id == question), ()))


def _moment(iso: str) -> str:
    """A time to the minute, as people write it."""
    return f"{iso[:16].replace('T', ' ')}{' UTC' if iso.endswith('+00:00') else iso[19:]}"


def _render(template: str, view: View, **values: Any) -> str:
    return _environment().get_template(template).render(view=view, **values)


def _environment() -> Environment:
    found = environment(OWN, TEMPLATES)
    found.filters.setdefault("moment", _moment)
    return found
