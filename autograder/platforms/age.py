"""Which of several files of one notebook is the newest, judged by names and by times inside archives."""

import re
from dataclasses import dataclass

STALE = frozenset(
    {"old", "older", "alt", "previous", "prev", "orig", "backup", "bak", "copy", "kopie", "autosave", "checkpoint"}
)
"""Words in a file name that mark an older version."""
NUMBER = re.compile(r"(?:[-_ .]v?|\()(\d{1,9})\)?$", re.IGNORECASE)
EXTENSIONS = re.compile(r"(?:\.(?:ipynb|json|txt|zip|py))+$", re.IGNORECASE)
EXPORTED = re.compile(r"_(\d{4}_\d\d_\d\dT\d\d_\d\d_\d\d_\d{1,6})")
MAX_STEM = 100
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Age:
    """A sort key for the age of files in one submission; the greatest is the newest.

    Compared in this order: a name without a word such as `old` or `backup`; a notebook before a Python file exported
    from one; the LMS's number of the attempt and of the attachment; the time that `grader.export()` puts into a zip's
    name; the number at the end of a name, as in `x (2).ipynb` or `x-10.ipynb`; the time of a member of an archive; the
    name itself.
    """

    current: bool
    notebook: bool = True
    attempt: int = 0
    attachment: int = 0
    exported: str = ""
    numbers: tuple[int, ...] = ()
    changed: str = ""
    name: str = ""


def age_of(
    name: str, *, owner: str = "", attempt: int = 0, attachment: str = "", exported: str = "", changed: str = ""
) -> Age:
    """Return the age of a file by its path, with `/` also between an archive and its member.

    owner: what the student is called: an archive with this name says nothing about its age, nor does a number in it
    attachment: the LMS's id; exported: the original name of a zip that `grader.export()` wrote
    changed: the ISO time of a member
    """
    parts = [EXTENSIONS.sub("", part) for part in name.split("/")]
    if parts[0] == owner:
        parts[0] = ""
    words = {word.lower() for part in parts for word in WORD.findall(part)}
    return Age(
        current=not words & STALE,
        notebook=not name.lower().endswith(".py"),
        attempt=attempt,
        attachment=int(attachment) if re.fullmatch(r"[0-9]{1,18}", attachment) else 0,
        exported=max(EXPORTED.findall(f"{exported} {name}"), default=""),
        numbers=tuple(number for part in parts for number in _numbers(EXPORTED.sub("", part))),
        changed=changed,
        name=name,
    )


def _numbers(stem: str) -> list[int]:
    """Return the numbers at the end of a name, in order: `x-1 (2)` gives 1 and 2."""
    found: list[int] = []
    stem = stem[-MAX_STEM:]
    while number := NUMBER.search(stem):
        found.insert(0, int(number[1]))
        stem = stem[: number.start()].rstrip()
    return found
