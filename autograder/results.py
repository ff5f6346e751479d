"""The outcome of a submission as typed objects, and their JSON form in `results/<student>.json` (docs/results.md)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from autograder.pictures import Picture


class Status(StrEnum):
    """How a test or a question ended, from best to worst; only a written question can be waiting for a person."""

    PASSED = "passed"
    WAITING = "waiting"
    FAILED = "failed"
    ERROR = "error"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    NOT_ATTEMPTED = "not_attempted"
    MISSING = "missing"


SEVERITY = list(Status)


class SubmissionStatus(StrEnum):
    """Whether a submission could be graded at all."""

    GRADED = "graded"
    UNREADABLE = "unreadable"
    NOT_SUBMITTED = "not_submitted"


class Audience(StrEnum):
    """Who may read a flag; staff read all of them."""

    STUDENT = "student"
    STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A remark on something unusual.

    kind: its stable name; question: empty if it concerns the whole submission
    """

    kind: str
    text: str
    question: str = ""
    audience: Audience = Audience.STUDENT

    def __str__(self) -> str:
        return f"{self.question}: {self.text}" if self.question else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class LmsIdentity:
    """Who a student is to an LMS, and the ids of what they handed in there.

    stem: how the names of their files begin in a download, such as `exampleada_LATE_71001`; feedback needs it
    """

    system: str
    user: str
    attachments: tuple[str, ...] = ()
    stem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """One person.

    id: identifies the row and files of their results; name: for people to read
    extension_minutes: extra time after the deadline
    """

    id: str
    name: str = ""
    group: str | None = None
    lms: LmsIdentity | None = None
    extension_minutes: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedFile:
    """A file of a submission: which notebook it is, whether it counts, and if not, why."""

    name: str
    notebook: str = ""
    counts: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestScore:
    """One hidden test on one submission; message and hint are empty if it passed, and then it has no picture."""

    __test__ = False

    name: str
    status: Status
    points: float
    max_points: float
    message: str
    hint: str
    picture: Picture | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedAnswer:
    """The code of a question as it was graded, and the submitted file that it came from."""

    file: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A human's decision on a question.

    points: None for a comment only; at: ISO time; computed: the computed points at that time
    """

    points: float | None
    comment: str
    by: str
    at: str
    computed: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionScore:
    """One question of one submission; `dependencies` is `own` or `reference`, `computed` the sum of its tests.

    bonus: whether its points are beyond the maximum of the submission
    """

    computed: float
    max_points: float
    status: Status
    dependencies: str
    tests: tuple[TestScore, ...]
    answer: GradedAnswer | None = None
    override: Override | None = None
    bonus: bool = False

    @property
    def points(self) -> float:
        """The points that count: those of an override if there is one, else the computed points."""
        by_hand = self.override.points if self.override else None
        return self.computed if by_hand is None else by_hand

    @property
    def full(self) -> bool:
        """Whether the points that count are full marks; where there are none to get, whether all tests passed."""
        return self.points >= self.max_points if self.max_points else self.status is Status.PASSED

    @property
    def solved(self) -> bool:
        """Whether the tests alone give full marks."""
        return self.computed == self.max_points if self.max_points else self.status is Status.PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of one submission.

    submission: a label for the files; submitted: ISO time with zone, None if unknown
    late: minutes after the deadline, `late` if the LMS says no more than that, None if unknown
    override: of the total
    """

    student: Student
    submission: str
    sha256: str
    assignment: str
    version: str
    status: SubmissionStatus
    max_points: float
    flags: tuple[Flag, ...] = ()
    questions: Mapping[str, QuestionScore] = field(default_factory=dict)
    submitted: str | None = None
    late: float | str | None = None
    files: tuple[SubmittedFile, ...] = ()
    override: Override | None = None

    @property
    def total(self) -> float:
        """The points that count: those of an override of the whole submission if there is one, else the sum."""
        if self.override and self.override.points is not None:
            return self.override.points
        return round(sum(score.points for score in self.questions.values()), 6)

    @property
    def has_points(self) -> bool:
        """Whether there is a total: tests graded it, or a person gave the points of the whole submission."""
        by_hand = self.override is not None and self.override.points is not None
        return by_hand or self.status is SubmissionStatus.GRADED

    @property
    def waiting(self) -> tuple[str, ...]:
        """The questions that a person has yet to grade."""
        return tuple(key for key, score in self.questions.items() if score.status is Status.WAITING)


