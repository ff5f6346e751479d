"""Files for other programs, written from a gradebook: grades.csv, results/<student>.json and changes.csv.

An edited grades.csv is detected before it is overwritten, and kept as grades.edited.csv.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from autograder.gradebook import changes, overrides
from autograder.gradebook.files import cell, file_stem, remove_unfinished, write_whole, writing
from autograder.gradebook.late import Deduction
from autograder.gradebook.store import Gradebook
from autograder.results import QuestionScore, Result, Status, SubmissionStatus, to_json

GRADES, EDITED, CHANGES, RESULTS = "grades.csv", "grades.edited.csv", "changes.csv", "results"
FIRST = ("student", "submission", "status", "total", "max_points")
LAST = ("flags", "name", "late", "submitted")
LATE = ("deduction", "total_with_late", "deduction_reason")
WRITTEN = "grades.csv"
"""The key under which the gradebook remembers the digest of the table that it wrote last, or was writing."""

UP_TO = "views"
"""The key under which the gradebook remembers the last change that all views show."""


def current(gradebook: Gradebook, run: int | None = None, *, tests: bool = False) -> Iterator[Result]:
    """Yield every student's result with its overrides, in the order of their ids."""
    entries: dict[str, list[overrides.Entry]] = {}
    for entry in overrides.history(gradebook):
        entries.setdefault(entry.student, []).append(entry)
    for saved in gradebook.saved(run, tests=tests):
        yield overrides.apply(saved.result, entries.get(saved.result.student.id, ()))


def write(
    gradebook: Gradebook,
    folder: Path,
    questions: Sequence[str],
    touched: Iterable[str],
    deductions: Mapping[str, Deduction] | None = None,
) -> Path | None:
    """Write the views of the current results; return the new path of an edited grades.csv, if any.

    questions: ids in the assignment's order; touched: the students whose JSON is written again
    deductions: for lateness, by student, if the assignment has a policy
    """
    with writing(folder):
        (folder / RESULTS).mkdir(exist_ok=True)
        kept = keep_edited(gradebook, folder)
    for place in (folder, folder / RESULTS):
        remove_unfinished(place)
    text = grades_csv(list(current(gradebook)), questions, deductions)
    digest, path = _digest(text.encode()), folder / GRADES
    before = _digest(path.read_bytes()) if path.is_file() else ""
    gradebook.set_meta(WRITTEN, f"{digest} {before}")  # whether this run is killed before or after it writes
    write_whole(path, text)
    gradebook.set_meta(WRITTEN, digest)
    again = {*touched, *gradebook.changed_since(gradebook.get_meta(UP_TO))}
    for student in gradebook.students():
        path = folder / RESULTS / f"{file_stem(student.id)}.json"
        if student.id in again or not path.is_file():
            write_result(gradebook, path, student.id)
    gradebook.set_meta(UP_TO, gradebook.last_change())
    return kept


def write_result(gradebook: Gradebook, path: Path, student: str) -> None:
    """Write one student's result as JSON. Which run it is of is not in it: resuming must not change a byte."""
    entries = overrides.history(gradebook, student)
    for saved in gradebook.saved(student=student):
        table = to_json(overrides.apply(saved.result, entries)) | {"grader": dict(saved.grader)}
        write_whole(path, json.dumps(table, indent=1, ensure_ascii=False) + "\n")


def keep_edited(gradebook: Gradebook, folder: Path) -> Path | None:
    """Keep an edited grades.csv as grades.edited.csv; return its path, None if it was not edited."""
    path = folder / GRADES
    written = gradebook.get_meta(WRITTEN).split()
    if not written or not path.is_file() or _digest(path.read_bytes()) in written:
        return None
    kept = folder / EDITED
    write_whole(kept, path.read_text(encoding="utf-8", errors="replace"))
    return kept


def grades_csv(
    results: Sequence[Result], questions: Sequence[str], deductions: Mapping[str, Deduction] | None = None
) -> str:
    """Return the table of grades: a row per student, a column per graded question."""
    columns = [key for key in questions if any(key in result.questions for result in results)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*FIRST, *columns, *LAST, *(LATE if deductions is not None else ())])
    for result in results:
        graded = result.status is SubmissionStatus.GRADED
        points = [_points(result.questions.get(key)) if graded else "" for key in columns]
        student = result.student
        row: list[object] = [
            cell(student.id),
            cell(result.submission),
            result.status.value,
            result.total if graded else "",
        ]
        row += [result.max_points, *points, cell(" | ".join(map(str, result.flags))), cell(student.name)]
        row += ["" if result.late is None else result.late, result.submitted or ""]
        if deductions is not None:
            row += _late_cells(result, deductions.get(student.id))
        writer.writerow(row)
    return buffer.getvalue()


def _points(score: QuestionScore | None) -> float | str:
    """Return the points of a question, nothing where it was not asked or nobody has graded it yet."""
    return "" if score is None or score.status is Status.WAITING else score.points


def _late_cells(result: Result, deduction: Deduction | None) -> list[object]:
    if deduction is None or result.status is not SubmissionStatus.GRADED:
        return ["", "", ""]
    return [deduction.points, round(result.total - deduction.points, 6), cell(deduction.reason)]


def write_changes(folder: Path, found: Sequence[changes.Change]) -> Path | None:
    """Write changes.csv of the last run, or remove an earlier one if nothing changed."""
    path = folder / CHANGES
    if found:
        write_whole(path, changes.to_csv(found))
        return path
    with writing(path):
        path.unlink(missing_ok=True)
    return None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
