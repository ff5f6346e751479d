"""Collecting hidden tests, and turning what they say into scores."""

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment import Assignment, Limits, Question
from autograder.errors import MasterError
from autograder.grading.grader import Grader
from autograder.grading.hidden_tests import collect
from autograder.notebook import NotebookFile, parse_notebook
from autograder.results import Status, Student, to_json
from autograder.submissions.reassemble import reassemble
from autograder.submissions.submission import of_files
from tests import corpus

HEAD = "import pytest\nfrom autograder.grading.hidden_tests import question\n"
RIGHT = """mean, var = x.mean(0), x.var(0, correction=0)
return gamma * (x - mean) / (var + eps).sqrt() + beta, mean, var"""
GOOD = '@question("Q1", points=2, hint="h")\ndef test_one(observe):\n    pass\n'


def tiny(home: Path, source: str) -> Assignment:
    """An assignment of one question with this file of hidden tests; its name is new in this process."""
    folder = home / "solutions" / home.name / "hidden_tests"
    folder.mkdir(parents=True)
    (folder / "test_hw.py").write_text(HEAD + source)
    question = Question(id="Q1", notebook="n", points=2.0, defines=("f",), depends=())
    limits = Limits(wall_s=1, cpu_s=1, memory_mib=1)
    return Assignment(
        name=home.name, title="", version="1", notebooks=("n",), questions=(question,), limits=limits, home=home
    )


