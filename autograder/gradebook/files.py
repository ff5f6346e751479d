"""Files of results: written whole or not at all, and safe to open in a spreadsheet."""

import hashlib
import os
import re
import tempfile
import unicodedata
from pathlib import Path

from autograder.errors import UsageError, printable

MAX_NAME = 180
"""Bytes of a student's id in a file name."""
UNSAFE = re.compile(r'[/\\:*?"<>|]')
JOINING = ("Cf",)
"""Categories of invisible characters that words of some scripts need, as between two letters of a Persian name."""


def write_whole(path: Path, text: str) -> None:
    """Replace a file as a whole, so that a reader or a killed run never sees half of one.

    Raises UsageError when it cannot be written, for instance because the disk is full.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.write(text)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise UsageError(f"it cannot be written ({error.strerror})", path, "make room, then run it again") from error


def cell(text: str) -> str:
    """Return the text on one line, and such that no spreadsheet takes it for a formula."""
    text = printable(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def file_stem(student: str) -> str:
    """Return a file name for a student's id: the id itself, or made safe with a short digest where it has to be.

    It depends on this id alone, and two ids never share one.
    """
    visible = "".join(c if c.isprintable() or unicodedata.category(c) in JOINING else "_" for c in student)
    safe = UNSAFE.sub("_", visible).lstrip(".").rstrip(". ")
    short = safe.encode(errors="replace")[:MAX_NAME].decode(errors="ignore").rstrip(". ")
    if short == student:
        return student
    return f"{short or 'student'}-{hashlib.sha256(student.encode(errors='surrogatepass')).hexdigest()[:8]}"
