"""Cells in the sandbox mean what IPython makes of them, statement by statement."""

import ast
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from autograder.grading.grader import Grader
from autograder.program import Step
from autograder.sandbox import cells
from autograder.sandbox.client import Run
from autograder.sandbox.replies import Failure, probe_request, read_reply

INPUTS = {"x": torch.ones(2, 3), "gamma": torch.ones(3), "beta": torch.zeros(3), "eps": None}
REQUEST = probe_request("batchnorm_forward_plain", INPUTS, seed=1)
DEFINES = {"B3": ("batchnorm_forward",)}


def added(*sources: str) -> list[Step]:
    return [Step(label=f"added code {n}", source=source, added=True) for n, source in enumerate(sources, start=1)]


def answer(body: str, below: str = "") -> Step:
    return Step(label="B3", source=f"def batchnorm_forward(x, gamma, beta):\n    {body}\n{below}", question="B3")


def execute(grader: Grader, steps: Sequence[Step]) -> tuple[Run, Any]:
    """The run, which has ended, and what the answer returned or the failure instead."""
    run = grader.sandbox.start("batchnorm", steps, DEFINES, seed=1)
    try:
        seen = read_reply(run.ask(REQUEST))
    finally:
        run.close()
    return run, seen if isinstance(seen, Failure) else seen["returned"]


JUPYTER = {
    "settings": "%load_ext autoreload\n%autoreload 2\n%matplotlib widget\n%config A.b = 'c'\n%env A=b\nvalue = 3",
    "unknown magics": "%no_such_magic at all\nother = %no_such_magic\nvalue = 3 if other is None else 0",
    "%time with an assignment": "%time value = 3",
    "%time with an expression": "value = %time 1 + 2",
    "%time in a function": "def three():\n    %time number = 3\n    %time return number\nvalue = three()",
    "%timeit with options": "value = 2\ndef go():\n    global value\n    value = 3\n%timeit -n 10 -r2 -q go()",
    "%prun with options": "seen = []\n%prun -s cumulative -l 5 seen.append(3)\nvalue = seen[0]",
    "nested %time": "%time %time value = 3",
    "%%time": "\n%%time\n!ls\nvalue = 3",
    "%%capture": "%%capture shown\nvalue = 3\n",
    "%%timeit": "%%timeit -n 1 -r 1\nvalue = 3",
    "shell": "!pip install einops\nvalue = 3",
    "shell in a branch": "try:\n    import no_such_one\nexcept ImportError:\n    !pip install no_such_one\nvalue = 3",
    "shell output": "files = !ls\nvalue = 3 + len(files) + len(files.s)",
    "exported shell": "get_ipython().system('ls')\nvalue = 3 + len(get_ipython().getoutput('ls'))",
    "exported magic": "get_ipython().run_line_magic('time', 'value = 3')",
    "help": "no_such_name?\n?torch.mean\ntorch.var??\nvalue = 3",
    "auto-call": "def keep(*words):\n    global value\n    value = len(words)\n/keep 1 2 3",
    "quoted auto-call": "def keep(*words):\n    global value\n    value = len(words)\n,keep a b c",
    "await": "import asyncio\nasync def later():\n    await asyncio.sleep(0.01)\n    return 3\nvalue = await later()",
    "display": "display(torch.ones(3), display_id=True)\nvalue = 3",
    "IPython's display": "from IPython.display import HTML, Image, display\ndisplay(HTML('<b>3</b>'))\nvalue = 3",
    "shell object": "get_ipython().events.register('post_run_cell', print)\n"
    "from IPython import get_ipython as shell\nshell().set_next_input('')\nvalue = 3 + ('colab' in str(shell()))",
    "prompts": ">>> value = 1\n>>> value += 2",
    "an indented cell": "    value = 1\n    value += 2",
    "semicolons": "value = 1; value += 2;\nvalue;",
    "a future import": "from __future__ import annotations\ndef f(x: NoSuchType): return 2 * x\nvalue = f(1.5)",
    "last results": "_ ; __ ; Out ; In\nvalue = 3",
}


@pytest.mark.parametrize("source", JUPYTER.values(), ids=JUPYTER.keys())
def test_what_jupyter_runs_runs(grader: Grader, source: str) -> None:
    run, returned = execute(grader, [*added(source), answer("return value")])
    assert run.stopped == []
    assert returned == 3


