"""The Otter plugin: `otter run` gives the same points as `autograder grade`.

The kit inside the zip grades the submission in a separate process before Otter looks at it. All other submitted files
are then removed, because Otter would import a stray `otter.py` and unpickle a log, and Otter gets an empty notebook to
execute. So Otter runs no student code; at the end its results are replaced by ours.
"""

import html
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from otter.plugins import AbstractOtterPlugin
from otter.test_files import TestCase, TestFile
from otter.test_files.abstract_test import TestCaseResult

from autograder.assignment import Assignment, Question
from autograder.assignment_file import load_assignment
from autograder.errors import GraderFault
from autograder.results import QuestionScore, Result, Status, TestScore, from_json


class KitTestFile(TestFile):  # type: ignore[misc]
    """A question in Otter's form: our hidden tests are its test cases, already judged."""

    @classmethod
    def from_file(cls, path: str) -> "KitTestFile":
        raise NotImplementedError("created from results only")

    @classmethod
    def from_metadata(cls, s: Any, path: str) -> "KitTestFile":
        raise NotImplementedError("created from results only")

    def run(self, global_environment: dict[str, Any]) -> None:
        raise NotImplementedError("created from results only")

    def _repr_html_(self) -> str:
        """Return the summary as escaped text, because messages quote students."""
        return f"<pre>{html.escape(self.summary())}</pre>"


class KitPlugin(AbstractOtterPlugin):  # type: ignore[misc]
    """The plugin; Otter creates one per submission. Its configuration names the assignment."""

    def before_grading(self, config: Any) -> None:
        """Grade the submission, and remove every other file from Otter's copy of the submission.

        Raises GraderFault if the kit cannot grade.
        """
        submission = Path(self.submission_path)
        kit = submission.parent.parent / "source" / "kit"
        self._assignment = load_assignment(self.plugin_config["assignment"], kit)
        self._result = grade(submission, kit, self._assignment)
        for path in submission.parent.iterdir():
            if path.is_dir() and not path.is_symlink() and path.name != "tests":
                shutil.rmtree(path)
            elif path.name != "tests" and path != submission:
                path.unlink()

    def before_execution(self, submission: Any) -> Any:
        """Return the notebook to execute instead of the submission."""
        import nbformat

        return nbformat.v4.new_notebook(
            metadata=nbformat.from_dict({"kernelspec": {"name": "python3", "display_name": "Python 3"}})
        )

    def after_grading(self, results: Any) -> None:
        """Replace Otter's results by ours."""
        fill(results, self._result, self._assignment)


def grade(submission: Path, kit: Path, assignment: Assignment) -> Result:
    """Return the result of `autograder grade` by the kit in this folder."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "autograder", "grade", str(submission), "--out", out, "--jobs", "1"]
        command += ["--assignment", assignment.name]
        environment = os.environ | {"PYTHONPATH": str(kit)}
        done = subprocess.run(command, cwd=kit, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or "no output").splitlines()[-1]
            what = f"the kit in the zip could not grade: {last}"
            raise GraderFault(what, submission.name, "fix that and run it again")
        (path,) = Path(out, "results").glob("*.json")
        return from_json(json.loads(path.read_text(encoding="utf-8")))


def fill(results: Any, result: Result, assignment: Assignment) -> None:
    """Write our result into Otter's: the questions of the submitted notebook, or all if it was none."""
    scores = result.questions
    handed_in = {
        one.notebook for one in assignment.questions if one.id in scores and scores[one.id].status is not Status.MISSING
    }
    results.clear_results()
    results._catastrophic_error = None
    for one in assignment.tested:
        if one.notebook in handed_in or not handed_in:
            results.results[one.id] = _test_file(one, scores.get(one.id))
    results.set_output("\n".join(str(flag) for flag in result.flags if flag.kind != "notebook_missing"))


def _test_file(one: Question, score: QuestionScore | None) -> KitTestFile:
    tests = score.tests if score else (_not_graded(one),)
    cases, outcomes = [], []
    for test in tests:
        case = TestCase(
            name=test.name,
            body=None,
            hidden=True,
            points=test.max_points,
            success_message=None,
            failure_message=f"hint: {test.hint}" if test.hint else None,
        )
        cases.append(case)
        passed = test.status is Status.PASSED
        outcomes.append(TestCaseResult(test_case=case, message=test.message or "passed", passed=passed))
    file = KitTestFile(name=one.id, path=one.id, test_cases=cases, all_or_nothing=False)
    file.test_case_results = outcomes
    file.update_score(score.points if score else 0)
    return file


def _not_graded(one: Question) -> TestScore:
    return TestScore(
        name=one.id, status=Status.MISSING, points=0.0, max_points=one.points, message="not graded", hint=""
    )
