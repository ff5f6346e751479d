"""Reassembly: what students do to notebooks, and what must come of it."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.notebook import Cell, NotebookFile, parse_notebook
from autograder.program import Program
from autograder.release.reference import reference_answers
from autograder.release.released import load_released
from autograder.results import Status
from autograder.submissions.reassemble import reassemble
from tests import corpus

NAME = "batchnorm"
RELEASED = load_released(corpus.assignment())[NAME]
Notebook = dict[str, Any]


def file_of(notebook: Notebook) -> NotebookFile:
    return NotebookFile(name=f"{NAME}.ipynb", cells=parse_notebook(json.dumps(notebook).encode()))


def program(notebook: Notebook) -> Program:
    return reassemble(RELEASED, [file_of(notebook)], corpus.assignment())


def solved() -> Notebook:
    return corpus.submission(corpus.reference())[NAME]


def answers(found: Program) -> dict[str, str]:
    return {step.question: step.source for step in found.steps if step.question}


def answer_index(notebook: Notebook, question: str) -> int:
    """Where the answer cell of a question stands."""
    return next(
        i
        for i, cell in enumerate(notebook["cells"])
        if cell["metadata"].get("homework") == {"role": "answer", "question": question}
    )


def edit(notebook: Notebook, question: str, change: Callable[[str], str]) -> Notebook:
    cell = notebook["cells"][answer_index(notebook, question)]
    cell["source"] = change("".join(cell["source"]))
    return notebook


def test_the_release_is_not_attempted() -> None:
    found = program(corpus.submission({})[NAME])
    assert found.unanswered == dict.fromkeys([*RELEASED.regions, *RELEASED.written], Status.NOT_ATTEMPTED)
    assert found.flags == ()


def test_the_reference_comes_through_unchanged() -> None:
    found = program(solved())
    assert found.unanswered == {}
    assert found.files == dict.fromkeys([*RELEASED.regions, *RELEASED.written], f"{NAME}.ipynb")
    assert found.written == {key: reference_answers(corpus.assignment())[key] for key in RELEASED.written}
    assert answers(found) == {key: text for key, text in corpus.reference().items() if key in RELEASED.regions}
    assert not any(step.added for step in found.steps)
    assert found.flags == ()


def lose_ids(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        cell.pop("id")
        cell["metadata"] = {}


def shuffle(notebook: Notebook) -> None:
    random.Random(1).shuffle(notebook["cells"])


def delete_given(notebook: Notebook) -> None:
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["metadata"]["homework"]["role"] == "answer"]


def ruin_given(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        if cell["metadata"]["homework"]["role"] != "answer":
            cell["source"] = ["raise SystemExit\n", *cell["source"]]


def windows_line_ends(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")


def duplicate(notebook: Notebook) -> None:
    notebook["cells"] += copy.deepcopy(notebook["cells"])


def add_released_copy(notebook: Notebook) -> None:
    notebook["cells"] += corpus.submission({})[NAME]["cells"]


MESSES = [lose_ids, shuffle, delete_given, ruin_given, windows_line_ends, duplicate, add_released_copy]


@pytest.mark.parametrize("mess", MESSES)
def test_edits_outside_the_regions_do_no_harm(mess: Callable[[Notebook], None]) -> None:
    notebook = solved()
    mess(notebook)
    assert answers(program(notebook)) == answers(program(solved()))


@given(st.lists(st.sampled_from(MESSES), max_size=4, unique=True))
def test_messes_together_do_no_harm(messes: list[Callable[[Notebook], None]]) -> None:
    notebook = solved()
    for mess in sorted(messes, key=lambda mess: mess is lose_ids):  # without ids, roles are gone for the other messes
        mess(notebook)
    assert answers(program(notebook)) == answers(program(solved()))


def test_reassembly_is_idempotent() -> None:
    once = program(edit(solved(), "B3", lambda text: text.replace("(DO NOT DELETE", "(do not delete")))
    cells = tuple(Cell(id=step.label, kind="code", source=step.source) for step in once.steps)
    assert answers(reassemble(RELEASED, [NotebookFile(name="x", cells=cells)], corpus.assignment())) == answers(once)


def test_a_deleted_cell_is_missing() -> None:
    notebook = solved()
    del notebook["cells"][answer_index(notebook, "B3")]
    found = program(notebook)
    assert found.unanswered["B3"] is Status.MISSING
    assert [str(flag) for flag in found.flags] == ["B3: no region found in the submission"]


def test_comments_and_blank_lines_are_no_attempt() -> None:
    stub = 'raise NotImplementedError("B3")'
    notebook = edit(corpus.submission({})[NAME], "B3", lambda text: text.replace(stub, f"# I tried\n\n    {stub}"))
    assert program(notebook).unanswered["B3"] is Status.NOT_ATTEMPTED


def test_an_answer_in_an_added_cell_counts() -> None:
    notebook = corpus.submission({})[NAME]
    definition = "def batchnorm_forward(x, gamma, beta, eps=1e-5):\n    return x, x, x"
    notebook["cells"].append(corpus.added_cell(definition))
    found = program(notebook)
    assert "B3" not in found.unanswered
    assert answers(found)["B3"] == definition
    assert found.flags[0].kind == "definition_elsewhere"


def test_an_answer_cell_without_banner_and_markers_counts() -> None:
    def strip(text: str) -> str:
        return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))

    found = program(edit(solved(), "B4", strip))
    assert "B4" not in found.unanswered
    assert "register_buffer" in answers(found)["B4"]


@pytest.mark.parametrize(
    ("change", "expected", "flag"),
    [
        (lambda text: "import math\n\n" + text, None, ""),
        (lambda text: text + "\nhalf = 0.5\n", None, ""),
        (lambda text: "@torch.no_grad()\n" + text, "@torch.no_grad()\ndef batchnorm_forward", ""),
        (
            lambda text: text.replace("(x, gamma", "(inputs, gamma"),
            "def batchnorm_forward(inputs, gamma",
            "def line was changed",
        ),
        (lambda text: text.replace("(x, gamma", "(x: Tensor, gamma"), "def batchnorm_forward(x, gamma", ""),
        (lambda text: text + "\n    print('below')", "print('below')", "below the END line"),
        (
            lambda text: text.replace("    ####", "    shift = 1\n    ####", 1),
            "    shift = 1\n",
            "above the START line",
        ),
    ],
    ids=["import above", "helper below", "decorator", "renamed parameter", "type hint", "code below", "code above"],
)
def test_what_students_do_to_an_answer_cell(change: Callable[[str], str], expected: str | None, flag: str) -> None:
    found = program(edit(solved(), "B3", change))
    source = answers(found)["B3"]
    if expected is None:
        assert source == corpus.reference()["B3"]
        assert [step.source.strip() for step in found.steps if step.added] in (["import math"], ["half = 0.5"])
    else:
        assert expected in source
    assert any(flag in str(remark) for remark in found.flags) or (not flag and not found.flags)


def test_tabs_become_the_indent_of_the_release() -> None:
    found = program(edit(solved(), "B3", lambda text: text.replace("    ", "\t")))
    compile(answers(found)["B3"], "B3", "exec")


def test_added_cells_stay_in_their_place_and_after_the_prologue() -> None:
    notebook = solved()
    notebook["cells"].insert(0, corpus.added_cell("first = 1"))
    notebook["cells"].insert(answer_index(notebook, "B4"), corpus.added_cell("second = 2"))
    labels = [step.question or step.source for step in program(notebook).steps]
    assert labels.index("first = 1") == RELEASED.prologue
    assert labels.index("B3") < labels.index("second = 2") < labels.index("B4")


def test_imports_and_helpers_added_to_a_given_cell_are_kept() -> None:
    notebook = solved()
    cell = next(cell for cell in notebook["cells"] if cell["metadata"]["homework"]["role"] == "given")
    cell["source"] = "".join(cell["source"]) + "\nimport math\ndef half(x):\n    return x / 2\nprint('loud')\n"
    added = [step.source for step in program(notebook).steps if step.added]
    assert added == ["import math\ndef half(x):\n    return x / 2"]


def test_answers_of_one_notebook_over_two_files() -> None:
    first, second = corpus.submission({})[NAME], corpus.submission({"B3": corpus.reference()["B3"]})[NAME]
    found = reassemble(RELEASED, [file_of(second), file_of(first)], corpus.assignment())
    assert "B3" not in found.unanswered


@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_text_reassembles(sources: list[str]) -> None:
    cells = tuple(Cell(id="", kind="code", source=source) for source in sources)
    found = reassemble(RELEASED, [NotebookFile(name="x", cells=cells)], corpus.assignment())
    assert [step.question for step in found.steps if step.question] == list(RELEASED.regions)


@pytest.mark.parametrize(
    "line",
    ["# *****START OF YOUR CODE*****", "# TODO B3 (6 points)", "def batchnorm_forward(((", '"""', "#" * 60, "a = 1"],
)
def test_a_flood_of_lines_is_cut_and_handled(line: str) -> None:
    notebook = solved()
    notebook["cells"] += [corpus.added_cell(f"{line}\n" * 20_000)] * 2
    assert set(answers(program(notebook))) == set(RELEASED.regions)
