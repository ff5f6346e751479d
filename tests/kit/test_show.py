"""`autograder show`: within a moment why points were lost, and for staff what came back."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from autograder.cli import main
from tests.kit.test_rescore import ANSWERS, TESTS, autograder, edit, write_submission


@pytest.fixture(scope="module")
def graded(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of some students."""
    folder = tmp_path_factory.mktemp("shown")
    students: Mapping[str, Mapping[str, str]] = {
        "ada": ANSWERS["down"],
        "bob": {"Q1": "return {}[x]"},
        "zoe": ANSWERS["other helper"] | {"Q1": "return x"},
    }
    for student, changed in students.items():
        write_submission(finished, folder / "batch" / student, changed)
    shutil.copytree(finished / "assignments" / "tiny", folder / "batch" / "eve")
    autograder(finished, "grade", folder / "batch", "--out", folder / "out")
    return folder / "out"


def test_why_points_were_lost(finished: Path, graded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    autograder(finished, "show", "ad", "--out", graded)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ada: 4 of 5"
    assert "Q1: 1 of 2" in lines
    assert any(re.search(r"^ +\d+ +return x // 2$", line) for line in lines)
    assert any("your result matches the half rounded down" in line for line in lines)
    assert any("hint: Which of the two divisions rounds?" in line for line in lines)
    assert lines[-1] == "full marks: Q2"
    assert len(lines) <= 60


def test_show_loads_no_torch(finished: Path, graded: Path) -> None:
    code = "import sys; from autograder.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "show", "ada", "--out", str(graded), "--course", str(finished)]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_what_came_back_stands_next_to_what_was_expected(
    finished: Path, graded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    autograder(finished, "show", "ada", "Q1", "--returned", "--out", graded)
    out = capsys.readouterr().out
    assert out.endswith(
        "    expected: your result matches the half rounded down\n"
        "    call: halve\n      given x = 7\n      returned returned = 3\n"
    )
    autograder(finished, "show", "bob", "Q1", "--returned", "--out", graded)
    assert "      returned nothing: error KeyError: 6.0" in capsys.readouterr().out


def test_what_was_never_recorded_is_one_line(
    finished: Path, graded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished, home)
    edit(home, TESTS, "x=7.0", "x=9.0")
    autograder(home, "show", "ada", "Q1", "--returned", "--out", graded, expect=2)
    assert "never recorded with the tests as they are now; rescore first" in capsys.readouterr().err


@pytest.mark.parametrize("student", ["ada", "bob", "zoe"])
def test_a_script_reproduces_the_failing_call(finished: Path, graded: Path, tmp_path: Path, student: str) -> None:
    path = tmp_path / "call.py"
    question = {"zoe": "Q2"}.get(student, "Q1")
    autograder(finished, "show", student, question, "--script", path, "--out", graded)
    done = subprocess.run([sys.executable, "-P", str(path)], capture_output=True, text=True, check=False, env={})
    expected = {"ada": "returned = 3.0", "bob": "KeyError: 6.0", "zoe": "returned = 3.0\nvalues = [1.0, 2.0, 6.0]"}
    assert expected[student] in done.stdout + done.stderr


def test_a_question_is_run_again(finished: Path, graded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    autograder(finished, "show", "ada", "Q1", "--run", "--out", graded)
    shown, again = capsys.readouterr().out.split("\nrun again:\n")
    assert "\n".join(again.splitlines()) in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ada", "--returned"], "no question"),
        (["eve", "Q1", "--run"], "there is no code of this question"),
        (["ada", "Q2", "--script", "x.py"], "no call failed"),
        (["ada", "Q9"], "no such question"),
        (["nobody"], "no such student"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    finished: Path, graded: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", *arguments, "--out", str(graded), "--course", str(finished)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
