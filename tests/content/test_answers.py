"""Which code is the answer: regions that are none, definitions in every form, cells merged and split."""

import dataclasses
import functools
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.notebook import Cell, NotebookFile
from autograder.program import Program
from autograder.release.released import load_released
from autograder.results import Status
from autograder.submissions.reassemble import reassemble
from tests import corpus
from tests.content.test_reassemble import (
    NAME,
    RELEASED,
    Notebook,
    answer_index,
    answers,
    edit,
    file_of,
    program,
    solved,
)

ANSWER = corpus.reference()["B3"]
STUB = RELEASED.regions["B3"][0].source
RAISE = '    raise NotImplementedError("B3")\n'
METADATA = {"homework": {"role": "answer", "question": "B3"}}
FULL = {key: text for key, text in corpus.reference().items() if key in RELEASED.regions}


def stub(question: str = "B3") -> Notebook:
    """The solved notebook with one region as released."""
    return edit(solved(), question, lambda text: RELEASED.regions[question][0].source)


def with_cells(notebook: Notebook, *sources: str) -> Notebook:
    notebook["cells"] += [corpus.added_cell(source) for source in sources]
    return notebook


def added(found: Program) -> list[str]:
    return [step.source for step in found.steps if step.added]


def kinds(found: Program, question: str = "B3") -> list[str]:
    return [flag.kind for flag in found.flags if flag.question in (question, "")]


# Code that is no answer


def commented(text: str, prefix: str) -> str:
    return "\n".join(prefix + line if line.strip() else line for line in text.split("\n"))


def quoted(text: str, quote: str) -> str:
    return f"{quote}\nan older attempt:\n{text.replace(quote, quote[:2])}\n{quote}"


WRONG = ANSWER.replace("correction=0", "correction=1")
NO_ANSWERS = {
    "note": "# TODO B3: compare once more",
    "to-do list": "# TODO B3 done\n# TODO B4 check the buffers\n#TODO B5",
    "commented": commented(WRONG, "# "),
    "commented without a blank": commented(WRONG, "#"),
    "commented twice": commented(commented(WRONG, "# "), "# "),
    "quoted": quoted(WRONG, "'''"),
    "double-quoted": quoted(WRONG, '"""'),
    "assigned string": "older = " + quoted(WRONG, '"""'),
    "printed": "print('# START OF YOUR CODE')\nprint('''\n# TODO B3\n# START OF YOUR CODE\n''')",
    "renamed": WRONG.replace("batchnorm_forward", "batchnorm_forward_v2"),
    "cut down to pass": STUB.replace(RAISE, "    pass\n"),
    "cut down to its docstring": STUB.replace(RAISE, ""),
    "cut down, without markers": "def batchnorm_forward(x, gamma, beta, eps=1e-5):\n    ...",
    "stub": STUB,
    "banner": "\n".join(line for line in STUB.split("\n") if "TODO" in line or "####" in line),
    "banner and markers": "\n".join(line for line in STUB.split("\n") if line.lstrip().startswith("#")),
    "wrapper": "batchnorm_forward = torch.compile(batchnorm_forward)",
    "use": "# TODO B3\ny = batchnorm_forward(torch.ones(3, 2), 1, 0)",
}
OTHER_LANGUAGES = {
    "not run": "%%script false\n" + WRONG,
    "written to a file": "%%writefile older.py\n" + WRONG,
}


@pytest.mark.parametrize("metadata", [{}, METADATA], ids=["new cell", "copied cell"])
@pytest.mark.parametrize("name", [*NO_ANSWERS, *OTHER_LANGUAGES])
def test_a_cell_that_is_no_answer_changes_nothing(name: str, metadata: dict[str, object]) -> None:
    text = (NO_ANSWERS | OTHER_LANGUAGES)[name]
    for place in (0, answer_index(solved(), "B3"), answer_index(solved(), "B3") + 1, len(solved()["cells"])):
        notebook = solved()
        notebook["cells"].insert(place, corpus.added_cell(text) | {"metadata": metadata})
        found = program(notebook)
        assert answers(found) == FULL
        assert found.unanswered == {}


