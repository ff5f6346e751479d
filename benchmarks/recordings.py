"""What the gradebook takes for each further submission, where all answers of all submissions differ.

`python -m benchmarks.recordings OUT` grades submissions whose answers are all drawn from the corpus, some more each
time, and prints how much the gradebook grew. The first ones take most: what they return is the base of the others.
"""

import argparse
import contextlib
import sqlite3
from pathlib import Path

from autograder.assignment_file import load_assignment
from autograder.gradebook.store import FILE
from benchmarks import rescore
from benchmarks.class_of_10000 import write_drawn


def kilobytes(out: Path) -> float:
    with contextlib.closing(sqlite3.connect(out / FILE)) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    return (out / FILE).stat().st_size / 1e3


def main() -> None:
    """Parse, measure and print."""
    parser = argparse.ArgumentParser(description="Measure how a gradebook grows with submissions that all differ.")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--count", type=int, default=200, help="submissions (default: %(default)s)")
    parser.add_argument("--step", type=int, default=20, help="submissions per line (default: %(default)s)")
    options = parser.parse_args()
    assignment, before = load_assignment(None), 0.0
    drawn = write_drawn(assignment, options.out / "drawn", options.count)
    batch = options.out / "batch"
    batch.mkdir()
    for start in range(0, options.count, options.step):
        for folder in drawn[start : start + options.step]:
            folder.rename(batch / folder.name)
        rescore.grade(assignment, batch, options.out / "out")
        now = kilobytes(options.out / "out")
        done = min(start + options.step, options.count)
        print(f"{done} submissions: {now / 1e3:.1f} MB, {(now - before) / (done - start):.0f} kB each", flush=True)
        before = now


if __name__ == "__main__":
    main()
