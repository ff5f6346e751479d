"""docs/results.md says what the files hold: its tables are compared with what is written."""

import re
from pathlib import Path

from autograder.gradebook import changes, views
from autograder.results import Status, to_json
from tests import HOME
from tests.kit.gradebook.entries import FULL

PAGE = (HOME / "docs" / "results.md").read_text(encoding="utf-8")


def table(after: str) -> list[str]:
    """The first column of the first table after this text."""
    rows = PAGE[PAGE.index(after) :].split("\n\n| ")[1].split("\n\n")[0].splitlines()[2:]
    return [re.findall(r"`([^`]+)`", row)[0] for row in rows]


def test_the_keys_of_a_result() -> None:
    written = to_json(FULL)
    assert table("## results/") == [*written, "grader"]
    assert table("A question:") == list(written["questions"]["Q1"])
    documented = PAGE[PAGE.index("## results/") :]
    for inner in (written["files"][0], written["flags"][0], written["lms"], written["questions"]["Q1"]["tests"][0]):
        assert all(f"`{key}`" in documented for key in inner)


def test_every_status_and_kind_of_flag() -> None:
    assert table("`tests` | each hidden test") == [status.value for status in Status]
    sources = [path.read_text(encoding="utf-8") for path in Path(HOME, "autograder").rglob("*.py")]
    kinds = {kind for text in sources for kind in re.findall(r'Flag\(\s*kind="(\w+)"', text)}
    kinds |= {kind for text in sources for kind in re.findall(r'^ADDED_CODE_FAILED = "(\w+)"', text, re.MULTILINE)}
    assert table("## Kinds of flags") == sorted(kinds)


def test_the_columns() -> None:
    assert f"`{','.join(views.FIRST)}`" in PAGE
    assert f"`{','.join(views.LATE)}`" in PAGE
    assert all(f"`{name}`" in PAGE for name in views.LAST)
    assert f"`{','.join(changes.COLUMNS)}`" in PAGE
