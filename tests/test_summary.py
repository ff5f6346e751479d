"""What a TA reads on the terminal, against golden text. A change of it is made with `UPDATE_GOLDEN=1 pytest`."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autograder.reports import terminal
from autograder.results import Flag, QuestionScore, Result, Status, Student, SubmissionStatus
from tests import corpus

GOLDEN = Path(__file__).parent / "golden"
QUESTIONS = [corpus.assignment().question(key) for key in ("B3", "B4", "B10")]


def score(points: float, most: float, status: str, dependencies: str = "own") -> QuestionScore:
    return QuestionScore(computed=points, max_points=most, status=Status(status), dependencies=dependencies, tests=())


def student(name: str, **changed: Any) -> Result:
    plain: dict[str, Any] = {"student": Student(id=name), "submission": name, "sha256": "", "assignment": "hw"}
    plain |= {"version": "1", "status": SubmissionStatus.GRADED, "max_points": 19.0}
    return Result(**(plain | changed))


def graded(name: str, b3: QuestionScore, b4: QuestionScore, b10: QuestionScore) -> Result:
    return student(name, questions={"B3": b3, "B4": b4, "B10": b10})


RESULTS = [
    graded("zoë", score(6, 6, "passed"), score(9, 9, "passed"), score(4, 4, "passed")),
    graded("ada", score(3.5, 6, "failed"), score(9, 9, "passed", "reference"), score(0, 4, "timed_out")),
    graded("bob", *(score(0, most, "not_attempted") for most in (6, 9, 4))),
    graded("[bold]\x1b[31mred", score(0, 6, "crashed"), score(4.5, 9, "error"), score(0, 4, "missing")),
    student("eve", status=SubmissionStatus.UNREADABLE, flags=(Flag(kind="k", text="x.ipynb: no\nJSON"),)),
]


def assert_golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"{path} is missing: run with UPDATE_GOLDEN=1 and read what it holds"
    assert text == path.read_text(encoding="utf-8")


def test_the_table_of_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show(RESULTS, QUESTIONS, Path("out/grades.csv"))
    assert_golden("summary", capsys.readouterr().out)


@pytest.mark.parametrize("layout", [terminal.wide, terminal.narrow], ids=["wide", "narrow"])
def test_the_layouts(layout: Callable[..., Any]) -> None:
    buffer = io.StringIO()
    Console(file=buffer, width=100).print(layout(RESULTS, QUESTIONS))
    assert_golden(f"summary_{layout.__name__}", buffer.getvalue())


def test_progress_in_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.progress(len(RESULTS)) as advance:
        for result in RESULTS:
            advance(result)
    assert_golden("progress", capsys.readouterr().err)
