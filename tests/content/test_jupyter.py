"""Everyday Jupyter lines around right answers cost nothing, and what is missing is said in words."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.authoring.run_notebook import run, solution
from autograder.grading.grader import Grader
from autograder.notebook import NotebookFile, Role, parse_notebook
from autograder.program import Step
from autograder.results import Student, to_json
from autograder.sandbox.replies import Failure, probe_request, read_reply
from autograder.submissions.reassemble import reassemble
from autograder.submissions.submission import of_files
from tests import corpus

CHEAP = ("B1", "B3", "B5")
RIGHT = """mean, var = helper(x), x.var(0, correction=0)
return gamma * (x - mean) / (var + eps).sqrt() + beta, mean, var"""
HELPER = "def helper(t):\n    return t.mean(0)"


def grade(grader: Grader, folder: Path, notebooks: Mapping[str, corpus.Notebook], *questions: str) -> dict[str, Any]:
    corpus.write(folder, notebooks)
    files = tuple(folder / f"{name}.ipynb" for name in notebooks)
    handed_in = of_files(Student(id="s"), files)
    return to_json(grader.grade(handed_in, corpus.assignment().select(questions)))


def with_b3(body: str, before: str = "", after: str = "") -> dict[str, corpus.Notebook]:
    answer = corpus.Answer(question="B3", right=True, name="", expect="", body=body, before=before, after=after)
    notebooks = corpus.submission(dict(corpus.reference()) | {"B3": answer})
    return {"batchnorm": notebooks["batchnorm"]}


EVERYWHERE = [
    "%matplotlib inline",
    "%matplotlib widget",
    "%load_ext autoreload",
    "%autoreload 2",
    "%config InlineBackend.figure_format = 'retina'",
    "%pdb off",
    "%env CUDA_VISIBLE_DEVICES=0",
    "%cd /content/drive/MyDrive",
    "%pip install einops",
    "%who",
    "%time one = torch.ones(1)",
    "%timeit -n 3 torch.ones(1)",
    "directory = %pwd",
    "!pip install -q seaborn",
    "!nvidia-smi",
    "files = !ls -l",
    "torch.var?",
    "?torch.mean",
    "torch.nn.functional.normalize??",
    "get_ipython().run_line_magic('matplotlib', 'inline')",
    "display(torch.ones(3))",
    "plt.plot([1, 2, 3]);",
    "plt.show()",
    "print('done');",
]
"""Lines that do no harm inside an answer either."""
ALONE = [
    "import seaborn as sns\nsns.set_theme()",
    "import wandb\nwandb.init(project='names')",
    "import ipywidgets as widgets\nwidgets.IntSlider()",
    "from google.colab import drive\ndrive.mount('/content/drive')",
    "from google.colab import files\nuploaded = files.upload()",
    "from tqdm.notebook import tqdm as bar\nfor _ in bar(range(3)): pass",
    "print(history['val'][-1])",
    "plot_losses({'mine': history}, 'mine')",
    "grader.check('B3')",
    "words = open('/content/drive/MyDrive/names.txt').read().splitlines()",
    "open('names_of_mine.txt', 'w').write('ada')",
    "torch.set_default_device('cuda')",
    "torch.set_default_dtype(torch.float64)",
    "device_of_mine = torch.ones(3).to('cuda')",
    "answer = input('continue? ')",
    "import os\nos.kill(os.getpid(), 9)",
    "import os\nos._exit(0)",
    "import matplotlib\nmatplotlib.use('TkAgg')",
    "await no_such_coroutine()",
    "%%bash\nls\necho 'def (:'",
    "%%html\n<b>done</b>",
    "%%javascript\nalert(1)",
    "%%time\ntorch.ones(3).sum()",
    "%%capture shown\nprint(1)",
    "%%writefile own_notes.py\nx = (",
    "raise SystemExit",
]
"""Cells of their own: what fails in grading, in Jupyter on another machine, or is no Python."""
IN_A_CELL = [*EVERYWHERE, *(text for text in ALONE if not text.startswith("%%"))]


@st.composite
def sprinkled(draw: st.DrawFn) -> dict[str, corpus.Notebook]:
    """A notebook with right answers, with these lines before, inside and after its cells."""
    notebooks = with_b3(RIGHT, before=HELPER)
    cells = []
    for cell in notebooks["batchnorm"]["cells"]:
        homework = cell["metadata"].get("homework", {})
        if draw(st.integers(0, 5)) == 0:
            cells.append(corpus.added_cell(draw(st.sampled_from([*EVERYWHERE, *ALONE]))))
        source = "".join(cell["source"])
        if homework.get("role") == Role.ANSWER and homework["question"] in CHEAP:
            head, marker, body = source.partition("THIS LINE)*****\n")
            lines = draw(st.lists(st.sampled_from(EVERYWHERE), max_size=2))
            source = head + marker + "".join(f"    {line}\n" for line in lines) + body
        elif not homework or homework.get("role") == Role.GIVEN:
            above, below = (draw(st.lists(st.sampled_from(IN_A_CELL), max_size=1)) for _ in range(2))
            source = "\n".join([*above, source, *below])
        cells.append(cell | {"source": source})
    return {"batchnorm": notebooks["batchnorm"] | {"cells": cells}}


def test_there_are_enough_lines() -> None:
    assert len({*EVERYWHERE, *ALONE}) >= 40


@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(notebooks=sprinkled())
def test_everyday_lines_cost_no_points(grader: Grader, tmp_path: Path, notebooks: dict[str, corpus.Notebook]) -> None:
    result = grade(grader, tmp_path, notebooks, *CHEAP)
    lost = {
        key: [test["message"] for test in score["tests"]]
        for key, score in result["questions"].items()
        if score["points"] < score["max_points"]
    }
    assert not lost
    assert len([flag for flag in result["flags"] if flag["kind"] == "added_code_failed"]) <= 1
    assert not [flag for flag in result["flags"] if flag["kind"] == "added_code_left_out"]


@pytest.mark.parametrize("line", [*EVERYWHERE, *ALONE])
def test_every_line_alone_in_a_cell_above_a_helper(grader: Grader, tmp_path: Path, line: str) -> None:
    below = f"\n{HELPER}" if not line.startswith("%%") or line.startswith(("%%time", "%%capture")) else ""
    result = grade(grader, tmp_path, with_b3(RIGHT, before=line + below, after="" if below else HELPER), "B3")
    assert result["questions"]["B3"]["status"] == "passed", result["questions"]["B3"]["tests"]


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (
            "1 / 0",
            "a statement of added code failed: ZeroDivisionError: division by zero (line 1 of added code 1: 1 / 0)",
        ),
        (
            "x = 1\nx / 0\nopen('no')",
            "2 statements of added code failed; the first: ZeroDivisionError: division by zero",
        ),
    ],
    ids=["one", "many"],
)
def test_failed_statements_are_one_flag(grader: Grader, tmp_path: Path, before: str, text: str) -> None:
    result = grade(grader, tmp_path, with_b3(RIGHT, before, HELPER), *CHEAP)
    found = [flag for flag in result["flags"] if flag["kind"] == "added_code_failed"]
    assert len(found) == 1
    assert found[0]["text"].startswith(text)


def test_the_flag_counts_all_added_cells(grader: Grader, tmp_path: Path) -> None:
    result = grade(grader, tmp_path, with_b3(RIGHT, "1 / 0", f"{HELPER}\n1 / 0\n2 / 0"), *CHEAP)
    assert [flag["text"].split(";")[0] for flag in result["flags"]] == ["3 statements of added code failed"]


USES = RIGHT.replace("helper(x)", "x.mean(0) + 0 * {name}")


@pytest.mark.parametrize(
    ("name", "before", "reason"),
    [
        ("len(history)", "", "`history` is made by a demonstration cell, which grading does not run"),
        ("len(grader)", "", "`grader` is made by a check cell, which grading does not run"),
        ("blocks_of_mine", "", "no cell of the submission defines it"),
        ("sns.x", "import seaborn_of_old as sns", "`seaborn_of_old` is not part of this assignment and not installed"),
        ("value", "value = float(open('no.txt').read())", "`value = float(open('no.txt').read())` stopped with"),
    ],
)
def test_a_missing_name_is_explained(grader: Grader, tmp_path: Path, name: str, before: str, reason: str) -> None:
    result = grade(grader, tmp_path, with_b3(USES.format(name=name), before), "B3")
    messages = [test["message"] for test in result["questions"]["B3"]["tests"]]
    assert any(f" is not defined: {reason}" in message for message in messages), messages


def test_a_name_of_the_other_notebook_is_told_with_its_cell(grader: Grader, tmp_path: Path) -> None:
    notebooks = corpus.submission(corpus.reference()) | with_b3(USES.format(name="ZERO_OF_OLD"))
    other = notebooks["residual_stream"]["cells"]
    other.insert(4, corpus.added_cell("import math\nZERO_OF_OLD = math.sin(0)"))
    result = grade(grader, tmp_path, notebooks, "B3")
    message = result["questions"]["B3"]["tests"][0]["message"]
    assert "the submission last defines it in cell 5 of residual_stream.ipynb" in message


PROBE = """
def batchnorm_forward(*rest):
    return sorted(name for name in globals() if not name.startswith("_"))
