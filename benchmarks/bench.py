"""Benchmarks: the cost of grading a class compared with other ways to grade, measured in one run on one machine.

The submission is the reference, so that every training runs to its end. Machines are noisy, so the two sides of a ratio
alternate, and medians are compared.
"""

import contextlib
import functools
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authored import load_module
from autograder.authoring.build import build_notebook
from autograder.errors import GraderFault
from autograder.grading.grader import Grader, open_grader
from autograder.grading.memory import Memory
from autograder.grading.workers import workers
from autograder.notebook import NotebookFile, parse_notebook
from autograder.results import Student
from autograder.submissions.reassemble import reassemble
from autograder.submissions.submission import Submission, of_files
from benchmarks import memory, on_dask, others, rescore, resubmission, starts

ROUNDS = 5
REFERENCE = "reference"
"""Folder of the submission that is measured."""
CLASS = 4
"""Submissions per worker in one measurement of throughput."""
FEW, MANY = 10, 1000
"""Sizes of the batches whose peak memory is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison: our median, the other median, their ratio, and the target for the ratio or number."""

    what: str
    ours: str
    other: str
    ratio: str
    aim: str


def bench(assignment: Assignment, progress: Callable[[str], None]) -> Iterator[Row]:
    """Yield one row per measurement; progress is called with what is measured next. Takes some minutes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        progress("building the reference's notebooks")
        submission = reference(assignment, folder / REFERENCE)
        progress("CPU of a submission, compared with the same code in a bare process")
        yield from _cpu(assignment, submission)
        progress("throughput with one worker and with two")
        yield _throughput(assignment, submission)
        progress("throughput of a Dask cluster on this machine, and of as many local workers")
        yield _on_dask(assignment, submission)
        progress("a child, a fresh process, a Jupyter kernel")
        yield from _starts(assignment)
        progress("start-up")
        yield _start_up(assignment, folder / "first")
        progress(f"memory after {FEW} and {MANY} submissions")
        yield _memory(assignment, folder / "memory")
        yield _memory_of_one_more(assignment, submission)
        progress("a resubmission")
        yield from _resubmission(assignment, folder / "resubmission")
        progress(f"rescoring {rescore.CLASS} submissions")
        yield _rescoring(assignment, folder / "rescoring")
        progress("right and wrong answers through nbclient, otter run and nbgrader autograde")
        yield from _others(assignment, folder / "others")


def _rescoring(assignment: Assignment, folder: Path) -> Row:
    folder.mkdir()
    measured = rescore.measure(assignment, folder)
    grading_s = measured.grading_s * rescore.CLASS
    return Row(
        what=f"rescoring {measured.judged} submissions after a change of every hidden test; beside it grading them",
        ours=f"{measured.rescoring_s:.0f} s",
        other=f"{grading_s:.0f} s",
        ratio=f"{grading_s / measured.rescoring_s:.0f}",
        aim="under 30 s",
    )


def _resubmission(assignment: Assignment, folder: Path) -> Iterator[Row]:
    measured = resubmission.measure(assignment, folder)
    changed = f"with another answer to {measured.changed}"
    for what, seconds in ((changed, measured.changed_s), ("in which nothing changed", measured.same_s)):
        yield Row(
            what=f"CPU of a resubmission {what}; beside it the first submission",
            ours=f"{seconds:.2f} s",
            other=f"{measured.first_s:.2f} s",
            ratio=f"{measured.first_s / seconds:.0f}",
            aim="",
        )


def to_markdown(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table, each as soon as its row has been measured."""
    for line in (("", "this kit", "compared with", "ratio", "target"), ("---",) * 5):
        yield f"| {' | '.join(line)} |"
    for row in rows:
        yield f"| {row.what} | {row.ours} | {row.other} | {row.ratio} | {row.aim} |"


def reference(assignment: Assignment, folder: Path) -> Submission:
    """Write the notebooks with all solutions into a new folder, and return them as a submission."""
    folder.mkdir()
    files = []
    for name in assignment.notebooks:
        path = folder / f"{name}.ipynb"
        path.write_bytes(build_notebook(assignment, name).solution)
        files.append(path)
    return of_files(Student(id="reference"), files)


