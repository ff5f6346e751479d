"""src/grader.py of the lecture: checks, the sum over all, and what may be handed in."""

import copy
import importlib
import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from autograder.submissions.intake import Wanted, take_in
from tests import corpus

ASSIGNMENT = corpus.assignment()
NAME = "batchnorm"


@pytest.fixture
def grader(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, imported from the release as students do."""
    monkeypatch.syspath_prepend(str(ASSIGNMENT.release_dir))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    yield importlib.import_module("src.grader")
    for name in [name for name in sys.modules if name.split(".")[0] == "src"]:
        del sys.modules[name]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A student's folder, the assignment as released."""
    shutil.copytree(ASSIGNMENT.release_dir, tmp_path / "lecture06", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "lecture06"


def save(home: Path, answers: dict[str, str | corpus.Answer]) -> None:
    """Save the notebook with these answer cells, as Jupyter does."""
    notebook = copy.deepcopy(corpus.submission(answers)[NAME])
    (home / f"{NAME}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


class Session:
    """A notebook's session: what it defines, and the answers to what it asks."""

    def __init__(self, grader: ModuleType, home: Path, monkeypatch: pytest.MonkeyPatch, answer: str = "yes") -> None:
        self.namespace: dict[str, Any] = {"In": [""]}
        self.grader = grader.Grader(NAME, home)
        self.asked = 0

        def reply(prompt: str) -> str:
            self.asked += 1
            return answer

        monkeypatch.setattr(grader, "_namespace", lambda: self.namespace)
        monkeypatch.setattr(grader, "_save", lambda path: True)
        monkeypatch.setattr("builtins.input", reply)


@pytest.fixture
def session(grader: ModuleType, home: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    return Session(grader, home, monkeypatch)


def test_check_says_passed_or_failed_and_why(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    session.grader.check("B1")
    session.namespace["activation_stats"] = lambda pre: {"mean": 0.0, "std": 1.0, "saturated": 40.0}
    session.grader.check("B1")
    unanswered, wrong = capsys.readouterr().out.split("B1 failed\n")[1:]
    assert (
        unanswered == "  `activation_stats` is not defined yet: run the cell of question B1, then re-run this check\n"
    )
    assert wrong == "  saturated should be a fraction between 0 and 1, not a count or a percentage\n"


def test_check_all_is_one_line_per_question_of_this_notebook(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.grader.check_all()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [f"B{number}" for number in range(1, 11)]
    assert lines[-1] == "0 of 10 checks pass."


def test_a_question_of_the_other_notebook(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    session.grader.check("R1")
    assert capsys.readouterr().out.startswith("R1 is not a question of this notebook; it has B1, B2")


@pytest.mark.parametrize("missing", ["MANIFEST.json", "tests/B1.py"])
def test_an_incomplete_folder_is_one_line(
    session: Session, home: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / missing).unlink()
    session.grader.check("B1")
    printed = capsys.readouterr().out
    assert printed == f"{missing} is missing in {home}; unzip the whole assignment again\n"


def test_nothing_is_written_without_a_yes(
    grader: ModuleType, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Session(grader, home, monkeypatch, answer="").grader.export()
    assert capsys.readouterr().out == "Nothing was written. Run this cell by itself to hand in.\n"
    assert not list(home.glob("*.zip"))


def test_hand_in_holds_the_saved_notebook_and_reports_a_fresh_run(
    session: Session, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(home, {"B1": corpus.reference()["B1"]})
    session.grader.export()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Wrote batchnorm-handin.zip: it contains batchnorm.ipynb as saved at ")
    assert printed[2] == "B1   passed"
    assert printed[3].startswith("B2   failed: question B2 is not answered yet")
    assert printed[-4:] == [
        "W1   written, graded by a person: not answered",
        "W2   written, graded by a person: not answered",
        "W3   written, graded by a person: not answered",
        "1 of 10 checks pass, 0 of 3 written questions are answered.",
    ]
    with zipfile.ZipFile(home / "batchnorm-handin.zip") as archive:
        assert archive.namelist() == ["batchnorm.ipynb"]
        assert archive.read("batchnorm.ipynb") == (home / "batchnorm.ipynb").read_bytes()
    path = home / "batchnorm-handin.zip"
    (submission,) = take_in([path], Wanted(notebooks=ASSIGNMENT.notebooks)).hand_ins
    assert submission.files


def test_a_written_question_has_no_check(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    session.grader.check("W1")
    assert capsys.readouterr().out == "W1 is a written question: a person grades it, so there is no check\n"


@pytest.mark.parametrize(
    ("what", "answered"),
    [
        ("nothing", False),
        ("the placeholder deleted", False),
        ("an answer", True),
        ("an answer without metadata", True),
        ("an answer in a code cell", True),
        ("text of its own below", True),
        ("code of its own below", False),
        ("the cell deleted", False),
    ],
)
def test_what_counts_as_an_answer_to_a_written_question(
    session: Session, home: Path, what: str, answered: bool
) -> None:
    notebook = copy.deepcopy(corpus.released()[NAME])
    (place,) = (at for at, one in enumerate(notebook["cells"]) if "<!-- TODO W2 " in "".join(one["source"]))
    cell = notebook["cells"][place]
    placeholder = "*Your answer to W2: double-click this cell and replace this line.*"
    assert placeholder in "".join(cell["source"])
    if what != "nothing":
        text = "" if "placeholder" in what or "below" in what else "The update is a hundredth."
        cell["source"] = "".join(cell["source"]).replace(placeholder, text)
    if "without metadata" in what:
        cell["metadata"] = {}
    if "code cell" in what:
        cell["cell_type"] = "code"
    if "below" in what:
        own: dict[str, object] = {
            "cell_type": "code" if "code" in what else "markdown",
            "metadata": {},
            "source": ["A hundredth."],
        }
        notebook["cells"].insert(place + 1, own)
    if "deleted" in what and "cell" in what:
        del notebook["cells"][place]
    (home / f"{NAME}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    assert session.grader.written() == {"W1": False, "W2": answered, "W3": False}


@pytest.mark.parametrize("how", ["JupyterLab", "VS Code"])
def test_a_duplicate_is_refused(
    session: Session, home: Path, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = str(home / "batchnorm-Copy1.ipynb")
    if how == "JupyterLab":
        monkeypatch.setenv("JPY_SESSION_NAME", opened)
    else:
        session.namespace["__vsc_ipynb_file__"] = opened
    session.grader.export()
    assert capsys.readouterr().out.startswith(
        "You have batchnorm-Copy1.ipynb open, but this cell hands in batchnorm.ipynb. Rename your notebook to "
    )
    assert session.asked == 0
    assert not list(home.glob("*.zip"))


def test_answers_that_are_not_in_the_file_are_refused(
    session: Session, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session.namespace["In"] = ["", corpus.reference()["B3"], corpus.reference()["B1"]]
    save(home, {"B1": corpus.reference()["B1"]})
    session.grader.export()
    assert capsys.readouterr().out.startswith("batchnorm.ipynb does not contain your answer to B3: save the notebook")
    assert not list(home.glob("*.zip"))


def test_a_renamed_notebook_is_one_line(session: Session, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "batchnorm.ipynb").rename(home / "my homework.ipynb")
    session.grader.export()
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"batchnorm.ipynb is not in {home}. If you renamed or moved it, undo that and run again."


@pytest.fixture
def colab(grader: ModuleType, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Google Colab: the open notebook is on no disk here, `reply` is what Colab says that it holds."""
    found = SimpleNamespace(reply={}, asked=[], downloads=[])

    def blocking_request(kind: str, timeout_sec: float) -> Any:
        found.asked.append(kind)
        return found.reply

    modules = {
        "google": ModuleType("google"),
        "google.colab": ModuleType("google.colab"),
        "google.colab._message": SimpleNamespace(blocking_request=blocking_request),
        "google.colab.files": SimpleNamespace(download=found.downloads.append),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    vars(modules["google.colab"]).update(_message=modules["google.colab._message"], files=modules["google.colab.files"])
    return found


def in_colab(grader: ModuleType, home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The grader of a notebook in Colab, whose folder does not contain the notebook."""
    save = grader._save
    session = Session(grader, home, monkeypatch)
    monkeypatch.setattr(grader, "_save", save)
    monkeypatch.setattr(session.grader, "_print_rerun", lambda: None)
    (home / "batchnorm.ipynb").unlink()
    return session.grader


@pytest.mark.parametrize("title", ["batchnorm.ipynb", "Copy of batchnorm.ipynb"])
def test_colab_hands_in_the_open_notebook(
    grader: ModuleType,
    home: Path,
    title: str,
    colab: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", title)
    notebook = corpus.submission({"B1": corpus.reference()["B1"]})[NAME]
    colab.reply = {"ipynb": notebook}
    in_colab(grader, home, monkeypatch).export()
    (printed,) = capsys.readouterr().out.splitlines()
    assert printed.startswith("Wrote batchnorm-handin.zip: it contains batchnorm.ipynb as saved at ")
    with zipfile.ZipFile(home / "batchnorm-handin.zip") as archive:
        assert json.loads(archive.read("batchnorm.ipynb")) == notebook
    assert colab.downloads == [str(home / "batchnorm-handin.zip")]
    assert colab.asked == ["get_ipynb"]


def test_colab_that_does_not_answer_is_one_line(
    grader: ModuleType,
    home: Path,
    colab: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    colab.reply = None
    in_colab(grader, home, monkeypatch).export()
    printed = capsys.readouterr().out
    assert printed == "Colab did not answer. Choose File, Download, Download .ipynb, and hand in that file.\n"
    assert not list(home.glob("*.zip"))
    assert colab.downloads == []
