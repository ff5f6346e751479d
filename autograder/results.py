"""What came of a submission, as typed objects, and their JSON form in `results/<student>.json` (docs/results.md)."""

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

MAX_FILE_NAME = 180
"""Bytes of a student's id in a file's name, which leaves room for what stands around it."""


class Status(StrEnum):
    """How a test or a question ended, from best to worst."""

    PASSED = "passed"
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
    """A remark on what was unusual.

    kind: a stable name for it; question: empty where it concerns the whole submission
    """

    kind: str
    text: str
    question: str = ""
    audience: Audience = Audience.STUDENT

    def __str__(self) -> str:
        return f"{self.question}: {self.text}" if self.question else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class LmsIdentity:
    """Who a student is to an LMS, and the ids of what they handed in there."""

    system: str
    user: str
    attachments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """One person. `id` names the row and the files of their results; `name` is what people call them."""

    id: str
    name: str = ""
    group: str | None = None
    lms: LmsIdentity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedFile:
    """A file of a submission: the notebook it was taken for, whether it counts, and why not."""

    name: str
    notebook: str = ""
    counts: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestScore:
    """One hidden test on one submission; message and hint are empty when it passed."""

    __test__ = False

    name: str
    status: Status
    points: float
    max_points: float
    message: str
    hint: str


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
    """One question of one submission; `dependencies` is `own` or `reference`, `computed` the sum of its tests."""

    computed: float
    max_points: float
    status: Status
    dependencies: str
    tests: tuple[TestScore, ...]
    answer: GradedAnswer | None = None
    override: Override | None = None

    @property
    def points(self) -> float:
        """The points that count: a human's where there are any."""
        by_hand = self.override.points if self.override else None
        return self.computed if by_hand is None else by_hand


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one submission.

    submission: a label of what was handed in; submitted: ISO time with zone, None where unknown
    late: minutes after the deadline, `late` where the LMS says no more than that, None where unknown
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

    @property
    def total(self) -> float:
        return round(sum(score.points for score in self.questions.values()), 6)


def file_name(student: str) -> str:
    """Return a student's id as a file name without extension: itself where it is safe, else with a short digest.

    The name depends on this id alone, and two ids never have the same one: `~` stands only before a digest.
    """
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" or c in " .,@+-_()'" else "_" for c in student)
    kept = kept.lstrip(".").rstrip(". ")
    if kept == student and 0 < len(kept.encode()) <= MAX_FILE_NAME:
        return kept
    short = kept.encode()[: MAX_FILE_NAME - 20].decode(errors="ignore").strip(". ")
    return f"{short or 'student'}~{hashlib.sha256(student.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


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
        "files": [asdict(one) for one in result.files],
        "sha256": result.sha256,
        "assignment": result.assignment,
        "version": result.version,
        "status": result.status.value,
        "total": result.total,
        "max_points": result.max_points,
        "flags": [asdict(flag) for flag in result.flags],
        "questions": {key: _score_to_json(score) for key, score in result.questions.items()},
    }


def _lms_to_json(lms: LmsIdentity | None) -> dict[str, Any] | None:
    return {"system": lms.system, "user": lms.user, "attachments": list(lms.attachments)} if lms else None


def _score_to_json(score: QuestionScore) -> dict[str, Any]:
    return {
        "points": score.points,
        "computed": score.computed,
        "max_points": score.max_points,
        "status": score.status.value,
        "dependencies": score.dependencies,
        "override": asdict(score.override) if score.override else None,
        "answer": asdict(score.answer) if score.answer else None,
        "tests": [asdict(test) for test in score.tests],
    }


def from_json(table: Mapping[str, Any]) -> Result:
    """Read a result back, also one of the kit's first version, whose flags were lines of text.

    Raises KeyError, TypeError or ValueError when the table is not a result.
    """
    lms = table.get("lms")
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
        status=Status(score["status"]),
        dependencies=str(score["dependencies"]),
        tests=tuple(TestScore(**{**test, "status": Status(test["status"])}) for test in score["tests"]),
        answer=GradedAnswer(**answer) if answer else None,
        override=Override(**override) if override else None,
    )
