"""What one session of reviewing works on, and how its decisions reach the gradebook."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from autograder.assignment import Assignment
from autograder.errors import KitError, UsageError
from autograder.gradebook import overrides, reviews, rubric
from autograder.gradebook.overrides import WHOLE, Decision, Entry
from autograder.gradebook.reviews import Kind
from autograder.gradebook.store import Gradebook, Saved, open_gradebook
from autograder.reports.html import clipped
from autograder.review.pages import Form
from autograder.review.publish import Publisher
from autograder.review.work import to_review

MOST_COMMENT = 10_000
"""Characters of a comment."""
MOST_NOTE = 2000
"""Characters of a note to a colleague."""


class Gone(Exception):
    """The gradebook cannot be used any more, or not now."""


class Refused(Exception):
    """A decision was not recorded; the page says why. status: of the answer"""

    def __init__(self, problem: str, status: int = 400) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A results folder on one TA's desk.

    by: who decides; names: whether names are shown from the start; seed: of aliases and of the random order
    """

    folder: Path
    url: str
    assignment: Assignment
    reference: Mapping[str, str]
    by: str
    names: bool
    seed: str
    publisher: Publisher

    @contextmanager
    def opened(self) -> Iterator[Gradebook]:
        """Open the gradebook for one request: no lock is held in between. Raises Gone."""
        try:
            with open_gradebook(self.folder, self.url, writing=False) as gradebook:
                yield gradebook
        except (KitError, SQLAlchemyError) as error:
            reason = str(getattr(error, "orig", None) or error)
            raise Gone(reason) from error

    def record(
        self, gradebook: Gradebook, chosen: Sequence[tuple[Saved, str]], question: str, form: Form, verb: str = "Save"
    ) -> None:
        """Record a decision for these results, given with the stamps of the histories that the page showed.

        verb: the button to press again. Raises Refused, and records nothing, for a decision that cannot stand.
        """
        if not chosen:
            raise Refused("Choose at least one student.")
        decisions = [(self.decision(saved, question, form), saved) for saved, _ in chosen]
        seen = {(saved.result.student.id, question): stamp for saved, stamp in chosen}
        try:
            overrides.record(gradebook, decisions, self.by, seen)
        except overrides.Overtaken as error:
            problem = f"A newer decision is there: {_newest(gradebook, error.keys)}. Nothing was saved."
            raise Refused(f"{problem} {verb} again to decide after it.", 409) from error
        self.publisher.touch(saved.result.student.id for saved, _ in chosen)
        if form.reviewed:
            self.mark(gradebook, [saved for saved, _ in chosen], question)

    def decision(self, saved: Saved, question: str, form: Form) -> Decision:
        """Return what a form decides about a result. Raises Refused for a decision that cannot stand."""
        try:
            form = self.with_rubric(question, form)
            given = points_of(form)
            if given is not None and not form.comment:
                raise Refused("Give the reason for the points as a comment.")
            if len(form.comment) > MOST_COMMENT:
                raise Refused(f"The comment is longer than {MOST_COMMENT:,} characters.")
            decision = Decision(student=saved.result.student.id, question=question, points=given, comment=form.comment)
            return overrides.check(decision, saved, bonus=form.bonus)
        except UsageError as error:
            fix = "tick the box that allows more than the maximum" if "--bonus" in error.fix else error.fix
            raise Refused(f"Nothing was saved: {error.what}; {fix}.") from error

    def with_rubric(self, question: str, form: Form) -> Form:
        """Return a form with the lines of a rubric that were ticked in it as points and comment.

        Raises Refused for points that neither agree with the lines nor have a reason, UsageError for no number.
        """
        lines = next((one.rubric for one in self.assignment.questions if one.id == question), ())
        if form.ticked is None or not lines or (not form.ticked and not form.points):
            return replace(form, ticked=None)
        total = rubric.total(lines, form.ticked)
        given = points_of(form)
        if given is not None and given != total and not form.comment:
            raise Refused(f"The ticked lines add up to {total:g} points: give the reason for {given:g} as a comment.")
        comment = rubric.compose(lines, form.ticked, form.comment)
        return replace(form, points=form.points or f"{total:g}", comment=comment, ticked=None)

    def mark(self, gradebook: Gradebook, chosen: Sequence[Saved], question: str) -> None:
        """Mark a question as reviewed; for the whole submission, each question of it."""
        marked: dict[str, list[tuple[str, str]]] = {}
        for saved in chosen:
            scores = saved.result.questions
            keys = [key for key in scores if to_review(scores[key])] if question == WHOLE else [question]
            for key in keys:
                marked.setdefault(key, []).append((saved.result.student.id, saved.result.sha256))
        for key, students in marked.items():
            reviews.mark(gradebook, students, key, Kind.REVIEWED, "", self.by)

    def undo(self, gradebook: Gradebook, ids: Sequence[int]) -> int:
        """Undo these overrides; how many of them still counted."""
        touched = {entry.student for entry in overrides.history(gradebook) if entry.id in ids}
        count = overrides.undo_all(gradebook, ids, self.by)
        self.publisher.touch(touched)
        return count


def points_of(form: Form) -> float | None:
    """Return the points that a form gives, None for only a comment. Raises UsageError for what is no number."""
    return overrides.read_points(form.points, "points") if form.points else None


def _newest(gradebook: Gradebook, keys: Sequence[tuple[str, str]]) -> str:
    """What the history of the first of these ends with."""
    student, question = keys[0]
    entries = overrides.history(gradebook, student, question)
    more = f", and {len(keys) - 1} more" if len(keys) > 1 else ""
    return (_told(entries[-1]) if entries else "") + more


def _told(entry: Entry) -> str:
    one = entry.override
    what = "a comment" if one.points is None else f"{one.points:g} points"
    undone = f", undone by {entry.undone}" if entry.undone else ""
    return f"{what} by {one.by}: “{clipped(one.comment, 200)}”{undone}"
