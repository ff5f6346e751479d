"""nbgrader: a `submitted` tree (student/assignment/notebook), or the exchange's inbound folders.

`timestamp.txt` holds the time of submission with its zone.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from autograder.platforms.download import Attached, Download, Form, Gathered, Person
from autograder.platforms.files import FoundFile, first_bytes
from autograder.platforms.times import iso_time

SYSTEM = "nbgrader"
SUBMITTED = "submitted"
"""The folder that holds one folder per student."""
TIMESTAMP = "timestamp.txt"
NOT_HANDED_IN = frozenset({TIMESTAMP, "submission_secret.txt"})
INBOUND = re.compile(r"(?P<student>[^+]+)\+(?P<assignment>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d [^+]+)(?:\+.*)?")


def _parse(file: FoundFile) -> tuple[str, str, str] | None:
    """Return the student, the assignment and the file's own path."""
    parts = file.parts
    for place, part in enumerate(parts[:-1]):
        if found := INBOUND.fullmatch(part):
            return found["student"], found["assignment"], "/".join(parts[place + 1 :])
    start = parts.index(SUBMITTED) + 1 if SUBMITTED in parts else 1
    if len(parts) < start + 3:
        return None
    return parts[start], parts[start + 1], "/".join(parts[start + 2 :])


def share(files: Sequence[FoundFile]) -> float:
    """Return how many of the files lie in a tree that is nbgrader's: by its name, or by its timestamps."""
    fitting = [file for file in files if _parse(file)]
    sure = any(
        SUBMITTED in file.parts or file.parts[-1] == TIMESTAMP or any(map(INBOUND.fullmatch, file.parts[:-1]))
        for file in fitting
    )
    return len(fitting) / max(1, len(files)) if sure else 0.0


def read(files: Sequence[FoundFile]) -> Download:
    """Sort the files by students. Of a student's inbound folders, each is an attempt, the latest is the newest."""
    people: dict[str, Gathered] = {}
    result = Download()
    attempts: dict[str, set[str]] = {}
    for file in files:
        if parsed := _parse(file):
            attempts.setdefault(parsed[0], set()).add(file.name.removesuffix(parsed[2]))
    for file in files:
        parsed = _parse(file)
        if not parsed:
            result.left_out.append((file.name, "it does not lie in a folder student/assignment"))
            continue
        student, _, own = parsed
        entry = people.setdefault(student, Gathered(person=Person(system=SYSTEM, user=student, key=student)))
        if own == TIMESTAMP:
            time = iso_time(first_bytes(file, 100).decode("utf-8", "replace"))
            entry.submitted = max(filter(None, (entry.submitted, time)), default=None)
        if own not in NOT_HANDED_IN:
            attempt = sorted(attempts[student]).index(file.name.removesuffix(parsed[2])) + 1
            entry.files.append(Attached(file=replace(file, name=own), attempt=attempt))
            entry.names.append("/".join(file.parts[1:]))
    result.handed = [entry.handed() for entry in people.values()]
    return result


FORM = Form(name=SYSTEM, share=share, read=read)
