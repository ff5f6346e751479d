"""What there is to review, read from a gradebook: answers to a question in an order, groups, progress, phrases.

Students are known by an alias: neither an address nor a page has to tell who somebody is.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autograder.assignment import Assignment
from autograder.gradebook import overrides, reviews
from autograder.gradebook.overrides import Entry
from autograder.gradebook.reviews import Kind, Mark
from autograder.gradebook.store import Gradebook, Saved
from autograder.reports.cohort import Cluster, behaviour, clusters
from autograder.results import QuestionScore, Result, Status, SubmissionStatus

RANDOM, GROUP = "random", "group"
MOST_PHRASES = 9
"""As many as there are keys for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One student's answer to one question.

    saved: with this question alone, as computed; result: with the overrides that count
    group: a digest of its behaviour; shown: see the function
    """

    alias: str
    saved: Saved
    result: Result
    score: QuestionScore
    group: str
    shown: str
    history: tuple[Entry, ...]
    reviewed: Mark | None
    flags: tuple[Mark, ...]

    @property
    def student(self) -> str:
        return self.result.student.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Answers that behave the same. key: a digest of their behaviour"""

    key: str
    cluster: Cluster
    items: tuple[Item, ...]

    @property
    def reviewed(self) -> int:
        return sum(item.reviewed is not None for item in self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Overrides that were recorded in one step."""

    ids: tuple[int, ...]
    points: float | None
    comment: str
    by: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A comment that was given before, with its points. id: of the newest override that says so"""

    id: int
    points: float | None
    comment: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The answers to a question in the order in which they are reviewed, and its whole history."""

    question: str
    items: tuple[Item, ...]
    groups: tuple[Group, ...]
    history: tuple[Entry, ...]

    @property
    def reviewed(self) -> int:
        return sum(item.reviewed is not None for item in self.items)

    def place(self, alias: str) -> int | None:
        """Return where a student stands, None for one without an answer."""
        return next((place for place, item in enumerate(self.items) if item.alias == alias), None)

    def group(self, key: str) -> Group | None:
        return next((one for one in self.groups if one.key == key), None)

    def beside(self, place: int, step: int) -> Item | None:
        """Return the item before (-1) or after (1) this place, None at an end."""
        return self.items[place + step] if 0 <= place + step < len(self.items) else None

    def unreviewed(self, place: int = -1) -> Item | None:
        """Return the next item after this place that nobody has reviewed, from the start again at the end."""
        around = [*self.items[place + 1 :], *self.items[: max(place, 0)]]
        return next((item for item in around if item.reviewed is None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How much of a question, or of a student, is reviewed."""

    reviewed: int
    count: int

    @property
    def share(self) -> float:
        return self.reviewed / self.count if self.count else 0.0


def alias(seed: str, student: str) -> str:
    """Return the name of a student for one session: it tells nothing about them."""
    return base64.b32encode(_digest(seed, student)[:5]).decode().lower()


def shown(result: Result) -> str:
    """Return a digest of what a page shows of a result, to notice that it changed since."""
    return _digest(result.sha256, *(repr(behaviour(score)) for score in result.questions.values())).hex()[:16]


def in_order(seed: str, students: Iterable[str], question: str = "") -> list[str]:
    """Return students in random order, the same as long as the seed is; each question has an order of its own."""
    return sorted(students, key=lambda student: _digest(seed, question, student))


def to_review(score: QuestionScore) -> bool:
    """Whether there is something to look at: a region that was not found may be there after all."""
    return score.status is not Status.NOT_ATTEMPTED


def read_queue(gradebook: Gradebook, question: str, seed: str, order: str = RANDOM) -> Queue:
    """Read the answers to a question, in random order (the same as long as the seed is) or group by group."""
    history = overrides.history(gradebook, question=question)
    of_student: dict[str, list[Entry]] = {}
    for entry in history:
        of_student.setdefault(entry.student, []).append(entry)
    marked: dict[str, list[Mark]] = {}
    for mark in reviews.marks(gradebook, question):
        marked.setdefault(mark.student, []).append(mark)
    saved = {
        one.result.student.id: one
        for one in gradebook.saved(question=question)
        if one.result.status is SubmissionStatus.GRADED
        and question in one.result.questions
        and to_review(one.result.questions[question])
    }
    items = [_item(saved[key], question, seed, of_student, marked) for key in in_order(seed, saved, question)]
    groups = _groups(question, items)
    if order == GROUP:
        items = [item for group in groups for item in group.items]
    return Queue(question=question, items=tuple(items), groups=groups, history=tuple(history))


def _item(
    saved: Saved,
    question: str,
    seed: str,
    histories: Mapping[str, Sequence[Entry]],
    marked: Mapping[str, Sequence[Mark]],
) -> Item:
    student = saved.result.student.id
    marks = marked.get(student, ())
    history = tuple(histories.get(student, ()))
    result = overrides.apply(saved.result, history)
    group = _digest(repr(behaviour(saved.result.questions[question]))).hex()[:16]
    current = (one for one in marks if one.kind is Kind.REVIEWED and one.sha256 == saved.result.sha256)
    return Item(
        alias=alias(seed, student),
        saved=saved,
        result=result,
        score=result.questions[question],
        group=group,
        shown=shown(saved.result),
        history=history,
        reviewed=next(current, None),
        flags=tuple(one for one in marks if one.kind is Kind.FLAG),
    )


def _groups(question: str, items: Sequence[Item]) -> tuple[Group, ...]:
    """The items by behaviour, each group in the order of the items."""
    members: dict[str, list[Item]] = {}
    key_of: dict[str, str] = {}
    for item in items:
        members.setdefault(item.group, []).append(item)
        key_of[item.student] = item.group
    found = clusters(question, [item.saved.result for item in items])
    keys = [key_of[cluster.members[0]] for cluster in found]
    return tuple(
        Group(key=key, cluster=cluster, items=tuple(members[key])) for key, cluster in zip(keys, found, strict=True)
    )


def progress(
    results: Iterable[Result], marks: Iterable[Mark], assignment: Assignment
) -> tuple[dict[str, Progress], dict[str, Progress]]:
    """Return how much is reviewed by question, in the assignment's order, and by student."""
    done = {(one.student, one.question, one.sha256) for one in marks if one.kind is Kind.REVIEWED}
    counts: Counter[str] = Counter()
    reviewed: Counter[str] = Counter()
    students: dict[str, Progress] = {}
    for result in results:
        graded = result.status is SubmissionStatus.GRADED
        keys = [key for key, score in result.questions.items() if graded and to_review(score)]
        seen = [key for key in keys if (result.student.id, key, result.sha256) in done]
        counts.update(keys)
        reviewed.update(seen)
        students[result.student.id] = Progress(reviewed=len(seen), count=len(keys))
    order = [one.id for one in assignment.questions if counts[one.id]]
    return {key: Progress(reviewed=reviewed[key], count=counts[key]) for key in order}, students


def phrases(history: Iterable[Entry]) -> list[Phrase]:
    """Return the comments that count, each with its points, the commonest first."""
    found: dict[tuple[str, float | None], list[int]] = {}
    for entry in history:
        if entry.override.comment and not entry.undone:
            found.setdefault((entry.override.comment, entry.override.points), []).append(entry.id)
    sorted_ = sorted(found.items(), key=lambda one: (-len(one[1]), -one[1][-1]))
    return [
        Phrase(id=ids[-1], points=points, comment=comment, count=len(ids))
        for (comment, points), ids in sorted_[:MOST_PHRASES]
    ]


def batches(history: Iterable[Entry]) -> list[Batch]:
    """Return what was recorded for several students in one step and still counts, the newest first."""
    found: dict[tuple[float | None, str, str, str], list[int]] = {}
    for entry in history:
        if not entry.undone:
            one = entry.override
            found.setdefault((one.points, one.comment, one.by, one.at), []).append(entry.id)
    several = [
        Batch(ids=tuple(ids), points=points, comment=comment, by=by, at=at)
        for (points, comment, by, at), ids in found.items()
        if len(ids) > 1
    ]
    return sorted(several, key=lambda one: -one.ids[-1])


def _digest(*parts: str) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()
