"""The verb that brings results back into an LMS: export."""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence

from autograder.commands.options import Verbs, chosen, results_folder, user_path, verb
from autograder.errors import UsageError
from autograder.results import Result


def add(verbs: Verbs) -> None:
    """Add the verbs of this group."""
    export = verb(verbs, "export", "fill the points into a file of the LMS, or upload them to Canvas", _export)
    results_folder(export)
    export.add_argument(
        "--to",
        required=True,
        choices=("canvas", "moodle", "csv"),
        help="what the template is: Canvas's gradebook, Moodle's grading worksheet, or a table with a column of ids",
    )
    export.add_argument("--template", type=user_path, metavar="FILE", help="the file as the LMS exported it")
    export.add_argument("--write", type=user_path, metavar="FILE", help="the file to write and upload")
    export.add_argument(
        "--column",
        default="",
        metavar="NAME",
        help="the column to fill in (default: the assignment's title in Canvas, the grade in Moodle, `points` in a"
        " table)",
    )
    export.add_argument(
        "--with-late",
        action="store_true",
        help="take off what the assignment's late policy says (default: raw points, as Canvas and Gradescope have"
        " policies of their own)",
    )
    export.add_argument(
        "--upload",
        default="",
        metavar="ADDRESS",
        help="instead of a template: compare with Canvas itself, at the address of the assignment's page",
    )
    export.add_argument(
        "--token-file",
        type=user_path,
        metavar="FILE",
        help="a file with your access token for --upload (default: the environment variable CANVAS_TOKEN)",
    )
    export.add_argument(
        "--yes", action="store_true", help="with --upload: post the points (default: show what would be posted)"
    )


def _export(options: argparse.Namespace) -> int:
    from autograder.gradebook import run as runs
    from autograder.gradebook import views
    from autograder.gradebook.store import open_gradebook

    assignment = chosen(options)
    if bool(options.upload) == bool(options.template and options.write):
        raise UsageError("give --template FILE and --write FILE, or --upload ADDRESS", "export", "see `export --help`")
    if options.upload and options.to != "canvas":
        raise UsageError("only Canvas takes points over its API", f"--to {options.to}", "use --template and --write")
    if options.with_late and assignment.late is None:
        raise UsageError(
            "the assignment has no late policy", assignment.toml, "add a [late] table, or drop --with-late"
        )
    points: dict[str, float] = {}
    with open_gradebook(options.out, options.db, writing=False) as gradebook:
        results = list(views.current(gradebook))
        warnings = list(_unfinished(results))
        if options.with_late:
            taken = runs.deductions(gradebook, assignment) or {}
            points = {
                one.student.id: one.total - taken[one.student.id].points for one in results if one.student.id in taken
            }
            warnings += [
                f"{student}: {one.reason}, so nothing was taken off" for student, one in taken.items() if one.unknown
            ]
    if options.upload:
        return _upload(options, results, points, warnings)
    return _fill_in(options, assignment.title, results, points, warnings)


def _unfinished(results: Sequence[Result]) -> Iterator[str]:
    """Yield for each student whose points are not final, why."""
    for result in results:
        if not result.has_points or (result.override and result.override.points is not None):
            continue
        if any(flag.kind == "grader_failed" for flag in result.flags):
            yield f"{result.student.id}: the grader failed, so points are missing; grade again first"
        if result.waiting:
            yield f"{result.student.id}: nobody has graded these yet, so they count as 0: {', '.join(result.waiting)}"


def _fill_in(
    options: argparse.Namespace, title: str, results: list[Result], points: Mapping[str, float], warnings: list[str]
) -> int:
    from autograder.gradebook.files import write_whole
    from autograder.platforms import grades

    if options.write.resolve() == options.template.resolve():
        raise UsageError("this would overwrite the template", options.write, "name another file with --write")
    try:
        template, name = options.template.read_bytes(), str(options.template)
    except OSError as error:
        raise UsageError(f"the file cannot be used ({error.strerror})", options.template, "check the path") from error
    filled = grades.fill_in(options.to, template, results, title, options.column, name, points)
    write_whole(options.write, filled.data)
    filled.warnings += warnings
    for line in grades.report(filled):
        print(line)
    return 0


def _upload(
    options: argparse.Namespace, results: list[Result], points: Mapping[str, float], warnings: list[str]
) -> int:
    """Show how Canvas differs from the results, and post it with --yes; exit code 1 where some could not be posted."""
    from autograder.platforms.canvas_upload import CanvasAssignment, read_token, report

    canvas = CanvasAssignment(options.upload, read_token(options.token_file, os.environ))
    found = canvas.compare(results, points)
    found.warnings += warnings
    if not options.yes:
        print("\n".join(report(found)))
        print("nothing was posted; add --yes to post" if found.postings else "nothing to post")
        return 0
    outcome: dict[str, str] = {}
    for posting, why in canvas.post(found.postings):
        outcome[posting.student] = why
    print("\n".join(report(found, outcome)))
    if not any(outcome.values()):
        return 0
    print("run the same command again: it posts only what is not there yet")
    return 1