@pytest.mark.parametrize("magic", ["bash", "html", "javascript", "latex", "svg", "no_such_magic"])
def test_cell_magics_of_other_languages_are_skipped(grader: Grader, magic: str) -> None:
    run, returned = execute(grader, [*added("value = 3", f"%%{magic}\nvalue = 4"), answer("return value")])
    assert run.stopped == []
    assert returned == 3


def test_a_written_file_can_be_imported_and_run(grader: Grader) -> None:
    steps = added(
        "%%writefile own_helper.py\ndef one():\n    return 1\n",
        "%%writefile -a own_helper.py\ndef two():\n    return 2\n",
        "from own_helper import one",
        "%run own_helper.py",
    )
    run, returned = execute(grader, [*steps, answer("return one() + two()")])
    assert run.stopped == []
    assert returned == 3


PLACES = {
    "released data": "value = len(open('data/names.txt').read().split()) > 1000",
    "released modules": "import src.checks\nfrom src.utils import load_text\nvalue = len(load_text()) > 1000",
    "src on the path": "import sys\nsys.path.insert(0, 'src')\nimport utils\nvalue = True",
    "a file of one's own": "open('own.txt', 'w').write('1')\nvalue = open('own.txt').read() == '1'",
}


@pytest.mark.parametrize("source", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("move", ["%cd data", "import os; os.chdir('/')"])
def test_relative_paths_start_at_the_notebook_whatever_a_cell_before_did(
    grader: Grader, source: str, move: str
) -> None:
    run, returned = execute(grader, [*added(move, source), answer("return value")])
    assert run.stopped == []
    assert returned is True


def test_a_change_of_folder_holds_to_the_end_of_its_cell(grader: Grader) -> None:
    _, returned = execute(grader, [*added("%cd data\nvalue = len(open('names.txt').read())"), answer("return value")])
    assert returned > 1000


FAILING = {
    "a missing package": "import no_such_package",
    "Drive": "from google.colab import drive",
    "a missing file": "open('/content/drive/MyDrive/x.txt')",
    "a name of a demonstration": "print(history)",
    "input": "input('how many? ')",
    "a password": "import getpass; getpass.getpass()",
    "sys.exit": "raise SystemExit",
    "exit": "exit()",
    "quit": "quit()",
    "an interrupt": "raise KeyboardInterrupt",
    "a restart": "get_ipython and __import__('os')._exit(0)",
    "a kill": "__import__('os').kill(__import__('os').getpid(), 9)",
    "abort": "__import__('os').abort()",
    "a loop that catches everything": "while True:\n    try:\n        while True: pass\n    except Exception: pass",
    "no GPU": "torch.zeros(3).to('cuda')",
    "a backend with windows": "import matplotlib; matplotlib.use('TkAgg')",
}


@pytest.mark.parametrize("source", FAILING.values(), ids=FAILING.keys())
def test_a_statement_that_fails_costs_only_itself(grader: Grader, source: str) -> None:
    run, returned = execute(grader, [*added(f"{source}\ndef helper():\n    return 3"), answer("return helper()")])
    assert run.failure is None
    assert [one.statements for one in run.stopped] == [1]
    assert returned == 3


def test_endless_statements_share_a_limit(grader: Grader) -> None:
    endless = "while True: pass\n"
    run, returned = execute(grader, [*added(endless * 4 + "value = 3"), answer("return value")])
    assert [one.statements for one in run.stopped] == [4]
    assert returned == 3


SETTINGS = [
    "torch.set_default_device('cuda')\ntorch.set_default_device('mps')",
    "torch.set_default_device('meta')",
    "torch.set_default_dtype(torch.float64)",
    "torch.set_grad_enabled(False)",
    "torch.set_num_threads(3)",
    "torch.autograd.set_detect_anomaly(True)",
    "torch.use_deterministic_algorithms(True)",
    "torch.manual_seed(7)",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_end_with_the_cell(grader: Grader, setting: str) -> None:
    """And statements below them in the same cell work."""
    look = "return [str(value.device), str(torch.ones(1).dtype), torch.is_grad_enabled(), torch.rand(3)]"
    _, usual = execute(grader, [*added("value = torch.ones(3)"), answer(look)])
    run, found = execute(grader, [*added(f"{setting}\nvalue = torch.ones(3)"), answer(look)])
    assert run.stopped == []
    assert not run.disturbed
    assert found[:3] == usual[:3] == ["cpu", "torch.float32", True]
    assert torch.equal(found[3], usual[3])


def test_a_failing_call_below_the_definition_is_no_error_of_the_answer(grader: Grader) -> None:
    run, returned = execute(grader, [answer("return x, factor", below="batchnorm_forward()\nfactor = 3\n")])
    assert returned[1] == 3
    assert run.errors == {}
    assert [one.statements for one in run.stopped] == [1]


BELOW = {
    "a call": "batchnorm_forward()",
    "a call over several lines": "batchnorm_forward(\n    1,\n    2,\n)",
    "a decorator": "@no_such_decorator\ndef other():\n    pass",
    "a branch": "if True:\n    early = 1\n    1 / 0",
    "two": "1 / 0\n2 / 0",
    "with magics": "%time 1 / 0\n!ls",
    "an error raised again": "try: 1 / 0\nexcept Exception as e: raise e.with_traceback(None) from None",
}


@pytest.mark.parametrize("below", BELOW.values(), ids=BELOW.keys())
def test_what_stands_below_a_failing_statement_in_an_answers_cell_runs_once(grader: Grader, below: str) -> None:
    source = f"count = 0\n{below}\ncount += 1\nfactor = 3\n"
    run, returned = execute(grader, [answer("return x, (factor, count)", below=source)])
    assert returned[1] == (3, 1)
    assert [one.statements for one in run.stopped] == [below.count("/ 0\n2") + 1]


def test_an_answer_that_is_not_defined_keeps_its_error(grader: Grader) -> None:
    steps = [Step(label="B3", source="import no_such_package\n1 / 0\n", question="B3")]
    run, returned = execute(grader, steps)
    assert isinstance(returned, Failure)
    assert "no_such_package" in run.errors["B3"]
    assert run.stopped == []


def test_magics_in_an_answer(grader: Grader) -> None:
    source = (
        "%%time\ndef batchnorm_forward(x, gamma, beta):\n    torch.var?\n    !ls\n    %time value = 3\n    return value"
    )
    _, returned = execute(grader, [Step(label="B3", source=source, question="B3")])
    assert returned == 3


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("import seaborn_of_old as sns", "`seaborn_of_old` is not part of this assignment and not installed"),
        ("sns = open('no.csv').read()", r"`sns = open('no.csv').read()` stopped with FileNotFoundError"),
        ("%time sns = open('no.csv')", r"`%time sns = open('no.csv')` stopped with FileNotFoundError"),
    ],
)
def test_a_missing_name_tells_which_statement_failed(grader: Grader, before: str, reason: str) -> None:
    _, failure = execute(grader, [*added(before), answer("return sns")])
    assert f"NameError: name 'sns' is not defined: {reason}" in failure.message


