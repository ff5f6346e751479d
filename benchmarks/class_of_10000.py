"""A large class on two cores: memory, disk, and the time to write, report and resume.

`python -m benchmarks.class_of_10000 FOLDER` makes a class out of the corpus in FOLDER, grades it, kills the run when
most is done, resumes it, and prints what that took. A class repeats DISTINCT submissions under many names: what was
run once is judged from recordings, so the time per student is that of a repeat. `--students`, `--distinct` and
`--questions` make it smaller.
"""

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authoring import corpus
from autograder.gradebook.store import FILE
from autograder.release.reference import reference_cells
from autograder.release.released import load_released
from benchmarks import rescore

STUDENTS = 10_000
DISTINCT = 60
RIGHT = 0.75
"""The part of the answers that are right."""
UNREADABLE = 50
"""One of so many students hands in what is no notebook."""
KILLED_AT = 0.9
"""The part of the class after which the run is killed."""
EARLY = 0.1
"""The part of the class at which memory is read for the first time."""
HOSTILE = (
    "import os\nos._exit(0)",
    "while True: pass",
    "return [0] * 10**12",
    "raise SystemExit",
    "open('/etc/shadow')",
)


def write_class(assignment: Assignment, folder: Path, students: int, distinct: int) -> None:
    """Write a folder per student with hard links to distinct submissions: right, wrong, hostile and unreadable."""
    kinds = folder / "distinct"
    released = load_released(assignment)
    reference, tables = reference_cells(assignment, released), corpus.released_tables(assignment)
    write_drawn(assignment, kinds, distinct - len(HOSTILE))
    for number, (body, question) in enumerate(zip(HOSTILE, itertools.cycle(assignment.questions), strict=False)):
        answer = corpus.Answer(question=question.id, right=False, name="hostile", expect="", body=body)
        corpus.write(kinds / f"x{number}", corpus.submission(tables, released, {**reference, question.id: answer}))
    sources = sorted(kinds.iterdir())
    for number in range(students):
        target = folder / "batch" / f"s{number:05}"
        target.mkdir(parents=True)
        if number % UNREADABLE == UNREADABLE - 1:
            (target / f"{assignment.notebooks[0]}.ipynb").write_text("{ no notebook")
            continue
        for path in sources[number % len(sources)].iterdir():
            os.link(path, target / path.name)


def draw(assignment: Assignment, count: int) -> Iterator[dict[str, corpus.Answer]]:
    """Yield answers to all questions, drawn from the corpus; a comment makes each unlike all others."""
    known = corpus.read_corpus(assignment)
    for number in range(count):
        chance = random.Random(number)
        drawn = {}
        for question, answers in known.items():
            right = chance.random() < RIGHT
            answer = chance.choice([one for one in answers if one.right is right])
            drawn[question] = replace(answer, body=f"# {number}\n{answer.body}")
        yield drawn


def write_drawn(assignment: Assignment, folder: Path, count: int) -> list[Path]:
    """Write submissions whose answers are all drawn from the corpus; return their folders."""
    released = load_released(assignment)
    reference, tables = reference_cells(assignment, released), corpus.released_tables(assignment)
    return [
        corpus.write(folder / f"s{number:04}", corpus.submission(tables, released, {**reference, **drawn}))
        for number, drawn in enumerate(draw(assignment, count))
    ]


