"""Gradescope: the zip, unpacked as Gradescope does it, grades good, bad and hostile submissions and always answers."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment_file import VISIBILITIES, load_assignment
from autograder.authoring.archives import archive, gradescope_files
from autograder.errors import MasterError
from autograder.grading.hidden_tests import HiddenTest
from autograder.hosts import gradescope as container
from autograder.hosts import gradescope_results
from autograder.results import Audience, Flag, QuestionScore, Status, TestScore
from autograder.submissions.intake import from_folder
from tests import corpus

HOME = corpus.assignment().home

TOP = {"score", "execution_time", "output", "visibility", "stdout_visibility", "extra_data", "tests", "leaderboard"}
ENTRY: dict[str, Callable[[Any], bool]] = {
    "score": lambda value: isinstance(value, int | float) and value >= 0,
    "max_score": lambda value: isinstance(value, int | float) and value >= 0,
    "status": lambda value: value in ("passed", "failed"),
    "name": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, str),
    "output": lambda value: isinstance(value, str),
    "output_format": lambda value: value == "text",
    "visibility": lambda value: value in VISIBILITIES,
}


def check_schema(table: Any) -> None:
    """What Gradescope asks of results.json, and that everything in ours is plain text."""
    assert isinstance(table, dict)
    assert set(table) <= TOP
    assert "score" in table or table.get("tests")
    assert isinstance(table.get("score", 0), int | float)
    assert isinstance(table.get("output", ""), str)
    assert table["stdout_visibility"] == "hidden"
    for entry in table.get("tests", []):
        assert set(entry) == set(ENTRY)
        assert [key for key, holds in ENTRY.items() if not holds(entry[key])] == []
        assert entry["score"] <= entry["max_score"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as /autograder, with our own environment in the place of the one that setup.sh makes."""
    root = tmp_path_factory.mktemp("gradescope") / "autograder"
    (root / "results").mkdir(parents=True)
    target = root.parent / "kit.zip"
    target.write_bytes(archive(gradescope_files(corpus.assignment())))
    with zipfile.ZipFile(target) as opened:
        opened.extractall(root / "source")
    shutil.copy(root / "source" / "run_autograder", root)
    (root / "venv").symlink_to(sys.prefix)
    metadata = {"id": 7, "assignment": {"total_points": "90.0"}, "users": [{"email": "a@b.c"}]}
    (root / "submission_metadata.json").write_text(json.dumps(metadata))
    for folder in (root, *root.parents[: len(root.parents) - 2]):
        folder.chmod(0o755)  # pytest's own folders are closed to the user that student code runs as
    return root


