"""Paths -> submissions."""

import io
import zipfile
from pathlib import Path

import pytest

from autograder.errors import UsageError
from autograder.intake import Submission, find_submissions
from autograder.notebook import NotANotebook

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
    assert {one.student: len(one.files) for one in found} == students


def test_a_file_and_two_folders_with_the_same_student(tmp_path: Path) -> None:
    make(tmp_path, "one/ada/x.ipynb", "two/ada/x.ipynb", "bob.ipynb")
    found = find_submissions([tmp_path / "one", tmp_path / "two", tmp_path / "bob.ipynb"], NOTEBOOKS)
    assert [one.student for one in found] == ["ada", "ada-2", "bob"]


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
    found = Submission(student="s", label="s", files=(path,)).notebooks()
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


def test_a_file_that_cannot_be_read_is_a_reason(tmp_path: Path) -> None:
    assert "cannot be read" in str(read(tmp_path)[tmp_path.name])
    assert Submission(student="s", label="s", files=(tmp_path,)).digest()
