"""The command `autograder`: parse, call, print."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from autograder.assignment_file import assignment_names, find_course, load_assignment
from autograder.errors import KitError, UsageError
from autograder.submissions.intake import FORMATS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 when it is done, 1 when a gate said no, 2 for a wrong use, 3 for a fault of the grader."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KitError as error:
        print(f"autograder: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("autograder: stopped; what is finished is kept, the same command goes on from there", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="autograder", description="Release, prove and grade notebook homework.", allow_abbrev=False
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    grade = verbs.add_parser("grade", help="grade notebooks and folders of notebooks", allow_abbrev=False)
    grade.add_argument(
        "paths",
        nargs="+",
        type=_path,
        metavar="PATH",
        help="a download of Canvas, Moodle or Gradescope (a zip or its folder), an nbgrader tree, a folder with one"
        " folder or file for each student, or a notebook",
    )
    grade.add_argument("--out", type=_path, required=True, metavar="DIR", help="where the results go")
    grade.add_argument(
        "--roster",
        type=_path,
        metavar="CSV",
        help="the students of the course: id, name, email, LMS id, group; also Canvas's gradebook, Moodle's worksheet"
        " or Gradescope's roster as exported (default: everyone keeps the LMS's name and id)",
    )
    grade.add_argument(
        "--format",
        choices=FORMATS,
        metavar="NAME",
        help=f"the form of the download, one of {', '.join(FORMATS)} (default: the one that most names fit)",
    )
    grade.add_argument(
        "--pattern",
        type=_pattern,
        metavar="REGEX",
        help="a form of your own: a regular expression over the paths, with the groups (?P<student>…) and perhaps name,"
        " time and attempt",
    )
    grade.add_argument(
        "--dry-run",
        action="store_true",
        help="only show who handed in what, what counts and what is odd; grade nothing and write nothing",
    )
    grade.add_argument(
        "--jobs", type=_jobs, default=_cores(), metavar="N", help="workers (default: one a core, %(default)s)"
    )
    grade.add_argument("--questions", default="", metavar="B3,B4", help="grade only these (default: all)")
    grade.add_argument(
        "--unsafe",
        action="store_true",
        help="grade also where student code cannot be confined; every result then says so (default: refuse)",
    )
    grade.set_defaults(run=_grade)

    export = verbs.add_parser("export", help="fill the points into a file of the LMS", allow_abbrev=False)
    export.add_argument("--out", type=_path, required=True, metavar="DIR", help="the results folder")
    export.add_argument(
        "--to",
        required=True,
        choices=("canvas", "moodle", "csv"),
        help="what the template is: Canvas's gradebook, Moodle's grading worksheet, or a table with a column of ids",
    )
    export.add_argument("--template", type=_path, required=True, metavar="FILE", help="the file as the LMS exported it")
    export.add_argument("--write", type=_path, required=True, metavar="FILE", help="the file to write and upload")
    export.add_argument(
        "--column",
        default="",
        metavar="NAME",
        help="the column to fill in (default: in Canvas the assignment's title, in Moodle the grade, else points)",
    )
    export.set_defaults(run=_export)

    doctor = verbs.add_parser("doctor", help="show how student code is confined on this machine", allow_abbrev=False)
    doctor.set_defaults(run=_doctor)

    release = verbs.add_parser("release", help="rebuild the student version from the masters", allow_abbrev=False)
    release.add_argument(
        "--version",
        metavar="2026.1",
        help="make this version: put it into assignment.toml, keep a record of it, and write the archives to upload"
        " (default: only rebuild the student version)",
    )
    release.add_argument(
        "--out", type=Path, default=Path("dist"), metavar="DIR", help="where the archives go (default: %(default)s)"
    )
    release.set_defaults(run=_release)

    verify = verbs.add_parser("verify", help="the gate: is the release fit to go out?", allow_abbrev=False)
    verify.set_defaults(run=_verify)

    new = verbs.add_parser("new", help="begin a new assignment", allow_abbrev=False)
    new.add_argument("name", metavar="NAME", help="its folder: small letters, digits and underscores")
    new.set_defaults(run=_new)

    calibrate = verbs.add_parser("calibrate", help="measure the thresholds of loss tests", allow_abbrev=False)
    calibrate.add_argument(
        "--names", type=Path, nargs="+", required=True, metavar="FILE", help="names files to train on"
    )
    calibrate.add_argument("--seeds", type=int, default=20, metavar="N", help="trainings of each answer (default: 20)")
    calibrate.add_argument("--out", type=Path, metavar="CSV", help="write the table here (default: beside the tests)")
    calibrate.add_argument("--plot", type=Path, metavar="PNG", help="draw the losses and limits into this file")
    calibrate.set_defaults(run=_calibrate)

    bench = verbs.add_parser("bench", help="measure speed and memory, beside other ways to grade", allow_abbrev=False)
    bench.set_defaults(run=_bench)

    for verb in (grade, export, doctor, release, calibrate, bench):
        verb.add_argument("--assignment", metavar="NAME", help="which assignment (default: the only one there is)")
    verify.add_argument("--assignment", metavar="NAME", help="which assignment (default: all of them)")
    return parser


def _path(text: str) -> Path:
    return Path(text).expanduser()  # a recipe of make or a shell may leave ~ as it is


def _jobs(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= count <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers from 1 to 256")
    return count


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression ({error})") from None
    if "student" not in pattern.groupindex:
        raise argparse.ArgumentTypeError(f"{text!r} has no group (?P<student>…)")
    return pattern


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _grade(options: argparse.Namespace) -> int:
    from autograder.gradebook.files import Gradebook
    from autograder.grading import batch
    from autograder.reports import terminal
    from autograder.sandbox.confine import examine, missing, unconfined
    from autograder.submissions.intake import Wanted, take_in
    from autograder.submissions.roster import read_roster

    assignment = load_assignment(options.assignment)
    questions = assignment.select(part.strip() for part in options.questions.split(",") if part.strip())
    for name in assignment.data:
        if not assignment.data_file(name).is_file():
            raise UsageError("there is no such file", assignment.data_file(name), f"correct or unset {name.upper()}")
    wanted = Wanted(notebooks=assignment.notebooks, form=options.format or "", pattern=options.pattern, out=options.out)
    intake = take_in(options.paths, wanted, read_roster(options.roster) if options.roster else ())
    if options.dry_run:
        from autograder.reports.dry_run import preview

        for line in preview(intake, assignment):
            print(line)
        return 0
    lacking = missing(examine(assignment))
    if lacking and not options.unsafe:
        raise unconfined(lacking)
    gradebook = Gradebook(options.out, batch.fingerprint(assignment, questions, lacking))
    jobs = min(options.jobs, len(intake.hand_ins))
    count = sum(len(one.students) for one in intake.hand_ins) + len(intake.absent)
    workers = batch.workers(assignment, jobs, options.unsafe)
    with terminal.progress(count) as advance, workers as (executor, grade):
        results = batch.record_absent(intake.absent, assignment, questions, gradebook, advance)
        results += batch.grade_batch(intake.hand_ins, questions, gradebook, executor, grade, advance, jobs)
    grades = gradebook.write_grades(results, questions)
    terminal.show(results, questions, grades)
    return 0


def _export(options: argparse.Namespace) -> int:
    from autograder.gradebook.files import read_results
    from autograder.platforms import grades

    assignment = load_assignment(options.assignment)
    if options.write.resolve() == options.template.resolve():
        raise UsageError("this would overwrite the template", options.write, "name another file with --write")
    results = read_results(options.out)
    try:
        template = options.template.read_bytes()
        filled = grades.fill_in(options.to, template, results, assignment.title, options.column, str(options.template))
        options.write.write_bytes(filled.data)
    except OSError as error:
        where = error.filename or options.template
        raise UsageError(f"the file cannot be used ({error.strerror})", where, "check the path") from error
    for line in grades.report(filled):
        print(line)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from autograder.reports import terminal
    from autograder.sandbox.confine import examine, missing

    layers = examine(load_assignment(options.assignment))
    terminal.show_layers(layers)
    return 1 if missing(layers) else 0


def _calibrate(options: argparse.Namespace) -> int:
    from autograder.authoring import calibrate
    from autograder.reports import terminal

    assignment = load_assignment(options.assignment)
    for path in options.names:
        if not path.is_file():
            raise UsageError("there is no such names file", path, "`make names` downloads the classic one")
    if options.seeds < 2:
        raise UsageError(f"{options.seeds} seeds show no deviation", "--seeds", "take 20 or more")
    rows = calibrate.calibrate(assignment, [path.resolve() for path in options.names], options.seeds, _cores())
    out = options.out or assignment.hidden_tests_dir / calibrate.TABLE
    out.write_text(calibrate.to_csv(rows), encoding="utf-8")
    if options.plot:
        calibrate.plot(rows, options.plot)
    terminal.show_calibration(rows, out)
    return 0


def _bench(options: argparse.Namespace) -> int:
    from benchmarks.bench import bench, to_markdown

    rows = bench(load_assignment(options.assignment), lambda what: print(f"measuring: {what}", file=sys.stderr))
    print(to_markdown(list(rows)), end="")
    return 0


def _release(options: argparse.Namespace) -> int:
    from autograder.authoring.build import write_release
    from autograder.release import versions

    assignment = load_assignment(options.assignment)
    if options.version:
        assignment = versions.choose(assignment, options.version)
    paths = write_release(assignment)
    print(f"{assignment.name} {assignment.version}: {len(paths)} files in {assignment.release_dir}")
    if options.version:
        from autograder.authoring.archives import version_on_disk, write_products

        print(f"on record: {versions.keep(assignment, version_on_disk(assignment))}")
        for path in write_products(assignment, options.out):
            print(f"{path.stat().st_size / 1e3:8.0f} kB  {path}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from autograder.authoring.verify import RULES, verify
    from autograder.reports import terminal

    kept = True
    for name in [options.assignment] if options.assignment else assignment_names(find_course()):
        assignment = load_assignment(name)
        with terminal.counted(len(RULES), "verifying") as advance:
            outcomes = verify(assignment, lambda one: advance(one.rule, "kept" if one.kept else "broken"))
        terminal.show_rules(assignment.name, outcomes)
        kept = kept and all(one.kept for one in outcomes)
    return 0 if kept else 1


def _new(options: argparse.Namespace) -> int:
    from autograder.authoring.skeleton import write_skeleton

    for path in write_skeleton(options.name, find_course()):
        print(path)
    print(f"next: `autograder verify --assignment {options.name}` says what is left to write; see docs/authoring.md")
    return 0
