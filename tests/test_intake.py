"""Paths -> submissions."""

import io
import os
import random
import subprocess
import zipfile
from pathlib import Path

import pytest

from autograder.errors import UsageError
from autograder.notebook import NotANotebook
from autograder.results import Student
from autograder.submissions.intake import MAX_NOTEBOOKS, Submission, find_submissions

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
        (["ada/notes.txt"], {"ada": 0}),
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
    assert {one.student.id: len(one.files) for one in found} == students


def test_a_file_and_two_folders_with_the_same_student(tmp_path: Path) -> None:
    make(tmp_path, "one/ada/x.ipynb", "two/ada/x.ipynb", "bob.ipynb")
    found = find_submissions([tmp_path / "one", tmp_path / "two", tmp_path / "bob.ipynb"], NOTEBOOKS)
    assert [one.student.id for one in found] == ["ada", "ada-2", "bob"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "secret.ipynb", "batch/ada/x.ipynb")
    (tmp_path / "batch/ada/y.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (tmp_path / "batch/ada/z").symlink_to(tmp_path)
    (only,) = find_submissions([tmp_path / "batch"], NOTEBOOKS)
    assert [path.name for path in only.files] == ["x.ipynb"]


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
    assert [(one.student.id, len(one.files)) for one in found] == [("ada", 1), ("bob", 1)]


def test_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "zero.ipynb").symlink_to("/dev/zero")
    (tmp_path / "gone.ipynb").symlink_to(tmp_path / "nothing")
    assert [one.files for one in find_submissions([tmp_path], NOTEBOOKS)] == [(), (), ()]


@pytest.mark.parametrize("letter", ["a", "é", "名", "𝒜"])
def test_a_name_as_long_as_the_system_allows_becomes_a_file(tmp_path: Path, letter: str) -> None:
    longest = letter * (255 // len(letter.encode()))
    make(tmp_path, f"one/{longest}/x.ipynb", f"two/{longest}/x.ipynb")
    for one in find_submissions([tmp_path / "one", tmp_path / "two"], NOTEBOOKS):
        (tmp_path / f"{one.student.id}.json").write_text("")


def test_nobody_is_given_the_name_of_another(tmp_path: Path) -> None:
    make(tmp_path, "one/ada/x.ipynb", "two/ada/x.ipynb", "two/ada-2/own.ipynb")
    found = find_submissions([tmp_path / "one", tmp_path / "two"], NOTEBOOKS)
    assert {one.student.id: one.label for one in found if "own" in one.label} == {"ada-2": "ada-2/own.ipynb"}
    assert [one.student.id for one in found] == ["ada", "ada-2", "ada-3"]


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        find_submissions([tmp_path / "none"], NOTEBOOKS)


def archive(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, text in members.items():
            target.writestr(name.replace("__dot__", ".").replace("__slash__", "/"), text)
    return buffer.getvalue()


def read(path: Path) -> dict[str, bytes | str]:
    found = Submission(student=Student(id="s"), label="s", files=(path,)).notebooks()
    return {name: str(data) if isinstance(data, NotANotebook) else data for name, data in found}


def test_notebooks_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "hw.zip"
    path.write_bytes(archive(a__dot__ipynb="1", deep__slash__b__dot__ipynb="2", c__dot__txt="3", MACOSX="4"))
    assert read(path) == {"hw.zip/a.ipynb": b"1", "hw.zip/deep/b.ipynb": b"2"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged"),
        (b"PK\x03\x04 and then nothing", "damaged"),
        (archive(), "holds no .ipynb"),
        (archive(a__dot__ipynb="x" * 1000).replace(b"a.ipynb", b"b.ipynb", 1), "damaged"),
    ],
    ids=["empty", "cut off", "no members", "names that differ"],
)
def test_a_damaged_archive_is_a_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "hw.zip"
    path.write_bytes(data)
    assert reason in str(read(path)["hw.zip"])


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_with_any_byte_changed_raises_nothing(tmp_path: Path, packed: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as target:
        target.writestr("a.ipynb", "x" * 100)
    path, draw = tmp_path / "hw.zip", random.Random(0)
    for place in range(len(buffer.getvalue())):
        data = bytearray(buffer.getvalue())
        data[place] = draw.randrange(256)
        path.write_bytes(data)
        assert read(path)


def test_only_so_many_notebooks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "hw.zip"
    path.write_bytes(archive(**{f"{number:03}__dot__ipynb": "1" for number in range(999)}))
    found = read(path)
    assert len(found) == MAX_NOTEBOOKS + 1
    assert f"more than {MAX_NOTEBOOKS} notebooks" in str(list(found.values())[-1])


def test_a_file_that_cannot_be_read_is_a_reason(tmp_path: Path) -> None:
    assert "cannot be read" in str(read(tmp_path)[tmp_path.name])
    assert Submission(student=Student(id="s"), label="s", files=(tmp_path,)).digest()
