"""`results.json` as Gradescope reads it, always whole and valid."""

import json
from pathlib import Path
from typing import Any

from autograder.gradebook.files import write_whole

KIT = Path(__file__).resolve().parents[2]
FAULT = (
    "The grader failed. This is not your fault, and your submission is kept. "
    "Please tell your instructor, who can run the grader again."
)


def unfinished() -> bytes:
    """Return the results to show if the grader never gets to write others."""
    return _to_text({"score": 0, "output": FAULT}).encode()


def write_results(path: Path, table: dict[str, Any]) -> None:
    """Replace the results atomically. Hide the installation path."""
    write_whole(path, _to_text(table).replace(str(KIT), "…"))


def _to_text(table: dict[str, Any]) -> str:
    return json.dumps(table | {"stdout_visibility": "hidden"}, indent=1) + "\n"