def test_a_package_in_the_answer_that_is_not_installed(grader: Grader) -> None:
    _, failure = execute(grader, [answer("import einops_of_old.layers")])
    assert "`einops_of_old` is not part of this assignment" in failure.message


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("\n\nx = 1\nx / 0", 4),
        ("\n\n%%time\nx = 1\nx / 0", 5),
        ("%matplotlib inline\n\n%time 1 / 0", 3),
        ("!ls\nx = (", 2),
    ],
)
def test_messages_show_the_students_own_line(grader: Grader, source: str, line: int) -> None:
    run, _ = execute(grader, [*added(source), answer("return 1")])
    assert f"(line {line} of added code 1: {source.splitlines()[line - 1]})" in run.stopped[0].error


@pytest.mark.parametrize(
    "source", ["x = 5 % 3\ny = x != 2", "z = '!ls'", '"""\n%time x\n!ls\n"""', "x = (5\n%x)", "..."]
)
def test_python_stays_as_it_is(source: str) -> None:
    assert list(map(ast.dump, cells.parse(source, "<f>"))) == list(map(ast.dump, ast.parse(source).body))


@pytest.mark.parametrize(
    "source", ["x = (", "def f(:\n    %time", "x = 'a\n%time y", "%" * 3000, "%time " * 3000 + "x"]
)
def test_text_that_no_parser_takes_is_one_failed_statement(grader: Grader, source: str) -> None:
    run, returned = execute(grader, [*added(source, "value = 3"), answer("return value")])
    assert returned == 3
    assert [one.statements for one in run.stopped] in ([1], [])
