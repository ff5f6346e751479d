"""A finished assignment to break, and what one rule says of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autograder.assignment_file import load_assignment
from autograder.authoring.archives import version_on_disk
from autograder.authoring.build import reference_text
from autograder.authoring.verify.rule import judge
from autograder.release import versions
from autograder.release.reference import reference_file

MASTER = "solutions/tiny/tiny.py"
TOML = "solutions/tiny/assignment.toml"
TESTS = "solutions/tiny/hidden_tests/test_questions.py"
NOTEBOOK = "assignments/tiny/tiny.ipynb"
ANSWERS = "solutions/tiny/corpus/Q1.txt"
EDITION = "assignments/tiny/colab/tiny.ipynb"
README = "assignments/tiny/README.md"


def edit(home: Path, file: str, old: str, new: str) -> None:
    path = home / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def write_reference(home: Path) -> None:
    """Write the reference answers down again after a change of the master that is not released."""
    assignment = load_assignment("tiny", home)
    reference_file(assignment).write_text(reference_text(assignment), encoding="utf-8")


def edit_cell(home: Path, cell_id: str, change: Callable[[str], str]) -> None:
    """Change the source of a released cell."""
    path = home / NOTEBOOK
    table = json.loads(path.read_text(encoding="utf-8"))
    (cell,) = [cell for cell in table["cells"] if cell["id"] == cell_id]
    cell["source"] = change("".join(cell["source"])).splitlines(keepends=True)
    path.write_text(json.dumps(table, indent=1), encoding="utf-8")


def reasons(rules: tuple[Any, ...], evidence: Any) -> dict[str, tuple[str, ...]]:
    return {one.rule: one.reasons for one in judge(rules, evidence, lambda outcome: None)}


def write(file: str, data: bytes) -> Callable[[Path], None]:
    def change(home: Path) -> None:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_bytes(data)

    return change


def in_cell(cell_id: str, old: str, new: str) -> Callable[[Path], None]:
    def change(home: Path) -> None:
        def replaced(source: str) -> str:
            assert old in source
            return source.replace(old, new)

        edit_cell(home, cell_id, replaced)

    return change


def record(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Keep the record of the released version, with a change in it."""

    def damage(home: Path) -> None:
        assignment = load_assignment("tiny", home)
        path = versions.keep(assignment, version_on_disk(assignment))
        table = json.loads(path.read_text(encoding="utf-8"))
        change(table)
        path.write_text(json.dumps(table), encoding="utf-8")

    return damage
