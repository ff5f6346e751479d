"""From `autograder new` to grades."""

import json
import re
import shutil
from pathlib import Path

import pytest

from autograder import cli
from autograder.authoring.verify import RULES
from tests import tiny


def test_from_new_to_grades(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After `new`, the release check lists what is missing; filled in, it passes and is graded like any other."""
    home = tmp_path / "home"
    tiny.write_unfinished(home)
    monkeypatch.chdir(home)
    assert cli.main(["verify"]) == 1
    printed = " ".join(re.sub(r"[│\s]+", " ", capsys.readouterr().out).split())
    assert "no release yet; run `autograder release`" in printed
    for what in tiny.FILLED:
        assert what.split()[0] in printed

    tiny.fill_in_all(home)
    shutil.copytree(finished / "assignments", home / "assignments")
    shutil.copy(finished / "solutions/tiny/reference.json", home / "solutions/tiny")
    assert cli.main(["verify", "--assignment", "tiny", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert f"release check; {len(RULES)} of {len(RULES)} checks passed" in printed
    assert "skipped, as there are 26 answers to grade" in printed
    assert cli.main(["verify", "--assignment", "tiny", "--mutants", "Q1,Q9"]) == 2
    assert "--mutants: tiny has no question Q9; give ids of its questions" in capsys.readouterr().err

    batch = tmp_path / "batch"
    for student in ("ada", "bob"):
        shutil.copytree(home / "assignments/tiny", batch / student)
    notebook = (batch / "ada/tiny.ipynb").read_text(encoding="utf-8")
    (batch / "ada/tiny.ipynb").write_text(notebook.replace('raise NotImplementedError(\\"Q1\\")', "return x // 2"))
    assert cli.main(["grade", str(batch), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 0
    ada, bob = (json.loads((tmp_path / f"out/results/{name}.json").read_text()) for name in ("ada", "bob"))
    assert (ada["total"], bob["total"], ada["max_points"]) == (1, 0, 5)
    (failed,) = [test for test in ada["questions"]["Q1"]["tests"] if test["status"] == "failed"]
    assert failed["message"] == "your result matches the half rounded down"
    assert failed["hint"] == "Which of the two divisions rounds?"


def test_the_filled_in_lines_are_those_of_the_skeleton(tmp_path: Path) -> None:
    tiny.write_unfinished(tmp_path)
    texts = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    asked = {found.strip() for text in texts for found in tiny.FILL_IN.findall(text)}
    assert asked == set(tiny.FILLED)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Homework", "autograder: My Homework: not a valid assignment name; use lower-case letters"),
        ("lecture06", "the assignment already exists; choose another name, or delete it"),
    ],
)
def test_new_refuses(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["new", name]) == 2
    assert message in capsys.readouterr().err
