"""Otter: `otter run` with our zip gives our points, runs no student code, and stock Otter works in the notebook.

That every submission of the sample batch gets the same points under Otter is tested in test_cli.py, where the batch is
graded.
"""

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from autograder.authoring.archives import archive, otter_files
from autograder.grading.grader import Grader
from autograder.hosts.otter_plugin import KitTestFile, fill
from autograder.results import QuestionScore, Result, Status, Student, SubmissionStatus, TestScore
from autograder.submissions.intake import Wanted, take_in
from tests import corpus

ASSIGNMENT = corpus.assignment()


@pytest.fixture(scope="module")
def otter_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Otter zip, with less time for infinite loops."""
    files = otter_files(ASSIGNMENT)
    toml = PurePosixPath("kit/solutions/lecture06/assignment.toml")
    assert b"cpu_s = 10" in files[toml]
    files[toml] = files[toml].replace(b"cpu_s = 10", b"cpu_s = 3")
    path = tmp_path_factory.mktemp("otter") / "otter.zip"
    path.write_bytes(archive(files))
    return path


def otter_run(otter_zip: Path, submission: Path, out: Path) -> tuple[dict[str, Any], str]:
    """The results.json of a real `otter run` (empty when there is none) and what it printed."""
    command = [sys.executable, "-m", "otter", "run", "-a", str(otter_zip), "-o", str(out), "--no-logo", str(submission)]
    environment = os.environ | {"PYTHONPATH": str(ASSIGNMENT.home)}
    done = subprocess.run(command, env=environment, cwd=out, capture_output=True, text=True, check=False)
    path = out / "results.json"
    return json.loads(path.read_text()) if path.exists() else {}, done.stdout + done.stderr


def points(table: dict[str, Any]) -> dict[str, float]:
    return {entry["name"]: entry["score"] for entry in table["tests"]}


SHOUT = "import os, pathlib\npathlib.Path({path!r}).write_text('student code ran')\n"


class Bomb:
    """What runs code where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (SHOUT.format(path=str(self.path)),)


def test_an_exported_zip_with_a_loop_and_hostile_files(otter_zip: Path, tmp_path: Path) -> None:
    answers = {"B1": corpus.reference()["B1"], "B3": corpus.answer_cell("B3", "while True:\n    pass")}
    notebook = corpus.submission(answers)["batchnorm"]
    notebook["cells"].append(corpus.added_cell(SHOUT.format(path=str(tmp_path / "cell"))))
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as target:
        target.writestr("my homework.ipynb", json.dumps(notebook))
        for name in ("otter.py", "numpy.py", "sitecustomize.py", "tests/B1.py", "nbformat/__init__.py"):
            target.writestr(name, SHOUT.format(path=str(tmp_path / name.replace("/", "-"))))
        target.writestr(".OTTER_LOG", pickle.dumps(Bomb(tmp_path / "log")))
    out = tmp_path / "out"
    out.mkdir()
    table, printed = otter_run(otter_zip, tmp_path / "export.zip", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.zip", "out"], "student code ran"
    expected = {one.id: 0.0 for one in ASSIGNMENT.tested if one.notebook == "batchnorm"} | {"B1": 3.0}
    assert points(table) == expected, printed
    (loop,) = [entry for entry in table["tests"] if entry["name"] == "B3"]
    assert "infinite loop?" in loop["output"]


def test_an_ordinary_notebook(otter_zip: Path, tmp_path: Path, grader: Grader) -> None:
    wrong = "mean, var = x.mean(0), x.var(0)\nreturn gamma * (x - mean) / torch.sqrt(var + eps) + beta, mean, var"
    answers = {"B3": corpus.answer_cell("B3", wrong), "B4": corpus.reference()["B4"], "R2": corpus.reference()["R2"]}
    path = corpus.write(tmp_path / "ada", corpus.submission(answers)) / "batchnorm.ipynb"
    table, printed = otter_run(otter_zip, path, tmp_path)
    (submission,) = take_in([path], Wanted(notebooks=ASSIGNMENT.notebooks)).hand_ins
    ours = grader.grade(submission.load(), [one for one in ASSIGNMENT.tested if one.notebook == "batchnorm"])
    assert points(table) == {key: score.points for key, score in ours.questions.items()}, printed
    assert 0 < points(table)["B3"] < 6
    assert "matches the unbiased variance" in table["tests"][2]["output"]
    assert {entry["visibility"] for entry in table["tests"]} == {"after_published"}


def test_otter_itself_refuses_what_is_no_notebook(otter_zip: Path, tmp_path: Path) -> None:
    (tmp_path / "homework.ipynb").write_text("a letter")
    table, printed = otter_run(otter_zip, tmp_path / "homework.ipynb", tmp_path)
    assert table == {}
    assert "Notebook does not appear to be JSON" in printed


RESULT: dict[str, Any] = {
    "student": Student(id="s"),
    "submission": "s",
    "sha256": "",
    "assignment": "lecture06",
    "version": "1",
    "status": SubmissionStatus.GRADED,
    "max_points": 3.0,
}


def test_messages_are_shown_as_text() -> None:
    from otter.test_files import GradingResults

    test = TestScore(name="x", status=Status.FAILED, points=0, max_points=3, message="<script>", hint="")
    score = QuestionScore(computed=0, max_points=3, status=Status.FAILED, dependencies="own", tests=(test,))
    results = GradingResults([])
    fill(results, Result(**RESULT, questions={"B1": score}), ASSIGNMENT)
    file = results.results["B1"]
    assert isinstance(file, KitTestFile)
    assert "&lt;script&gt;" in file._repr_html_()
    assert "<script>" not in file._repr_html_()


def test_stock_otter_checks_and_exports_in_the_student_notebook(tmp_path: Path, grader: Grader) -> None:
    """In a real kernel, with Otter's own grader: public checks, `check_all`, and an export that our grader takes."""
    shutil.copytree(ASSIGNMENT.release_dir, tmp_path, dirs_exist_ok=True)
    notebook = corpus.submission({"B3": corpus.reference()["B3"]})["batchnorm"]
    sources = {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"}
    first = 'import otter\n\ngrader = otter.Notebook("batchnorm.ipynb")'
    imports = "import numpy as np\nimport torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
    export = 'grader.export("batchnorm.ipynb", "mine.zip", pdf=False, run_tests=False, force_save=False)'
    cells = [first, imports, sources["B3-answer"], 'grader.check("B3")', 'grader.check("B4")', "grader.check_all()"]
    (tmp_path / "batchnorm.ipynb").write_text(json.dumps(notebook))
    session = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in [*cells, export]])
    client = NotebookClient(session, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    done = client.execute()
    shown = ["\n".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs) for cell in done.cells]
    assert "B3 results: All test cases passed!" in shown[3]
    assert "B4 results:\n" in shown[4]
    assert "B3 results: All test cases passed!" in shown[5]
    (submission,) = take_in([tmp_path / "mine.zip"], Wanted(notebooks=ASSIGNMENT.notebooks)).hand_ins
    result = grader.grade(submission.load(), ASSIGNMENT.select(["B3", "B4"]))
    assert {key: str(score.status) for key, score in result.questions.items()} == {
        "B3": "passed",
        "B4": "not_attempted",
    }
    assert result.flags == ()