def test_collect(tmp_path: Path) -> None:
    mark = '@question("Q1", points=0.5, hint="g")\n@pytest.mark.parametrize("n", [1, 2])\n'
    source = GOOD.replace("points=2", "points=1.5") + mark + "def test_two(observe, n):\n    pass\n"
    (one, two) = collect(tiny(tmp_path, source))["Q1"]
    assert (one.name, one.points, one.hint, len(one.cases)) == ("one", 1.5, "h", 1)
    assert (two.name, two.points, two.hint) == ("two", 0.5, "g")
    assert [(case.name, dict(case.parameters)) for case in two.cases] == [("n=1", {"n": 1}), ("n=2", {"n": 2})]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (GOOD.replace('"Q1"', '"Q7"'), "unknown question 'Q7'"),
        (GOOD.replace("points=2", "points=3"), "the hidden tests of Q1 add up to 3 points, not 2"),
        (GOOD.replace(', hint="h"', ""), "missing 1 required keyword-only argument: 'hint'"),
        ("def test_one(observe):\n    pass\n", "a hidden test without a question"),
        (GOOD.replace("(observe)", "(observe, tmp_path)"), "unknown parameter tmp_path"),
        (GOOD + "import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
        ("def broken(:\n", "SyntaxError"),
        ("", "no hidden tests"),
    ],
)
def test_wrong_hidden_tests_are_one_line(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(MasterError, match=re.escape(message)) as error:
        collect(tiny(tmp_path, source))
    assert "\n" not in str(error.value)


def test_hidden_tests_of_one_name_in_two_files_are_refused(tmp_path: Path) -> None:
    """Their verdicts would be taken for each other's."""
    assignment = tiny(tmp_path, GOOD.replace("points=2", "points=1"))
    (assignment.hidden_tests_dir / "test_other.py").write_text(HEAD + GOOD.replace("points=2", "points=1"))
    with pytest.raises(MasterError, match=r"test_other\.py:3: Q1 has two hidden tests 'test_one'; rename one of them"):
        collect(assignment)


def scores(grader: Grader, folder: Path, answers: Mapping[str, Any], *questions: str) -> dict[str, Any]:
    corpus.write(folder, corpus.submission(dict(corpus.reference()) | dict(answers)))
    notebook = corpus.assignment().question(questions[0]).notebook
    handed_in = of_files(Student(id="s"), [folder / f"{notebook}.ipynb"])
    return to_json(grader.grade(handed_in, corpus.assignment().select(questions)))


def b3(body: str) -> dict[str, str]:
    return {"B3": corpus.answer_cell("B3", body)}


def test_partial_credit_goes_by_test(grader: Grader, tmp_path: Path) -> None:
    wrong_var = f"{RIGHT} + 1"
    found = scores(grader, tmp_path, b3(wrong_var), "B3")["questions"]["B3"]
    assert found["status"] == "failed"
    assert 0 < found["points"] < found["max_points"]
    assert found["points"] == sum(test["points"] for test in found["tests"] if test["status"] == "passed")


@pytest.mark.parametrize(
    "body",
    [
        "return None",
        "return x",
        "return x, x",
        "return 'y', 'mean', 'var'",
        "return x, x, [1, 2]",
        "return x, x.mean(0), torch.zeros(3, 3, 3)",
        "return x.to(torch.complex128), x.mean(0), x.var(0)",
        "return x.int(), x.mean(0).int(), x.var(0).int()",
        "return x * float('nan'), x.mean(0), x.var(0, correction=0)",
        "return {'y': x, 'mean': x, 'var': x}",
        "return torch.tensor([]), torch.tensor([]), torch.tensor([])",
        "return True, False, None",
        "return x[:1], x[:1], x[:1]",
        "class Same(torch.Tensor):\n    def __eq__(self, other): return True\nreturn (x.as_subclass(Same),) * 3",
        "return lambda: 0",
        "return iter([x, x, x])",
        "return 10 ** 400, 0, 0",
    ],
)
def test_whatever_is_returned_is_a_plain_failure(grader: Grader, tmp_path: Path, body: str) -> None:
    result = scores(grader, tmp_path, b3(body), "B3")
    found = result["questions"]["B3"]
    assert found["status"] in ("failed", "error")
    assert found["points"] < found["max_points"]
    assert all(test["message"] and test["hint"] for test in found["tests"] if test["status"] != "passed")
    assert not any(flag["kind"] == "hidden_test_raised" for flag in result["flags"]), result["flags"]


def test_a_helper_in_an_added_cell_that_fails_is_a_flag(grader: Grader, tmp_path: Path) -> None:
    answer = corpus.Answer(
        question="B3",
        right=True,
        name="",
        expect="",
        after="undefined_name\n",
        before="import os",
        body=RIGHT,
    )
    result = scores(grader, tmp_path, {"B3": answer}, "B3")
    assert result["questions"]["B3"]["status"] == "passed"
    assert ["NameError" in flag["text"] for flag in result["flags"]] == [True]


B8 = """mode = model.training
model.eval()
starts, losses = range(0, len(inputs), batch_size), []
try:
    with torch.no_grad():
        for batch in (slice(start, start + batch_size) for start in starts):
            losses.append(F.cross_entropy(model(inputs[batch]), targets[batch], reduction="sum").item())
finally:
    model.train(mode)
return float(sum(losses)) / len(inputs)"""


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize(
    "hides",
    [
        "sum = 0\nfor name in ('a', 'b'):\n    sum += len(name)",
        "len = 3",
        "range, float = None, 1.5",
        "def sum(values): return 7",
        "from math import fsum as len",
        "import math as slice",
        "for range in (1, 2): pass",
        "class float: pass",
        "import contextlib\nwith contextlib.nullcontext(3) as sum: pass",
    ],
)
def test_a_name_that_hides_a_builtin_costs_nothing(
    grader: Grader, tmp_path: Path, hides: str, at_the_end: bool
) -> None:
    answer = corpus.Answer(question="B8", right=True, name="", expect="", body=B8, before="" if at_the_end else hides)
    notebooks = corpus.submission(dict(corpus.reference()) | {"B8": answer})
    if at_the_end:
        notebooks["batchnorm"]["cells"].append(corpus.added_cell(hides))
    corpus.write(tmp_path, notebooks)
    handed_in = of_files(Student(id="s"), [tmp_path / "batchnorm.ipynb"])
    result = to_json(grader.grade(handed_in, corpus.assignment().select(["B4", "B8"])))
    assert {score["status"] for score in result["questions"].values()} == {"passed"}, result
    assert "graded_without_other_code" in [flag["kind"] for flag in result["flags"]]


HELPER = "def helper(t):\n    return t.mean(0)"


def added_around_b3(before: str) -> dict[str, corpus.Answer]:
    """A right answer to B3 that calls a helper in a cell below it, and this cell above it."""
    body = RIGHT.replace("x.mean(0)", "helper(x)")
    return {"B3": corpus.Answer(question="B3", right=True, name="", expect="", before=before, body=body, after=HELPER)}


@pytest.mark.parametrize("questions", [("B3",), ("B3", "B4")], ids=["alone", "together"])
@pytest.mark.parametrize(
    "ends",
    ["import ctypes\nctypes.string_at(0)", "import signal\nsignal.raise_signal(9)", "import posix; posix._exit(0)"],
)
def test_only_the_added_code_that_ends_the_process_is_left_out(
    grader: Grader, tmp_path: Path, ends: str, questions: tuple[str, ...]
) -> None:
    result = scores(grader, tmp_path, added_around_b3(ends), *questions)
    assert {score["status"] for score in result["questions"].values()} == {"passed"}
    assert [flag["kind"] for flag in result["flags"]] == ["added_code_left_out"]


def test_where_much_added_code_ends_the_process_all_of_it_is_left_out(grader: Grader, tmp_path: Path) -> None:
    crash = "import ctypes\nctypes.string_at(0)"
    answers = {
        "B3": f"{crash}\n\n\n{corpus.reference()['B3']}\n{crash}",
        "B4": f"{crash}\n\n\n{corpus.reference()['B4']}",
    }
    result = scores(grader, tmp_path, answers, "B3", "B4")
    assert {score["status"] for score in result["questions"].values()} == {"passed"}


def test_a_dependency_that_is_not_written_costs_only_itself(grader: Grader, tmp_path: Path) -> None:
    stub = {"B4": corpus.answer_cell("B4", 'raise NotImplementedError("B4")')}
    questions = scores(grader, tmp_path, stub, "B4", "B6")["questions"]
    assert questions["B4"]["points"] == 0
    assert (questions["B6"]["status"], questions["B6"]["dependencies"]) == ("passed", "reference")


def test_own_answers_count_where_they_are_right(grader: Grader, tmp_path: Path) -> None:
    questions = scores(grader, tmp_path, {}, "B3", "B4", "B6")["questions"]
    assert {score["dependencies"] for score in questions.values()} == {"own"}


def test_one_notebook_of_two(grader: Grader, tmp_path: Path) -> None:
    result = scores(grader, tmp_path, {}, "B3", "R2")
    assert result["questions"]["B3"]["status"] == "passed"
    assert result["questions"]["R2"]["status"] == "missing"
    assert "notebook_missing" in [flag["kind"] for flag in result["flags"]]


def test_two_notebooks_in_one_file(grader: Grader, tmp_path: Path) -> None:
    notebooks = corpus.submission(corpus.reference())
    notebooks["batchnorm"]["cells"] += notebooks.pop("residual_stream")["cells"]
    corpus.write(tmp_path, notebooks)
    handed_in = of_files(Student(id="s"), [tmp_path / "batchnorm.ipynb"])
    result = to_json(grader.grade(handed_in, corpus.assignment().select(["R1"])))
    assert result["questions"]["R1"]["status"] == "passed"
    assert "in_other_notebook" in [flag["kind"] for flag in result["flags"]]


@pytest.mark.parametrize(
    "patch",
    [
        "torch.Tensor.mean = lambda self, *rest, **more: self",
        "import builtins\nbuiltins.len = lambda *rest: 0",
        "torch.set_grad_enabled(False)",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\ntorch.sqrt = torch.abs",
        "globals().clear()",
        "import sys\nsys.modules['torch'] = None",
        "def endless(*rest, **more):\n    while True: pass\ntorch.Tensor.mean = endless",
    ],
)
def test_what_other_code_changes_costs_only_its_own_question(grader: Grader, tmp_path: Path, patch: str) -> None:
    answers = {"B5": f"{corpus.reference()['B5']}\n{patch}", "B3": corpus.reference()["B3"]}
    result = scores(grader, tmp_path, answers, "B3")
    assert result["questions"]["B3"]["status"] == "passed"


def test_a_class_that_other_code_changes_costs_only_that_code(grader: Grader, tmp_path: Path) -> None:
    answers = {"B10": corpus.reference()["B10"] + "\nBatchNorm1d.__call__ = lambda *rest: None"}
    questions = scores(grader, tmp_path, answers, "B4", "B6")["questions"]
    assert {key: score["status"] for key, score in questions.items()} == {"B4": "passed", "B6": "passed"}


def test_two_answers_may_have_helpers_of_one_name(grader: Grader, tmp_path: Path) -> None:
    """In the notebook itself each works when its cell was run, so neither may cost the other points."""
    b1 = "h = helper(pre.detach())\nshare = (h.abs() > 0.97).double().mean().item()\n"
    b1 += 'return {"mean": h.mean().item(), "std": h.std().item(), "saturated": share}'
    right = RIGHT.replace("x.mean(0)", "helper(x)")
    answers = {
        "B1": f"def helper(t):\n    return torch.tanh(t)\n\n\n{corpus.answer_cell('B1', b1)}",
        "B3": f"def helper(t):\n    return t.mean(0)\n\n\n{corpus.answer_cell('B3', right)}",
    }
    questions = scores(grader, tmp_path, answers, "B1", "B3")["questions"]
    assert {key: score["status"] for key, score in questions.items()} == {"B1": "passed", "B3": "passed"}
    assert {score["dependencies"] for score in questions.values()} == {"own"}


@pytest.mark.parametrize("questions", [("B4",), ("B3", "B4")], ids=["alone", "together"])
def test_what_an_answer_does_when_it_is_called_helps_no_other_question(
    grader: Grader, tmp_path: Path, questions: tuple[str, ...]
) -> None:
    """Else a result would depend on which questions are graded."""
    lines = corpus.reference()["B4"].replace("class BatchNorm1d", "class Right").split("\n")
    right = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    swap = corpus.answer_cell("B3", f"global BatchNorm1d\nBatchNorm1d = Right\n{RIGHT}")
    answers = {"B3": f"{right}\n\n\n{swap}", "B4": corpus.answer_cell("B4", "pass")}
    result = scores(grader, tmp_path, answers, *questions)["questions"]
    assert result["B4"]["points"] == 0


OTHERS = ("B4", "B6", "B8", "B9")


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        ("torch.set_default_dtype(torch.float64)", "passed"),
        ("torch.set_grad_enabled(False)", "failed"),
        ("torch.Tensor.mean = lambda self, *rest, **more: self", "failed"),
        ("import os\nos._exit(0)", "crashed"),
    ],
)
def test_what_an_answer_does_when_it_is_called_costs_no_other_question(
    grader: Grader, tmp_path: Path, patch: str, status: str
) -> None:
    """B5 runs before the others in the child that all questions share first."""
    head, marker, body = corpus.reference()["B5"].partition("THIS LINE)*****\n")
    answers = {"B5": head + marker + textwrap.indent(patch, "    ") + "\n" + body}
    result = scores(grader, tmp_path, answers, "B5", *OTHERS)["questions"]
    assert {key: result[key]["status"] for key in OTHERS} == dict.fromkeys(OTHERS, "passed")
    assert result["B5"]["status"] == status


