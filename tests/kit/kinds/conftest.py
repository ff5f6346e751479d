"""A course with every kind of question, and a class that was graded in it."""

import json
import shutil
from pathlib import Path

import pytest

from autograder.cli import main
from tests import kinds
from tests.kit.kinds.classes import HOSTILE, RIGHT, cells_of, hand_in
from tests.tiny import NAME


@pytest.fixture(scope="session")
def kinds_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("kinds")
    kinds.write_kinds(home)
    return home


@pytest.fixture
def home(kinds_home: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(kinds_home, tmp_path / "home", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def graded(kinds_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of a class."""
    old = json.loads((kinds_home / "old" / f"{NAME}.ipynb").read_bytes())["cells"]
    students = {
        "all": cells_of(kinds_home, RIGHT | {"W1": HOSTILE, "W2": "In C."}),
        "bonus": cells_of(kinds_home, {"Q3": "return 2 * x", "Q4": "return x", "W2": "In C."}),
        "none": cells_of(kinds_home, {}),
        "old": old,
    }
    folder = tmp_path_factory.mktemp("class")
    hand_in(folder / "in", students)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(kinds_home)
        assert main(["grade", str(folder / "in"), "--out", str(folder / "out"), "--jobs", "1"]) == 0
    return folder / "out"


@pytest.fixture
def out(graded: Path, tmp_path: Path) -> Path:
    shutil.copytree(graded, tmp_path / "out")
    return tmp_path / "out"