def _cpu(assignment: Assignment, submission: Submission) -> Iterator[Row]:
    known, new, training, code = [], [], [], []
    with open_grader(assignment) as grader:
        grader.grade(submission, assignment.questions)
        requests = grader.scorer.memory.requests()
        with _process(assignment) as bare:
            bare.submit(_start_bare, assignment.name, assignment.home, submission, requests).result()
            bare.submit(_run_bare).result()  # torch's lazy initialisation is not part of the comparison
            for _ in range(ROUNDS):
                known.append(_cpu_of(grader, submission))
                spent = bare.submit(_run_bare).result()
                training.append(spent["training"])
                code.append(sum(spent.values()))
                forgetful = replace(grader, scorer=replace(grader.scorer, memory=Memory()))
                new.append(_cpu_of(forgetful, submission))
    ours, bare_training, bare_code, forgetful_s = map(statistics.median, (known, training, code, new))
    if bare_training:
        yield Row(
            what="CPU of a submission, compared with its training steps in a bare process",
            ours=f"{ours:.2f} s",
            other=f"{bare_training:.2f} s",
            ratio=f"{ours / bare_training:.2f}",
            aim="at most 1.3",
        )
        yield Row(what="CPU outside training", ours=f"{ours - bare_training:.2f} s", other="", ratio="", aim="0.15 s")
    yield Row(
        what="CPU of a submission, compared with all its code and probes in a bare process",
        ours=f"{ours:.2f} s",
        other=f"{bare_code:.2f} s",
        ratio=f"{ours / bare_code:.2f}",
        aim="",
    )
    yield Row(what="CPU outside the student's code", ours=f"{ours - bare_code:.2f} s", other="", ratio="", aim="0.15 s")
    yield Row(
        what="CPU of a submission whose replies are all new, compared with one whose replies were seen before",
        ours=f"{forgetful_s:.2f} s",
        other=f"{ours:.2f} s",
        ratio=f"{forgetful_s / ours:.2f}",
        aim="",
    )


def _cpu_of(grader: Grader, submission: Submission) -> float:
    """Return the CPU seconds of grading one submission: grader, fork server and children."""
    before = time.process_time() + grader.sandbox.cpu_s
    result = grader.grade(submission, grader.assignment.questions)
    spent = time.process_time() + grader.sandbox.cpu_s - before
    if result.total != grader.assignment.max_points:
        raise GraderFault(f"the reference gets {result.total:g} points", "benchmark", "run `autograder verify`")
    return spent


