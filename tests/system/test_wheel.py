"""A course of one's own: the built wheel in another environment, in an empty folder, without torch."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests import HOME, tiny

NO_TORCH = 'raise ImportError("torch is not installed here")\n'


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(HOME)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel and this one's libraries, but no torch."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    (libraries,) = folder.glob("lib/python*/site-packages")
    install = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-deps"]
    subprocess.run([*install, "--no-index", str(wheel)], check=True, capture_output=True)
    (libraries / "torch.py").write_text(NO_TORCH)
    (libraries / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin"


def run(programs: Path, course: Path, *arguments: str, code: int = 0) -> str:
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "NAMES")}
    command = [str(programs / "autograder"), *arguments]
    done = subprocess.run(command, cwd=course, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{arguments}: {done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_wheel_holds_no_content_of_a_course(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if "lecture06" in name or name.startswith(("tests/", "solutions/", "data/"))]
    assert "autograder/py.typed" in names
    assert "autograder/authoring/skeleton/assignment.toml" in names
    assert "autograder/hosts/container/setup.sh" in names
    assert "autograder/authoring/templates/README.md" in names


def test_from_nothing_to_grades(programs: Path, tmp_path: Path) -> None:
    run(programs, tmp_path, "init", "mycourse")
    course = tmp_path / "mycourse"
    run(programs, course, "new", tiny.NAME)
    tiny.fill_in_all(course)
    inner = course / "solutions"
    run(programs, inner, "release")
    run(programs, inner, "verify")
    run(programs, course, "sample", "batch")
    run(programs, course, "grade", "batch", "--out", "out", "--jobs", "1")
    table = json.loads((course / "out" / "results" / "s01-reference.json").read_text())
    assert (table["status"], table["total"], table["max_points"]) == ("graded", 5, 5)
    assert json.loads((course / "out" / "results" / "s02-untouched.json").read_text())["total"] == 0


def test_outside_of_a_course_is_one_line(programs: Path, tmp_path: Path) -> None:
    said = run(programs, tmp_path, "verify", code=2)
    assert said.startswith("autograder: ")
    assert "no solutions/*/assignment.toml" in said
    assert len(said.splitlines()) == 1
