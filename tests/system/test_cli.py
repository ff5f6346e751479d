"""The command line: the sample batch against its table, exit codes, one line per error, resuming."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from otter.plugins import PluginCollection
from otter.run import AutograderConfig
from otter.test_files import GradingResults

from autograder.authoring import archives
from autograder.authoring.sample import expected_statuses, sample, write_sample
from autograder.cli import main
from autograder.gradebook.store import open_gradebook
from autograder.hosts import otter_plugin
from autograder.results import from_json, to_json
from tests import HOME, corpus

QUESTIONS = [question.id for question in corpus.assignment().questions]


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sample batch and the results of grading it with two workers."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(corpus.assignment(), folder / "batch")
    assert main(["grade", str(folder / "batch"), "--out", str(folder / "out"), "--jobs", "2"]) == 0
    return folder / "batch", folder / "out"


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def result(out: Path, student: str) -> dict[str, Any]:
    return json.loads((out / "results" / f"{student}.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("student", sample(corpus.assignment()))
def test_sample_verdict(graded: tuple[Path, Path], student: str) -> None:
    entry, found = sample(corpus.assignment())[student], result(graded[1], student)
    if "text" in entry:
        assert found["status"] == entry["status"] == "unreadable"
        assert found["flags"]
        return
    assert found["status"] == "graded"
    assert {key: score["status"] for key, score in found["questions"].items()} == expected_statuses(
        corpus.assignment(), entry
    )
    assert found["total"] == sum(score["points"] for score in found["questions"].values())


def test_grades_csv_follows_the_contract(graded: tuple[Path, Path]) -> None:
    table = rows(graded[1])
    assert list(table) == sorted(sample(corpus.assignment()))
    header = [
        "student",
        "submission",
        "status",
        "total",
        "max_points",
        *QUESTIONS,
        "flags",
        "name",
        "late",
        "submitted",
    ]
    assert all(list(row) == header for row in table.values())
    assert float(table["s01-reference"]["total"]) == corpus.assignment().max_points
    assert float(table["s02-untouched"]["total"]) == 0
    assert table["s12-not-a-notebook"]["status"] == "unreadable"


def test_results_follow_the_contract(graded: tuple[Path, Path]) -> None:
    found = result(graded[1], "s03-unbiased-variance")
    assert from_json(found).total == found["total"]
    assert list(to_json(from_json(found))) == [key for key in found if key != "grader"]
    assert list(found["questions"]) == QUESTIONS
    for score in found["questions"].values():
        keys = {"points", "computed", "max_points", "bonus", "status", "dependencies", "override", "answer", "tests"}
        assert set(score) == keys
        assert score["points"] == sum(test["points"] for test in score["tests"])
        assert score["max_points"] == sum(test["max_points"] for test in score["tests"]) or score["status"] == "waiting"
        for test in score["tests"]:
            assert set(test) == {"name", "status", "points", "max_points", "message", "hint"}
            assert bool(test["message"]) == bool(test["status"] != "passed")
    failed = [test for test in found["questions"]["B3"]["tests"] if test["status"] == "failed"]
    assert any("unbiased variance" in test["message"] for test in failed)
    assert all(test["hint"] for test in failed)


def test_what_builds_on_a_wrong_answer_is_graded_with_the_reference(graded: tuple[Path, Path]) -> None:
    questions = result(graded[1], "s08-endless-loop")["questions"]
    assert questions["B3"]["status"] == "timed_out"
    assert questions["B4"]["points"] == questions["B4"]["max_points"]
    assert questions["B4"]["dependencies"] == "reference"


def test_a_second_run_takes_the_results_of_the_first(
    graded: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    submissions, out = graded
    before = {path.name: path.stat().st_mtime_ns for path in (out / "results").iterdir()}
    (out / "results" / "s02-untouched.json").unlink()
    assert main(["grade", str(submissions), "--out", str(out), "--jobs", "1"]) == 0
    after = {path.name: path.stat().st_mtime_ns for path in (out / "results").iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"s02-untouched.json"}
    assert result(out, "s02-untouched")["total"] == 0
    assert "s12-not-a-notebook" in capsys.readouterr().out


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_run_goes_on_where_it_was(graded: tuple[Path, Path], tmp_path: Path, jobs: int) -> None:
    """Killed as by the kernel when memory is short: without a chance to tidy up."""
    students = ["s01-reference", "s03-unbiased-variance", "s08-endless-loop"]
    command = [sys.executable, "-m", "autograder", "grade", *(str(graded[0] / student) for student in students)]
    command += ["--out", str(tmp_path), "--jobs", str(jobs), "--questions", "B3"]
    with subprocess.Popen(command, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        first = run.stderr.readline()
        run.kill()
        run.communicate(timeout=120)  # comes to an end only when no worker is left that holds the other end
    with open_gradebook(tmp_path, writing=False) as gradebook:
        finished = {saved.result.student.id for saved in gradebook.saved()}
    assert first.startswith("1/3 ")
    assert 0 < len(finished) < len(students)
    assert main(command[3:]) == 0
    with open_gradebook(tmp_path, writing=False) as gradebook:
        assert {saved.result.student.id for saved in gradebook.saved() if saved.run == 1} == finished
    assert {key: row["B3"] for key, row in rows(tmp_path).items()} == {
        key: rows(graded[1])[key]["B3"] for key in students
    }
    assert not list((tmp_path / "results").glob(".*"))


def test_grades_are_the_same_with_one_worker(graded: tuple[Path, Path], tmp_path: Path) -> None:
    submissions, out = graded
    students = ["s01-reference", "s03-unbiased-variance", "s11-messy-notebook"]
    paths = [str(submissions / student) for student in students]
    assert main(["grade", *paths, "--out", str(tmp_path), "--jobs", "1"]) == 0
    assert rows(tmp_path) == {student: rows(out)[student] for student in students}


def test_only_some_questions(graded: tuple[Path, Path], tmp_path: Path) -> None:
    path = graded[0] / "s03-unbiased-variance" / "batchnorm.ipynb"
    assert main(["grade", str(path), "--out", str(tmp_path), "--questions", "B6, B3"]) == 0
    (row,) = rows(tmp_path).values()
    assert [key for key in row if key in QUESTIONS] == ["B3", "B6"]
    assert float(row["max_points"]) == 11
    assert float(row["B6"]) == 5


def test_every_submission_gets_the_same_points_under_otter(
    graded: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each notebook of the batch alone, graded by the kit in the Otter zip and shown through our plugin by Otter's API.

    Notebooks that several students share are graded once, and all in one run of the kit; `otter run` itself is tested
    in test_otter.py.
    """
    archive = tmp_path / "otter.zip"
    archive.write_bytes(archives.archive(archives.otter_files(corpus.assignment())))
    source = tmp_path / "autograder" / "source"
    zipfile.ZipFile(archive).extractall(source)
    notebooks = sorted(graded[0].glob("*/*.ipynb"))
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in notebooks}
    (tmp_path / "alone").mkdir()
    for path, digest in digests.items():
        (tmp_path / "alone" / f"{digest}.ipynb").write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "autograder", "grade", str(tmp_path / "alone"), "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(source / "kit")}
    subprocess.run([*command, "--jobs", "2"], cwd=source / "kit", env=environment, check=True, capture_output=True)

    monkeypatch.setattr(
        otter_plugin, "grade", lambda path, kit, assignment: from_json(result(tmp_path / "out", digests[by_copy[path]]))
    )
    config = json.loads((source / "otter_config.json").read_text())
    by_copy: dict[Path, Path] = {}
    parity: dict[str, dict[str, tuple[float, float]]] = {}
    for path in notebooks:
        copy = tmp_path / "autograder" / "submission" / path.name
        shutil.rmtree(copy.parent, ignore_errors=True)
        copy.parent.mkdir()
        shutil.copy(path, copy)
        by_copy[copy] = path
        plugins = PluginCollection(config["plugins"], str(copy), {})
        results = GradingResults([])
        plugins.run("before_grading", AutograderConfig(config))
        plugins.before_execution({})
        plugins.run("after_grading", results)
        shown = results.to_gradescope_dict(AutograderConfig(config))
        ours = result(graded[1], path.parent.name)["questions"]
        parity[f"{path.parent.name}/{path.name}"] = {
            entry["name"]: (entry["score"], ours.get(entry["name"], {"points": 0.0})["points"])
            for entry in shown["tests"]
        }
    assert len(parity) == sum(2 if "text" not in entry else 1 for entry in sample(corpus.assignment()).values())
    different = {
        (name, question): pair for name, row in parity.items() for question, pair in row.items() if pair[0] != pair[1]
    }
    assert different == {}
    for name, row in parity.items():
        notebook = name.split("/")[1].removesuffix(".ipynb")
        tested = corpus.assignment().tested
        expected = [one for one in tested if one.notebook == notebook] or tested
        if "s02" not in name:  # where nothing at all is answered, too, only that notebook is shown
            assert list(row) == [one.id for one in expected], name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/none"], r"{tmp}/none: there is no such file or folder; check the path"),
        (["{tmp}/empty"], r"{tmp}/empty: the folder is empty; give a folder with .*"),
        (["{tmp}/batch", "--questions", "B99"], r"lecture06: no question B99; choose from B\d.*"),
        (["{tmp}/batch", "--assignment", "none"], r".*none.*: no such assignment; choose from lecture06"),
        (
            ["{tmp}/batch", "--out", "{tmp}/file/out"],
            r"{tmp}/file/out: the results cannot be written here \(.*\); .*--out",
        ),
    ],
)
def test_wrong_use_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "batch").mkdir()
    (tmp_path / "batch/ada.ipynb").write_text("{}")
    (tmp_path / "file").write_text("")
    out = [] if "--out" in arguments else ["--out", "{tmp}/out"]
    code = main(["grade", *(part.replace("{tmp}", str(tmp_path)) for part in [*arguments, *out])])
    error = capsys.readouterr().err
    assert code == 2
    assert re.fullmatch("autograder: " + message.replace("{tmp}", re.escape(str(tmp_path))) + "\n", error), error


@pytest.mark.parametrize(
    "arguments", [[], ["grade"], ["grade", "x"], ["grade", "x", "--out", "y", "--jobs", "0"], ["nothing"]]
)
def test_wrong_arguments_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_names_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ada.ipynb").write_text("{}")
    monkeypatch.setenv("NAMES", str(tmp_path / "none.txt"))
    assert main(["grade", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "no such file; correct --data, or correct or unset NAMES" in capsys.readouterr().err
