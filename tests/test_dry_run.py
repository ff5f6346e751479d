"""`grade --dry-run`: who handed in what and what is odd; and what a batch makes of groups and of who is absent."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.cli import main
from autograder.errors import UsageError
from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.notebooks import read_files
from autograder.submissions.roster import read_roster
from tests import HOME, corpus
from tests.downloads import packed, write, zipped

WANTED = Wanted(notebooks=corpus.assignment().notebooks)


def solved(mark: str, *questions: str, notebook: str = "batchnorm") -> bytes:
    """A notebook with these answers; `mark` makes its bytes differ from everyone else's."""
    answers = {question: corpus.reference()[question] for question in questions}
    return json.dumps(corpus.submission(answers)[notebook] | {"mark": mark}).encode()


@pytest.fixture
def download(tmp_path: Path) -> Path:
    old = json.dumps(corpus.submission({})["batchnorm"]).replace("TODO", "TO-DO")
    files = {
        "example_LATE_1_10_batchnorm.ipynb": solved("a", "B1"),
        "example_LATE_1_9_batchnorm.ipynb": solved("b", "B1"),
        "two_2_11_batchnorm.ipynb": solved("c", "B2"),
        "three_3_12_batchnorm.ipynb": solved("c", "B2"),
        "four_4_13_batchnorm.ipynb": b"<!doctype html><title>Log in</title>",
        "five_5_14_batchnorm.ipynb": b"",
        "six_6_15_other.ipynb": json.dumps({"cells": [{"cell_type": "code", "source": "x"}]}).encode(),
        "seven_7_16_batchnorm.ipynb": old.encode(),
        "eight_8_text.html": b"<p>sorry",
        "grades.csv": b"",
    }
    return zipped(tmp_path / "hw.zip", files)


def test_every_line(download: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.csv").write_text("id,name,lms id\n" + "".join(f"s{n},Name {n},{n}\n" for n in (1, 2, 3, 4, 5, 9)))
    out = tmp_path / "out"
    command = ["grade", str(download), "--out", str(out), "--dry-run", "--roster", str(tmp_path / "r.csv")]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert not out.exists()
    lines = shown.split("\n")
    assert lines[0] == "canvas: 8 submissions of 8 people; 1 handed in nothing"
    assert "s1  Name 1: batchnorm.ipynb [10]  LATE" in lines
    assert (
        "    not counted: batchnorm.ipynb [9] (older than batchnorm.ipynb [10], which has all that it attempts)"
        in lines
    )
    assert "s2  Name 2: batchnorm.ipynb" in lines
    assert "s4  Name 4: NOTHING that can be graded" in lines
    assert "    not counted: batchnorm.ipynb (the file is empty; save the notebook and hand it in again)" in lines
    assert "handed in nothing (1):\n  s9 Name 9" in shown
    assert "left out (1):\n  hw.zip/grades.csv: its name is not one that Canvas gives" in shown
    unmatched = shown[shown.index("not on the roster (3)") :]
    assert "six_6: no student on the roster has this id or name; add the LMS id 6 to the roster" in unmatched
    odd = shown[shown.index("odd (") :]
    for part in (
        "s4: batchnorm.ipynb: the file is a login page (HTML)",
        "s5: batchnorm.ipynb: the file is empty",
        "six_6: other.ipynb: a notebook of another assignment",
        "eight_8: no notebook was handed in, only text.html",
        "the same file, byte for byte: s2 (batchnorm.ipynb), s3 (batchnorm.ipynb)",
    ):
        assert part in odd


def test_a_release_handed_in_untouched_by_two_is_not_odd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    released = (corpus.assignment().release_dir / "batchnorm.ipynb").read_bytes()
    write(tmp_path / "s", {"ada/batchnorm.ipynb": released, "bob/batchnorm.ipynb": released})
    assert main(["grade", str(tmp_path / "s"), "--out", str(tmp_path / "o"), "--dry-run"]) == 0
    assert "odd" not in capsys.readouterr().out


def test_it_does_without_torch(tmp_path: Path, download: Path) -> None:
    code = (
        "import sys; from autograder.cli import main; "
        f"main(['grade', {str(download)!r}, '--out', {str(tmp_path / 'o')!r}, '--dry-run']); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=HOME, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--roster", "{tmp}/none.csv"], "the roster cannot be read"),
        (["--roster", "{tmp}/bad.csv"], "no column with ids or e-mail addresses"),
        (["--roster", "{tmp}/twice.csv"], "two students have the id a"),
    ],
)
def test_a_wrong_roster_is_one_line(
    tmp_path: Path, download: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "bad.csv").write_text("colour,shape\nred,round\n")
    (tmp_path / "twice.csv").write_text("id,name\na,Ann\na,Bob\n")
    options = [part.replace("{tmp}", str(tmp_path)) for part in arguments]
    assert main(["grade", str(download), "--out", str(tmp_path / "o"), "--dry-run", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("pattern", ["(", "(?P<name>x)"])
def test_a_wrong_pattern_is_refused(download: Path, pattern: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["grade", str(download), "--out", "o", "--dry-run", "--pattern", pattern])


CHANGES = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=20)


@given(CHANGES, st.sampled_from(["batchnorm.ipynb", "hw.zip"]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_changes_never_raise_and_never_change_a_neighbour(
    tmp_path: Path, changes: list[tuple[int, int]], name: str
) -> None:
    notebook = (corpus.assignment().release_dir / "batchnorm.ipynb").read_bytes()
    data = bytearray(packed({"batchnorm.ipynb": notebook}) if name == "hw.zip" else notebook)
    for place, value in changes:
        data[place % len(data)] = value
    folder = write(tmp_path / "s", {"ada/batchnorm.ipynb": notebook, "cem/batchnorm.ipynb": notebook})
    for old in (folder / "bob").glob("*"):
        old.unlink()
    write(folder, {f"bob/{name}": bytes(data)})
    ada, bob, cem = [one.load() for one in take_in([folder], WANTED).hand_ins]
    assert ada.sha256 == cem.sha256
    for neighbour in (ada, cem):
        read = read_files(neighbour, corpus.assignment())
        assert (list(read.notebooks), read.flags) == (["batchnorm"], [])
    read = read_files(bob, corpus.assignment())
    assert read.notebooks or read.flags


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_roster_or_a_reason(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "r.csv").write_bytes(data)
    with contextlib.suppress(UsageError):
        assert read_roster(tmp_path / "r.csv")
