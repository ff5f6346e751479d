"""Verbs for admins: doctor, bench."""

import argparse
import sys

from autograder.commands.options import Verbs, chosen, course, verb
from autograder.errors import UsageError


def add(verbs: Verbs) -> None:
    """Add the verbs of this group."""
    verb(verbs, "doctor", "show how student code is sandboxed on this machine", _doctor)
    verb(verbs, "bench", "measure speed and memory, compared with other ways to grade", _bench)


def _doctor(options: argparse.Namespace) -> int:
    from autograder.reports import terminal
    from autograder.sandbox.confine import examine, missing

    layers = examine(chosen(options))
    terminal.show_layers(layers)
    return 1 if missing(layers) else 0


def _bench(options: argparse.Namespace) -> int:
    home = course(options)
    if not (home / "benchmarks" / "bench.py").is_file():
        fix = "run it in a clone of the kit's repository"
        raise UsageError("the benchmarks are not part of the installed package", home, fix)
    sys.path.insert(0, str(home))
    from benchmarks.bench import bench, to_markdown

    rows = bench(chosen(options), lambda what: print(f"measuring: {what}", file=sys.stderr))
    for line in to_markdown(rows):
        print(line, flush=True)
    return 0