@contextlib.contextmanager
def running(words: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "autograder", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        yield run


def lines(run: subprocess.Popen[str]) -> Iterator[int]:
    """Yield how many students are done, as the run says it."""
    assert run.stderr is not None
    for line in run.stderr:
        count = line.split("/", 1)[0]
        if count.isdigit():
            yield int(count)


def peak_mib(run: subprocess.Popen[str]) -> float:
    """Return the peak memory of a running process so far."""
    status = Path(f"/proc/{run.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def own_cpu_s(run: subprocess.Popen[str]) -> float:
    """Return the CPU that a running process took so far, without its workers."""
    fields = Path(f"/proc/{run.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def to_the_end(run: subprocess.Popen[str], students: int) -> tuple[float, float]:
    """Follow a run; its peak MiB, and the seconds from when all students were done to its end."""
    late, done_at = 0.0, time.perf_counter()
    for count in lines(run):
        if count == students:
            late, done_at = peak_mib(run), time.perf_counter()
            break
    while run.poll() is None:  # what it writes at the end counts too
        with contextlib.suppress(OSError, ValueError):
            late = peak_mib(run)
        time.sleep(0.02)
    return late, time.perf_counter() - done_at


class Clock:
    """Seconds since it was made, of wall time and of CPU of programs that have ended."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), self._ended()

    @staticmethod
    def _ended() -> float:
        times = os.times()
        return times.children_user + times.children_system

    def __str__(self) -> str:
        return f"{time.perf_counter() - self._wall:.1f} s ({self._ended() - self._cpu:.1f} s of CPU)"


def megabytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths) / 1e6


def measure(assignment: Assignment, folder: Path, students: int, distinct: int, questions: str) -> Iterator[str]:
    """Make, grade, kill, resume and report; yields a line about each."""
    began = time.perf_counter()
    write_class(assignment, folder, students, distinct)
    yield f"written: {students} students, {distinct} distinct submissions, {time.perf_counter() - began:.0f} s"
    out = folder / "out"
    where = ["--out", str(out), "--assignment", assignment.name, "--course", str(assignment.home)]
    words = ["grade", str(folder / "batch"), *where, "--jobs", str(rescore.JOBS), "--questions", questions]
    began, kept, early, late = time.perf_counter(), 0, 0.0, 0.0
    with running(words) as run:
        for count in lines(run):
            kept = count
            if count == int(EARLY * students):
                early = peak_mib(run)
            if count == int(KILLED_AT * students):
                late = peak_mib(run)
                run.send_signal(signal.SIGKILL)
    seconds = time.perf_counter() - began
    yield f"graded {kept} with {rescore.JOBS} workers: {seconds:.0f} s, {seconds / kept * 1e3:.0f} ms per student"
    yield f"peak memory at {int(EARLY * students)} students {early:.0f} MiB, at {kept} {late:.0f} MiB"
    began = time.perf_counter()
    with running(words) as run:
        for count in lines(run):
            if count > kept:
                break
        seconds, cpu_s = time.perf_counter() - began, own_cpu_s(run)
        yield f"killed and started again: the first new result after {seconds:.1f} s ({cpu_s:.1f} s of CPU)"
        late, _ = to_the_end(run, students)
    yield f"peak memory of the resumed run: {late:.0f} MiB; gradebook: {megabytes(out.glob(f'{FILE}*')):.1f} MB"
    shutil.rmtree(out / "results")
    clock = Clock()
    with running(words) as run:
        late, writing_s = to_the_end(run, students)
    yield f"nothing to grade: {clock}, of which writing all views {writing_s:.1f} s, {late:.0f} MiB"
    clock = Clock()
    with running(["report", *where]) as run:
        late, _ = to_the_end(run, students)
    pages = sorted((out / "report").iterdir(), key=lambda path: path.stat().st_size)
    largest = f"{pages[-1].name} with {pages[-1].stat().st_size / 1e6:.1f} MB"
    index = (out / "report" / "index.html").stat().st_size / 1e6
    yield f"report: {clock}, {late:.0f} MiB, index.html {index:.1f} MB, largest {largest}"


def main() -> int:
    """Parse, measure and print."""
    parser = argparse.ArgumentParser(description="Grade a large class made from the corpus, and measure it.")
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--students", type=int, default=STUDENTS, help="default: %(default)s")
    parser.add_argument("--distinct", type=int, default=DISTINCT, help="different submissions, default: %(default)s")
    parser.add_argument("--questions", default="", help="only these, such as B1,R1 (default: all)")
    options = parser.parse_args()
    for line in measure(load_assignment(None), options.folder, options.students, options.distinct, options.questions):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
