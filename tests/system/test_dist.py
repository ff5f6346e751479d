"""What an instructor uploads: the same bytes on any day and in any folder, nothing missing, and the changes told."""

import dataclasses
import hashlib
import io
import json
import os
import shutil
import stat
import time
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path, PurePosixPath

import pytest

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authoring import run_notebook
from autograder.authoring.archives import (
    archive,
    gradescope_files,
    kit_files,
    otter_files,
    student_files,
    version_on_disk,
    write_products,
)
from autograder.authoring.build import write_release
from autograder.authoring.changes import changes
from autograder.cli import main
from autograder.errors import MasterError, UsageError
from autograder.notebook import Cell
from autograder.release import versions
from autograder.release.versions import Version
from tests import corpus

VERSION = "2031.2"


@pytest.fixture(scope="module")
def small(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    """The smallest assignment with a version and its record, a data file and a module."""
    home = tmp_path_factory.mktemp("small") / "home"
    shutil.copytree(finished, home)
    toml = home / "solutions/tiny/assignment.toml"
    toml.write_text(toml.read_text() + '\n[data]\nnames = "data/names.txt"\n')
    for name, text in {"data/names.txt": "ada\n", "solutions/tiny/src/help.py": "HELP = 1\n"}.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)
    assignment = versions.choose(load_assignment(home=home), VERSION, date(2031, 2, 3))
    write_release(assignment)
    versions.keep(assignment, version_on_disk(assignment))
    return assignment


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture(scope="module")
def products(small: Assignment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "dist"
    write_products(small, out)
    return out


def test_everything_is_there(products: Path) -> None:
    stem = f"tiny-{VERSION}"
    assert sorted(path.name for path in products.iterdir()) == sorted(
        [
            f"{stem}-student.zip",
            f"{stem}-solutions.zip",
            f"{stem}-gradescope.zip",
            f"{stem}-otter.zip",
            "tiny-2031.2-CHANGES.md",
            "tiny-2031.2-SHA256SUMS",
        ]
    )
    for line in (products / "tiny-2031.2-SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((products / name).read_bytes()).hexdigest() == digest


def test_another_day_and_another_folder_give_the_same_bytes(
    small: Assignment, products: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "elsewhere"
    shutil.copytree(small.home, home)
    later = time.time() + 400 * 24 * 3600 + 12345
    for path in home.rglob("*"):
        os.utime(path, (later, later))
        path.chmod(0o700)
    monkeypatch.setattr(time, "time", lambda: later)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        write_products(load_assignment(home=home), tmp_path / "dist")
    finally:
        monkeypatch.undo()
        time.tzset()
    first = {path.name: path.read_bytes() for path in products.iterdir()}
    second = {path.name: path.read_bytes() for path in (tmp_path / "dist").iterdir()}
    assert [name for name in first if first[name] != second[name]] == []


def test_the_student_archive_is_the_release(products: Path, small: Assignment) -> None:
    found = members(products / "tiny-2031.2-student.zip")
    names = [
        "MANIFEST.json",
        "README.md",
        "colab/tiny.ipynb",
        "data/names.txt",
        "requirements.txt",
        "src/help.py",
        "tests/Q1.py",
        "tests/Q2.py",
        "tiny.ipynb",
    ]
    folder = f"tiny-{VERSION}/"
    assert sorted(found) == [f"{folder}{name}" for name in names]
    assert all(data == (small.release_dir / name.removeprefix(folder)).read_bytes() for name, data in found.items())
    assert f"Version {VERSION} of 3 February 2031" in found[f"{folder}README.md"].decode()


def test_solutions_are_executed_and_shown(products: Path) -> None:
    found = members(products / "tiny-2031.2-solutions.zip")
    text = found["tiny/tiny.ipynb"].decode()
    page = found["tiny/tiny.html"].decode()
    for part in ("half_of_the_number = x / 2", "Q1 results: All test cases passed!"):
        assert part in text
    assert "half_of_the_number" in page
    cells = json.loads(text)["cells"]
    assert [cell["id"] for cell in cells if cell["id"].startswith("Q1-answer")] == ["Q1-answer"]
    assert not any("execution" in cell["metadata"] or "tags" in cell["metadata"] for cell in cells)
    assert "tiny/src/help.py" in found
    assert "tiny/tests/Q1.py" in found
    assert "tiny/colab/tiny.ipynb" not in found


def test_archives_have_the_day_of_the_version_and_permissions(products: Path) -> None:
    for path in products.glob("*.zip"):
        with zipfile.ZipFile(path) as opened:
            entries = opened.infolist()
        assert {entry.date_time for entry in entries} == {(2031, 2, 3, 12, 0, 0)}
        assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
        programs = {entry.filename for entry in entries if stat.S_IMODE(entry.external_attr >> 16) == 0o755}
        assert programs == ({"run_autograder", "setup.sh"} if "gradescope" in path.name else set())


def test_only_what_grading_needs_is_in_the_kit(small: Assignment) -> None:
    names = {str(path) for path in kit_files(small)}
    assert {
        "kit/autograder/grading/batch.py",
        "kit/autograder/sandbox/server.py",
        "kit/autograder/testing.py",
        "kit/solutions/tiny/hidden_tests/test_questions.py",
        "kit/assignments/tiny/tiny.ipynb",
        "kit/solutions/tiny/tiny.py",
        "kit/solutions/tiny/versions/2031.2.json",
        "kit/data/names.txt",
    } <= names
    assert not [name for name in names if "lecture06" in name or "__pycache__" in name or "/tests/corpus" in name]
    for files in (gradescope_files(small), otter_files(small)):
        assert names < {str(path) for path in files}


def test_the_container_gets_what_the_kit_imports_also_where_students_need_it_not(small: Assignment) -> None:
    pins = gradescope_files(small)[PurePosixPath("requirements.txt")].decode().split()
    assert {pin.split("==")[0] for pin in pins} == {"numpy", "pyseccomp", "pytest", "rich", "torch"}


def test_a_release_that_is_not_as_its_manifest_says_is_not_packed(small: Assignment, tmp_path: Path) -> None:
    shutil.copytree(small.home, tmp_path / "home")
    assignment = load_assignment(home=tmp_path / "home")
    path = assignment.release_dir / "src/help.py"
    path.write_text("HELP = 2\n")
    with pytest.raises(MasterError, match=r"src/help.py: the file differs from its manifest; run `autograder release`"):
        student_files(assignment)
    path.unlink()
    with pytest.raises(MasterError, match=r"no usable release .*; run `autograder release`"):
        student_files(assignment)


def test_a_solution_that_fails_is_one_line(tmp_path: Path) -> None:
    cells = [corpus.added_cell("a = 1") | {"id": "first"}, corpus.added_cell("a / 0") | {"id": "second"}]
    table = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    with pytest.raises(MasterError, match="solution of n: it does not run: cell second raised Zero") as error:
        run_notebook.execute("n", table, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\rb\n", "b\n"),
        ("a\r\nb\n", "a\r\nb\n"),
        ("x\nMLP:  5%|▌  | 5/100 [00:00<00:01, 9it/s]\rMLP: 100%|██| 100/100 [00:01<00:00, 9.1it/s, train=2]\ny", None),
        ("100%|██████████| 3/3 [00:00<00:00, 96.98it/s]", "3/3 []"),
        ("100%|██████████| 3/3 [01:02:03<00:00, 1.5s/it, loss=1, n=2]", "3/3 [loss=1, n=2]"),
        ("<f at 0x7f3c2a1b>", "<f at 0x…>"),
        ("<p>Q1</pre></strong> passed! 🌈</p>", "<p>Q1</pre></strong> passed!</p>"),
        ("0x1f", "0x1f"),
        ("50% of [3, 4]", "50% of [3, 4]"),
    ],
)
def test_what_differs_on_every_run_is_taken_out(text: str, expected: str | None) -> None:
    assert run_notebook.repeatable(text) == (expected or "x\nMLP: 100/100 [train=2]\ny")


def test_a_wrong_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", "--version", "next"]) == 2
    assert (
        capsys.readouterr().err
        == "autograder: --version: 'next' is not a valid version; use numbers separated by dots, such as 2026.1\n"
    )


def test_a_folder_that_cannot_be_written(small: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograder.authoring.archives.products", lambda assignment: {"a": b""})
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written .*; choose another folder with --out"):
        write_products(small, tmp_path / "file" / "dist")


def test_an_archive_depends_on_nothing_but_its_files() -> None:
    files = {PurePosixPath("b/c"): b"1", PurePosixPath("a"): b"#!/bin/sh\n"}
    assert archive(files) == archive(dict(reversed(files.items())))
    assert zipfile.ZipFile(io.BytesIO(archive(files))).namelist() == ["a", "b/c"]


# What changed


def cell(question: str, role: str, source: str) -> Cell:
    return Cell(id=f"{question}-{role}", kind="code", source=source, question=question, role=role)


OLD = Version(
    name="1",
    points={"Q1": 2.0, "Q2": 3.0},
    defines={"Q1": ("half",), "Q2": ("third",)},
    notebooks={
        "n": (
            cell("", "text", "Welcome"),
            cell("", "given", "import math"),
            cell("Q1", "prompt", "Halve a number.\nIt is easy."),
            cell("Q1", "answer", "def half(x):\n    ..."),
            cell("Q2", "prompt", "A third"),
            cell("Q2", "answer", "def third(x):\n    ..."),
        )
    },
    files={"tests/Q1.py": "a", "tests/Q2.py": "a", "data/names.txt": "a", "src/utils.py": "a"},
)


def edit(number: int, source: str) -> Callable[[Version], Version]:
    def apply(version: Version) -> Version:
        cells = list(version.notebooks["n"])
        cells[number] = dataclasses.replace(cells[number], source=source)
        return dataclasses.replace(version, notebooks={"n": tuple(cells)})

    return apply


def renumber(version: Version) -> Version:
    swap = {"Q1": "Q2", "Q2": "Q1", "": ""}
    cells = tuple(dataclasses.replace(cell, question=swap[cell.question]) for cell in version.notebooks["n"])
    return dataclasses.replace(
        version,
        defines={swap[key]: value for key, value in version.defines.items()},
        points={swap[key]: value for key, value in version.points.items()},
        notebooks={"n": cells},
    )


def drop(version: Version) -> Version:
    cells = tuple(cell for cell in version.notebooks["n"] if cell.question != "Q2")
    files = {path: digest for path, digest in version.files.items() if "Q2" not in path}
    return dataclasses.replace(
        version, points={"Q1": 2.0}, defines={"Q1": ("half",)}, notebooks={"n": cells}, files=files
    )


@pytest.mark.parametrize(
    ("change", "told", "sections"),
    [
        (lambda v: v, "Nothing changed since version 1.", []),
        (
            edit(2, "Halve a real number.\nIt is easy."),
            "- prompt:\n\n~~~~~~diff\n-Halve a number.\n+Halve a real number.\n It is easy.\n~~~~~~",
            ["Q1"],
        ),
        (edit(3, "def half(x):\n    pass"), "- stub:\n\n~~~~~~diff\n def half(x):\n-    ...\n+    pass\n", ["Q1"]),
        (
            edit(1, "import cmath"),
            "- given code:\n\n~~~~~~diff\n-import math\n+import cmath\n",
            ["n.ipynb, outside the questions"],
        ),
        (lambda v: dataclasses.replace(v, points={"Q1": 2.5, "Q2": 3.0}), "- points: 2, now 2.5", ["Q1"]),
        (
            lambda v: dataclasses.replace(v, files=v.files | {"tests/Q2.py": "b"}),
            '- `grader.check("Q2")` checks',
            ["Q2"],
        ),
        (
            lambda v: dataclasses.replace(
                v, files={"data/names.txt": "b", "new.txt": "c", **{f"tests/Q{n}.py": "a" for n in (1, 2)}}
            ),
            "- `data/names.txt`: changed: use the new one\n- `new.txt`: new\n- `src/utils.py`: removed",
            ["Other files"],
        ),
        (renumber, "- it was Q2", ["Q2", "Q1"]),
        (drop, "- this question was removed", ["Q2 of 1"]),
    ],
    ids=["nothing", "prompt", "stub", "given code", "points", "check", "files", "renumbered", "gone"],
)
def test_changes_are_told(change: Callable[[Version], Version], told: str, sections: list[str]) -> None:
    page = changes(corpus.assignment(), OLD, dataclasses.replace(change(OLD), name="2"))
    assert told in page
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == sections


def test_a_new_question_and_a_first_version_are_told() -> None:
    assert "- new question, 3 points" in changes(corpus.assignment(), drop(OLD), dataclasses.replace(OLD, name="2"))
    assert "The first version: 2 questions, 5 points." in changes(corpus.assignment(), None, OLD)
