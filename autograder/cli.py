"""The command `autograder`: parse, call, print.

Exit codes: 0 done (whatever the students' scores), 1 a check failed, 2 wrong usage or input, 3 an internal error.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import metadata

from autograder.commands import admin, authoring, export, grading, reports, review, showing
from autograder.errors import KitError

EPILOG = "Run `autograder VERB --help` for the options of a verb. docs/ has a page for TAs, instructors and admins."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code; an error is one line on standard error."""
    _tolerate_narrow_encodings()
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.WARNING, format="%(name)s: %(message)s")
    code = 0
    try:
        code = int(options.run(options))
        sys.stdout.flush()
        return code
    except KitError as error:
        print(f"autograder: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code
    except KeyboardInterrupt:
        print("autograder: stopped", file=sys.stderr)
        return 130


def _tolerate_narrow_encodings() -> None:
    """Print characters missing from the terminal's encoding as escapes instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with every verb."""
    found = argparse.ArgumentParser(
        prog="autograder",
        description="Release, check and grade notebook homework.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    found.add_argument("--version", action="version", version=f"autograder {_version()}")
    verbs = found.add_subparsers(metavar="VERB", required=True, title="verbs")
    for group in (grading, showing, reports, review, export, authoring, admin):
        group.add(verbs)
    return found


def _version() -> str:
    try:
        return metadata.version("homework-autograder")
    except metadata.PackageNotFoundError:
        return "(not installed)"
