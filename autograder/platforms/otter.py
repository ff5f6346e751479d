"""Otter: the zips that `grader.export()` writes in a student's notebook.

Such a zip is named after the notebook and the time, and holds that name in a member, so that a renaming does no harm.
It also holds a log that is a pickle, which is never read.
"""

import re

from autograder.platforms.files import FoundFile, first_bytes

LOG = ".OTTER_LOG"
ZIP_NAME = "__zip_filename__"
EXPORT = re.compile(r"(?P<notebook>.+)_\d{4}_\d\d_\d\dT\d\d_\d\d_\d\d_\d{1,6}(?:\W*\d*\W*)\.zip", re.IGNORECASE)


def notebook_of(name: str) -> str:
    """Return the notebook that a zip of this name was exported from, empty when the name is another one."""
    found = EXPORT.fullmatch(name)
    return found["notebook"] if found else ""


def original_name(members: list[FoundFile]) -> str:
    """Return the name that an exported zip had when it was written, empty when it does not say so."""
    marks = [member for member in members if member.name == ZIP_NAME]
    return first_bytes(marks[0], 300).decode("utf-8", "replace") if marks else ""


def is_note(name: str) -> bool:
    """Tell whether a member is a note of Otter's own, which nobody handed in."""
    return name.rsplit("/", 1)[-1] in (LOG, ZIP_NAME)