@pytest.mark.parametrize("name", NO_ANSWERS)
@pytest.mark.parametrize("below", [True, False], ids=["below", "above"])
def test_code_that_is_no_answer_in_the_answer_cell_changes_nothing(name: str, below: bool) -> None:
    text = NO_ANSWERS[name]
    notebook = edit(solved(), "B3", lambda answer: f"{answer}\n\n{text}" if below else f"{text}\n\n{answer}")
    assert answers(program(notebook)) == FULL


OLD_ATTEMPTS = st.lists(
    st.tuples(st.sampled_from(sorted(NO_ANSWERS)), st.sampled_from(sorted(FULL)), st.integers(0, 99))
)


@settings(max_examples=40)
@given(OLD_ATTEMPTS.filter(bool), st.booleans())
def test_old_attempts_around_the_answers_change_nothing(attempts: list[tuple[str, str, int]], ids: bool) -> None:
    notebook = solved()
    for name, question, place in attempts:
        older = old_attempt(name, question)
        notebook["cells"].insert(place % len(notebook["cells"]), corpus.added_cell(older))
    if not ids:
        for cell in notebook["cells"]:
            cell.pop("id", None)
            cell["metadata"] = {}
    found = program(notebook)
    assert answers(found) == FULL
    assert found.unanswered == {}
    cells = tuple(Cell(id=step.label, kind="code", source=step.source) for step in found.steps)
    again = reassemble(RELEASED, [NotebookFile(name="x", cells=cells)], corpus.assignment())
    assert answers(again) == FULL


@functools.cache
def old_attempt(name: str, question: str) -> str:
    """What NO_ANSWERS has for B3, of another question."""
    text, released = corpus.reference()[question], RELEASED.regions[question][0].source
    define = corpus.assignment().question(question).defines[0]
    stub_line = f'raise NotImplementedError("{question}")'
    made: Mapping[str, str] = {
        "commented": commented(text, "# "),
        "commented without a blank": commented(text, "#"),
        "commented twice": commented(commented(text, "# "), "# "),
        "quoted": quoted(text, "'''"),
        "double-quoted": quoted(text, '"""'),
        "renamed": text.replace(define, f"{define}_v2"),
        "cut down to pass": released.replace(stub_line, "pass"),
        "stub": released,
    }
    return made.get(name) or NO_ANSWERS[name].replace("B3", question).replace("batchnorm_forward", define)


@pytest.mark.parametrize("note", ["# TODO B3 must be right first", "# START OF YOUR CODE", "# *****TODO B5 once more"])
def test_a_note_in_an_answer_changes_no_other_answer(note: str) -> None:
    lines = FULL["B5"].split("\n")
    lines.insert(RELEASED.regions["B5"][1].first + 1, f"    {note}")
    notebook = edit(solved(), "B5", lambda text: "\n".join(lines))
    assert answers(program(notebook)) == FULL | {"B5": "\n".join(lines)}


@pytest.mark.parametrize("string", ["\n# START OF YOUR CODE\n", "\n# END OF YOUR CODE\n", "\n# TODO B3\n"])
def test_a_marker_in_a_string_of_the_answer(string: str) -> None:
    changed = ANSWER.replace("    mean = ", f'    note = """{string}"""\n    mean = ', 1)
    assert changed != ANSWER
    assert answers(program(edit(solved(), "B3", lambda text: changed)))["B3"] == changed


# Definitions elsewhere

