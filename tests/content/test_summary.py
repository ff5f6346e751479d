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
from tests import HOME, corpus

GOLDEN = HOME / "tests" / "golden"
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


def class_of(count: int) -> list[Result]:
    kinds = [Flag(kind=f"kind_{number}", text="x", question="B3") for number in range(8)]
    results = []
    for number in range(count):
        scores = {key: score(number % 7, 9, "timed_out" if number % 11 == 0 else "failed") for key in ALL}
        results.append(student(f"s{number:03}", questions=scores, flags=tuple(kinds[: number % 9])))
        if number % 10 == 0:
            flags = (Flag(kind="k", text="not JSON"),)
            results.append(student(f"u{number:03}", status=SubmissionStatus.UNREADABLE, flags=flags))
            results.append(student(f"n{number:03}", status=SubmissionStatus.NOT_SUBMITTED))
    return results


ALL = [question.id for question in corpus.assignment().tested]


def test_a_large_class_is_at_most_a_screen_of_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    unmatched = [f"x{number}: no student on the roster" for number in range(30)]
    left_out = [(f"f{number}.csv", "not a submission") for number in range(30)]
    terminal.show(class_of(300), corpus.assignment().tested, Path("out/grades.csv"), unmatched, left_out)
    shown = capsys.readouterr().out
    assert shown.count("\n") <= 50
    lines = shown.splitlines()
    assert [line for line in lines if len(line) > 80 and " graded, " not in line] == []
    assert_golden("summary_large", shown)


@pytest.mark.parametrize("layout", [terminal.wide, terminal.narrow], ids=["wide", "narrow"])
def test_no_line_of_a_table_is_wider_than_its_terminal(layout: Callable[..., Any]) -> None:
    buffer = io.StringIO()
    console = Console(file=buffer, width=80, force_terminal=True, color_system=None)
    console.print(layout(RESULTS, QUESTIONS))
    assert max(map(len, buffer.getvalue().splitlines())) <= 80


def test_marks_in_a_narrow_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr("sys.stdout", out)
    terminal.show(RESULTS, QUESTIONS, Path("out/grades.csv"))
    out.flush()
    shown = raw.getvalue().decode("ascii")
    assert "T timed out   X crashed   . not attempted" in shown
    assert [line.split()[1:] for line in shown.splitlines() if line.startswith("ada ")] == [["12.5", "3.5", "9*", "T"]]
    assert "zo\\xeb" in shown
