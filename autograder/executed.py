"""The solution of a notebook, executed in a real kernel and shown as a page, the same bytes on every run.

A run leaves times in a notebook: when a cell ran, how fast a progress bar moved, how its output was cut into pieces.
They are taken out here; everything else that the notebooks of an assignment show must come from seeds.
"""

import json
import re
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.batch import load_released
from autograder.errors import MasterError
from autograder.notebook import Role
from autograder.release import reference_cells

CELL_LIMIT_S = 300
UNATTENDED = "grader.export"
"""What a cell that needs a browser calls; such a cell is left as it is."""
SKIP = "skip-execution"
RETURNED = re.compile(r"^.*\r(?!\n)", re.MULTILINE)
BAR = re.compile(r"\d+%\|.*?\| (\d+/\d+) \[[^,\]]*,[^,\]]*(?:, )?([^\]]*)\]")
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")


def solution(assignment: Assignment, name: str) -> dict[str, Any]:
    """The released notebook with the reference answers in it, as a table; nothing is executed."""
    notebook: dict[str, Any] = json.loads((assignment.release_dir / f"{name}.ipynb").read_bytes())
    answers = reference_cells(assignment, load_released(assignment))
    for cell in notebook["cells"]:
        homework = cell["metadata"]["homework"]
        cell["source"] = "".join(cell["source"])
        if homework["role"] == Role.ANSWER:
            cell["source"] = answers[homework["question"]]
    return notebook


def execute(notebook: dict[str, Any], folder: Path) -> Any:
    """The notebook after a run from top to bottom in this folder, as nbformat keeps it.

    Raises MasterError with the cell's id and the error when a cell fails.
    """
    import nbformat  # heavy, and only a release needs them
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    table = nbformat.from_dict(notebook)
    for cell in table.cells:
        if UNATTENDED in cell.source:
            cell.metadata["tags"] = [SKIP]
    client = NotebookClient(
        table,
        timeout=CELL_LIMIT_S,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        last = str(error).strip().splitlines()[-1]
        cell = next((cell.id for cell in table.cells if cell.get("execution_count") is None), "")
        raise MasterError(f"the solution does not run: {last}", f"{folder}: cell {cell}", "mend the master") from error
    for cell in table.cells:
        cell.metadata.pop("tags", None)
        for output in cell.get("outputs", ()):
            _settle(output)
    table.metadata["language_info"] = {"name": "python"}
    return table


def _settle(output: Any) -> None:
    """Take out of an output what is different on every run."""
    if output.output_type == "stream":
        output["text"] = without_times(output["text"])
    for kind, text in output.get("data", {}).items():
        if kind.startswith("text/") and isinstance(text, str):
            output["data"][kind] = without_times(text)


def without_times(text: str) -> str:
    """Text as it stands on a screen at the end: overwritten lines, progress bars and memory addresses are gone."""
    return ADDRESS.sub("0x…", BAR.sub(r"\1 [\2]", RETURNED.sub("", text)))


def to_bytes(notebook: Any) -> bytes:
    """An executed notebook as a file."""
    return (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def to_html(notebook: Any, title: str) -> bytes:
    """An executed notebook of ours as one page with everything in it but the fonts of its formulas."""
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return str(page).encode()
