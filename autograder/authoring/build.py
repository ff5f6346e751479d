"""Master -> release: the student's notebooks, checks and files, generated, never edited by hand.

`otter assign` does the splitting, called in one place (`_otter_assign`). This module adds the rest: stable cell ids,
metadata with the question and role of each cell, and a manifest of every file.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from autograder.assignment import Assignment, Question
from autograder.authored import authored_text
from autograder.authoring import colab, master
from autograder.authoring.claims import without_claims
from autograder.authoring.master import read_masters
from autograder.authoring.readme import LICENCE_OF, README, licences, readme
from autograder.errors import MasterError, UsageError
from autograder.notebook import Role
from autograder.release import versions
from autograder.release.reference import reference_file, to_json
from autograder.wording import number_of
from autograder.written import answer_cell, is_marked

MANIFEST = "MANIFEST.json"
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
CHECK = re.compile(r"^(import otter\b|grader\b)", re.MULTILINE)
QUESTION = re.compile(r"([A-Z]+\d+)\b")
HEADER = re.compile(r"^(\w+):\s*(\S+)\s*$", re.MULTILINE)
NOT_OTTERS = re.compile(r"^(?:bonus|optional):.*\n?", re.MULTILINE)
PERCENT = {"extension": ".py", "format_name": "percent", "comment_magics": False}
"""How masters are read: a comment such as `# ls` is a comment, not a magic that jupytext once commented out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltNotebook:
    """One master's products: the student's notebook, the same notebook with solutions, and the public checks."""

    student: bytes
    solution: bytes
    checks: Mapping[str, bytes]


def release_files(assignment: Assignment) -> dict[PurePosixPath, bytes]:
    """Return every file of the release, by its path below `assignments/<name>/`.

    Raises MasterError if a master cannot be built.
    """
    read_masters(assignment)  # its errors give file and line, unlike those of `otter assign`
    files = {PurePosixPath(data): _data_file(assignment, data) for data in assignment.data.values()}
    files |= licences(assignment) | {PurePosixPath("requirements.txt"): requirements(assignment)}
    for name in assignment.notebooks:
        built = build_notebook(assignment, name)
        files[PurePosixPath(f"{name}.ipynb")] = built.student
        files |= {PurePosixPath("tests", check): text for check, text in built.checks.items()}
    for path in sorted((assignment.masters_dir / "src").glob("*.py")):
        authored_text(path)  # its error names the line
        files[PurePosixPath("src", path.name)] = path.read_bytes()
    files |= editions(assignment, files)
    files[README] = readme(assignment, files)
    files[PurePosixPath(MANIFEST)] = manifest(assignment, files)
    return dict(sorted(files.items()))


def editions(assignment: Assignment, files: Mapping[PurePosixPath, bytes]) -> dict[PurePosixPath, bytes]:
    """Return the editions of the notebooks that work alone, by path.

    files: every other file of the release, of which each edition brings along what its notebook needs
    """
    pins = {line.split("==")[0]: line for line in requirements(assignment).decode().splitlines()}
    found = {}
    for name in assignment.notebooks:
        path = PurePosixPath(f"{name}.ipynb")
        needed = brought_along(assignment, name, files)
        version = f"{assignment.name} {assignment.version}"
        if data := colab.edition(name, files[path], needed, pins, version):
            found[colab.FOLDER / path] = data
    return found


def brought_along(
    assignment: Assignment, name: str, files: Mapping[PurePosixPath, bytes]
) -> dict[PurePosixPath, bytes]:
    """Return what the edition of a notebook brings along: data, modules, its own checks, and a manifest of these."""
    checks = {f"{question.id}.py" for question in assignment.in_notebook(name)}
    found = {
        path: data
        for path, data in files.items()
        if (path.parts[0] == "tests" and path.name in checks)
        or path.parts[0] == "src"
        or str(path).removesuffix(LICENCE_OF) in assignment.data.values()
    }
    return found | {PurePosixPath(MANIFEST): manifest(assignment, found)}


