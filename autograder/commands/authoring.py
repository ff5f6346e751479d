"""Verbs for instructors: init, new, release, verify, calibrate, sample."""

import argparse
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.assignment import Assignment
from autograder.assignment_file import assignment_names, load_assignment
from autograder.commands.options import Verbs, chosen, cores, course, user_path, verb
from autograder.errors import UsageError
from autograder.wording import number_of

if TYPE_CHECKING:  # each verb imports what it needs
    from autograder.release.versions import MutantFigures


def add(verbs: Verbs) -> None:
    """Add the verbs of this group."""
    init = verb(verbs, "init", "create a course in a new folder", _init, assignment=False)
    init.add_argument("folder", type=user_path, metavar="FOLDER", help="the folder to create")

    new = verb(verbs, "new", "create a new assignment from a template", _new, assignment=False)
    new.add_argument("name", metavar="NAME", help="its folder: lower-case letters, digits and underscores")

    release = verb(verbs, "release", "rebuild the student version from the masters", _release)
    release.add_argument(
        "--version",
        metavar="2026.1",
        help="make this version: put it into assignment.toml, keep a record of it, and write the archives to upload"
        " (default: only rebuild the student version)",
    )
    release.add_argument(
        "--quick",
        action="store_true",
        help="with --version: grade no mutants, and keep the record without their figures",
    )
    release.add_argument(
        "--out",
        type=user_path,
        default=Path("dist"),
        metavar="DIR",
        help="where the archives go (default: %(default)s)",
    )

    check = verb(verbs, "verify", "check a release before it is published", _verify, assignment=False)
    check.add_argument("--assignment", metavar="NAME", help="which assignment (default: all of them)")
    depth = check.add_mutually_exclusive_group()
    depth.add_argument(
        "--quick", action="store_true", help="grade neither mutants of the reference nor the whole corpus"
    )
    depth.add_argument(
        "--mutants",
        nargs="?",
        const="",
        metavar="Q1,Q2",
        help="grade all mutants and the whole corpus, of these questions or of all; takes long"
        " (default: only where there are few)",
    )
    check.add_argument(
        "--table",
        nargs="+",
        type=user_path,
        default=[],
        metavar="FILE",
        help="with --mutants and --assignment: write which hidden tests notice the mutants, to FILE.md by hidden test,"
        " to FILE.csv by mutant",
    )
    check.add_argument("--online", action="store_true", help="ask every web address that a notebook links to")

    calibrate = verb(verbs, "calibrate", "measure the thresholds of loss tests", _calibrate)
    calibrate.add_argument("files", nargs="+", type=user_path, metavar="FILE", help="data files to train on")
    calibrate.add_argument(
        "--seeds", type=int, default=20, metavar="N", help="training runs of each answer (default: %(default)s)"
    )
    calibrate.add_argument(
        "--out", type=user_path, metavar="CSV", help="write the table here (default: next to the tests)"
    )
    calibrate.add_argument("--plot", type=user_path, metavar="PNG", help="draw the losses and limits into this file")

    sample = verb(verbs, "sample", "write the assignment's sample batch of submissions", _sample)
    sample.add_argument("folder", type=user_path, metavar="FOLDER", help="the folder to write; it is replaced")


def _init(options: argparse.Namespace) -> int:
    from autograder.authoring.skeleton import write_course

    for path in write_course(options.folder):
        print(path)
    print(f"next: cd {options.folder} && autograder new hw1")
    return 0


def _new(options: argparse.Namespace) -> int:
    from autograder.authoring.skeleton import write_skeleton

    home = course(options) if options.course else _course_or_here()
    for path in write_skeleton(options.name, home):
        print(path)
    print(f"next: fill in the lines with FILL IN; `autograder verify --assignment {options.name}` lists them")
    return 0


def _course_or_here() -> Path:
    """Return the course of the working directory, or the working directory itself if it is a new course."""
    from autograder.assignment_file import find_course

    if (Path.cwd() / "solutions").is_dir():
        return Path.cwd()
    return find_course()


def _release(options: argparse.Namespace) -> int:
    from autograder.authoring.build import write_release
    from autograder.release import versions

    assignment = chosen(options)
    if options.version is not None:
        assignment = versions.choose(assignment, options.version, datetime.now(UTC).date())
    paths = write_release(assignment)
    print(f"{assignment.name} {assignment.version}: {number_of(len(paths), 'file')} in {assignment.release_dir}")
    if options.version is not None:
        from autograder.authoring.archives import version_on_disk, write_products

        version = version_on_disk(assignment)
        if options.quick:
            print("mutants: not graded (--quick), so a new record has no figures of them")
        elif not versions.record_of(assignment, version.name).is_file():
            version = replace(version, mutants=_mutants(assignment))
        print(f"on record: {versions.keep(assignment, version)}")
        for path in write_products(assignment, options.out):
            print(f"{path.stat().st_size / 1e3:8.0f} kB  {path}")
    return 0


