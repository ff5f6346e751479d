"""A data file of 100 MB: built, and read by graded code in place; nobody holds or copies it more often than needed."""

import shutil
import tracemalloc
from pathlib import Path

import pytest

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authoring import corpus
from autograder.authoring.build import write_release
from autograder.grading import fingerprint
from autograder.grading.grader import open_grader
from autograder.release.reference import reference_cells
from autograder.release.released import load_released
from autograder.submissions.intake import Wanted, take_in

SIZE = 100 << 20
DATA = "data/numbers.bin"


@pytest.fixture(scope="module")
def assignment(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    home = tmp_path_factory.mktemp("large") / "home"
    shutil.copytree(finished, home, ignore=shutil.ignore_patterns("__pycache__"))
    (home / DATA).parent.mkdir(exist_ok=True)
    with (home / DATA).open("wb") as file:
        file.truncate(SIZE)
    settings = home / "solutions" / "tiny" / "assignment.toml"
    settings.write_text(settings.read_text() + f'\n[data]\nnumbers = "{DATA}"\n')
    found = load_assignment("tiny", home)
    write_release(found)
    return found


def test_the_release_has_it_once(assignment: Assignment) -> None:
    large = [path for path in assignment.release_dir.rglob("*") if path.is_file() and path.stat().st_size > SIZE / 100]
    assert large == [assignment.release_dir / DATA]
    assert large[0].stat().st_size == SIZE


def test_what_decides_a_result_is_told_without_holding_it(assignment: Assignment) -> None:
    tracemalloc.start()
    try:
        before = fingerprint.parts(assignment)
        assert tracemalloc.get_traced_memory()[1] < SIZE / 4
    finally:
        tracemalloc.stop()
    with (assignment.home / DATA).open("r+b") as file:
        file.seek(SIZE - 1)
        file.write(b"x")
    assert fingerprint.parts(assignment)["data"] != before["data"]


def test_graded_code_reads_it_in_place(assignment: Assignment, tmp_path: Path) -> None:
    """Below the memory limit, with nothing of it copied for a submission."""
    released = load_released(assignment)
    reference, tables = reference_cells(assignment, released), corpus.released_tables(assignment)
    inode = (assignment.release_dir / DATA).stat().st_ino
    for number in range(2):
        body = (
            f"import os\nassert os.stat('{DATA}').st_ino == {inode}\n"
            f"with open('{DATA}', 'rb') as file:\n    content = file.read()\nreturn x / 2 + len(content) - {SIZE}"
        )
        answer = corpus.Answer(question="Q1", right=True, name="reads", expect="", body=f"# {number}\n{body}")
        corpus.write(tmp_path / f"s{number}", corpus.submission(tables, released, {**reference, "Q1": answer}))
    with open_grader(assignment) as grader:
        for hand_in in take_in([tmp_path], Wanted(notebooks=assignment.notebooks)).hand_ins:
            assert grader.grade(hand_in.load(), assignment.questions).total == 5.0