def manifest(assignment: Assignment, files: Mapping[PurePosixPath, bytes]) -> bytes:
    """Return the manifest: assignment, all versions up to this one, questions, and the SHA-256 of every file."""
    table = {
        "assignment": assignment.name,
        "title": assignment.title,
        "version": assignment.version,
        "versions": versions.names(assignment),
        "max_points": assignment.max_points,
        "questions": {one.id: _entry(one) for one in assignment.tested},
        "files": {str(path): hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())},
    }
    if written := {one.id: _entry(one) for one in assignment.questions if one.written}:
        table["written_questions"] = written  # apart, as they have no checks
    return (json.dumps(table, indent=1) + "\n").encode()


def _entry(one: Question) -> dict[str, object]:
    entry: dict[str, object] = {"notebook": one.notebook, "points": one.points}
    return entry | {"bonus": True} if one.bonus else entry


def _data_file(assignment: Assignment, data: str) -> bytes:
    path = assignment.home / data
    if not path.is_file():
        raise MasterError(f"no data file {path}", assignment.toml, "correct the path under [data]")
    return path.read_bytes()


def requirements(assignment: Assignment) -> bytes:
    """Return the pinned versions of the packages that students need, taken from the constraints file.

    Raises MasterError for a package without a pin.
    """
    constraints = assignment.home / "constraints.txt"
    lines = [line.strip() for line in constraints.read_text(encoding="utf-8").splitlines()]
    pins = {line.split("==")[0]: line for line in lines if "==" in line}
    if missing := [package for package in assignment.packages if package not in pins]:
        what = f"no pin for the package {missing[0]!r} in {constraints.name}"
        raise MasterError(what, assignment.toml, "pin it there, or correct `packages`")
    return "".join(pin + "\n" for package, pin in pins.items() if package in assignment.packages).encode()


def build_notebook(assignment: Assignment, name: str) -> BuiltNotebook:
    """Run a master through Otter Assign and add cell ids and metadata."""
    master = assignment.masters_dir / f"{name}.py"
    with tempfile.TemporaryDirectory() as folder:
        out = _otter_assign(master, Path(folder), assignment)
        student = json.loads((out / "student" / f"{name}.ipynb").read_bytes())
        solution = json.loads((out / "autograder" / f"{name}.ipynb").read_bytes())
        checks = {path.name: path.read_bytes() for path in sorted((out / "student" / "tests").glob("*.py"))}
    questions = {one.id for one in assignment.in_notebook(name)}
    return BuiltNotebook(
        student=settle(student, name, questions), solution=settle(solution, name, questions), checks=checks
    )


def _otter_assign(master: Path, folder: Path, assignment: Assignment) -> Path:
    """Run `otter assign`, and check the files it wrote because its exit code is unreliable; return their folder."""
    import jupytext  # takes half a second, and only a release needs it
    import nbformat

    notebook = folder / f"{master.stem}.ipynb"
    table = jupytext.read(master, fmt=PERCENT)
    table.cells = for_otter(table.cells, assignment)
    nbformat.write(table, notebook)
    out = folder / "out"
    command = [sys.executable, "-m", "otter", "assign", "--no-run-tests", str(notebook), str(out)]
    environment = os.environ | {"TMPDIR": str(folder)}  # otter leaves temporary folders behind
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not (out / "student" / notebook.name).is_file():
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise MasterError(f"otter assign failed: {last}", master, "correct the raw cells around the question it names")
    return out


