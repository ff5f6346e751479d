"""Results at rest: one JSON file a student, and one CSV table of all. Every file is written whole or not at all."""

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from autograder.assignment import Question
from autograder.errors import UsageError, printable
from autograder.results import Result, SubmissionStatus, file_name, from_json, to_json

RESULTS = "results"
GRADES = "grades.csv"


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
        return self.folder / RESULTS / f"{file_name(student)}.json"

    def finished(self, student: str, submission: str, sha256: str) -> Result | None:
        """Return the result of an earlier run over the same submission with the same grader, or None.

        submission: its label, as a file that was renamed may be read in another way
        """
        try:
            table = json.loads(self.path(student).read_text(encoding="utf-8"))
            wanted = {"submission": submission, "sha256": sha256, "grader": self._fingerprint}
            return from_json(table) if all(table.get(key) == value for key, value in wanted.items()) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def has(self, student: str) -> bool:
        """Tell whether there is a result of this student, of whatever run."""
        return self.path(student).is_file()

    def record(self, result: Result) -> None:
        """Write one student's result, with the grader's fingerprint."""
        table = to_json(result) | {"grader": self._fingerprint}
        write_whole(self.path(result.student.id), json.dumps(table, indent=1, ensure_ascii=False) + "\n")

    def write_grades(self, results: Iterable[Result], questions: Sequence[Question]) -> Path:
        """Write grades.csv, one row per submission in the order of the students' ids."""
        ids = [question.id for question in questions]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["student", "submission", "status", "total", "max_points", *ids, "flags"])
        for result in sorted(results, key=lambda result: result.student.id):
            graded = result.status is SubmissionStatus.GRADED
            points = [result.questions[key].points if key in result.questions else "" for key in ids]
            flags = _plain(" | ".join(map(str, result.flags)))
            named = [_plain(result.student.id), _plain(result.submission), result.status]
            writer.writerow([*named, result.total if graded else "", result.max_points, *points, flags])
        path = self.folder / GRADES
        write_whole(path, buffer.getvalue())
        return path


def _plain(text: str) -> str:
    """The text on one line, and such that no spreadsheet takes it for a formula."""
    text = printable(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def read_results(folder: Path) -> list[Result]:
    """Return every result in a results folder, in the order of the students' ids.

    Raises UsageError when there is none, or when one is damaged.
    """
    found = []
    for path in sorted((folder / RESULTS).glob("[!.]*.json")):
        try:
            found.append(from_json(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError("the result is damaged", path, "delete it and grade this student again") from error
    if not found:
        raise UsageError("there are no results here", folder, "run `autograder grade` first, or correct --out")
    return sorted(found, key=lambda result: result.student.id)


def without_tests(result: Result) -> Result:
    """Return a result without its tests and answers, small enough to keep for every submission of a batch."""
    scores = {key: replace(score, tests=(), answer=None) for key, score in result.questions.items()}
    return replace(result, questions=scores)


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
