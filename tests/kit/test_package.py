"""What students get besides notebooks: README, licences, and editions of notebooks that work alone."""

import base64
import bz2
import inspect
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from autograder.assignment import Assignment, RubricLine
from autograder.assignment_file import load_assignment
from autograder.authoring import colab, setup_cells
from autograder.authoring.build import editions, release_files
from autograder.authoring.readme import README, readme
from autograder.notebook import SETUP, Role

EDITION = PurePosixPath("colab/tiny.ipynb")
NOTEBOOK = PurePosixPath("tiny.ipynb")


@pytest.fixture
def assignment(finished: Path, tmp_path: Path) -> Assignment:
    """A copy of the smallest assignment, to change."""
    shutil.copytree(finished, tmp_path / "home")
    return load_assignment("tiny", tmp_path / "home")


def released(assignment: Assignment) -> dict[PurePosixPath, bytes]:
    folder = assignment.release_dir
    files = {PurePosixPath(path.relative_to(folder).as_posix()): path for path in folder.rglob("*") if path.is_file()}
    return {path: file.read_bytes() for path, file in files.items()}


def text_of(assignment: Assignment) -> str:
    return readme(assignment, released(assignment)).decode()


def test_the_readme_says_what_there_is(assignment: Assignment) -> None:
    text = text_of(replace(assignment, version="3", released=date(2031, 2, 3)))
    assert text.startswith("# Halves\n\nVersion 3 of 3 February 2031: 2 questions, 5 points.\n")
    assert "| `tiny.ipynb` | the notebook with questions Q1 to Q2 (5 points) |" in text
    for part in ("Google Colab", "JupyterLab", "VS Code", 'grader.check("Q1")', "conda create --name tiny"):
        assert part in text
    assert "\n\n\n" not in text
    assert "{" not in text


def test_written_questions_and_bonus_points_are_told_apart(assignment: Assignment) -> None:
    one = assignment.questions[0]
    written = replace(one, id="W1", points=2, bonus=True, rubric=(RubricLine(points=2, text="It is clear"),))
    assert "Written questions" not in text_of(assignment)
    text = text_of(replace(assignment, questions=(*assignment.questions, written)))
    assert ": 3 questions, 5 points and 2 bonus points.\n" in text
    assert "questions Q1 to Q2 and W1 (5 points and 2 bonus points) |" in text
    assert "**Written questions** (W1) are graded by a person" in text


def test_torch_is_named_only_where_it_is_installed(assignment: Assignment) -> None:
    install = "python -m pip install -r requirements.txt"
    assert "torch" not in text_of(assignment).lower()
    assert f"   {install}\n" in text_of(assignment)
    with_torch = text_of(replace(assignment, packages=("torch", "jupyter")))
    assert f"   {install} --extra-index-url https://download.pytorch.org/whl/cpu\n" in with_torch


def test_what_the_notebook_cannot_do_is_not_said(assignment: Assignment) -> None:
    files = released(assignment)
    table = json.loads(files[NOTEBOOK])
    assert "check_all" in text_of(assignment)
    table["cells"] = [cell for cell in table["cells"] if "grader." not in "".join(cell["source"])]
    del files[EDITION]
    text = readme(assignment, files | {NOTEBOOK: json.dumps(table).encode()}).decode()
    for part in ("check_all", "zip file and shows", "Colab", "`colab/`"):
        assert part not in text
    assert "Upload the notebook (`.ipynb`)" in text


def test_a_course_has_words_and_a_licence_of_its_own(assignment: Assignment) -> None:
    toml = assignment.toml
    toml.write_text(toml.read_text() + '\n[data]\nnumbers = "data/numbers.txt"\n')
    new = {"data/numbers.txt": "1\n", "data/numbers.txt.license": "CC0\n", "LICENSE": "All yours.\n"}
    new["solutions/tiny/student_readme.md"] = "Hand in on Moodle by Friday.\n"
    for name, text in new.items():
        (assignment.home / name).parent.mkdir(exist_ok=True)
        (assignment.home / name).write_text(text)
    files = release_files(load_assignment("tiny", assignment.home))
    assert files[PurePosixPath("LICENSE")] == b"All yours.\n"
    assert files[PurePosixPath("data/numbers.txt.license")] == b"CC0\n"
    text = files[README].decode()
    assert "points.\n\nHand in on Moodle by Friday.\n\n|" in text
    assert "| `LICENSE`, `data/numbers.txt.license` | what you may do with these files |" in text
    (assignment.home / "LICENSE").unlink()
    assert "LICENSE" not in text_of(assignment)


