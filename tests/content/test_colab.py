"""The editions for Colab: each works alone in an empty folder, and is graded like the notebook it is made from."""

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from nbconvert import PythonExporter

from autograder.authoring.run_notebook import run
from autograder.grading.grader import Grader
from autograder.notebook import NotebookFile, Role
from autograder.program import Program
from autograder.release.released import load_released
from autograder.results import Student, to_json
from autograder.submissions.notebooks import read_cells
from autograder.submissions.reassemble import reassemble
from autograder.submissions.submission import of_files
from tests import corpus

ASSIGNMENT = corpus.assignment()
RELEASED = load_released(ASSIGNMENT)
NAMES = ASSIGNMENT.notebooks
HAND_IN = "import src.grader\nsrc.grader._confirmed = lambda: True\ngrader.export()"


def edition(name: str, answers: dict[str, str] | None = None) -> corpus.Notebook:
    """The edition for Colab with these answer cells (default: the reference)."""
    notebook: corpus.Notebook = json.loads((ASSIGNMENT.release_dir / "colab" / f"{name}.ipynb").read_bytes())
    for cell in notebook["cells"]:
        homework = cell["metadata"]["homework"]
        cell["source"] = "".join(cell["source"])
        if homework["role"] == Role.ANSWER:
            cell["source"] = (corpus.reference() if answers is None else answers).get(
                homework["question"], cell["source"]
            )
    return notebook


def without_setup(notebook: corpus.Notebook) -> corpus.Notebook:
    """The same hand-in made from the ordinary notebook."""
    own = copy.deepcopy(notebook)
    own["cells"] = own["cells"][3:]
    return own


def program(name: str, data: bytes) -> Program:
    files = [NotebookFile(name="n.ipynb", cells=read_cells(data).cells)]
    return reassemble(RELEASED[name], files, ASSIGNMENT)


def forget(*keys: str) -> Callable[[corpus.Notebook], bytes]:
    """Saving by an editor that does not keep these entries of a cell."""

    def saved(notebook: corpus.Notebook) -> bytes:
        table = copy.deepcopy(notebook)
        for cell in table["cells"]:
            cell |= {key: {} if key == "metadata" else "" for key in keys}
        return json.dumps(table).encode()

    return saved


def exported(form: str) -> Callable[[corpus.Notebook], bytes]:
    def saved(notebook: corpus.Notebook) -> bytes:
        node: Any = nbformat.reads(json.dumps(notebook), as_version=4)
        text = PythonExporter().from_notebook_node(node)[0] if form == "script" else jupytext.writes(node, fmt=form)
        return str(text).encode()

    return saved


SAVED = {
    "as it is": forget(),
    "without ids": forget("id"),
    "without metadata": forget("metadata"),
    "without both": forget("id", "metadata"),
    "percent": exported("py:percent"),
    "light": exported("py:light"),
    "script": exported("script"),
}


@pytest.mark.parametrize("how", SAVED)
@pytest.mark.parametrize("name", NAMES)
def test_an_edition_is_read_like_its_notebook(name: str, how: str) -> None:
    notebook = edition(name)
    ours, theirs = (program(name, SAVED[how](one)) for one in (notebook, without_setup(notebook)))
    assert ours == theirs
    assert ours.unanswered == {}
    assert not any("put_files_here" in step.source or "install_missing" in step.source for step in ours.own)


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_edition_attempts_nothing(name: str) -> None:
    found = program(name, json.dumps(edition(name, {})).encode())
    assert set(found.unanswered.values()) == {"not_attempted"}


def test_what_a_student_adds_to_a_setup_cell_is_kept() -> None:
    notebook = edition("batchnorm")
    notebook["cells"][1]["source"] = "import itertools\n" + notebook["cells"][1]["source"] + "\nHELPER = 3\n"
    added = [step.source.split() for step in program("batchnorm", json.dumps(notebook).encode()).own if step.added]
    assert added == [["import", "itertools", "HELPER", "=", "3"]]


def test_an_edition_gets_the_same_result(grader: Grader, tmp_path: Path) -> None:
    wrong = corpus.answer_cell("B3", "return x, x.mean(0), x.var(0)")
    notebook = edition("batchnorm", dict(corpus.reference()) | {"B3": wrong})
    results = []
    for folder, one in (("ours", notebook), ("theirs", without_setup(notebook))):
        corpus.write(tmp_path / folder, {"batchnorm": one})
        handed_in = of_files(Student(id="s"), (tmp_path / folder / "batchnorm.ipynb",))
        result = grader.grade(handed_in, ASSIGNMENT.select(("B1", "B3", "B5")))
        results.append(to_json(dataclasses.replace(result, sha256="")))
    assert results[0] == results[1]
    points = {key: one["points"] for key, one in results[0]["questions"].items() if key in ("B1", "B3", "B5")}
    assert points["B1"] == 3
    assert points["B3"] < 6


@pytest.mark.parametrize("name", NAMES)
def test_an_edition_alone_in_an_empty_folder(name: str, tmp_path: Path) -> None:
    """From top to bottom in a real kernel, without the demonstrations, which are those of the notebook."""
    notebook = edition(name)
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["metadata"]["homework"]["role"] != Role.DEMO]
    (tmp_path / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    hand_in = corpus.added_cell(HAND_IN.replace("grader.export", "getattr(grader, 'export')")) | {"id": "hand-in"}
    table, stopped = run(notebook | {"cells": [*notebook["cells"], hand_in]}, tmp_path)
    assert stopped == ""
    printed = {cell.id: "".join(output.get("text", "") for output in cell.get("outputs", [])) for cell in table.cells}
    checked = [one for one in ASSIGNMENT.in_notebook(name) if not one.written]
    count = len(checked)
    assert printed["colab-setup-1"].endswith(f"files written to {tmp_path}\n")
    assert printed["colab-setup-2"] == "All packages are installed.\n"
    for question in checked:
        assert printed[f"{question.id}-check"] == f"{question.id} passed\n"
    assert printed["what-you-learned-check"].endswith(f"{count} of {count} checks pass.\n")
    said = printed["hand-in"]
    assert f"Wrote {name}-handin.zip: it contains {name}.ipynb" in said
    assert said.endswith(f"{count} of {count} checks pass, 3 of 3 written questions are answered.\n")
    assert (tmp_path / f"{name}-handin.zip").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_the_ordinary_notebook_without_its_folder_says_what_to_do(name: str, tmp_path: Path) -> None:
    notebook = json.loads((ASSIGNMENT.release_dir / f"{name}.ipynb").read_bytes())
    _, stopped = run(notebook, tmp_path)
    assert "raised SystemExit: The folder src is not here. Open this notebook in the unzipped folder" in stopped
    assert f"open colab/{name}.ipynb instead" in stopped
