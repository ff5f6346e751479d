"""What docs/authoring.md shows is what the kit reads: rules, keys, and a question that passes as it stands."""

import re
import tomllib
from pathlib import Path

from autograder.assignment_file import load_assignment
from autograder.authoring.corpus import read_answers
from autograder.authoring.master import read_masters
from autograder.authoring.verify import RULES
from tests import HOME

PAGE = (HOME / "docs/authoring.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def block(kind: str) -> str:
    """The first block of code of this kind."""
    return str(next(text for name, text in BLOCKS if name == kind))


def test_the_shown_toml_and_master_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "solutions/hw"
    folder.mkdir(parents=True)
    (folder / "assignment.toml").write_text(block("toml"), encoding="utf-8")
    (folder / "attention.py").write_text(block("python"), encoding="utf-8")
    assignment = load_assignment("hw", tmp_path)
    (question,) = read_masters(assignment).values()
    assert question.answer[-1] == "    return e / e.sum(-1, keepdim=True)"
    (tmp_path / "Q1.txt").write_text(block(""), encoding="utf-8")
    assert [answer.right for answer in read_answers(tmp_path / "Q1.txt")] == [True, False]


def test_the_shown_keys_are_all_that_there_are() -> None:
    shown = tomllib.loads(block("toml"))
    used = tomllib.loads((HOME / "solutions/lecture06/assignment.toml").read_text(encoding="utf-8"))
    for table in ("limits", "gate"):
        assert set(used[table]) <= set(shown[table])
    assert set(used) <= set(shown)


def test_every_rule_is_on_the_page() -> None:
    assert [rule.name for rule in RULES if f"| {rule.name} |" not in PAGE] == []