def test_an_edition_is_the_notebook_with_its_files(assignment: Assignment) -> None:
    files = released(assignment)
    cells, own = (json.loads(files[path])["cells"] for path in (EDITION, NOTEBOOK))
    assert [cell["metadata"]["homework"]["role"] for cell in cells[:3]] == [Role.TEXT, Role.SETUP, Role.SETUP]
    assert cells[3:] == own
    held = colab.unpacked(cells)
    assert sorted(map(str, held)) == ["MANIFEST.json", "tests/Q1.py", "tests/Q2.py"]
    assert all(files[path] == data for path, data in held.items() if path.name != "MANIFEST.json")
    for cell in cells[1:3]:
        assert SETUP.sub("", "".join(cell["source"])) == ""


def test_files_that_are_too_large_give_no_edition(assignment: Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(editions(assignment, released(assignment))) == [EDITION]
    monkeypatch.setattr(colab, "MOST", 100)
    assert editions(assignment, released(assignment)) == {}


@pytest.mark.parametrize(
    "text", ["", 'packed = """\nQUJD\n"""', 'packed = """\n!\n"""', 'packed = """\nQlpoOTFBWQ==\n"""']
)
def test_what_holds_no_files(text: str) -> None:
    with pytest.raises(ValueError, match=r"no cell contains packed files|the packed files cannot be read"):
        colab.unpacked([{"source": text}])


def test_packed_files_are_those_of_their_paths_and_bytes() -> None:
    files = {PurePosixPath("b/two.bin"): bytes(range(256)), PurePosixPath("a.txt"): "ä\r\n".encode()}
    packed = colab.pack(files)
    assert packed == colab.pack(dict(reversed(files.items())))
    assert colab.unpacked([{"source": f'packed = """\n{packed}\n"""'}]) == files
    assert b"a.txt" in bz2.decompress(base64.b64decode(packed))


def test_files_that_are_there_are_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("src/a.py", "src/b.py", "data/c.txt")
    files = {PurePosixPath(name): name.encode() for name in names}
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("mine")
    (tmp_path / "src/b.py").write_text("src/b.py")
    (tmp_path / "elsewhere.txt").write_text("mine")
    setup_cells.put_files_here(colab.pack(files))
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"1 files written to {tmp_path}",
        "These differ from the assignment's own and were left as they are: src/a.py",
    ]
    assert {name: (tmp_path / name).read_text() for name in names} == dict(
        zip(names, ("mine", *names[1:]), strict=True)
    )
    setup_cells.put_files_here(colab.pack(files))
    assert capsys.readouterr().out.startswith(f"All files of the assignment are in {tmp_path}\n")


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ({"pytest": "pytest==0", "otter-grader": "otter-grader==0"}, 0, ["All packages are installed."]),
        ({"no-such-x": "no-such-x==1", "pytest": "p"}, 0, ["Installing no-such-x==1 …", "Installed."]),
        (
            {"no-such-x": "no-such-x==1"},
            1,
            ["Installing no-such-x==1 …", "They could not be installed: ERROR: no network"],
        ),
    ],
)
def test_only_what_is_missing_is_installed(
    packages: Mapping[str, str],
    code: int,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    called: list[Any] = []

    def run(command: list[str], **options: Any) -> Any:
        called.append(command)
        return SimpleNamespace(returncode=code, stderr="a warning\nERROR: no network\n" if code else "")

    monkeypatch.setattr("subprocess.run", run)
    setup_cells.install_missing(dict(packages))
    assert capsys.readouterr().out.splitlines() == said
    assert called == ([[sys.executable, "-m", "pip", "install", "--quiet", "no-such-x==1"]] if len(said) > 1 else [])


@pytest.mark.parametrize("function", [setup_cells.put_files_here, setup_cells.install_missing])
def test_setup_needs_nothing_from_its_module(function: Any) -> None:
    names = {name for name in function.__code__.co_names if name in vars(setup_cells)}
    assert names == set()
    assert inspect.getsource(function).startswith("def ")
