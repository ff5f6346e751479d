"""Python files that are exports of a notebook."""

import json

import jupytext
import nbformat
import pytest
from nbconvert import PythonExporter

from autograder.notebook import NotebookFile
from autograder.release.released import load_released
from autograder.submissions.reassemble import reassemble
from autograder.submissions.scripts import read_script
from tests import corpus
from tests.content.test_reassemble import answers

NAME = "batchnorm"


def solved() -> nbformat.NotebookNode:
    notebook = corpus.submission(corpus.reference())[NAME]
    return nbformat.reads(json.dumps(notebook), as_version=4)  # type: ignore[no-any-return]


def exported(form: str) -> str:
    if form == "script":
        text: str = PythonExporter().from_notebook_node(solved())[0]
        return text
    return str(jupytext.writes(solved(), fmt=f"py:{form}"))


@pytest.mark.parametrize("form", ["percent", "light", "hydrogen", "script"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_an_export_gives_the_answers_of_its_notebook(form: str, end: str) -> None:
    released = load_released(corpus.assignment())[NAME]
    cells = read_script(exported(form).replace("\n", end))
    assert cells is not None
    found = reassemble(released, [NotebookFile(name="x.py", cells=cells)], corpus.assignment())
    assert found.unanswered == {}
    for question, source in corpus.reference().items():
        if question in answers(found):
            assert answers(found)[question].split() == source.split(), question


def test_a_script_without_any_mark_is_an_export_when_it_holds_a_region() -> None:
    text = corpus.reference()["B3"]
    assert read_script(f"import torch\n\n{text}\n") is not None


@pytest.mark.parametrize(
    "text",
    ["", "def helper(x):\n    return x\n", "# %% only one mark\nx = 1\n", "import torch\n\n\nclass A:\n    pass\n"],
)
def test_a_module_is_no_export(text: str) -> None:
    assert read_script(text) is None


def test_text_cells_keep_their_kind() -> None:
    text = "# %% [markdown]\n# # Title\n# More.\n\n# %%\nx = 1\n\n# %% [raw]\n# <b>\n"
    cells = read_script(text)
    assert cells is not None
    assert [(cell.kind, cell.source) for cell in cells] == [
        ("markdown", "# Title\nMore."),
        ("code", "x = 1"),
        ("raw", "<b>"),
    ]


@pytest.mark.parametrize("line", ["# %%\n", "# +\n", "\n", '"""\n', "# In[1]:\n", "#\n\n\n"])
def test_a_long_hostile_script_is_read_once(line: str) -> None:
    """What looked again at all before it at each line would take hours here."""
    for first in ("# %%\n# %%\n", "# +\n# +\n", "# In[1]:\n"):
        text = first + line * 100_000
        cells = read_script(text)
        assert cells is None or sum(len(cell.source) for cell in cells) <= len(text)
