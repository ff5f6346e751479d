"""Runs that end early, with real processes: asked to by a signal, or killed; and what the next run makes of them."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests import HOME, quick_grading, tiny

WALL_S = 3000
"""What a sleeping answer may take; a run that waited for it would be far beyond every limit here."""
PATIENCE_S = 120
"""When a test gives up on a process, whatever else the machine does."""
TODO = 'raise NotImplementedError("Q1")'
RIGHT, SLEEPS = "return x / 2", "import time\n    time.sleep(10_000)"


@pytest.fixture(scope="module")
def course(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest course, whose answers may take their time."""
    home = shutil.copytree(finished, tmp_path_factory.mktemp("course") / "home")
    toml = home / "solutions" / tiny.NAME / "assignment.toml"
    toml.write_text(re.sub(r"(?m)^wall_s = .*", f"wall_s = {WALL_S}", toml.read_text(encoding="utf-8")))
    return home


def hand_in(course: Path, folder: Path, answers: Mapping[str, str]) -> Path:
    """Write a folder for each student, with this answer to the first question."""
    (released,) = (course / "assignments" / tiny.NAME).glob("*.ipynb")
    for student, answer in answers.items():
        table = json.loads(released.read_text(encoding="utf-8"))
        for cell in table["cells"]:
            cell["source"] = "".join(cell["source"]).replace(TODO, answer)
        table["metadata"]["student"] = student
        (folder / student).mkdir(parents=True, exist_ok=True)
        (folder / student / released.name).write_text(json.dumps(table), encoding="utf-8")
    return folder


def command(course: Path, submissions: Path, out: Path, jobs: int) -> list[str]:
    words = [sys.executable, "-m", "autograder", "grade", str(submissions), "--course", str(course)]
    return [*words, "--out", str(out), "--jobs", str(jobs)]


@contextmanager
def started(words: list[str], scratch: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a run; `scratch` is its TMPDIR. Whatever the test makes of it, nothing of it stays."""
    scratch.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(HOME)}
    with subprocess.Popen(
        words, cwd=HOME, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        family: set[tuple[int, str]] = set()
        try:
            yield run
        finally:
            family = descendants(run.pid)
            if run.poll() is None:
                run.kill()
            for pid, _ in alive(family):
                os.kill(pid, signal.SIGKILL)


def processes() -> dict[int, tuple[int, str, str]]:
    """Every process: its parent, its state, and when it began, which tells it from a later one with its id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry.name)] = (int(fields[1]), fields[0], fields[19])
    return found


def descendants(pid: int) -> set[tuple[int, str]]:
    everyone = processes()
    found, waiting = set(), [pid]
    while waiting:
        current = waiting.pop()
        children = [child for child, (parent, _, _) in everyone.items() if parent == current]
        found |= {(child, everyone[child][2]) for child in children}
        waiting += children
    return found


def alive(family: set[tuple[int, str]]) -> set[tuple[int, str]]:
    everyone = processes()
    return {(pid, began) for pid, began in family if pid in everyone and everyone[pid][1:] == (everyone[pid][1], began)}


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def grades(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_a_run_that_would_never_end(
    course: Path, tmp_path: Path, number: signal.Signals, jobs: int
) -> None:
    answers = {"a1": RIGHT, "a2": "return x", "b": SLEEPS, "c": SLEEPS, "d": SLEEPS}
    submissions = hand_in(course, tmp_path / "s", answers)
    with started(command(course, submissions, tmp_path / "out", jobs), tmp_path / "scratch") as run:
        assert run.stderr is not None
        first = [run.stderr.readline() for _ in range(2)]
        assert sorted(line.split()[1] for line in first) == ["a1:", "a2:"]
        family = descendants(run.pid)
        assert family
        run.send_signal(number)
        run.send_signal(number)  # an impatient TA
        said = run.communicate(timeout=PATIENCE_S)[1]
        assert run.returncode == 130
        assert said.splitlines()[-1] == "2 of 5 graded; run the same command to go on"
        assert "Traceback" not in said
        wait_for(lambda: not alive(family), "processes are left")
    assert {key: row["total"] for key, row in grades(tmp_path / "out").items()} == {"a1": "2.0", "a2": "0.0"}
    assert sorted(path.stem for path in (tmp_path / "out" / "results").iterdir()) == ["a1", "a2"]
    assert [path for path in (tmp_path / "scratch").iterdir() if path.name.startswith("grading-")] == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_nothing_is_left_of_a_killed_run(course: Path, tmp_path: Path, jobs: int) -> None:
    submissions = hand_in(course, tmp_path / "s", {"a": RIGHT, "b": SLEEPS, "c": SLEEPS})
    with started(command(course, submissions, tmp_path / "out", jobs), tmp_path / "scratch") as run:
        assert run.stderr is not None
        assert run.stderr.readline().split()[1] == "a:"
        family = descendants(run.pid)
        assert len(family) > jobs
        run.kill()
        run.wait(PATIENCE_S)
        wait_for(lambda: not alive(family), "processes are left")


def views(out: Path) -> dict[str, bytes]:
    files = [out / "grades.csv", *(out / "results").iterdir()]
    return {path.name: path.read_bytes() for path in files if path.is_file()}


def test_kills_at_random_moments_leave_no_trace(tmp_path: Path) -> None:
    """Twenty runs are killed while they grade or write; the next one goes on, and all views are as if nothing was."""
    for number in range(120):
        (tmp_path / "s" / f"s{number:03}").mkdir(parents=True)
        (tmp_path / "s" / f"s{number:03}" / "batchnorm.ipynb").write_text(f'{{"cells": [], "n": {number}}}')
    words = [sys.executable, "-m", "tests.quick_grading", str(tmp_path / "s")]
    subprocess.run([*words, str(tmp_path / "calm")], cwd=HOME, check=True, capture_output=True)
    random = Random(6)
    killed = 0
    for _ in range(20):
        with subprocess.Popen([*words, str(tmp_path / "out")], cwd=HOME, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "ready\n"
            time.sleep(random.uniform(0, 0.3))
            run.kill()
            killed += run.wait(PATIENCE_S) == -signal.SIGKILL
    assert killed >= 1
    subprocess.run([*words, str(tmp_path / "out")], cwd=HOME, check=True, capture_output=True)
    assert views(tmp_path / "out") == views(tmp_path / "calm")
    assert len(views(tmp_path / "out")) == 121


def test_half_a_file_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    make = tmp_path / "s" / "ada"
    make.mkdir(parents=True)
    (make / "batchnorm.ipynb").write_text('{"cells": []}')
    (tmp_path / "out" / "results").mkdir(parents=True)
    for folder in (tmp_path / "out", tmp_path / "out" / "results"):
        (folder / ".unfinished-grades.csv-x1").write_text("half")
    quick_grading.main(tmp_path / "s", tmp_path / "out")
    assert list(views(tmp_path / "out")) == ["grades.csv", "ada.json"]
    assert not list((tmp_path / "out").rglob(".unfinished*"))
