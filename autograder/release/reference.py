"""Reference answers: written by the build and read by grading, which therefore never parses a master.

`solutions/<name>/reference.json` contains the reference answer of each question, and the SHA-256 of the masters it was
built from.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from autograder.assignment import Assignment
from autograder.errors import MasterError
from autograder.release.released import ReleasedNotebook
from autograder.written import with_answer

FILE = "reference.json"
FIX = "run `autograder release`"


def reference_file(assignment: Assignment) -> Path:
    return assignment.masters_dir / FILE


def to_json(assignment: Assignment, answers: Mapping[str, str]) -> str:
    """Return the text of the file for these answers (the text of each region)."""
    masters = {name: _digest(assignment.masters_dir / f"{name}.py") for name in assignment.notebooks}
    return json.dumps({"masters": masters, "answers": dict(answers)}, indent=1, ensure_ascii=False) + "\n"


def reference_answers(assignment: Assignment) -> dict[str, str]:
    """Return the reference answer of each question, the text of its region.

    Raises MasterError if the file is missing, damaged, or older than a master. If the masters are not there, as in an
    uploaded archive, there is nothing to compare with.
    """
    path = reference_file(assignment)
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        answers = {one.id: str(table["answers"][one.id]) for one in assignment.questions}
        masters = dict(table["masters"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MasterError(f"no usable reference answers ({type(error).__name__}: {error})", path, FIX) from error
    for name in assignment.notebooks:
        master = assignment.masters_dir / f"{name}.py"
        if master.is_file() and masters.get(name) != _digest(master):
            raise MasterError(f"the reference answers are older than {master.name}", path, FIX)
    return answers


def reference_cells(assignment: Assignment, released: Mapping[str, ReleasedNotebook]) -> dict[str, str]:
    """Return the answer cell of each question with its reference answer. Raises like `reference_answers`."""
    texts = reference_answers(assignment)
    cells = {}
    for notebook in released.values():
        for question, (cell, region) in notebook.regions.items():
            cells[question] = "\n".join([*cell.lines[: region.first], texts[question], *cell.lines[region.last :]])
        for question, cell in notebook.written.items():
            cells[question] = with_answer(cell.source, texts[question])
    return cells


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
