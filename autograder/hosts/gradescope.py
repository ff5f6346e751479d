"""Gradescope: grade the one submission in its container, and leave a valid results.json whatever happens.

`run_autograder` first writes `unfinished()` as the results. This module atomically replaces them after every graded
question, so that a killed grader leaves what it had. All texts in the results are plain: what a student wrote is never
rendered as HTML or Markdown, and only names and hints of the hidden tests are shown.
"""

import json
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.gradebook.files import write_whole
from autograder.grading.hidden_tests import HiddenTest
from autograder.grading.processes import Processes
from autograder.grading.workers import load_libraries
from autograder.hosts.gradescope_results import unfinished, write_results
from autograder.results import Audience, Flag, QuestionScore, Result, Status, SubmissionStatus
from autograder.sandbox.loading import Loader
from autograder.submissions.intake import from_folder
from autograder.submissions.submission import Submission

ROOT = Path("/autograder")
MAX_REMARKS = 40
STOPPED = "not graded: the grader was stopped before it reached this question; submit again, or tell your instructor"
IN_WORDS = {
    Status.PASSED: "passed",
    Status.WAITING: "not graded yet",
    Status.FAILED: "failed",
    Status.ERROR: "your code raised an error",
    Status.TIMED_OUT: "your code did not finish in time",
    Status.CRASHED: "your code ended its process",
    Status.NOT_ATTEMPTED: "not attempted",
    Status.MISSING: "missing",
}


class TimeUp(BaseException):
    """The time for the whole submission has run out. Not an Exception, so that no hidden test can catch it."""


@dataclass(slots=True, kw_only=True)
class Report:
    """The results so far, written to `path` after each question."""

    path: Path
    assignment: Assignment
    tests: Mapping[str, Sequence[HiddenTest]] = field(default_factory=dict)
    unconfined: tuple[str, ...] = ()
    scores: dict[str, QuestionScore] = field(default_factory=dict)

    def scored(self, question_id: str, score: QuestionScore) -> None:
        self.scores[question_id] = score
        self.write(STOPPED)

    def write(self, why_not: str = "", remarks: Sequence[Flag] = ()) -> None:
        """Write the results. why_not: the text for questions without a score."""
        entries = []
        for one in self.assignment.questions:
            if one.id in self.scores:
                entries += self._graded(one.id, self.scores[one.id])
            else:
                entries += [self._entry(one.id, n, test, 0.0, why_not) for n, test in self._numbered(one.id)]
        unanswered = {
            key: score.status
            for key, score in self.scores.items()
            if score.status in (Status.NOT_ATTEMPTED, Status.MISSING)
        }
        lines = [f"{self.assignment.title}, version {self.assignment.version}"]
        lines += [f"graded without confinement: no {name}" for name in self.unconfined]
        for status, text in ((Status.NOT_ATTEMPTED, "still as released"), (Status.MISSING, "not found")):
            if ids := [key for key, found in unanswered.items() if found is status]:
                lines.append(f"{text}: {', '.join(ids)}")
        if ids := [key for key, score in self.scores.items() if score.status is Status.WAITING]:
            lines.append(f"written answers, which are not graded here: {', '.join(ids)}")
        lines += [why_not] * bool(why_not and len(self.scores) < len(self.assignment.questions))
        lines += for_students(remarks)
        total = round(sum(score.points for score in self.scores.values()), 6)
        write_results(self.path, {"score": total, "output": "\n".join(lines), "tests": entries})

    def _numbered(self, question_id: str) -> list[tuple[int, HiddenTest]]:
        return list(enumerate(self.tests.get(question_id, ()), start=1))

    def _graded(self, question_id: str, score: QuestionScore) -> list[dict[str, Any]]:
        entries = []
        for (number, test), one in zip(self._numbered(question_id), score.tests, strict=True):
            lines = [f"{IN_WORDS[one.status]}{': ' if one.message else ''}{one.message}"]
            lines += [f"hint: {one.hint}"] * bool(one.hint)
            if score.dependencies == "reference":
                lines.append("graded with the reference answers to the questions that this one builds on")
            entries.append(self._entry(question_id, number, test, one.points, "\n".join(lines)))
            entries[-1]["status"] = "passed" if one.status is Status.PASSED else "failed"
        return entries

    def _entry(self, question_id: str, number: int, test: HiddenTest, points: float, text: str) -> dict[str, Any]:
        return {
            "number": f"{question_id}.{number}",
            "name": test.name.replace("_", " "),
            "score": points,
            "max_score": test.points,
            "status": "failed",
            "output": text,
            "output_format": "text",
            "visibility": self.assignment.gradescope.visibility,
        }


