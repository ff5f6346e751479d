"""Files for other programs, written from a gradebook: grades.csv, results/<student>.json and changes.csv.

An edited grades.csv is detected before it is overwritten, and kept as grades.edited.csv.
"""

import csv
import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autograder.gradebook import changes, overrides
from autograder.gradebook.files import cell, file_stem, remove_unfinished, write_whole, writing
from autograder.gradebook.late import Deduction
from autograder.gradebook.store import Gradebook, Saved
from autograder.results import QuestionScore, Result, Status, SubmissionStatus, to_json

GRADES, EDITED, CHANGES, RESULTS = "grades.csv", "grades.edited.csv", "changes.csv", "results"
FIRST = ("student", "submission", "status", "total", "max_points")
LAST = ("flags", "name", "late", "submitted")
LATE = ("deduction", "total_with_late", "deduction_reason")
WRITTEN = "grades.csv"
"""The key under which the gradebook remembers the digest of the table that it wrote last, or was writing."""

NESTED = 4
"""The depth of a result's JSON at which a hidden test is."""
UP_TO = "views"
"""The key under which the gradebook remembers the last change that all views show."""


def current(
    gradebook: Gradebook, run: int | None = None, *, tests: bool = False, among: Sequence[str] | None = None
) -> Iterator[Result]:
    """Yield every student's result with its overrides, in the order of their ids; among: only of these students."""
    for _, result in _with_overrides(gradebook, gradebook.saved(run, tests=tests, among=among)):
        yield result


def _with_overrides(gradebook: Gradebook, found: Iterable[Saved]) -> Iterator[tuple[Saved, Result]]:
    entries: dict[str, list[overrides.Entry]] = {}
    for entry in overrides.history(gradebook):
        entries.setdefault(entry.student, []).append(entry)
    for saved in found:
        yield saved, overrides.apply(saved.result, entries.get(saved.result.student.id, ()))


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
        before = _digest((folder / GRADES).read_bytes()) if (folder / GRADES).is_file() else ""
    for place in (folder, folder / RESULTS):
        remove_unfinished(place)
    text = grades_csv(current(gradebook), questions, deductions)
    digest, path = _digest(text.encode()), folder / GRADES
    gradebook.set_meta(WRITTEN, f"{digest} {before}")  # whether this run is killed before or after it writes
    write_whole(path, text)
    gradebook.set_meta(WRITTEN, digest)
    again = {*touched, *gradebook.changed_since(gradebook.get_meta(UP_TO))}
    paths = {one.id: folder / RESULTS / f"{file_stem(one.id)}.json" for one in gradebook.students()}
    wanted = [student for student, path in paths.items() if student in again or not path.is_file()]
    for saved, result in _with_overrides(gradebook, gradebook.saved(among=wanted)):
        # which run it is of is not in it: resuming must not change a byte
        table = to_json(result) | {"grader": dict(saved.grader)}
        write_whole(paths[result.student.id], f"{_lines(table, NESTED)}\n")
    gradebook.set_meta(UP_TO, gradebook.last_change())
    return kept


def _lines(value: Any, nested: int, indent: str = "\n") -> str:
    """Return JSON with a line per entry down to this depth, which shows a hidden test on one line.

    Python's own indenting takes several times as long, as its fast encoder does not do it.
    """
    if not nested or not value or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    deeper = f"{indent} "
    if isinstance(value, list):
        return f"[{deeper}{f',{deeper}'.join(_lines(one, nested - 1, deeper) for one in value)}{indent}]"
    entries = (
        f"{json.dumps(key, ensure_ascii=False)}: {_lines(one, nested - 1, deeper)}" for key, one in value.items()
    )
    return f"{{{deeper}{f',{deeper}'.join(entries)}{indent}}}"


def keep_edited(gradebook: Gradebook, folder: Path) -> Path | None:
    """Keep an edited grades.csv as grades.edited.csv; return its path, None if it was not edited."""
    path = folder / GRADES
    written = gradebook.get_meta(WRITTEN).split()
    if not written or not path.is_file() or _digest(path.read_bytes()) in written:
        return None
    return keep(folder, path.read_bytes())


def keep(folder: Path, data: bytes) -> Path:
    """Keep the bytes of an edited table under a name at which nothing else is kept yet; return its path."""
    for number in itertools.count(1):
        path = folder / (EDITED if number == 1 else f"{Path(EDITED).stem}-{number}.csv")
        if not path.exists() or path.read_bytes() == data:
            break
    write_whole(path, data)
    return path


def grades_csv(
    results: Iterable[Result], questions: Sequence[str], deductions: Mapping[str, Deduction] | None = None
) -> str:
    """Return the table of grades: a row per student, a column per graded question."""
    rows = [_row(result, questions, deductions) for result in results]
    shown = [place for place in range(len(questions)) if any(points[place] is not None for _, points, _ in rows)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    late = LATE if deductions is not None else ()
    writer.writerow([*FIRST, *(questions[place] for place in shown), *LAST, *late])
    for first, points, last in rows:
        writer.writerow([*first, *(points[place] for place in shown), *last])
    return buffer.getvalue()


Row = tuple[list[object], list[object], list[object]]
"""The cells before those of questions, one per question, None if the result does not have it, and the cells after."""


def _row(result: Result, questions: Sequence[str], deductions: Mapping[str, Deduction] | None) -> Row:
    graded = result.status is SubmissionStatus.GRADED
    student = result.student
    first: list[object] = [cell(student.id), cell(result.submission), result.status.value]
    first += [result.total if result.has_points else "", result.max_points]
    points: list[object] = [_points(result.questions.get(key), graded=graded) for key in questions]
    last: list[object] = [cell(" | ".join(map(str, result.flags))), cell(student.name)]
    last += ["" if result.late is None else result.late, result.submitted or ""]
    if deductions is not None:
        last += _late_cells(result, deductions.get(student.id))
    return first, points, last


def _points(score: QuestionScore | None, *, graded: bool) -> float | str | None:
    """Return the points of a question, nothing where nobody has graded it yet, None where it was not asked."""
    if score is None:
        return None
    return score.points if graded and score.status is not Status.WAITING else ""


def _late_cells(result: Result, deduction: Deduction | None) -> list[object]:
    if deduction is None or not result.has_points:
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
