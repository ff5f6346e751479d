"""Options shared by several verbs, and their meaning."""

import argparse
import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.assignment_file import find_course, load_assignment
from autograder.errors import UsageError

Verbs = Any
"""argparse's object for adding verbs, whose type has no public name."""


def user_path(text: str) -> Path:
    """Return a path of the command line; a leading `~` is the user's home, also where no shell has replaced it."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # nobody has this name: a file may
        return Path(text)


def verb(
    verbs: Verbs, name: str, text: str, run: Callable[[argparse.Namespace], int], *, assignment: bool = True
) -> argparse.ArgumentParser:
    """Add a verb with the options that every verb has; assignment: also --assignment and --data."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(run=run)
    parser.add_argument("-v", "--verbose", action="store_true", help="print details, for bug reports")
    help_course = "the folder of the course (default: found by walking up from the working directory)"
    parser.add_argument("--course", type=user_path, metavar="DIR", help=help_course)
    if assignment:
        parser.add_argument(
            "--assignment", metavar="NAME", help="which assignment (default: the only one in the course)"
        )
        parser.add_argument(
            "--data",
            metavar="FILE",
            action="append",
            default=[],
            help="use this data file instead of the bundled one; NAME=FILE if an assignment has several",
        )
    return parser


def results_folder(parser: argparse.ArgumentParser) -> None:
    """Add --out and --db, which verbs on results take."""
    parser.add_argument("--out", type=user_path, required=True, metavar="DIR", help="the results folder")
    parser.add_argument(
        "--db", default="", metavar="URL", help="the gradebook's database, as a SQLAlchemy URL (default: in --out)"
    )


def course(options: argparse.Namespace) -> Path:
    """Return the folder of the course. Raises UsageError when there is none."""
    if options.course is None:
        return find_course()
    if not options.course.is_dir():
        raise UsageError("no such folder", options.course, "correct --course")
    return find_course(options.course)


def chosen(options: argparse.Namespace) -> Assignment:
    """Return the assignment that the options name, with the data files that they choose.

    Raises UsageError for a data file that does not exist or an unknown name.
    """
    assignment = load_assignment(options.assignment, course(options))
    names = list(assignment.data)
    for text in options.data:
        name, separator, path = text.rpartition("=")
        if not separator and len(names) == 1:
            name = names[0]
        if name not in names:
            fix = f"give NAME=FILE with one of: {', '.join(names) or 'none, this assignment has no data'}"
            raise UsageError("ambiguous data file", f"--data {text}", fix)
        os.environ[name.upper()] = str(Path(path).expanduser().resolve())
    for name in names:
        if not assignment.data_file(name).is_file():
            fix = f"correct --data, or correct or unset {name.upper()}"
            raise UsageError("no such file", assignment.data_file(name), fix)
    return assignment


def decider(options: argparse.Namespace) -> str:
    """Return who decides: --by, else the login name, else the number of a user without one, as in some containers."""
    try:
        return options.by or getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def agreed(question: str) -> bool:
    """Ask the person at the terminal; the end of the input is a no."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
