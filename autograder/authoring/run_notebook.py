"""The solution of a notebook, executed in a real kernel and rendered as HTML, reproducible byte for byte.

A run leaves traces of time and chance in a notebook: when a cell ran, how fast a progress bar moved, which emoji Otter
chose. They are removed here; everything else that the notebooks of an assignment show must be seeded.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.errors import MasterError, printable
from autograder.release.reference import reference_answers, reference_cells
from autograder.release.released import load_released
from autograder.written import with_answer

CELL_LIMIT_S = 300
UNATTENDED = "grader.export"
"""Calls of a cell that needs a browser; such a cell is not executed."""
SKIP = "skip-execution"
RETURNED = re.compile(r"^.*\r(?!\n)", re.MULTILINE)
BAR = re.compile(r"\d+%\|.*?\| (\d+/\d+) \[[^,\]]*,[^,\]]*(?:, )?([^\]]*)\]")
EMOJI = re.compile(r"(passed!) [🍀🎉🌈🙌🚀🌟✨💯]")
"""Otter picks one of these at random for a check that passes."""
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")


def solution(assignment: Assignment, name: str) -> dict[str, Any]:
    """Return the released notebook with the reference answers, as a JSON table; nothing is executed."""
    released = load_released(assignment)
    notebook: dict[str, Any] = json.loads((assignment.release_dir / f"{name}.ipynb").read_bytes())
    answers = reference_cells(assignment, released)
    by_cell = {cell.id: answers[question] for question, (cell, _) in released[name].regions.items()}
    texts = reference_answers(assignment)
    by_cell |= {cell.id: with_answer(cell.source, _folded(texts[key])) for key, cell in released[name].written.items()}
    for cell in notebook["cells"]:
        cell["source"] = by_cell.get(cell["id"], "".join(cell["source"]))
    return notebook


def _folded(answer: str) -> str:
    """Return the model answer of a written question, to be opened by a click."""
    return f"<details><summary>Model answer</summary>\n\n{answer}\n\n</details>"


def run(notebook: dict[str, Any], folder: Path, cell_limit_s: int = CELL_LIMIT_S) -> tuple[Any, str]:
    """Run a notebook from top to bottom in this folder; return it in nbformat's form, and what stopped it, if anything.

    cell_limit_s: wall-clock seconds per cell
    """
    import nbformat  # slow to import, and only a release needs them
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    table = nbformat.from_dict(notebook)
    for cell in table.cells:
        cell.source = "".join(cell.source)
        if UNATTENDED in cell.source:
            cell.metadata["tags"] = [SKIP]
    client = NotebookClient(
        table,
        timeout=cell_limit_s,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    stopped = ""
    try:
        client.execute(stderr=subprocess.DEVNULL)  # of the kernel, which warns about its transport
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        started = [cell.id for cell in table.cells if cell.get("execution_count") or cell.get("outputs")]
        what = f"took more than {cell_limit_s} s" if isinstance(error, CellTimeoutError) else "ended its kernel"
        if isinstance(error, CellExecutionError):
            what = f"raised {printable(f'{error.ename}: {error.evalue}')[:200]}"
        stopped = f"cell {''.join(started[-1:])} {what}"
    for cell in table.cells:
        cell.metadata.pop("tags", None)
    return table, stopped


def execute(name: str, notebook: dict[str, Any], folder: Path) -> Any:
    """Run a notebook in this folder and return it without anything that differs between runs.

    Raises MasterError with the cell's id and the error if a cell fails.
    """
    table, stopped = run(notebook, folder)
    if stopped:
        raise MasterError(f"it does not run: {stopped}", f"the solution of {name}", "correct the master")
    for cell in table.cells:
        for output in cell.get("outputs", ()):
            _settle(output)
    table.metadata["language_info"] = {"name": "python"}
    return table


def _settle(output: Any) -> None:
    """Remove from an output what differs between runs."""
    if output.output_type == "stream":
        output["text"] = repeatable(output["text"])
    for kind, text in output.get("data", {}).items():
        if kind.startswith("text/") and isinstance(text, str):
            output["data"][kind] = repeatable(text)


def repeatable(text: str) -> str:
    """Return text as it finally appears on a screen, without times, speeds, addresses and Otter's emoji."""
    return ADDRESS.sub("0x…", EMOJI.sub(r"\1", BAR.sub(r"\1 [\2]", RETURNED.sub("", text))))


def to_bytes(notebook: Any) -> bytes:
    """Return an executed notebook as a file."""
    return (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def to_html(notebook: Any, title: str) -> bytes:
    """Return an executed notebook as one self-contained HTML page, except for the fonts of its formulas."""
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return str(page).encode()
