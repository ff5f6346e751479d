"""What becomes of a run whose output nobody reads any more, as in `autograder grade … | head`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import HOME
from tests.kit.test_rescore import autograder, write_submission


@pytest.mark.parametrize("both", [False, True], ids=["standard output", "both"])
def test_exit_code_0_says_that_everyone_was_graded(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], both: bool
) -> None:
    for student in ("ada", "bob", "zoe"):
        write_submission(finished, tmp_path / "batch" / student, {})
    out = tmp_path / "out"
    words = ["grade", str(tmp_path / "batch"), "--out", str(out), "--course", str(finished), "--jobs", "1"]
    reading, writing = os.pipe()
    os.close(reading)
    stopped = subprocess.run(
        [sys.executable, "-m", "autograder", *words],
        cwd=HOME,
        check=False,
        stdout=writing,
        stderr=writing if both else subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    os.close(writing)
    assert stopped.returncode == (130 if both else 0)
    if not both:
        assert stopped.stderr.count(": 5 of 5") == 3
    capsys.readouterr()
    autograder(finished, "grade", tmp_path / "batch", "--out", out)
    kept = "[12]" if both else "3"
    assert re.search(f"{kept} of 3 students have results from an earlier run", capsys.readouterr().err)
    assert len((out / "grades.csv").read_text().splitlines()) == 4
