"""A run that is killed at any moment and resumed leaves what a run that was never killed leaves."""

import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from autograder.gradebook import programs, recordings, schema, views
from autograder.gradebook import run as runs
from autograder.gradebook.blobs import read_blobs
from autograder.gradebook.store import open_gradebook
from autograder.grading.batch import Batch, InlineExecutor
from autograder.grading.graded import Graded
from autograder.grading.recording import Facts, Recording, Reply
from autograder.program import Program, Step
from autograder.results import Flag, QuestionScore, Result, Status, SubmissionStatus
from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.submission import Submission
from tests import corpus

ASSIGNMENT = corpus.assignment()
QUESTIONS = ASSIGNMENT.select(["B1", "B3"])
STUDENTS = ("ada", "bob", "eve", "zoe")
MOMENTS = 20


def grade(submission: Submission, questions: tuple[str, ...]) -> Graded:
    """Grade without running anything: the points depend on the file's size alone."""
    points = float(len(submission.files[0].content) % 4)
    score = QuestionScore(computed=points, max_points=6.0, status=Status.FAILED, dependencies="own", tests=())
    note = Flag(kind="k", text="odd")
    result = Result(
        student=submission.student,
        submission=submission.label,
        sha256=submission.sha256,
        assignment="x",
        version="1",
        status=SubmissionStatus.GRADED,
        max_points=9.0,
        flags=(note,),
        questions=dict.fromkeys(questions, score),
    )
    step = Step(label="B1", source=submission.student.id, question="B1")
    program = Program(notebook="batchnorm", steps=(step,))
    one = Recording(key=submission.sha256[:16].encode(), text=program.text())
    one.facts = Facts(failure=None, errors={}, disturbed=False)
    one.add(b"p" * 16, Reply(request=b"r" * 16, answer=(b'{"value":1,"tensors":[]}', bytearray())))
    return Graded(result=result, programs=(program,), notes={"batchnorm": (note,)}, recordings=(one,))


def write(folder: Path, size: int) -> Path:
    for student in STUDENTS:
        (folder / student).mkdir(parents=True, exist_ok=True)
        (folder / student / "batchnorm.ipynb").write_text('{"cells": []}' + " " * size + student)
    return folder


def grade_batch(batch: Path, out: Path) -> None:
    hand_ins = take_in([batch], Wanted(notebooks=ASSIGNMENT.notebooks)).hand_ins
    with open_gradebook(out) as gradebook:
        run = runs.begin(gradebook, ASSIGNMENT, QUESTIONS, {"judging": "1", "tests B1": "1", "tests B3": "3"}, "grade")
        executor = InlineExecutor()
        Batch(executor=executor, grade=grade, jobs=lambda: 1, wanted=run.wanted, record=run.record).run(hand_ins)
        run.end(out, finished=True)


class Countdown:
    """Counts what touches the disk, and kills this process before the n-th."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, *_: Any, **__: Any) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def counted(countdown: Callable[..., None], patch: pytest.MonkeyPatch) -> None:
    """Call it before each statement, commit and replacement of a file."""
    plain = os.replace

    def replacing(*arguments: Any) -> None:
        countdown()
        plain(*arguments)
        countdown()

    patch.setattr(os, "replace", replacing)
    for name in ("before_cursor_execute", "commit"):
        event.listen(Engine, name, countdown)


def killed(batch: Path, out: Path, moment: int, patch: pytest.MonkeyPatch) -> bool:
    """Grade in another process that is killed at this moment; False where it ended before."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            counted(Countdown(moment), patch)
            grade_batch(batch, out)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def content(out: Path) -> dict[str, Any]:
    """What stands in a gradebook and its views, without the numbers of runs and rows."""
    with open_gradebook(out, writing=False) as gradebook:
        with gradebook.engine.connect() as connection:
            digests = connection.execute(select(schema.blobs.c.digest)).scalars().all()
            stored = {
                "blobs": read_blobs(connection, digests),
                "programs": sorted(map(str, connection.execute(select(schema.programs)))),
            }
        saved = [replace(one, run=0) for one in gradebook.saved()]
        notebooks = {student: programs.load(gradebook, student) for student in STUDENTS}
        replayed = [recordings.load(gradebook, one.result.sha256[:16].encode()) for one in saved]
        everything: dict[str, Any] = {"saved": saved, "notebooks": notebooks, "recordings": replayed, **stored}
    for path in [out / views.GRADES, out / views.CHANGES, *(out / views.RESULTS).iterdir()]:
        lines = path.read_text().splitlines()
        everything[str(path.relative_to(out))] = [line for line in lines if '"run"' not in line]
    everything["edited"] = (out / views.EDITED).exists()
    return everything


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class that was graded, and handed in once more; `whole` is what a run that nobody killed makes of that."""
    folder = tmp_path_factory.mktemp("killed")
    grade_batch(write(folder / "batch", 0), folder / "out")
    write(folder / "batch", 1)
    shutil.copytree(folder / "out", folder / "whole")
    return folder


@pytest.fixture(scope="module")
def moments(folder: Path) -> list[int]:
    """Moments from the whole run, and how many there are."""
    countdown = Countdown(10**9)
    with pytest.MonkeyPatch.context() as patch:
        counted(countdown, patch)
        grade_batch(folder / "batch", folder / "whole")
        for name in ("before_cursor_execute", "commit"):
            event.remove(Engine, name, countdown)
    most = 10**9 - countdown.left
    return sorted(random.Random(6).sample(range(1, most + 1), MOMENTS))


@pytest.mark.parametrize("number", range(MOMENTS))
def test_a_killed_run_goes_on_where_it_was(
    folder: Path, moments: list[int], tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(folder / "out", out)
    assert killed(folder / "batch", out, moments[number], monkeypatch)
    grade_batch(folder / "batch", out)
    assert content(out) == content(folder / "whole")
