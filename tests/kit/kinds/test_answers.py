"""How a written answer is found, whatever an editor made of its cell."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment_file import load_assignment
from autograder.notebook import NotebookFile, parse_notebook
from autograder.program import Program
from autograder.release.released import load_released
from autograder.results import Status
from autograder.submissions.reassemble import reassemble
from autograder.written import find_parts
from tests.kit.kinds.classes import HOSTILE, Cells, cells_of, notebook
from tests.tiny import NAME


def read(home: Path, *files: Cells) -> Program:
    assignment = load_assignment(NAME, home)
    handed_in = [
        NotebookFile(name=f"{number}.ipynb", cells=parse_notebook(notebook(cells)))
        for number, cells in enumerate(files)
    ]
    return reassemble(load_released(assignment)[NAME], handed_in, assignment)


def place(cells: Cells, question: str, role: str = "answer") -> int:
    return next(
        number
        for number, cell in enumerate(cells)
        if cell["metadata"].get("homework") == {"role": role, "question": question}
    )


def text_cell(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def bare(cells: Cells) -> Cells:
    """As from an editor that keeps neither ids nor metadata."""
    return [{key: value for key, value in cell.items() if key != "id"} | {"metadata": {}} for cell in cells]


def with_text(cells: Cells, text: str) -> Cells:
    cells[place(cells, "W1")]["source"] = text
    return cells


def moved(cells: Cells) -> Cells:
    answer = cells.pop(place(cells, "W1"))
    return [answer, *cells]


def split(cells: Cells) -> Cells:
    """As by "Split cell": both parts keep the metadata."""
    at = place(cells, "W1")
    lines = "".join(cells[at]["source"]).split("\n")
    half = next(number for number, line in enumerate(lines) if "rounds" in line) + 1
    parts = ["\n".join(lines[:half]), "\n".join(lines[half:])]
    return [*cells[:at], *[cells[at] | {"source": part} for part in parts], *cells[at + 1 :]]


def merged(cells: Cells) -> Cells:
    """As by "Merge cells": the prompt and both answers are one cell."""
    first, last = place(cells, "W1", "prompt"), place(cells, "W2")
    together = "\n\n".join("".join(cell["source"]) for cell in cells[first : last + 1])
    return [*cells[:first], cells[first] | {"source": together}, *cells[last + 1 :]]


def below(cells: Cells) -> Cells:
    at = place(cells, "W1")
    return [*cells[: at + 1], text_cell("It rounds down."), *cells[at + 1 :]]


def instead(cells: Cells) -> Cells:
    at = place(cells, "W1")
    return [*cells[:at], text_cell("It rounds down."), *cells[at + 1 :]]


def in_the_prompt(cells: Cells) -> Cells:
    at = place(cells, "W1", "prompt")
    cells[at]["source"] = "".join(cells[at]["source"]) + "\n\nIt rounds down."
    return cells


def as_code(cells: Cells) -> Cells:
    cells[place(cells, "W1")] |= {"cell_type": "code", "outputs": [], "execution_count": None}
    return cells


def copied(cells: Cells) -> Cells:
    at = place(cells, "W1")
    stub = cells_as_released(cells, at)
    return [*cells[: at + 1], stub, *cells[at + 1 :]]


def cells_as_released(cells: Cells, at: int) -> dict[str, Any]:
    source = "".join(cells[at]["source"]).replace("It rounds down.", "*Your answer to W1: double-click*")
    return cells[at] | {"source": re.sub(r"\*Your answer.*", "", source)}


def as_script(cells: Cells) -> Cells:
    """As a paragraph of a script that `jupytext --to py:light` wrote."""
    at = place(cells, "W1")
    lines = "".join(cells[at]["source"]).split("\n")
    cells[at] = {"cell_type": "code", "metadata": {}, "source": "\n".join(f"# {line}".rstrip() for line in lines)}
    return cells


@pytest.mark.parametrize(
    "change",
    [
        lambda cells: cells,
        bare,
        moved,
        lambda cells: bare(moved(cells)),
        as_code,
        lambda cells: bare(as_code(cells)),
        copied,
        lambda cells: bare(copied(cells)),
        as_script,
        lambda cells: with_text(cells, "It rounds down."),
        lambda cells: with_text(cells, "<!-- TODO W1 -->\nIt rounds down."),
    ],
    ids=[
        "as released",
        "no ids",
        "moved",
        "moved, no ids",
        "as code",
        "as code, no ids",
        "copied",
        "copied, no ids",
        "script",
        "no markers",
        "banner alone",
    ],
)
def test_an_answer_is_found(kinds_home: Path, change: Callable[[Cells], Cells]) -> None:
    program = read(kinds_home, change(cells_of(kinds_home, {"W1": "It rounds down."})))
    assert program.written == {"W1": "It rounds down."}
    assert {key for key in program.unanswered if key.startswith("W")} == {"W2"}
    assert program.unanswered["W2"] is Status.NOT_ATTEMPTED
    assert not [flag for flag in program.flags if flag.question.startswith("W")]


@pytest.mark.parametrize("change", [below, instead, in_the_prompt], ids=["below", "instead", "in the prompt"])
def test_an_answer_next_to_its_cell_is_found_with_a_remark(kinds_home: Path, change: Callable[[Cells], Cells]) -> None:
    program = read(kinds_home, change(cells_of(kinds_home, {})))
    assert program.written == {"W1": "It rounds down."}
    assert {flag.kind for flag in program.flags} == {"text_outside_answer"}


def test_a_split_and_a_merged_cell(kinds_home: Path) -> None:
    answers = {"W1": "It rounds\n\ndown.", "W2": "In C."}
    parts = read(kinds_home, split(cells_of(kinds_home, answers))).written
    assert parts["W1"].split() == ["It", "rounds", "down."]
    assert read(kinds_home, bare(merged(cells_of(kinds_home, answers)))).written == answers


def test_the_last_answer_that_says_something_counts(kinds_home: Path) -> None:
    older, newer = ({"W1": text} for text in ("First.", "Second."))
    program = read(kinds_home, cells_of(kinds_home, older), cells_of(kinds_home, newer), cells_of(kinds_home, {}))
    assert (program.written, program.files) == ({"W1": "Second."}, {"W1": "1.ipynb"})
    assert [flag.kind for flag in program.flags if flag.question == "W1"] == ["several_regions"]


def test_a_written_answer_is_never_code(kinds_home: Path) -> None:
    program = read(kinds_home, cells_of(kinds_home, {"W1": HOSTILE}))
    assert program.written == {"W1": HOSTILE}
    assert program.unanswered["Q1"] is Status.NOT_ATTEMPTED
    assert all("alert" not in step.source for step in program.steps)


def test_a_deleted_answer_cell_is_missing_and_one_of_an_optional_question_is_no_remark(kinds_home: Path) -> None:
    cells = cells_of(kinds_home, {})
    del cells[place(cells, "W1")]
    program = read(kinds_home, cells)
    assert program.unanswered["W1"] is Status.MISSING
    assert [(flag.kind, flag.question) for flag in program.flags] == [("region_missing", "W1")]


def test_an_endless_answer_is_cut() -> None:
    (part,) = find_parts(["<!-- TODO W1 -->", "x" * 100_000], {"W1"})
    assert len(part.text) == 20_000
