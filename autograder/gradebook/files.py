"""Result files: written atomically, and safe to open in a spreadsheet."""

import contextlib
import hashlib
import os
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from autograder.errors import UsageError, printable

UNFINISHED = ".unfinished-"
"""How the name of a file begins that is being written."""
MAX_FILE_NAME = 180
"""Maximum bytes of a student's id in a file name, which leaves room for the rest of the name."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file atomically, so that neither a reader nor a killed run leaves half of one.

    Raises UsageError if it cannot be written, for instance because the disk is full.
    """
    with writing(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{UNFINISHED}{path.name[:40]}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode(errors="backslashreplace"))
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system has against a block into a UsageError."""
    try:
        yield
    except OSError as error:
        fix = "make room or correct its permissions, then run the same command again"
        where = path if UNFINISHED in str(error.filename or UNFINISHED) else error.filename
        raise UsageError(f"it cannot be written ({error.strerror})", where, fix) from error


def make_folder(path: Path) -> None:
    """Make a folder for files to write, where there is none. Raises UsageError if that cannot be done."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what runs left that were killed while they wrote a file. Only one run at a time writes here."""
    for path in folder.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):
            path.unlink()


def cell(text: str) -> str:
    """Return the text on one line, quoted if a spreadsheet would read it as a formula."""
    text = printable(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def file_stem(student: str) -> str:
    """Return a student's id as a file name without extension: unchanged if that is safe, else with a short digest.

    The name depends on this id alone, and two ids never share one: `~` occurs only before a digest.
    """
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" or c in " .,@+-_()'" else "_" for c in student)
    kept = kept.lstrip(".").rstrip(". ")
    if kept == student and 0 < len(kept.encode()) <= MAX_FILE_NAME:
        return kept
    short = kept.encode()[: MAX_FILE_NAME - 20].decode(errors="ignore").strip(". ")
    return f"{short or 'student'}~{hashlib.sha256(student.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"
