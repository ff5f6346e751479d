"""The fingerprint: whatever decides a result is in it, and each part changes for its own reasons only."""

import ast
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.assignment_file import load_assignment
from autograder.grading import fingerprint
from autograder.grading.fingerprint import JUDGING, PACKAGE, READING, RUNNING
from autograder.grading.missing_names import definitions
from autograder.notebook import Cell, NotebookFile
from tests.kit.test_rescore import PROBES, TESTS, edit

GATHERING = {"autograder.grading.batch", "autograder.grading.workers"}


def imported(module: str) -> set[str]:
    """The kit's own modules that a module imports, anywhere in it."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {node.module} | {name for name in inner if PACKAGE.parent.joinpath(*name.split(".")).exists()}
            found |= {n for n in inner if PACKAGE.parent.joinpath(*n.split(".")).with_suffix(".py").is_file()}
    return {name for name in found if name.startswith("autograder.")}


def test_every_module_that_grading_imports_counts() -> None:
    found: set[str] = set()
    waiting = {"autograder.grading.grader", "autograder.sandbox.server", "autograder.testing"}
    while waiting:
        current = waiting.pop()
        found.add(current)
        waiting |= imported(current) - found
    counted = {name.removesuffix(".py") for name in (*JUDGING, *READING, *RUNNING)}
    assert {name for name in found if name.split(".")[1] not in counted} == set()


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "home", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "home"


def write(file: str) -> Callable[[Path], None]:
    def change(home: Path) -> None:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_text("x = 1\n")

    return change


HELPER = "solutions/tiny/hidden_tests/helper.py"


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (write("assignments/tiny/src/table.csv"), {"release"}),
        (lambda home: edit(home, TESTS, "x=7.0", "x=9.0"), {"tests Q1", "tests Q2"}),
        (write("solutions/tiny/hidden_tests/limits.csv"), {"tests Q1", "tests Q2"}),
        (lambda home: edit(home, PROBES, "list(values)", "[*values]"), {"probes"}),
        (lambda home: edit(home, "solutions/tiny/assignment.toml", "cpu_s = 5", "cpu_s = 6"), {"settings"}),
        (write(HELPER), set()),
    ],
)
def test_what_changes_with_what(home: Path, change: Callable[[Path], None], parts: set[str]) -> None:
    before = fingerprint.parts(load_assignment("tiny", home))
    change(home)
    after = fingerprint.parts(load_assignment("tiny", home))
    assert {name for name in after if before[name] != after[name]} == parts


def test_a_module_counts_for_the_tests_that_import_it(home: Path) -> None:
    write(HELPER)(home)
    edit(home, TESTS, "import pytest\n", "import pytest\nfrom .helper import x\n")
    before = fingerprint.parts(load_assignment("tiny", home))
    edit(home, HELPER, "x = 1", "x = 2")
    after = fingerprint.parts(load_assignment("tiny", home))
    assert {name for name in after if before[name] != after[name]} == {"tests Q1", "tests Q2"}


def test_limits_and_sandbox_decide_replies_and_points_do_not(home: Path) -> None:
    def setting(*missing: str) -> str:
        assignment = load_assignment("tiny", home)
        return fingerprint.setting(assignment, fingerprint.parts(assignment, missing))

    before = setting()
    edit(home, TESTS, "points=2", "points=3")
    edit(home, "solutions/tiny/assignment.toml", "points = 3", "points = 4")
    assert setting() == before
    assert setting("landlock") != before
    edit(home, "solutions/tiny/assignment.toml", "memory_mib = 512", "memory_mib = 600")
    assert setting() != before


def test_the_last_definition_of_each_name() -> None:
    sources = ["def f(): pass\nx, y = 1, 2\nz: int = 3", "import a.b as c, d\nfrom e import f  # g", "h == 1\nx[0] = 1"]
    cells = tuple(Cell(id="", kind="code", source=source) for source in sources)
    found = definitions([NotebookFile(name="hw.ipynb", cells=cells)])
    assert {name: int(place.split()[1]) for name, place in found.items()} == (
        {"f": 2, "x": 1, "z": 1, "a": 2, "b": 2, "as": 2, "c": 2, "d": 2}
    )
