"""Paths -> submissions."""

import os
import subprocess
from pathlib import Path

import pytest

from autograder.errors import UsageError
from autograder.submissions.intake import find_submissions

NOTEBOOKS = ("batchnorm", "residual_stream")


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return root


@pytest.mark.parametrize(
    ("files", "students"),
    [
        (["ada/batchnorm.ipynb", "ada/residual_stream.ipynb", "bob/x.ipynb"], {"ada": 2, "bob": 1}),
        (["ada.ipynb", "bob.ipynb"], {"ada": 1, "bob": 1}),
        (["ada/deep/er/batchnorm.ipynb"], {"ada": 1}),
        (["ada/.ipynb_checkpoints/batchnorm.ipynb", "ada/batchnorm.ipynb", "__MACOSX/ada/._x.ipynb"], {"ada": 1}),
        (["ada/notes.txt"], {"ada": 1}),
        (["ada.txt"], {"ada": 1}),
        (["batchnorm.ipynb", "residual_stream.ipynb"], {"batch": 2}),
        (["batchnorm (1).ipynb", "notes.ipynb"], {"batch": 2}),
        ([".DS_Store", "ada.ipynb"], {"ada": 1}),
        (["Müller, Zoë/x.ipynb", "a b/x.ipynb"], {"Müller_ Zoë": 1, "a b": 1}),
        (["a:b.ipynb", "a_b.ipynb", "A_b.ipynb"], {"A_b": 1, "a_b-2": 1, "a_b-3": 1}),
    ],
)
def test_a_folder(tmp_path: Path, files: list[str], students: dict[str, int]) -> None:
    found = find_submissions([make(tmp_path / "batch", *files)], NOTEBOOKS)
    assert {one.students[0].id: len(one.files) for one in found} == students


def test_a_file_and_two_folders_with_the_same_student(tmp_path: Path) -> None:
    make(tmp_path, "one/ada/x.ipynb", "two/ada/x.ipynb", "bob.ipynb")
    found = find_submissions([tmp_path / "one", tmp_path / "two", tmp_path / "bob.ipynb"], NOTEBOOKS)
    assert [one.students[0].id for one in found] == ["ada", "ada-2", "bob"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "secret.ipynb", "batch/ada/x.ipynb")
    (tmp_path / "batch/ada/y.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (tmp_path / "batch/ada/z").symlink_to(tmp_path)
    (only,) = find_submissions([tmp_path / "batch"], NOTEBOOKS)
    assert [one.file.name for one in only.files if not one.file.why] == ["ada/x.ipynb"]


@pytest.mark.parametrize("hidden", [False, True], ids=["empty", "only hidden files"])
def test_a_folder_with_nothing_to_grade(tmp_path: Path, hidden: bool) -> None:
    if hidden:
        make(tmp_path, ".DS_Store")
    with pytest.raises(UsageError, match="the folder is empty"):
        find_submissions([tmp_path], NOTEBOOKS)


def test_folders_as_deep_as_the_system_allows_stop_nobody(tmp_path: Path) -> None:
    make(tmp_path, "ada/x.ipynb", "bob/x.ipynb")
    place = os.open(tmp_path / "ada", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=place)
        place, above = os.open("d", os.O_RDONLY, dir_fd=place), place
        os.close(above)
    os.close(place)
    try:
        found = find_submissions([tmp_path], NOTEBOOKS)
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "ada"], check=True)  # Python's own way to remove a tree is recursive
    assert [(one.students[0].id, len(one.files)) for one in found] == [("ada", 1), ("bob", 1)]


def test_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "zero.ipynb").symlink_to("/dev/zero")
    (tmp_path / "gone.ipynb").symlink_to(tmp_path / "nothing")
    found = find_submissions([tmp_path], NOTEBOOKS)
    assert [[bool(file.file.why) for file in one.files] for one in found] == [[True]] * 3


@pytest.mark.parametrize("letter", ["a", "é", "名", "𝒜"])
def test_a_name_as_long_as_the_system_allows_becomes_a_file(tmp_path: Path, letter: str) -> None:
    longest = letter * (255 // len(letter.encode()))
    make(tmp_path, f"one/{longest}/x.ipynb", f"two/{longest}/x.ipynb")
    for one in find_submissions([tmp_path / "one", tmp_path / "two"], NOTEBOOKS):
        (tmp_path / f"{one.students[0].id}.json").write_text("")


def test_nobody_is_given_the_name_of_another(tmp_path: Path) -> None:
    make(tmp_path, "one/ada/x.ipynb", "two/ada/x.ipynb", "two/ada-2/own.ipynb")
    found = find_submissions([tmp_path / "one", tmp_path / "two"], NOTEBOOKS)
    assert {one.students[0].id: one.label for one in found if "own" in one.label} == {"ada-2": "ada-2/own.ipynb"}
    assert [one.students[0].id for one in found] == ["ada", "ada-2", "ada-3"]


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        find_submissions([tmp_path / "none"], NOTEBOOKS)