def maximum(scores: Iterable[QuestionScore]) -> float:
    """Return the most points that these questions can give, without bonus questions."""
    return sum(score.max_points for score in scores if not score.bonus)


def to_json(result: Result) -> dict[str, Any]:
    """Return the result in the form of the results contract."""
    student = result.student
    return {
        "student": student.id,
        "name": student.name,
        "group": student.group,
        "lms": _lms_to_json(student.lms),
        "submission": result.submission,
        "submitted": result.submitted,
        "late": result.late,
        "files": [_flat(one) for one in result.files],
        "sha256": result.sha256,
        "assignment": result.assignment,
        "version": result.version,
        "status": result.status.value,
        "total": result.total,
        "max_points": result.max_points,
        "override": _flat(result.override) if result.override else None,
        "flags": [_flat(flag) for flag in result.flags],
        "questions": {key: _score_to_json(score) for key, score in result.questions.items()},
    }


def _lms_to_json(lms: LmsIdentity | None) -> dict[str, Any] | None:
    return _flat(lms) | {"attachments": list(lms.attachments)} if lms else None


def _flat(one: SubmittedFile | Override | Flag | LmsIdentity | GradedAnswer | TestScore) -> dict[str, Any]:
    """Return the fields of an object that contains plain values only, without the copies that `asdict` makes."""
    return {name: getattr(one, name) for name in one.__slots__}


def _score_to_json(score: QuestionScore) -> dict[str, Any]:
    return {
        "points": score.points,
        "computed": score.computed,
        "max_points": score.max_points,
        "bonus": score.bonus,
        "status": score.status.value,
        "dependencies": score.dependencies,
        "override": _flat(score.override) if score.override else None,
        "answer": _flat(score.answer) if score.answer else None,
        "tests": [{key: value for key, value in _flat(test).items() if key != "picture"} for test in score.tests],
    }


def from_json(table: Mapping[str, Any]) -> Result:
    """Read a result back, including results of the kit's first version, whose flags were lines of text.

    Raises KeyError, TypeError or ValueError if the table is not a result.
    """
    lms, override = table.get("lms"), table.get("override")
    identity = LmsIdentity(**{**lms, "attachments": tuple(lms["attachments"])}) if lms else None
    return Result(
        student=Student(
            id=str(table["student"]), name=str(table.get("name", "")), group=table.get("group"), lms=identity
        ),
        submission=str(table["submission"]),
        sha256=str(table["sha256"]),
        assignment=str(table["assignment"]),
        version=str(table["version"]),
        status=SubmissionStatus(table["status"]),
        max_points=float(table["max_points"]),
        flags=tuple(map(_flag_from_json, table["flags"])),
        questions={str(key): _score_from_json(score) for key, score in table["questions"].items()},
        submitted=table.get("submitted"),
        late=table.get("late"),
        files=tuple(SubmittedFile(**one) for one in table.get("files", ())),
        override=Override(**override) if override else None,
    )


def _flag_from_json(flag: Any) -> Flag:
    if isinstance(flag, str):
        return Flag(kind="remark", text=flag, audience=Audience.STAFF)
    return Flag(**{**flag, "audience": Audience(flag["audience"])})


def _score_from_json(score: Mapping[str, Any]) -> QuestionScore:
    answer, override = score.get("answer"), score.get("override")
    return QuestionScore(
        computed=float(score.get("computed", score["points"])),
        max_points=float(score["max_points"]),
        bonus=bool(score.get("bonus", False)),
        status=Status(score["status"]),
        dependencies=str(score["dependencies"]),
        tests=tuple(TestScore(**{**test, "status": Status(test["status"])}) for test in score["tests"]),
        answer=GradedAnswer(**answer) if answer else None,
        override=Override(**override) if override else None,
    )
