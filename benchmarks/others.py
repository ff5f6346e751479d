"""Other ways to grade a sample of right and wrong answers, timed beside this kit: Otter, nbgrader, nbclient.

Each runs the same notebooks. Otter and nbgrader run the public checks as their tests, because they have no counterpart
of the hidden tests; nbclient runs the cells and nothing else. `python -m benchmarks.others` prints this
comparison alone.
"""

import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authoring import corpus
from autograder.authoring.run_notebook import UNATTENDED
from autograder.grading.grader import open_grader
from autograder.release.reference import reference_cells
from autograder.release.released import load_released
from autograder.results import Student
from autograder.submissions.submission import of_files

NBGRADER = "nbgrader==0.9.6"
HOMEWORK = "hw"
KERNEL = "homework"
LIMIT_S = 600
"""Per cell, for those that take one."""
NEVER_ENDS = ("while ", "sleep", "exit", "kill", "fork", "count(")
"""Answers with one of these are left out: a time limit would be measured, not grading."""
SHARE_WRONG = {"right": 0, "half": 2}
"""By student: every how manieth answer is wrong, 0 for none."""
CHECK = """
checks = {{}}
with open("tests/{question}.py") as file:
    exec(file.read(), checks)
[case] = [one for one in checks.values() if hasattr(one, "test_func") and not isinstance(one, type)]
case.test_func(globals())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Seconds per submission of another way to grade, and of this kit on the same submissions."""

    what: str
    theirs_s: float
    ours_s: float


def measure(assignment: Assignment, folder: Path) -> Iterator[Measured]:
    """Time each way on the same students, and this kit before and after it. Takes ten minutes and needs PyPI."""
    students = write_students(assignment, folder / "students")
    before_s = _ours_s(assignment, students)
    for what, time_s in (
        ("nbclient alone", _nbclient_s),
        ("`otter run`", _otter_s),
        ("`nbgrader autograde`", _nbgrader_s),
    ):
        theirs_s = time_s(assignment, students, folder)
        after_s = _ours_s(assignment, students)
        yield Measured(what=what, theirs_s=theirs_s, ours_s=(before_s + after_s) / 2)
        before_s = after_s


def write_students(assignment: Assignment, folder: Path) -> list[Path]:
    """Write the notebooks of students whose answers are right, half of them wrong, or all wrong."""
    tables, released = corpus.released_tables(assignment), load_released(assignment)
    reference = reference_cells(assignment, released)
    answers = corpus.read_corpus(assignment)
    for name, every in SHARE_WRONG.items():
        chosen: dict[str, str | corpus.Answer] = dict(reference)
        for number, (question, known) in enumerate(answers.items()):
            wrong = [one for one in known if not one.right and not any(word in one.body for word in NEVER_ENDS)]
            if every and number % every == 0 and wrong:
                chosen[question] = wrong[number % len(wrong)]
        corpus.write(folder / name, corpus.submission(tables, released, chosen))
    return sorted(folder.iterdir())


def _ours_s(assignment: Assignment, students: Sequence[Path]) -> float:
    submissions = [of_files(Student(id=one.name), sorted(one.glob("*.ipynb"))) for one in students]
    with open_grader(assignment) as grader:
        grader.grade(submissions[0], assignment.questions)
        began = time.perf_counter()
        for submission in submissions:
            grader.grade(submission, assignment.questions)
        return (time.perf_counter() - began) / len(submissions)


def _nbclient_s(assignment: Assignment, students: Sequence[Path], folder: Path) -> float:
    import nbformat  # slow to import
    from nbclient import NotebookClient

    began = time.perf_counter()
    for student in students:
        place = folder / "nbclient" / student.name
        shutil.copytree(assignment.release_dir, place)
        for path in sorted(student.glob("*.ipynb")):
            notebook = nbformat.reads(json.dumps(_without_export(json.loads(path.read_bytes()))), as_version=4)
            here = {"metadata": {"path": str(place)}}
            NotebookClient(notebook, timeout=LIMIT_S, allow_errors=True, resources=here).execute(
                stderr=subprocess.DEVNULL
            )
    return (time.perf_counter() - began) / len(students)


