"""Master -> release: cells with stable ids, a manifest, what students get. The rest is for the gate to judge."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from autograder import cli
from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authoring.build import release_files, settle
from autograder.errors import MasterError
from tests import corpus, tiny


@pytest.fixture(scope="module")
def small(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    """The smallest assignment, released, in a folder of its own."""
    home = tmp_path_factory.mktemp("small") / "home"
    shutil.copytree(finished, home)
    return load_assignment("tiny", home)


def test_the_release_is_complete(small: Assignment) -> None:
    files = [path.relative_to(small.release_dir).as_posix() for path in small.release_dir.rglob("*") if path.is_file()]
    assert sorted(files) == [
        "MANIFEST.json",
        "README.md",
        "colab/tiny.ipynb",
        "requirements.txt",
        "tests/Q1.py",
        "tests/Q2.py",
        "tiny.ipynb",
    ]
    pins = (small.release_dir / "requirements.txt").read_text().split()
    assert [pin.split("==")[0] for pin in pins] == ["jupyter", "otter-grader"]


@pytest.mark.parametrize("which", ["lecture06", "tiny"])
def test_the_manifest_lists_every_file(which: str, small: Assignment) -> None:
    assignment = small if which == "tiny" else corpus.assignment()
    table = json.loads((assignment.release_dir / "MANIFEST.json").read_bytes())
    assert {"data/names.txt", "src/utils.py"} <= set(table["files"]) or which == "tiny"
    for path, digest in table["files"].items():
        assert hashlib.sha256((assignment.release_dir / path).read_bytes()).hexdigest() == digest
    assert table["questions"] == {q.id: {"notebook": q.notebook, "points": q.points} for q in assignment.tested}
    assert sum(entry["points"] for entry in table["questions"].values()) == table["max_points"]
    written = [one.id for one in assignment.questions if one.written]
    assert list(table.get("written_questions", {})) == written
    assert all(table["written_questions"][one]["bonus"] for one in written)
    assert table["version"] == assignment.version


def test_the_names_of_a_run_do_not_change_the_release(
    small: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in small.release_dir.rglob("*") if path.is_file()}
    monkeypatch.setenv("NAMES", str(tmp_path / "other.txt"))
    (small.release_dir / "stale.txt").write_text("from an earlier release")
    assert cli.main(["release", "--course", str(small.home)]) == 0
    assert {path: path.read_bytes() for path in small.release_dir.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[limits]", '[data]\nx = "data/none.txt"\n[limits]', r"assignment\.toml: no data file .*none\.txt; "),
        (
            "packages = [",
            'packages = ["no-such-package", ',
            r"assignment\.toml: no pin for the package 'no-such-package'",
        ),
    ],
)
def test_a_file_or_package_that_is_not_there(tmp_path: Path, old: str, new: str, message: str) -> None:
    tiny.write_unfinished(tmp_path)
    toml = tmp_path / "solutions/tiny/assignment.toml"
    toml.write_text(toml.read_text().replace(old, new, 1))
    with pytest.raises(MasterError, match=message):
        release_files(load_assignment("tiny", tmp_path))


def test_ids_do_not_change_when_a_cell_is_added_elsewhere() -> None:
    def cell(kind: str, source: str) -> dict[str, object]:
        return {"cell_type": kind, "metadata": {}, "source": source}

    before = [
        cell("markdown", "# K2 and others"),
        cell("code", "a = 1"),
        cell("markdown", "## B1. Two"),
        cell("code", "b = 1"),
    ]
    after = [*before[:2], cell("code", "new = 1"), *before[2:]]
    ids = [[c["id"] for c in json.loads(settle({"cells": cells}, "x", {"B1"}))["cells"]] for cells in (before, after)]
    assert ids[0] == ["k2-and-others-text", "k2-and-others-given", "B1-prompt", "B1-given"]
    assert set(ids[0]) < set(ids[1])
