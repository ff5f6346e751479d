"""Otter: the zips that `grader.export()` writes in a student's notebook.

Such a zip is named after the notebook and the time, and a member contains that name, so that renaming does no harm.
It also contains a pickled log, which is never read.
"""

import re

from autograder.platforms.files import FoundFile, first_bytes

LOG = ".OTTER_LOG"
ZIP_NAME = "__zip_filename__"
EXPORT = re.compile(r"(?P<notebook>.+)_\d{4}_\d\d_\d\dT\d\d_\d\d_\d\d_\d{1,6}(?:\W*\d*\W*)\.zip", re.IGNORECASE)


def notebook_of(name: str) -> str:
    """Return the notebook that a zip of this name was exported from, empty for any other name."""
    found = EXPORT.fullmatch(name)
    return found["notebook"] if found else ""


def original_name(members: list[FoundFile]) -> str:
    """Return the name that an exported zip had when it was written, empty if unknown."""
    marks = [member for member in members if member.name == ZIP_NAME]
    return first_bytes(marks[0], 300).decode("utf-8", "replace") if marks else ""


def is_note(name: str) -> bool:
    """Return whether a member was written by Otter, not by the student."""
    return name.rsplit("/", 1)[-1] in (LOG, ZIP_NAME)
