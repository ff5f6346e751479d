"""The sample batch: submissions made from the release by `sample.toml`, with the verdict that each must get.

Each table is one student. `answers` is `reference` or `release`, what stands in every region that is not named; a key
that is a question's id holds the text of that region; `before` and `after` hold cells that the student added around the
answer cell of a question; `verdict` lists the statuses that differ from what the answers
say; `text` hands in this text instead of notebooks; `change` messes up the notebooks' cells.
"""

import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.assignment_file import read_toml
from autograder.authoring import corpus
from autograder.errors import UsageError
from autograder.release.reference import reference_cells
from autograder.release.released import load_released

FILE = "sample.toml"
DEFAULT: Mapping[str, Mapping[str, Any]] = {
    "s01-reference": {"answers": "reference"},
    "s02-untouched": {"answers": "release"},
}
"""The batch of an assignment without a sample of its own."""


def sample(assignment: Assignment) -> dict[str, dict[str, Any]]:
    """Return the table of the sample batch, by student. Raises MasterError if the file is not valid TOML."""
    path = assignment.masters_dir / FILE
    table = read_toml(path).values if path.is_file() else DEFAULT
    return {student: dict(entry) for student, entry in table.items()}


def expected_statuses(assignment: Assignment, entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the expected status of every question for a student who handed in notebooks."""
    found = {}
    for question in assignment.questions:
        full = "waiting" if question.written else "passed"
        usual = full if entry["answers"] == "reference" else "not_attempted"
        found[question.id] = entry.get("verdict", {}).get(question.id, usual)
    return found


def write_sample(assignment: Assignment, folder: Path) -> list[str]:
    """Write one folder per student, replacing an earlier sample batch; return the students.

    Raises UsageError if the folder contains anything else.
    """
    students = sample(assignment)
    if folder.is_dir() and {path.name for path in folder.iterdir()} - set(students):
        raise UsageError("the folder contains something else", folder, "choose a new folder")
    released = load_released(assignment)
    reference = reference_cells(assignment, released)
    tables = corpus.released_tables(assignment)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for student, entry in students.items():
        if "text" in entry:
            (folder / student).mkdir()
            (folder / student / "homework.ipynb").write_text(entry["text"], encoding="utf-8")
            continue
        answers = dict(reference) if entry["answers"] == "reference" else {}
        for question in assignment.questions:
            if question.id in entry:
                body = entry[question.id].strip("\n")
                answers[question.id] = corpus.answer_cell(released[question.notebook], question.id, body)
        notebooks = corpus.submission(tables, released, answers)
        for place, shift in (("before", 0), ("after", 1)):
            for question_id, source in entry.get(place, {}).items():
                add_cell(notebooks, question_id, source.strip("\n"), shift)
        if "change" in entry:
            mess_up(notebooks)
        corpus.write(folder / student, notebooks)
    return list(students)


def add_cell(notebooks: Mapping[str, corpus.Notebook], question: str, source: str, shift: int) -> None:
    """Add a cell next to the answer cell of a question: before it, or after it where shift is 1."""
    for notebook in notebooks.values():
        cells = notebook["cells"]
        for index, cell in enumerate(cells):
            if cell["metadata"].get("homework") == {"role": "answer", "question": question}:
                cells.insert(index + shift, corpus.added_cell(source))
                break


def mess_up(notebooks: Mapping[str, corpus.Notebook]) -> None:
    """Rearrange notebooks as editors and students do: lose ids and metadata, reorder cells, duplicate answer cells."""
    for notebook in notebooks.values():
        cells = []
        for cell in notebook["cells"]:
            plain = {key: value for key, value in cell.items() if key != "id"} | {"metadata": {}}
            copies = 2 if cell["metadata"]["homework"]["role"] == "answer" else 1
            cells += [plain] * copies
        random.Random(6).shuffle(cells)
        notebook["cells"] = cells
