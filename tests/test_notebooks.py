"""The notebooks in a real Jupyter kernel: the solution runs top to bottom, and the checks tell right from unwritten."""

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests import corpus

MAX_SECONDS = 120
NOTEBOOKS = corpus.assignment().notebooks


def execute(folder: Path, name: str, notebook: corpus.Notebook, *, allow_errors: bool) -> Any:
    """The notebook after a run in the folder of the release, without its export cell, which waits for a browser."""
    shutil.copytree(corpus.assignment().release_dir, folder, dirs_exist_ok=True)
    notebook["cells"] = [cell for cell in notebook["cells"] if "grader.export" not in "".join(cell["source"])]
    (folder / f"{name}.ipynb").write_text(json.dumps(notebook))
    table = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(table, timeout=300, kernel_name="python3", allow_errors=allow_errors, resources=resources)
    return client.execute()


def printed(cell: Any) -> str:
    """What a cell printed or showed as text; an error by its name."""
    parts = []
    for output in cell.get("outputs", []):
        parts.append(output.get("text", "") or output.get("ename", "") or output.get("data", {}).get("text/plain", ""))
    return "\n".join(parts)


def checks(notebook: Any) -> dict[str, str]:
    """What each public check said, by question."""
    found = {}
    for cell in notebook.cells:
        if match := re.match(r'grader\.check\("(\w+)"\)', cell.source):
            found[match[1]] = printed(cell)
    return found


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_solution_runs_and_passes_every_check(name: str, tmp_path: Path) -> None:
    started = time.monotonic()
    done = execute(tmp_path, name, corpus.submission(corpus.reference())[name], allow_errors=False)
    print(f"{name}: {time.monotonic() - started:.0f} s")
    outcome = checks(done)
    assert set(outcome) == {question.id for question in corpus.assignment().in_notebook(name)}
    assert [key for key, text in outcome.items() if "passed" not in text or "failed" in text] == []
    (everything,) = [printed(cell) for cell in done.cells if "grader.check_all" in cell.source]
    assert all(f"{key} results: All test cases passed!" in everything for key in outcome)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_check_fails_on_the_release_and_says_what_to_do(name: str, tmp_path: Path) -> None:
    outcome = checks(execute(tmp_path, name, corpus.submission({})[name], allow_errors=True))
    assert set(outcome) == {question.id for question in corpus.assignment().in_notebook(name)}
    for question, text in outcome.items():
        assert "Test case failed" in text, question
        assert re.search(r"NotWritten: .*(replace `raise NotImplementedError|run the cell)", text), (
            f"{question}: {text}"
        )
