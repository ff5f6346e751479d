"""Results to save in a gradebook, and decisions on them."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder.gradebook.store import Gradebook
from autograder.results import (
    Audience,
    Flag,
    GradedAnswer,
    LmsIdentity,
    QuestionScore,
    Result,
    Status,
    Student,
    SubmissionStatus,
    SubmittedFile,
    TestScore,
)


def question(points: float = 1.0, most: float = 2.0) -> QuestionScore:
    status = Status.PASSED if points == most else Status.FAILED
    test = TestScore(name="a_test", status=status, points=points, max_points=most, message="short", hint="look")
    answer = GradedAnswer(file="hw.ipynb", source="def f():\n    return 'ä'\n")
    return QuestionScore(
        computed=points, max_points=most, status=status, dependencies="own", tests=(test,), answer=answer
    )


def result(student: str = "ada", **changed: Any) -> Result:
    plain: dict[str, Any] = {"student": Student(id=student), "submission": f"{student}/x.ipynb", "sha256": "1"}
    plain |= {"assignment": "hw", "version": "1", "status": SubmissionStatus.GRADED, "max_points": 4.0}
    plain |= {"questions": {"Q1": question(), "Q2": question(2.0)}}
    return Result(**(plain | changed))


FULL = result(
    student="zoë_7",
    flags=(Flag(kind="k", text="odd", question="Q1", audience=Audience.STAFF), Flag(kind="l", text="late")),
    submitted="2026-11-20T23:59:00+01:00",
    late="late",
    files=(SubmittedFile(name="x.ipynb", notebook="hw"), SubmittedFile(name="old", counts=False, why="older")),
)
FULL = replace(
    FULL,
    student=Student(
        id="zoë_7",
        name="Zoë",
        group="g",
        lms=LmsIdentity(system="canvas", user="7", attachments=("9",)),
        extension_minutes=30.0,
    ),
)


def save(gradebook: Gradebook, *results: Result, grader: dict[str, str] | None = None) -> int:
    run = gradebook.begin_run("grade", "{}", "grade x")
    for one in results:
        gradebook.save(run, one, grader or {"judging": "e"})
    gradebook.end_run(run)
    return run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
