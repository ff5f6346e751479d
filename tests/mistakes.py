"""A mistake of an author, and what must come of it: one line with file, line, what is wrong and how to mend it."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from autograder.assignment_file import load_assignment
from autograder.authoring.claims import read_claims
from autograder.authoring.corpus import read_corpus
from autograder.authoring.master import read_masters
from autograder.errors import MasterError
from autograder.grading.hidden_tests import collect


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """old, new: the first `old` in the file becomes `new`; at: what stands in the line that the error names.

    encoding: in which the changed file is written
    """

    id: str
    file: str
    old: str
    new: str
    at: str
    what: str
    encoding: str = "utf-8"


def read_everything(home: Path) -> None:
    """What release, gate and grader read of an assignment, in the order in which they do."""
    assignment = load_assignment("tiny", home)
    read_masters(assignment)
    collect(assignment)
    for name in assignment.notebooks:
        read_claims(assignment.masters_dir / f"{name}.py")
    read_corpus(assignment)


def assert_one_line(authored: Path, folder: Path, mistake: Mistake) -> None:
    """Make the mistake in a copy of the authored files; reading them must name its line."""
    home = folder / "home"
    shutil.copytree(authored, home, ignore=shutil.ignore_patterns("__pycache__"))
    path = home / mistake.file
    text = path.read_text(encoding="utf-8")
    assert mistake.old in text
    changed = text.replace(mistake.old, mistake.new, 1)
    path.write_bytes(changed.encode(mistake.encoding, "replace"))
    with pytest.raises(MasterError) as caught:
        read_everything(home)
    line = changed[: changed.index(mistake.at)].count("\n") + 1
    message = str(caught.value)
    assert re.fullmatch(r"(.+?): (.+); (.+)", message), message
    assert message.startswith(f"{path}:{line}: ")
    assert mistake.what in message