def run(root: Path) -> tuple[dict[str, Any], str]:
    """What run_autograder leaves, checked against the schema, and what it printed."""
    (root / "results" / "results.json").unlink(missing_ok=True)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "NAMES")}
    done = subprocess.run(
        ["bash", str(root / "run_autograder")],
        env=environment | {"AUTOGRADER_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    text = (root / "results" / "results.json").read_text()
    assert str(root) not in text
    assert str(HOME) not in text
    assert "Traceback" not in text
    table = json.loads(text)
    check_schema(table)
    return table, done.stdout + done.stderr


def hand_in(root: Path, answers: dict[str, str]) -> None:
    """Put a submission of both notebooks in the place of the last one: bodies of regions, or the word `reference`."""
    shutil.rmtree(root / "submission", ignore_errors=True)
    cells = {
        key: corpus.reference()[key] if body == "reference" else corpus.answer_cell(key, body)
        for key, body in answers.items()
    }
    corpus.write(root / "submission", corpus.submission(cells))


def of_question(table: dict[str, Any], question: str) -> list[dict[str, Any]]:
    return [entry for entry in table["tests"] if entry["number"].startswith(f"{question}.")]


def change_settings(root: Path, old: str, new: str) -> None:
    path = root / "source/kit/solutions/lecture06/assignment.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


SNOOP = """
found = []
for place in ({kit!r}, "/autograder/source/kit"):
    for name in ("solutions/lecture06/batchnorm.py", "solutions/lecture06/hidden_tests/test_batchnorm_formula.py"):
        try:
            found.append(open(place + "/" + name).read())
        except OSError:
            pass
    try:
        open({results!r}, "w").write("full marks")
    except OSError:
        pass
raise ValueError("<b>read</b> " + str(sum(map(len, found))) + " characters of " + {kit!r})
"""
FLOOD = """
print("x" * 300_000_000)
raise ValueError("y" * 1_000_000)
"""


def test_a_submission_with_everything_in_it(image: Path) -> None:
    results = image / "results" / "results.json"
    snoop = SNOOP.format(kit=str(image / "source" / "kit"), results=str(results))
    answers = {
        "B1": "reference",
        "B2": snoop,
        "B3": "import os\nos._exit(0)",
        "B5": FLOOD,
        "B8": "while True:\n    pass",
    }
    hand_in(image, answers | {"B10": "return nothing_there"})
    change_settings(image, "cpu_s = 10", "cpu_s = 3")
    try:
        table, printed = run(image)
    finally:
        change_settings(image, "cpu_s = 3", "cpu_s = 10")
    assert table["score"] == sum(entry["score"] for entry in table["tests"]) == 3
    assert {entry["status"] for entry in of_question(table, "B1")} == {"passed"}
    expected = {
        "B2": r"your code raised an error: ValueError: <b>read</b> 0 characters of ….*\nhint: ",
        "B3": r"your code ended its process: the process exited \(exit code 0\).*\nhint: ",
        "B4": r"not attempted: the region is unchanged from the release",
        "B5": r"your code raised an error: ValueError: y{100,600}",
        "B8": r"your code did not finish in time: ",
        "B10": r"your code raised an error: NameError: .*nothing_there",
    }
    for question, pattern in expected.items():
        for entry in of_question(table, question):
            assert re.match(pattern, entry["output"]), entry
            assert entry["score"] == 0
    numbers = [entry["number"] for entry in table["tests"]]
    assert numbers[:2] == ["B1.1", "B1.2"]
    assert len(set(numbers)) == len(numbers)
    assert sum(entry["max_score"] for entry in table["tests"]) == 100
    assert {entry["visibility"] for entry in table["tests"]} == {"after_published"}
    assert "still as released: B4, B6" in table["output"]
    assert "Gradescope has 90 points for this assignment; set them to 100" in printed
    hidden = (HOME / "solutions/lecture06/hidden_tests/test_batchnorm_formula.py").read_text()
    assert not [line for line in hidden.splitlines() if "assert" in line and line.strip() in json.dumps(table)]


def test_what_cannot_be_graded(image: Path) -> None:
    shutil.rmtree(image / "submission", ignore_errors=True)
    (image / "submission").mkdir()
    (image / "submission/homework.ipynb").write_text("<script>alert(1)</script>")
    (image / "submission/secret.ipynb").symlink_to(image / "source/kit/assignments/lecture06/batchnorm.ipynb")
    table, _ = run(image)
    assert table["score"] == 0
    assert "homework.ipynb: the file is not JSON" in table["output"]
    assert "Please submit batchnorm.ipynb and residual_stream.ipynb." in table["output"]


def test_when_the_time_is_up_what_is_graded_counts(image: Path) -> None:
    sleep = "import time\ntime.sleep(1000)"
    hand_in(image, {"B1": "reference"} | dict.fromkeys(("B2", "B3", "B5", "B8", "B10"), sleep))
    change_settings(image, "minutes = 9", "minutes = 0.2")
    try:
        table, _ = run(image)
    finally:
        change_settings(image, "minutes = 0.2", "minutes = 9")
    assert table["score"] in (0, 3)  # 0 where the machine is so slow that it did not come to B1
    for entry in [table, *of_question(table, "B10"), *of_question(table, "R1")]:
        assert "your submission took longer than 0.2 minutes" in entry["output"]


def damage(image: Path) -> None:
    (image / "source/kit/solutions/lecture06/hidden_tests/test_zz.py").write_text("secret =")


def take_python_away(image: Path) -> None:
    (image / "venv").rename(image / "venv-away")


@pytest.mark.parametrize("harm", [damage, take_python_away])
def test_a_fault_of_ours_is_not_the_students(image: Path, harm: Callable[[Path], None]) -> None:
    hand_in(image, {"B1": "reference"})
    harm(image)
    try:
        table, printed = run(image)
    finally:
        (image / "source/kit/solutions/lecture06/hidden_tests/test_zz.py").unlink(missing_ok=True)
        if (image / "venv-away").exists():
            (image / "venv-away").rename(image / "venv")
    assert table == {"score": 0, "output": gradescope_results.FAULT, "stdout_visibility": "hidden"}
    assert printed  # the instructor sees why


def test_results_are_valid_after_each_question(tmp_path: Path) -> None:
    assignment = corpus.assignment()
    tests = {
        one.id: (HiddenTest(name="one_thing", question=one.id, points=one.points, hint="Look.", cases=()),)
        for one in assignment.questions
    }
    path = tmp_path / "results.json"
    report = container.Report(path=path, assignment=assignment, tests=tests)
    total = 0.0
    for one in assignment.questions:
        test = TestScore(
            name="one_thing", status=Status.PASSED, points=one.points, max_points=one.points, message="", hint=""
        )
        score = QuestionScore(
            computed=one.points, max_points=one.points, status=Status.PASSED, dependencies="own", tests=(test,)
        )
        report.scored(one.id, score)
        total += one.points
        table = json.loads(path.read_text())
        check_schema(table)
        assert table["score"] == total
        assert sum(entry["output"] == container.STOPPED for entry in table["tests"]) == len(tests) - len(report.scores)


def test_remarks_for_instructors_are_not_shown(tmp_path: Path) -> None:
    report = container.Report(path=tmp_path / "r.json", assignment=corpus.assignment(), unconfined=("Landlock",))
    shown = Flag(kind="region_by_banner", question="B3", text="the START line is missing")
    hidden = Flag(kind="hidden_test_raised", text="hidden test test_x raised KeyError: y", audience=Audience.STAFF)
    report.write(remarks=[shown, hidden])
    lines = json.loads((tmp_path / "r.json").read_text())["output"].split("\n")
    assert lines[1:] == ["graded without confinement: no Landlock", "B3: the START line is missing"]


@pytest.mark.parametrize("text", [None, "", "[]", '{"assignment": null}', '{"assignment": {"total_points": "many"}}'])
def test_metadata_may_be_missing_or_strange(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "submission_metadata.json").write_text(text)
    assert container.points_in_gradescope(tmp_path) is None


def test_an_empty_submission(tmp_path: Path) -> None:
    (tmp_path / "submission").mkdir()
    submission = from_folder(tmp_path / "submission").load()
    text = container.unreadable(submission, corpus.assignment(), None)  # type: ignore[arg-type]
    assert text.startswith("Your submission contains no notebook. Please submit batchnorm.ipynb")


def test_settings_are_checked(tmp_path: Path) -> None:
    folder = tmp_path / "solutions/lecture06"
    folder.mkdir(parents=True)
    text = (corpus.assignment().masters_dir / "assignment.toml").read_text()
    (folder / "assignment.toml").write_text(text.replace('"after_published"\nminutes', '"never"\nminutes'))
    with pytest.raises(MasterError, match="unknown visibility 'never'; use one of hidden, after_due_date"):
        load_assignment(home=tmp_path)


def test_setup_installs_the_cpu_build_first(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path, data in gradescope_files(corpus.assignment()).items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    calls = tmp_path / "calls"
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = f'#!/bin/sh\necho "$(basename "$0") $*" >> {calls}\n'
    python = f'{fake}[ "$1" = -c ] && exec {sys.executable} "$@"\n'
    python += '[ "$2" = venv ] && mkdir -p "$3/bin" && cp "$0" "$3/bin/python"\nexit 0\n'
    for name, text in {"apt-get": fake, "python3": python, "python3.11": python}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "AUTOGRADER_ROOT": str(tmp_path)}
    subprocess.run(["bash", str(source / "setup.sh")], env=environment, check=True, capture_output=True)
    pip = [line for line in calls.read_text().splitlines() if "-m pip install" in line]
    assert re.search(r"--index-url https://download\.pytorch\.org/whl/cpu torch==[\d.]+$", pip[0])
    assert pip[1].endswith("-r requirements.txt")
    pins = (source / "requirements.txt").read_text().split()
    names = {pin.split("==")[0] for pin in pins}
    assert {"torch", "numpy", "pytest", "pyseccomp", "rich", "tqdm"} <= names
    assert not {"jupyter", "otter-grader"} & names
    for folder in ("solutions",):
        assert stat.S_IMODE((source / "kit" / folder).stat().st_mode) & 0o077 == 0