def for_otter(cells: Sequence[Any], assignment: Assignment) -> list[Any]:
    """Return the cells of a master as Otter is to read them.

    A written question becomes text with an answer cell in place of its model answer, as Otter would put the prompt and
    the answer into comments of its own; of other questions only the options go that Otter does not know.
    """
    kept: list[Any] = []
    written, inside = "", False
    for cell in cells:
        raw = cell.source.strip() if cell.cell_type == "raw" else ""
        if raw.startswith("# BEGIN QUESTION"):
            options = dict(HEADER.findall(raw))
            written = options.get("name", "") if options.get("manual") == "true" else ""
            cell.source = NOT_OTTERS.sub("", cell.source)
        if not written:
            kept.append(cell)
        elif raw.startswith("# BEGIN SOLUTION"):
            inside = True
            kept.append(_answer_cell(cell, assignment.question(written)))
        elif raw.startswith("# END SOLUTION"):
            inside = False
        elif raw.startswith("# END QUESTION"):
            written = ""
        elif not inside and cell.cell_type != "raw":
            kept.append(cell)
    return kept


def _answer_cell(cell: Any, one: Question) -> Any:
    """Return this cell as the answer cell of a written question."""
    cell.cell_type = "markdown"
    cell.source = answer_cell(one.id, points_in_words(one))
    return cell


def points_in_words(one: Question) -> str:
    """Return the points of a question as its heading and banner state them: `2 bonus points`."""
    return number_of(one.points, "bonus point" if one.bonus else "point")


def settle(notebook: Mapping[str, Any], name: str, questions: Collection[str]) -> bytes:
    """Return the notebook with stable ids, question and role of each cell, without outputs or traces of the machine.

    questions: the ids of its questions; a heading that begins with one of them opens the question's cells
    """
    cells: list[dict[str, Any]] = []
    taken: dict[str, int] = {}
    section, question, answered = name, "", False
    for cell in notebook["cells"]:
        source = without_claims("".join(cell["source"])).strip("\n")
        if not source.strip():
            continue
        if cell["cell_type"] == "markdown" and (heading := HEADING.search(source)):
            section, answered = heading[1], False
            found = QUESTION.match(section)
            question = found[1] if found and found[1] in questions else ""
        role = _role(cell, source, prompt=bool(question) and not answered)
        if cell["cell_type"] == "markdown" and is_marked(source.split("\n"), questions):
            role = Role.ANSWER
        answered |= role == Role.ANSWER
        base = f"{question or _slug(section)}-{role}"
        taken[base] = taken.get(base, 0) + 1
        homework = {"role": role} | ({"question": question} if question else {})
        settled: dict[str, Any] = {
            "cell_type": cell["cell_type"],
            "id": base if taken[base] == 1 else f"{base}-{taken[base]}",
            "metadata": {"homework": homework},
            "source": source.splitlines(keepends=True),
        }
        if cell["cell_type"] == "code":
            settled |= {"execution_count": None, "outputs": []}
        cells.append(settled)
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    table = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode()


def _role(cell: Mapping[str, Any], source: str, *, prompt: bool) -> Role:
    tags = cell["metadata"].get("tags", ())
    if cell["cell_type"] != "code":
        return Role.PROMPT if prompt else Role.TEXT
    if "otter_answer_cell" in tags:
        return Role.ANSWER
    if "demo" in tags:
        return Role.DEMO
    return Role.CHECK if CHECK.search(source) else Role.GIVEN


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48].strip("-")


def reference_text(assignment: Assignment) -> str:
    """Return the text of the file from which grading reads the reference answers."""
    return to_json(assignment, master.reference_answers(assignment))


def write_release(assignment: Assignment) -> list[Path]:
    """Replace `assignments/<name>/` by a fresh build and write the reference answers; return the paths written.

    Raises UsageError if the folder cannot be written.
    """
    files = release_files(assignment)
    folder = assignment.release_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stale = {path for path in folder.rglob("*") if path.is_file()} - {folder / path for path in files}
        for path in stale:
            path.unlink()
        for relative, data in files.items():
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            (folder / relative).write_bytes(data)
        reference_file(assignment).write_text(reference_text(assignment), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the release cannot be written ({error.strerror})", folder, "check its permissions"
        ) from error
    return [folder / path for path in files]
