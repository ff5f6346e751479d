"""Rescoring, measured: a class is graded once, then every hidden test changes, and recordings are judged anew.

`python -m benchmarks.rescore OUT` grades a class made from the corpus into OUT and says what its recordings take.
"""

import argparse
import contextlib
import io
import itertools
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authoring import corpus
from autograder.cli import main
from autograder.gradebook import programs, recordings
from autograder.gradebook.rescore import rescore
from autograder.gradebook.store import FILE, open_gradebook, save_result
from autograder.release.reference import reference_cells
from autograder.release.released import load_released
from autograder.results import Student

DISTINCT = 30
"""Different submissions that are graded; a class repeats them under other names."""
CLASS = 1000
JOBS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Seconds of wall time: of grading one submission with JOBS workers, and of rescoring the whole class."""

    grading_s: float
    rescoring_s: float
    judged: int


def write_class(assignment: Assignment, folder: Path, count: int) -> Path:
    """Write submissions in which one answer each comes from the corpus, taking turns between questions."""
    released = load_released(assignment)
    reference, tables = reference_cells(assignment, released), corpus.released_tables(assignment)
    for number, answer in enumerate(itertools.islice(_answers(assignment), count)):
        answers: dict[str, str | corpus.Answer] = {**reference, answer.question: answer}
        corpus.write(folder / f"s{number:04}", corpus.submission(tables, released, answers))
    return folder


def _answers(assignment: Assignment) -> Iterator[corpus.Answer]:
    """Yield the first answer of each question, right ones first, then the second of each, and so on."""
    files = [corpus.read_answers(assignment.corpus_dir / f"{one.id}.txt") for one in assignment.questions]
    ordered = [sorted(answers, key=lambda one: not one.right) for answers in files]
    for turn in itertools.zip_longest(*ordered):
        yield from (answer for answer in turn if answer)


def grade(assignment: Assignment, batch: Path, out: Path) -> float:
    """Grade a batch; the seconds it took."""
    arguments = ["grade", str(batch), "--out", str(out), "--jobs", str(JOBS)]
    began = time.perf_counter()
    with (
        contextlib.redirect_stdout(io.StringIO()),
        open(os.devnull, "w") as nothing,
        contextlib.redirect_stderr(nothing),
    ):
        main([*arguments, "--assignment", assignment.name, "--course", str(assignment.home)])
    return time.perf_counter() - began


def enlarge(out: Path, count: int) -> None:
    """Repeat the results of a gradebook under other names until there are this many."""
    with open_gradebook(out) as gradebook:
        everyone = list(gradebook.saved())
        run = gradebook.begin_run("grade", "{}", "the same submissions of other students")
        with gradebook.writing() as connection:
            for number in range(len(everyone), count):
                saved = everyone[number % len(everyone)]
                student = Student(id=f"t{number:04}")
                save_result(connection, run, replace(saved.result, student=student), saved.grader)
                found = programs.load(gradebook, saved.result.student.id)
                programs.save(connection, run, student.id, found, whole=True)
        gradebook.end_run(run)


def change_every_test(assignment: Assignment, home: Path) -> Assignment:
    """Return the assignment in a copy of the course in which every file of hidden tests has changed."""
    for folder in (assignment.masters_dir, assignment.release_dir):
        shutil.copytree(folder, home / folder.relative_to(assignment.home))
    for path in assignment.data.values():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(assignment.home / path, home / path)
    changed = load_assignment(assignment.name, home)
    for file in changed.hidden_tests_dir.glob("test_*.py"):
        file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    return changed


def measure(assignment: Assignment, folder: Path, count: int = CLASS, distinct: int = DISTINCT) -> Measured:
    """Grade `distinct` submissions, repeat them to a class of `count`, change every hidden test and rescore."""
    out = folder / "out"
    graded_s = grade(assignment, write_class(assignment, folder / "batch", distinct), out)
    return replace(rescore_class(assignment, folder, out, count), grading_s=graded_s / distinct)


def rescore_class(assignment: Assignment, folder: Path, out: Path, count: int) -> Measured:
    """Repeat what was graded to a class, change every hidden test and rescore."""
    enlarge(out, count)
    changed = change_every_test(assignment, folder / "home")
    with open_gradebook(out) as gradebook:
        began = time.perf_counter()
        outcome = rescore(
            gradebook, changed, out, dry_run=False, since_run=None, jobs=JOBS, unsafe=False, say=lambda line: None
        )
        took_s = time.perf_counter() - began
    return Measured(grading_s=0.0, rescoring_s=took_s, judged=outcome.judged - len(outcome.again))


def sizes(out: Path) -> str:
    """Return how much a gradebook takes for each submission."""
    with open_gradebook(out, writing=False) as gradebook:
        count = sum(1 for _ in gradebook.saved(tests=False))
        recorded, stored = recordings.size(gradebook)
    with contextlib.closing(sqlite3.connect(out / FILE)) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    whole = (out / FILE).stat().st_size
    return (
        f"{count} submissions, {recorded} programs: {stored / count / 1000:.0f} kB of texts and tensors for each,"
        f" {whole / count / 1000:.0f} kB with everything else"
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description="grade a class made from the corpus, and measure its recordings")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--count", type=int, default=60, help="submissions (default: %(default)s)")
    parser.add_argument("--assignment", default=None, metavar="NAME")
    options = parser.parse_args()
    assignment = load_assignment(options.assignment)
    out = options.out / "out"
    seconds = grade(assignment, write_class(assignment, options.out / "batch", options.count), out)
    print(f"graded in {seconds:.0f} s with {JOBS} workers")
    print(sizes(out))


if __name__ == "__main__":
    _main()