@pytest.mark.parametrize("last_is_right", [True, False])
def test_of_two_answers_the_better_counts(grader: Grader, tmp_path: Path, last_is_right: bool) -> None:
    right = corpus.reference()["B3"]
    wrong = right.replace("correction=0", "correction=1")
    first, last = (wrong, right) if last_is_right else (right, wrong)
    notebooks = corpus.submission({"B3": first})
    notebooks["batchnorm"]["cells"].append(corpus.added_cell(last))
    corpus.write(tmp_path, notebooks)
    handed_in = of_files(Student(id="s"), [tmp_path / "batchnorm.ipynb"])
    result = grader.grade(handed_in, grader.assignment.select(["B3"]))
    score = result.questions["B3"]
    assert (score.points, score.status) == (6, Status.PASSED)
    assert score.answer is not None
    assert "correction=0" in score.answer.source
    tried = [str(flag) for flag in result.flags if flag.kind == "several_answers"]
    number = len(notebooks["batchnorm"]["cells"])
    assert bool(tried) is not last_is_right
    assert all(f"cell {number} of batchnorm.ipynb" in text for text in tried)


def test_the_reference_changes_nothing_that_all_code_shares(grader: Grader, tmp_path: Path) -> None:
    corpus.write(tmp_path, corpus.submission(corpus.reference()))
    for name, released in grader.released.items():
        cells = parse_notebook((tmp_path / f"{name}.ipynb").read_bytes())
        program = reassemble(released, [NotebookFile(name=name, cells=cells)], grader.assignment)
        run = grader.sandbox.start(name, program.own, {}, seed=1)
        assert run.failure is None
        assert not run.disturbed
        assert not run.changed()
        run.close()
