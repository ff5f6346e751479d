"""Submissions with written answers, and the results of a class."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autograder.assignment_file import load_assignment
from autograder.authoring import corpus
from autograder.release.released import load_released
from tests.tiny import NAME

Cells = list[dict[str, Any]]
HOSTILE = "It rounds <script>alert(1)</script> **down**.\n\n```python\ndef halve(x):\n    return 0\n```"


def cells_of(home: Path, answers: Mapping[str, str]) -> Cells:
    """The cells of a submission with these answers, the rest as released."""
    assignment = load_assignment(NAME, home)
    released = load_released(assignment)
    whole = {key: corpus.answer_cell(released[NAME], key, body) for key, body in answers.items()}
    found: Cells = corpus.submission(corpus.released_tables(assignment), released, whole)[NAME]["cells"]
    return found


def notebook(cells: Cells) -> bytes:
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def hand_in(folder: Path, students: Mapping[str, Cells]) -> Path:
    for student, cells in students.items():
        (folder / student).mkdir(parents=True)
        (folder / student / f"{NAME}.ipynb").write_bytes(notebook(cells))
    return folder


RIGHT = {
    "Q1": "return x / 2",
    "Q2": "return sum(halve(value) for value in values) / len(values)",
    "Q3": "return 2 * x",
    "Q4": "return -x",
}