def _otter_s(assignment: Assignment, students: Sequence[Path], folder: Path) -> float:
    """Stock Otter, with the public checks as its tests."""
    release, place = assignment.release_dir, folder / "otter"
    place.mkdir()
    archive = place / "stock.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("otter_config.json", "{}")
        for path in sorted(release.rglob("*")):
            inside = path.relative_to(release)
            if path.is_file() and inside.parts[0] in ("tests", "src", "data") and "__pycache__" not in inside.parts:
                out.write(path, inside if inside.parts[0] == "tests" else Path("files", inside))
    began = time.perf_counter()
    for student in students:
        for path in sorted(student.glob("*.ipynb")):
            command = [sys.executable, "-m", "otter", "run", "-a", str(archive), "-o", str(place), str(path)]
            subprocess.run(command, cwd=place, check=True, capture_output=True)
    return (time.perf_counter() - began) / len(students)


def _nbgrader_s(assignment: Assignment, students: Sequence[Path], folder: Path) -> float:
    """nbgrader in an environment of its own, with the public checks in locked cells and this environment's kernel."""
    course, tool = folder / "course", _installed(folder / "environment")
    programs = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"  # it calls its own alembic
    environment = os.environ | {"JUPYTER_PATH": str(_kernel(folder / "jupyter")), "PATH": programs}
    source = course / "source" / HOMEWORK
    shutil.copytree(assignment.release_dir, source, ignore=shutil.ignore_patterns("*.ipynb", "__pycache__", "colab"))
    for path in sorted(assignment.release_dir.glob("*.ipynb")):
        _write(source / path.name, _with_graded_cells(json.loads(path.read_bytes())))
    for student in students:
        place = course / "submitted" / student.name / HOMEWORK
        place.mkdir(parents=True)
        for path in sorted(student.glob("*.ipynb")):
            _write(place / path.name, _with_graded_cells(json.loads(path.read_bytes())))
    (course / "nbgrader_config.py").write_text(
        f"c = get_config()\nc.CourseDirectory.course_id = 'bench'\nc.ExecutePreprocessor.timeout = {LIMIT_S}\n",
        encoding="utf-8",
    )

    def run(verb: str) -> None:
        subprocess.run([str(tool), verb, HOMEWORK], cwd=course, env=environment, check=True, capture_output=True)

    run("generate_assignment")
    began = time.perf_counter()
    run("autograde")
    spent = time.perf_counter() - began
    graded = sorted((course / "autograded").glob(f"*/{HOMEWORK}/*.ipynb"))
    if len(graded) != len(students) * len(assignment.notebooks):
        raise RuntimeError(f"nbgrader graded {len(graded)} notebooks only")
    return spent / len(students)


def _installed(place: Path) -> Path:
    """Return the nbgrader of a new virtual environment."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", NBGRADER]
    subprocess.run([str(place / "bin" / "python"), *install], check=True)
    return place / "bin" / "nbgrader"


def _kernel(place: Path) -> Path:
    """Describe a kernel of this environment, which has the libraries of the homework; return the folder to look in."""
    described = place / "kernels" / KERNEL
    described.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    _write(described / "kernel.json", {"argv": argv, "display_name": KERNEL, "language": "python"})
    return place


def _with_graded_cells(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with each public check in a locked cell as nbgrader grades them."""
    table = _without_export(notebook)
    table["metadata"]["kernelspec"] = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
    for cell in table["cells"]:
        text = "".join(cell["source"]).strip()
        if text.startswith('grader.check("'):
            question = text.split('"')[1]
            cell["source"] = CHECK.format(question=question)
            cell["metadata"]["nbgrader"] = {
                "schema_version": 3,
                "grade_id": f"check-{question}",
                "grade": True,
                "locked": True,
                "solution": False,
                "task": False,
                "points": 1,
            }
    return table


def _without_export(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook without the cell that hands in, which waits for an answer."""
    table = copy.deepcopy(notebook)
    table["cells"] = [cell for cell in table["cells"] if UNATTENDED not in "".join(cell["source"])]
    return table


def _write(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table), encoding="utf-8")


def main() -> int:
    """Measure with the only assignment here."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for one in measure(load_assignment(None), Path(name)):
            ratio = one.theirs_s / one.ours_s
            print(f"{one.what}: {one.theirs_s:.1f} s, this kit {one.ours_s:.2f} s: {ratio:.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
