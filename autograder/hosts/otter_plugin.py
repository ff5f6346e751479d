"""The plugin through which Otter shows our grading: `otter run` gives the points that `autograder grade` gives.

The kit inside of the zip grades the submission in a process of its own, before Otter looks at it. Then whatever else
was handed in is taken away, because Otter would import a stray `otter.py` and unpickle a log, and Otter is handed an
empty notebook to execute. So it runs no student code, and in the end our results become Otter's.
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
    """A question as Otter sees it: our hidden tests are its test cases, already judged."""

    @classmethod
    def from_file(cls, path: str) -> "KitTestFile":
        raise NotImplementedError("made from results only")

    @classmethod
    def from_metadata(cls, s: Any, path: str) -> "KitTestFile":
        raise NotImplementedError("made from results only")

    def run(self, global_environment: dict[str, Any]) -> None:
        raise NotImplementedError("made from results only")

    def _repr_html_(self) -> str:
        """Messages quote what a student wrote, so they are shown as text."""
        return f"<pre>{html.escape(self.summary())}</pre>"


class KitPlugin(AbstractOtterPlugin):  # type: ignore[misc]
    """Otter makes one for each submission. Its configuration names the assignment."""

    def before_grading(self, config: Any) -> None:
        """Grade the submission, and leave nothing beside it in Otter's copy of what was handed in.

        Raises GraderFault when the kit cannot grade.
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
        """The notebook to execute in the place of the submission."""
        import nbformat

        return nbformat.v4.new_notebook(
            metadata=nbformat.from_dict({"kernelspec": {"name": "python3", "display_name": "Python 3"}})
        )

    def after_grading(self, results: Any) -> None:
        """Put our results in the place of Otter's."""
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
            raise GraderFault(f"the kit in the zip could not grade: {last}", submission.name, "mend that and run again")
        (path,) = Path(out, "results").glob("*.json")
        return from_json(json.loads(path.read_text(encoding="utf-8")))


def fill(results: Any, result: Result, assignment: Assignment) -> None:
    """Make a result of ours Otter's: the questions of the notebook that was handed in, all where it was none."""
    scores = result.questions
    handed_in = {
        one.notebook for one in assignment.questions if one.id in scores and scores[one.id].status is not Status.MISSING
    }
    results.clear_results()
    results._catastrophic_error = None
    for one in assignment.questions:
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