def grade(root: Path, path: Path, started: float) -> None:
    """Grade `root/submission` within the time limit of assignment.toml, and write the results to `path`.

    started: when the time began, of time.monotonic
    """
    from autograder.grading.grader import open_grader

    assignment = load_assignment()
    report = Report(path=path, assignment=assignment)
    submission = from_folder(root / "submission").load()
    result, why_not = None, STOPPED
    minutes = assignment.gradescope.minutes
    signal.signal(signal.SIGALRM, _time_is_up)
    signal.setitimer(signal.ITIMER_REAL, max(1.0, started + minutes * 60 - time.monotonic()))
    try:
        with open_grader(assignment, unsafe=True) as grader:
            report.tests = grader.scorer.tests
            report.unconfined = tuple(reason.split(" is missing")[0] for reason in grader.sandbox.missing)
            report.write(STOPPED)
            result = grader.grade(submission, assignment.questions, report.scored)
            signal.setitimer(signal.ITIMER_REAL, 0)
    except TimeUp:
        why_not = (
            f"not graded: your submission took longer than {minutes:g} minutes; "
            "fix the questions that do not finish, and submit again"
        )
    if result is None:
        report.write(why_not)
    elif result.status is SubmissionStatus.UNREADABLE:
        write_results(path, {"score": 0, "output": unreadable(submission, assignment, result)})
    else:
        report.scores = dict(result.questions)
        report.write(remarks=result.flags)
    for line in map(str, result.flags) if result else (why_not,):
        print(line)


def unreadable(submission: Submission, assignment: Assignment, result: Result) -> str:
    """Return the message for a student whose submission cannot be graded."""
    wanted = " and ".join(f"{name}.ipynb" for name in assignment.notebooks)
    if not submission.notebooks:
        return f"Your submission contains no notebook. Please submit {wanted}."
    return "\n".join(["Your submission cannot be graded.", *for_students(result.flags), f"Please submit {wanted}."])


def for_students(flags: Sequence[Flag]) -> list[str]:
    """Return the first flags that students may read, as lines."""
    return [str(flag) for flag in flags if flag.audience is Audience.STUDENT][:MAX_REMARKS]


def _time_is_up(number: int, frame: FrameType | None) -> None:
    raise TimeUp


def points_in_gradescope(root: Path) -> float | None:
    """Return the points of the assignment in Gradescope, from the submission's metadata; None if they are not there."""
    try:
        table = json.loads((root / "submission_metadata.json").read_bytes())
        return float(table["assignment"]["total_points"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def main(arguments: Sequence[str]) -> int:
    """Grade the submission below the given folder, by default /autograder. The exit code is always 0."""
    root = Path(arguments[0]) if arguments else ROOT
    path = root / "results" / "results.json"
    started = time.monotonic()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        assignment = load_assignment()
        with Loader(assignment) as loader, Processes(loader, 1) as process:
            load_libraries(loader, assignment)
            process.submit(grade, root, path, started).result()
        theirs = points_in_gradescope(root)
        if theirs is not None and theirs != assignment.max_points:
            print(f"Gradescope has {theirs:g} points for this assignment; set them to {assignment.max_points:g}")
    except BrokenExecutor:
        print("the grader was killed; the results are what it had")
    except Exception:
        traceback.print_exc()  # only instructors see the output
        write_whole(path, unfinished().decode())
    print(f"{time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    from autograder.hosts import gradescope  # under this name another process finds what it is to call

    sys.exit(gradescope.main(sys.argv[1:]))