FORMS = {
    "def": "def batchnorm_forward(x):\n    return x",
    "async def": "async def batchnorm_forward(x):\n    return x",
    "class": "class batchnorm_forward:\n    def __call__(self, x): return x",
    "decorated": "@torch.no_grad()\ndef batchnorm_forward(x):\n    return x",
    "lambda": "batchnorm_forward = lambda x, gamma, beta, eps=1e-5: (x, x, x)",
    "alias": "batchnorm_forward = mine",
    "annotated": "batchnorm_forward: object = mine",
    "one of several": "other, batchnorm_forward = 1, mine",
    "conditional": "if True:\n    def batchnorm_forward(x):\n        return x",
    "try": "try:\n    batchnorm_forward = mine\nexcept NameError:\n    pass",
    "with": "with torch.no_grad():\n    batchnorm_forward = mine",
    "timed": "%time batchnorm_forward = mine",
    "timed cell": "%%time\ndef batchnorm_forward(x):\n    return x",
    "import": "from helper import batchnorm_forward",
    "renaming import": "from helper import forward as batchnorm_forward",
    "star import": "from helper import *",
    "attribute of an import": "import helper\nbatchnorm_forward = helper.batchnorm_forward",
}
MODULES = {"helper": "def batchnorm_forward(x):\n    return x\n"}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_definition_counts(name: str) -> None:
    notebook = with_cells(stub(), FORMS[name])
    found = reassemble(RELEASED, [file_of(notebook)], corpus.assignment(), MODULES)
    assert answers(found) == FULL | {"B3": FORMS[name]}
    assert "B3" not in found.unanswered
    assert kinds(found) == ["definition_elsewhere"]
    assert found.modules == MODULES


@pytest.mark.parametrize(
    "source",
    [
        "from torch.nn import batchnorm_forward",
        "from other import *",
        "x.batchnorm_forward = mine",
        "class A:\n    def batchnorm_forward(self): return 1",
        "def f():\n    batchnorm_forward = 1",
        "batchnorm_forward = cached(batchnorm_forward)",
        "print(batchnorm_forward == 1)",
    ],
)
def test_what_does_not_define_the_name_is_no_answer(source: str) -> None:
    found = reassemble(RELEASED, [file_of(with_cells(stub(), source))], corpus.assignment(), MODULES)
    assert found.unanswered == {"B3": Status.NOT_ATTEMPTED}
    assert added(found) == [source]


def test_an_import_from_a_file_that_a_cell_writes_counts() -> None:
    found = program(with_cells(stub(), "%%writefile mine.py\n" + ANSWER, "from mine import batchnorm_forward"))
    assert answers(found)["B3"] == "from mine import batchnorm_forward"


@pytest.mark.parametrize(
    "body", ["    pass\n", "    ...\n", '    """Mine."""\n', "", "    # later\n", RAISE, "    pass\n" + RAISE]
)
def test_an_empty_region_with_the_function_in_another_cell(body: str) -> None:
    notebook = edit(stub(), "B3", lambda text: text.replace(RAISE, body))
    found = program(with_cells(notebook, FORMS["def"]))
    assert answers(found)["B3"] == FORMS["def"]
    assert kinds(found) == ["definition_elsewhere"]


def test_an_empty_region_alone_is_graded() -> None:
    found = program(edit(stub(), "B3", lambda text: text.replace(RAISE, "    pass\n")))
    assert "B3" not in found.unanswered
    assert "    pass\n" in answers(found)["B3"]


def test_one_of_two_names_in_another_cell_goes_with_the_region() -> None:
    name = "residual_stream"
    released = load_released(corpus.assignment())[name]
    notebook = corpus.submission(corpus.reference())[name]
    notebook["cells"].append(corpus.added_cell("def stream_variance(model, inputs):\n    return 1"))
    file = NotebookFile(name=name, cells=file_of(notebook).cells)
    found = answers(reassemble(released, [file], corpus.assignment()))["R5"]
    assert found.startswith(corpus.reference()["R5"])
    assert found.endswith("def stream_variance(model, inputs):\n    return 1")


@pytest.mark.parametrize("kind", ["markdown", "raw"])
@pytest.mark.parametrize("fence", ["", "```"])
def test_an_answer_cell_that_became_text_counts(kind: str, fence: str) -> None:
    notebook = solved()
    cell = notebook["cells"][answer_index(notebook, "B3")]
    cell |= {"cell_type": kind, "source": f"{fence}\n{ANSWER}\n{fence}", "metadata": {}}
    cell.pop("id")
    found = program(notebook)
    assert answers(found) == FULL
    assert kinds(found) == ["answer_not_code"]


