"""What the processes that student code is forked from hold in memory: nothing of hidden tests and reference answers."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.assignment_file import load_assignment
from autograder.grading.workers import workers
from autograder.results import Student
from autograder.sandbox.loading import Loader
from autograder.submissions.submission import of_files
from tests import tiny

TEST, ANSWER = (f"{word}-{os.urandom(8).hex()}" for word in ("hint", "answer"))
"""Texts of this run alone, in a hidden test and in a reference answer."""
TODO = 'raise NotImplementedError(\\"Q1\\")'
PIECE = 16 << 20


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A course with the two texts."""
    home = shutil.copytree(finished, tmp_path / "home")
    masters = home / "solutions" / tiny.NAME
    for path in (masters / "hidden_tests").glob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("Which of the two divisions rounds?", TEST), encoding="utf-8")
    table = json.loads((masters / "reference.json").read_text(encoding="utf-8"))
    table["answers"]["Q1"] += f"  # {ANSWER}"
    (masters / "reference.json").write_text(json.dumps(table), encoding="utf-8")
    return home


def holds(pid: int, text: str) -> bool:
    """Whether the memory of a process holds a text."""
    wanted = text.encode()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if "w" not in rights:
                continue
            begin, end = (int(part, 16) for part in place.split("-"))
            for start in range(begin, end, PIECE):
                memory.seek(start)
                try:
                    if wanted in memory.read(min(PIECE + len(wanted), end - start)):
                        return True
                except OSError:
                    continue  # reserved, never used
    return False


def family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the memory of a fork server")
def test_no_fork_server_holds_a_hidden_test_or_a_reference_answer(home: Path, tmp_path: Path) -> None:
    """Nor does the loader after graders were forked from it, nor the fork server that replaces one that was killed."""
    assignment = load_assignment(tiny.NAME, home)
    (release,) = assignment.release_dir.glob("*.ipynb")
    answered = tmp_path / release.name
    answered.write_text(release.read_text(encoding="utf-8").replace(TODO, "return x / 2"), encoding="utf-8")
    submission = of_files(Student(id="ada"), [answered])
    with Loader(assignment) as loader, workers(assignment, 1, unsafe=True, loaded=loader) as (executor, grade):
        grader, trusted = executor.submit(os.getpid).result(), executor.submit(os.getppid).result()
        first = set(family(trusted)) - {grader, trusted}
        assert all(holds(grader, text) for text in (TEST, ANSWER))
        assert first
        assert [pid for pid in {trusted, *first} for text in (TEST, ANSWER) if holds(pid, text)] == []

        for pid in first:
            os.kill(pid, signal.SIGKILL)
        graded = executor.submit(grade, submission, ("Q1",)).result()
        assert graded.result.total == graded.result.max_points
        second = set(family(trusted)) - {grader, trusted} - first
        assert second
        assert [pid for pid in {trusted, *second} for text in (TEST, ANSWER) if holds(pid, text)] == []
