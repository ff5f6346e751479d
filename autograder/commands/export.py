"""The verb that brings results back into an LMS: export."""

import argparse

from autograder.commands.options import Verbs, chosen, results_folder, to_path, verb
from autograder.errors import UsageError


def add(verbs: Verbs) -> None:
    """Add the verbs of this group."""
    export = verb(verbs, "export", "fill the points into a file of the LMS", _export)
    results_folder(export)
    export.add_argument(
        "--to",
        required=True,
        choices=("canvas", "moodle", "csv"),
        help="what the template is: Canvas's gradebook, Moodle's grading worksheet, or a table with a column of ids",
    )
    export.add_argument(
        "--template", type=to_path, required=True, metavar="FILE", help="the file as the LMS exported it"
    )
    export.add_argument("--write", type=to_path, required=True, metavar="FILE", help="the file to write and upload")
    export.add_argument(
        "--column",
        default="",
        metavar="NAME",
        help="the column to fill in (default: the assignment's title in Canvas, the grade in Moodle, `points` in a"
        " table)",
    )


def _export(options: argparse.Namespace) -> int:
    from autograder.gradebook import views
    from autograder.gradebook.store import open_gradebook
    from autograder.platforms import grades

    assignment = chosen(options)
    if options.write.resolve() == options.template.resolve():
        raise UsageError("this would overwrite the template", options.write, "name another file with --write")
    with open_gradebook(options.out, options.db, writing=False) as gradebook:
        results = list(views.current(gradebook))
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
