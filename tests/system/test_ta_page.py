"""The TA's page: its commands are run as written, on a Canvas download of the smallest course."""

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from autograder.cli import main
from tests import HOME, tiny
from tests.downloads import zipped

PAGE = (HOME / "docs" / "ta.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
GRADEBOOK = """\
Student,ID,SIS User ID,SIS Login ID,Section,Halves (11),Final Score
    Points Possible,,,,,5.00,(read only)
"Example, Ada",71001,s001,ada@example.edu,S1,,
"Example, Ada",71002,s002,ada2@example.edu,S1,,
"O'Brien, Seán",71003,s003,sean@example.edu,S1,EX,
"शर्मा, प्रिया",71004,s004,priya@example.edu,S1,,
"Test, Absent",71005,s005,absent@example.edu,S1,,
"""
ANSWERS = {"Q1": "return x / 2", "Q2": "return sum(halve(value) for value in values) / len(values)"}


def notebook(released: Path, *questions: str) -> bytes:
    table = json.loads(released.read_text(encoding="utf-8"))
    for cell in table["cells"]:
        for question in questions:
            todo = f'raise NotImplementedError("{question}")'
            cell["source"] = "".join(cell["source"]).replace(todo, ANSWERS[question])
    return json.dumps(table).encode()


def commands(block: str) -> list[list[str]]:
    return [shlex.split(line)[2:] for line in block.splitlines() if line.startswith("$ autograder ")]


@pytest.fixture
def course(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The course, in which a TA has put Canvas's files."""
    home = shutil.copytree(finished, tmp_path / "course")
    (released,) = (home / "assignments" / tiny.NAME).glob("*.ipynb")
    zipped(
        home / "hw6 submissions.zip",
        {
            "exampleada_71001_9998_tiny.ipynb": notebook(released),
            "exampleada_71001_10002_tiny-1.ipynb": notebook(released, "Q1", "Q2"),
            "exampleada_LATE_71002_9999_tiny.ipynb": notebook(released, "Q1"),
            "obriensen_71003_10000_tiny.ipynb": notebook(released, "Q1"),
            "शर्माप्रिया_71004_10001_tiny.ipynb": b"<!doctype html><title>Log in</title>",
        },
    )
    (home / "gradebook.csv").write_text(GRADEBOOK, encoding="utf-8")
    monkeypatch.chdir(home)
    monkeypatch.setenv("PYTHONPATH", str(HOME))
    return home


def test_three_commands_from_the_download_to_the_upload(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    look, grade, export = commands(BLOCKS[0])
    assert main(look) == 0
    assert "canvas: 4 submissions of 4 people; 1 handed in nothing" in capsys.readouterr().out
    assert not (course / "results").exists()
    assert main(grade) == 0
    shown = capsys.readouterr().out
    assert "unreadable (1):\n  s004: " in shown
    assert "handed in nothing (1): s005" in shown
    assert main(export) == 0
    assert capsys.readouterr().out.startswith("2 filled, 1 unreadable left empty, 1 handed in nothing, 1 excused\n")
    expected = GRADEBOOK.replace("ada@example.edu,S1,", "ada@example.edu,S1,5.00")
    expected = expected.replace("ada2@example.edu,S1,", "ada2@example.edu,S1,2.00")
    assert (course / "upload.csv").read_text(encoding="utf-8") == expected
    feedback, _ = commands(BLOCKS[1])
    assert main(feedback) == 0
    assert (course / "results" / "feedback-canvas.zip").is_file()
    decide, undo = commands(BLOCKS[2])
    for command, points in ((decide, "1.5"), (undo, "2.0")):
        assert main(command) == 0
        with (course / "results" / "grades.csv").open(newline="", encoding="utf-8") as file:
            assert next(csv.DictReader(file))["Q1"] == points


def test_every_kind_of_flag_is_on_the_page() -> None:
    """Flags that overrides make of themselves, and statuses that are flags too, explain themselves."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (HOME / "autograder").rglob("*.py"))
    kinds = set(re.findall(r'Flag\(\s*kind="(\w+)"', source)) | set(re.findall(r'_flag\("(\w+)"', source))
    plain = {"not_submitted", "unreadable", "remark"} | {kind for kind in kinds if kind.startswith("override")}
    assert [kind for kind in sorted(kinds - plain) if f"`{kind}`" not in PAGE] == []