def test_text_takes_nothing_away_from_code() -> None:
    notebook = solved()
    notebook["cells"].append(corpus.added_cell(WRONG) | {"cell_type": "markdown"})
    found = program(notebook)
    assert answers(found) == FULL
    assert not found.flags
    assert not found.alternatives


# Several answers


def test_of_several_answers_the_last_counts_and_the_others_are_alternatives() -> None:
    found = program(with_cells(solved(), FORMS["def"], FORMS["lambda"], FORMS["lambda"]))
    assert answers(found)["B3"] == FORMS["lambda"]
    assert [other.source for other in found.alternatives["B3"]] == [FORMS["def"], ANSWER]
    assert kinds(found) == ["several_answers"]
    number = answer_index(solved(), "B3") + 1
    assert f"cell {number} of {NAME}.ipynb" in str(found.flags[0])
    other = found.with_alternative("B3", found.alternatives["B3"][1])
    assert answers(other) == FULL


def test_the_same_answer_twice_is_no_alternative() -> None:
    found = program(with_cells(solved(), ANSWER))
    assert not found.alternatives
    assert kinds(found) == ["several_regions"]


# Cells merged and split


@pytest.mark.parametrize("name", corpus.assignment().notebooks)
def test_all_code_cells_in_one(name: str) -> None:
    released = load_released(corpus.assignment())[name]
    notebook = with_cells(corpus.submission(corpus.reference())[name], "HALF = 0.5\nprint(HALF)")
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    notebook["cells"] = [corpus.added_cell("\n\n".join(sources))]
    found = reassemble(released, [NotebookFile(name=name, cells=file_of(notebook).cells)], corpus.assignment())
    assert answers(found) == {key: text for key, text in corpus.reference().items() if key in released.regions}
    assert [text.strip() for text in added(found)] == ["HALF = 0.5\nprint(HALF)"]
    assert found.flags == ()


@pytest.mark.parametrize("question", ["B3", "B6", "R6"])
def test_an_answer_split_at_any_line(question: str) -> None:
    name = corpus.assignment().question(question).notebook
    released = load_released(corpus.assignment())[name]
    cells = file_of(corpus.submission(corpus.reference())[name]).cells
    index = next(i for i, cell in enumerate(cells) if cell.id == released.regions[question][0].id)
    lines = cells[index].lines
    for cut in range(1, len(lines)):
        first = dataclasses.replace(cells[index], source="\n".join(lines[:cut]))
        second = Cell(id="", kind="code", source="\n".join(lines[cut:]))
        split = (*cells[:index], first, second, *cells[index + 1 :])
        found = reassemble(released, [NotebookFile(name=name, cells=split)], corpus.assignment())
        assert answers(found)[question] == corpus.reference()[question], cut
        assert not added(found), cut
        assert {flag.kind for flag in found.flags} <= {"split_answer"}, cut


# Bounds


@pytest.mark.parametrize(
    "sources",
    [
        ["'''\n" * 3000] * 20,
        ["def batchnorm_forward(x):\n" + "    # START OF YOUR CODE\n    x\n" * 1400] * 5,
        [f"def batchnorm_forward(x):\n    return {number}\n" + "x = 1\n" * 500 for number in range(50)],
        ["batchnorm_forward = " * 5000] * 3,
        ["".join(" " * depth + "if x:\n" for depth in range(500))] * 3,
    ],
    ids=["quotes", "starts", "definitions", "one long line", "blocks in blocks"],
)
def test_a_flood_of_code_is_reassembled(sources: list[str]) -> None:
    cells = tuple(Cell(id="", kind="code", source=source) for source in sources)
    found = reassemble(RELEASED, [NotebookFile(name="x", cells=cells)], corpus.assignment())
    assert set(answers(found)) == set(RELEASED.regions)
    assert all(len(others) <= 2 for others in found.alternatives.values())
