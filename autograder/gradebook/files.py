"""Results at rest: one JSON file a student, and one CSV table of all. Every file is written whole or not at all."""

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograder.assignment import Question
from autograder.errors import UsageError, printable

if TYPE_CHECKING:  # reading results needs none of what makes them
    from autograder.grading.scorer import QuestionScore

RESULTS = "results"
GRADES = "grades.csv"


class SubmissionStatus(StrEnum):
    """Whether a submission could be graded at all."""

    GRADED = "graded"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one submission; `flags` are remarks for the TA, the reason where it is unreadable."""

    student: str
    submission: str
    sha256: str
    assignment: str
    version: str
    status: SubmissionStatus
    max_points: float
    flags: tuple[str, ...]
    questions: "Mapping[str, QuestionScore]" = field(default_factory=dict)

    @property
    def total(self) -> float:
        return round(sum(score.points for score in self.questions.values()), 6)

    def to_json(self) -> dict[str, Any]:
        """The result in the form of the results contract."""
        table = {name: getattr(self, name) for name in ("student", "submission", "sha256", "assignment", "version")}
        table |= {"status": self.status, "total": self.total, "max_points": self.max_points, "flags": list(self.flags)}
        return table | {"questions": {key: asdict(score) for key, score in self.questions.items()}}


class Gradebook:
    """The results folder of one run. Raises UsageError when it cannot be written."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """fingerprint: of everything but the submission that decides a result; another one makes old results stale."""
        self.folder = folder
        self._fingerprint = fingerprint
        try:
            (folder / RESULTS).mkdir(parents=True, exist_ok=True)
            write_whole(folder / ".writable", "")
            (folder / ".writable").unlink()
        except OSError as error:
            fix = "choose another folder with --out"
            raise UsageError(f"the results cannot be written here ({error.strerror})", folder, fix) from error

    def path(self, student: str) -> Path:
        return self.folder / RESULTS / f"{student}.json"

    def finished(self, student: str, submission: str, sha256: str) -> dict[str, Any] | None:
        """The result of an earlier run over the same submission with the same grader, or None.

        submission: its label, as a file that was renamed may be read in another way
        """
        try:
            table = json.loads(self.path(student).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        wanted = {"submission": submission, "sha256": sha256, "grader": self._fingerprint}
        same = isinstance(table, dict) and all(table.get(key) == value for key, value in wanted.items())
        return table if same else None

    def record(self, table: dict[str, Any]) -> dict[str, Any]:
        """Write one student's result; the table with the grader's fingerprint."""
        table = table | {"grader": self._fingerprint}
        write_whole(self.path(table["student"]), json.dumps(table, indent=1, ensure_ascii=False) + "\n")
        return table

    def write_grades(self, tables: Iterable[dict[str, Any]], questions: Sequence[Question]) -> Path:
        """Write grades.csv, a row a submission in the order of the students' names."""
        ids = [question.id for question in questions]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["student", "submission", "status", "total", "max_points", *ids, "flags"])
        for table in sorted(tables, key=lambda table: str(table["student"])):
            points = [table["questions"].get(key, {}).get("points", 0.0) for key in ids]
            student, submission, flags = map(
                _plain, (table["student"], table["submission"], " | ".join(table["flags"]))
            )
            writer.writerow([student, submission, table["status"], table["total"], table["max_points"], *points, flags])
        path = self.folder / GRADES
        write_whole(path, buffer.getvalue())
        return path


def _plain(text: str) -> str:
    """The text on one line, and such that no spreadsheet takes it for a formula."""
    text = printable(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def without_tests(table: Mapping[str, Any]) -> dict[str, Any]:
    """A result's table without its single tests, which is small enough to keep for every submission of a batch."""
    scores = {key: {k: v for k, v in score.items() if k != "tests"} for key, score in table["questions"].items()}
    return {**table, "questions": scores}


def write_whole(path: Path, text: str) -> None:
    """Replace a file as a whole, so that a reader or a killed run never sees half of one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