"""
INPUTS = {"x": torch.ones(2, 3), "gamma": torch.ones(3), "beta": torch.zeros(3), "eps": None}


@pytest.mark.parametrize("name", corpus.assignment().notebooks)
def test_a_kernel_and_a_child_have_the_same_names(grader: Grader, tmp_path: Path, name: str) -> None:
    """After given cells and answers, in the order of the notebook."""
    steps = [*program_of(grader, name), Step(label="added code 1", source=PROBE, added=True)]
    child = grader.sandbox.start(name, steps, {}, seed=1)
    try:
        seen = read_reply(child.ask(probe_request("batchnorm_forward_plain", INPUTS, seed=1)))
    finally:
        child.close()
    assert not isinstance(seen, Failure)
    assert {*seen["returned"], "batchnorm_forward"} == {*names_in_a_kernel(name, tmp_path), "batchnorm_forward"}


def program_of(grader: Grader, name: str) -> tuple[Step, ...]:
    cells = parse_notebook(json.dumps(corpus.submission(corpus.reference())[name]).encode())
    program = reassemble(grader.released[name], [NotebookFile(name=name, cells=cells)], grader.assignment)
    return program.own


def names_in_a_kernel(name: str, folder: Path) -> set[str]:
    shutil.copytree(corpus.assignment().release_dir, folder / "release")
    notebook = solution(corpus.assignment(), name)
    executed = (Role.GIVEN, Role.ANSWER)
    cells = [cell for cell in notebook["cells"] if cell["metadata"].get("homework", {}).get("role") in executed]
    first, last = "_before = set(globals())", "print(*(set(globals()) - _before))"
    extra = [corpus.added_cell(source) | {"id": f"extra-{n}"} for n, source in enumerate((first, last))]
    table, stopped = run(notebook | {"cells": [extra[0], *cells, extra[1]]}, folder / "release")
    assert not stopped
    return {one for one in table.cells[-1].outputs[0]["text"].split() if not one.startswith("_")}