def _mutants(assignment: Assignment) -> "dict[str, MutantFigures]":
    """Return the figures of the mutants of every question, and print their sums."""
    from autograder.authoring.noticed import in_words, total
    from autograder.authoring.verify.grading import Grading
    from autograder.authoring.verify.noticing import figures
    from autograder.reports import terminal

    with Grading(assignment) as grading, terminal.counted(len(assignment.tested), "grading mutants") as advance:
        found = figures(grading, lambda one: advance(one.question, in_words(one.figures)))
    every = total(found.values())
    rest = f"; `autograder verify --assignment {assignment.name} --mutants` names the others" if every.survivors else ""
    print(f"mutants: {in_words(every)}{rest}")
    return found


def _verify(options: argparse.Namespace) -> int:
    home = course(options)
    _refuse_tables(options)
    names = [options.assignment] if options.assignment else assignment_names(home)
    passed = [_passes(load_assignment(name, home), options) for name in names]
    return 0 if all(passed) else 1


def _refuse_tables(options: argparse.Namespace) -> None:
    """Raise UsageError for tables that cannot be written."""
    from autograder.authoring.noticed import TABLES

    if options.table and (options.mutants is None or options.assignment is None):
        what = "it needs the mutants of one assignment"
        raise UsageError(what, "--table", "add --assignment NAME --mutants")
    for path in options.table:
        if path.suffix not in TABLES:
            raise UsageError("not a kind of table", path, f"let its name end in {' or '.join(TABLES)}")


def _passes(assignment: Assignment, options: argparse.Namespace) -> bool:
    """Run the release check on an assignment, show what it found, and return whether all checks passed."""
    from autograder.authoring.noticed import TABLES, Measured, in_words
    from autograder.authoring.verify import RULES, verify
    from autograder.authoring.verify.grading import MOST
    from autograder.reports import terminal

    chosen_ones = frozenset(filter(None, (options.mutants or "").split(",")))
    if unknown := chosen_ones - {one.id for one in assignment.questions}:
        raise UsageError(f"{assignment.name} has no question {min(unknown)}", "--mutants", "give ids of its questions")
    tested = {one.id for one in assignment.tested}
    shown = frozenset() if options.mutants is None else tested & (chosen_ones or tested)
    found: list[Measured] = []
    with terminal.counted(len(RULES) + len(shown), "checking") as advance:

        def measured(one: Measured) -> None:
            found.append(one)
            if one.question in shown:
                advance(f"mutants of {one.question}", in_words(one.figures))

        outcomes = verify(
            assignment,
            lambda one: advance(one.rule, "passed" if one.kept else "failed"),
            0 if options.quick else MOST if options.mutants is None else math.inf,
            chosen_ones,
            online=options.online,
            every_test=bool(options.table),
            measured=measured,
        )
    terminal.show_rules(assignment.name, outcomes)
    for path in options.table if len(found) == len(shown) else ():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TABLES[path.suffix](assignment, found), encoding="utf-8")
        print(f"written: {path}")
    return all(one.kept for one in outcomes)


def _calibrate(options: argparse.Namespace) -> int:
    from autograder.authoring import calibrate
    from autograder.grading.pictures import BANDS
    from autograder.reports import terminal

    assignment = chosen(options)
    for path in options.files:
        if not path.is_file():
            raise UsageError("no such file", path, "correct the path")
    if options.seeds < 2:
        raise UsageError(f"{options.seeds} is too few seeds to measure the spread", "--seeds", "use 20 or more")
    found = calibrate.calibrate(assignment, [path.resolve() for path in options.files], options.seeds, cores())
    out = options.out or assignment.hidden_tests_dir / calibrate.TABLE
    out.write_text(calibrate.to_csv(found.rows), encoding="utf-8")
    if found.places:
        out.with_name(BANDS).write_text(calibrate.to_csv(found.places), encoding="utf-8")
    if options.plot:
        calibrate.plot(found.rows, options.plot)
    terminal.show_calibration(found.rows, out)
    return 0


def _sample(options: argparse.Namespace) -> int:
    from autograder.authoring.sample import write_sample

    assignment = chosen(options)
    students = write_sample(assignment, options.folder)
    print(f"{number_of(len(students), 'submission')} in {options.folder}")
    return 0