@contextlib.contextmanager
def _process(assignment: Assignment) -> Iterator[ProcessPoolExecutor]:
    """Open a fresh process in the folder of the release, where the notebooks find their files."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        process.submit(os.chdir, assignment.release_dir).result()
        yield process


_bare: list[tuple[Callable[[], Any], bool]] = []


def _start_bare(name: str, home: Path, submission: Submission, requests: Sequence[bytes]) -> None:
    """Execute the reference's notebooks in this process, and prepare the same calls of probes as in grading.

    Only the reference's code and ours is run this way, never a student's.
    """
    import torch

    from autograder.grading.scorer import seed_of
    from autograder.release.released import load_released
    from autograder.sandbox import channel, child, server, steps

    torch.set_num_threads(1)
    assignment = load_assignment(name, home)
    sys.path.insert(0, str(assignment.release_dir))
    probes = server.load_probes(assignment.hidden_tests_dir)
    trains: Sequence[str] = ()
    if (assignment.hidden_tests_dir / "calibration.py").is_file():
        trains = load_module(assignment.hidden_tests_dir, "calibration").TRAINING_PROBES
    students: dict[int, child.Student] = {}
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        for notebook, released in load_released(assignment).items():
            (file,) = [file for file in submission.files if file.name == f"{notebook}.ipynb"]
            program = reassemble(
                released, [NotebookFile(name=file.name, cells=parse_notebook(file.content))], assignment
            )
            shared = [{"label": step.label, "source": step.source} for step in released.shared_steps()]
            module, error = server.run_prologue(shared)
            if error:
                raise GraderFault(f"a given cell fails ({error})", notebook, "run `autograder verify`")
            steps.Runner(module).run([asdict(step) | {"defines": ()} for step in program.own], lambda number: None)
            students |= {seed_of(one): child.Student(module) for one in assignment.in_notebook(notebook)}
    for request in requests:
        message = channel.decode(*channel.split(request))
        probe, student, seed = probes[message["probe"]], students[message["seed"]], message["seed"]
        call = functools.partial(_call, probe, student, seed, message["inputs"])
        _bare.append((call, message["probe"] in trains))


def _call(probe: Callable[..., Any], student: Any, seed: int, inputs: Mapping[str, Any]) -> None:
    import torch

    torch.default_generator.manual_seed(seed)
    probe(student, **inputs)


def _run_bare() -> dict[str, float]:
    """Return the CPU seconds of the prepared calls, split into those that train and the others."""
    spent = {"training": 0.0, "other": 0.0}
    for call, trains in _bare:
        before = time.process_time()
        call()
        spent["training" if trains else "other"] += time.process_time() - before
    return spent


def _throughput(assignment: Assignment, submission: Submission) -> Row:
    ids = tuple(question.id for question in assignment.questions)
    rates: dict[int, list[float]] = {1: [], 2: []}
    with contextlib.ExitStack() as stack:
        opened = {jobs: stack.enter_context(workers(assignment, jobs)) for jobs in rates}
        for jobs, (executor, grade) in opened.items():
            for future in [executor.submit(grade, submission, ids) for _ in range(2 * jobs)]:
                future.result()
        for _ in range(ROUNDS):
            for jobs, (executor, grade) in opened.items():
                began = time.perf_counter()
                for future in [executor.submit(grade, submission, ids) for _ in range(CLASS * jobs)]:
                    future.result()
                rates[jobs].append(CLASS * jobs / (time.perf_counter() - began))
    one, two = (statistics.median(rates[jobs]) for jobs in (1, 2))
    return _rates(f"submissions per second with two workers, compared with one ({os.cpu_count()} cores)", two, one, 1.8)


def _on_dask(assignment: Assignment, submission: Submission) -> Row:
    far, near = map(statistics.median, zip(*on_dask.measure(assignment, submission), strict=True))
    what = f"submissions per second on a Dask cluster here, compared with local workers ({on_dask.JOBS} of each)"
    return _rates(what, far, near, 0.9)


def _rates(what: str, ours: float, other: float, least: float) -> Row:
    ratio = f"{ours / other:.2f}"
    return Row(what=what, ours=f"{ours:.2f}", other=f"{other:.2f}", ratio=ratio, aim=f"at least {least}")


def _others(assignment: Assignment, folder: Path) -> Iterator[Row]:
    folder.mkdir()
    for one in others.measure(assignment, folder):
        yield Row(
            what=f"time of a submission, right and wrong answers, with all hidden tests; beside it {one.what}",
            ours=f"{one.ours_s:.2f} s",
            other=f"{one.theirs_s:.1f} s",
            ratio=f"{one.theirs_s / one.ours_s:.0f}",
            aim="60" if "otter" in one.what else "",
        )


def _starts(assignment: Assignment) -> Iterator[Row]:
    ours, fresh, kernel = starts.measure(assignment)
    for what, other in (("a fresh Python process and imports", fresh), ("a Jupyter kernel and imports", kernel)):
        yield Row(
            what=f"start of a sandboxed child, compared with {what}",
            ours=f"{ours * 1e3:.0f} ms",
            other=f"{other * 1e3:.0f} ms",
            ratio=f"{other / ours:.0f}",
            aim="",
        )


def _start_up(assignment: Assignment, folder: Path) -> Row:
    """Measure from the command to the first line about a submission, with one worker per core."""
    students = folder / "batch"
    for number in range(4):
        shutil.copytree(folder.parent / REFERENCE, students / f"s{number}")
    seconds = []
    for number in range(ROUNDS):
        command = [sys.executable, "-m", "autograder", "grade", str(students), "--out", str(folder / f"out{number}")]
        command += ["--assignment", assignment.name, "--questions", assignment.questions[0].id]
        began = time.perf_counter()
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
            assert run.stderr is not None
            run.stderr.readline()
            seconds.append(time.perf_counter() - began)
            run.communicate()
    first = statistics.median(seconds)
    return Row(what="`autograder grade` until its first result", ours=f"{first:.1f} s", other="", ratio="", aim="")


def _memory(assignment: Assignment, folder: Path) -> Row:
    """Compare the peak memory of a grader with `--jobs 1`."""
    few, many = (_peak(assignment, folder / str(count), count) for count in (FEW, MANY))
    return Row(
        what=f"peak memory of the grader after {MANY} submissions of one question each, compared with {FEW}",
        ours=f"{many:.0f} MiB",
        other=f"{few:.0f} MiB",
        ratio=f"{many / few:.2f}",
        aim="flat",
    )


def _memory_of_one_more(assignment: Assignment, submission: Submission) -> Row:
    what = f"memory of a further worker, from {memory.FEW} to {memory.MANY}"
    mib = memory.of_one_more(assignment, submission)
    return Row(what=what, ours=f"{mib:.0f} MiB", other="", ratio="", aim="under 150 MiB")


def _peak(assignment: Assignment, folder: Path, count: int) -> float:
    """Grade `count` different submissions of the first question; return the peak of the grader in MiB."""
    question = assignment.questions[0]
    solution = build_notebook(assignment, question.notebook).solution
    students = folder / "batch"
    students.mkdir(parents=True)
    for number in range(count):
        (students / f"s{number:04}.ipynb").write_bytes(solution + b" " * number)
    command = [sys.executable, "-m", "autograder", "grade", str(students), "--out", str(folder / "out"), "--jobs", "1"]
    command += ["--questions", question.id, "--assignment", assignment.name, "--course", str(assignment.home)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise GraderFault(f"grading ended with exit code {process.returncode}", students, "run it by hand")
    return usage.ru_maxrss / 1024
