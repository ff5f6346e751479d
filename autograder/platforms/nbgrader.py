"""nbgrader: a `submitted` tree (student/assignment/notebook), or the exchange's inbound folders.

`timestamp.txt` contains the time of submission with time zone.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from autograder.platforms.download import Attached, Download, Form, Gathered, Person, fitting_depth
from autograder.platforms.files import FoundFile, first_bytes
from autograder.platforms.times import iso_time

SYSTEM = "nbgrader"
SUBMITTED = "submitted"
"""The folder that holds one folder per student."""
TIMESTAMP = "timestamp.txt"
NOT_HANDED_IN = frozenset({TIMESTAMP, "submission_secret.txt"})
INBOUND = re.compile(r"(?P<student>[^+]+)\+(?P<assignment>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d [^+]+)(?:\+.*)?")


def _parse(file: FoundFile, depth: int) -> tuple[str, str] | None:
    """Return the student and the file's own path; what lies beside the assignment's folder is the student's too."""
    if len(file.parts) < depth + 2:
        return None
    if found := INBOUND.fullmatch(file.parts[depth]):
        return found["student"], "/".join(file.parts[depth + 1 :])
    start = depth + 2 if len(file.parts) > depth + 2 else depth + 1
    return file.parts[depth], "/".join(file.parts[start:])


def _fits(file: FoundFile, depth: int) -> bool:
    """Tell whether the names are nbgrader's: below `submitted`, an inbound folder, or beside a timestamp."""
    if len(file.parts) < depth + 2:
        return False
    if INBOUND.fullmatch(file.parts[depth]):
        return True
    in_tree = len(file.parts) > depth + 2
    stamped = file.parts[depth + 2 :] == (TIMESTAMP,) and not INBOUND.fullmatch(file.parts[depth + 1])
    return stamped or (in_tree and depth > 0 and file.parts[depth - 1] == SUBMITTED)


def share(files: Sequence[FoundFile]) -> float:
    """Return how many of the names are ones that nbgrader gives."""
    return fitting_depth(files, _fits)[1]


def read(files: Sequence[FoundFile]) -> Download:
    """Group the files by student. Each inbound folder of a student is an attempt; the latest is the newest."""
    people: dict[str, Gathered] = {}
    result = Download()
    attempts: dict[str, set[str]] = {}
    depth, _ = fitting_depth(files, _fits)
    for file in files:
        if parsed := _parse(file, depth):
            attempts.setdefault(parsed[0], set()).add(file.name.removesuffix(parsed[1]))
    for file in files:
        parsed = _parse(file, depth)
        if not parsed:
            result.left_out.append((file.name, "it does not lie in a student's folder"))
            continue
        student, own = parsed
        entry = people.setdefault(student, Gathered(person=Person(system=SYSTEM, user=student, key=student)))
        if own == TIMESTAMP:
            time = iso_time(first_bytes(file, 100).decode("utf-8", "replace"))
            entry.submitted = max(filter(None, (entry.submitted, time)), default=None)
        if own not in NOT_HANDED_IN:
            attempt = sorted(attempts[student]).index(file.name.removesuffix(own)) + 1
            entry.files.append(Attached(file=replace(file, name=own), attempt=attempt))
            entry.names.append("/".join(file.parts[1:]))
    result.handed = [entry.handed() for entry in people.values()]
    return result


FORM = Form(name=SYSTEM, share=share, read=read)
