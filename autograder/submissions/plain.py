"""Downloads without a platform's names: a folder, file or zip per student, or a custom pattern."""

import re
from collections.abc import Sequence
from dataclasses import replace

from autograder.platforms.age import STALE, WORD
from autograder.platforms.download import Attached, Download, Gathered, Person
from autograder.platforms.files import FoundFile
from autograder.platforms.otter import notebook_of
from autograder.platforms.times import iso_time

SYSTEM = "folder"
EXTENSIONS = re.compile(r"(?:\.(?:ipynb|json|txt|zip|py|pdf|html?))+$", re.IGNORECASE)
TABLES = (".csv", ".tsv", ".xlsx", ".md", ".toml", ".yml", ".yaml", ".log")
"""Files of a TA next to submissions."""


def spelled(notebooks: Sequence[str]) -> str:
    """Return a pattern of the notebooks' names, with any separator between their words."""
    return "|".join("[-_ ]?".join(map(re.escape, re.split(r"[-_ ]", name))) for name in notebooks)


def is_own(name: str, notebooks: Sequence[str]) -> bool:
    """Return whether a file name contains only the name of a notebook, such as `batchnorm (1).ipynb`."""
    pattern = rf"(?:{spelled(notebooks)})\W*\d*\W*\.ipynb(?:\.\w+)?"
    return bool(re.fullmatch(pattern, name, re.IGNORECASE))


def holds_own(files: Sequence[FoundFile], depth: int, notebooks: Sequence[str]) -> bool:
    """Return whether files at this depth are the assignment's own notebooks, so that they belong to one student.

    Otter exports count as such unless a notebook has two of them, which may belong to two students.
    """
    names = [file.parts[depth] for file in files if len(file.parts) == depth + 1]
    exported = [notebook_of(name) for name in names if notebook_of(name)]
    if any(is_own(name, notebooks) for name in names):
        return True
    return bool(exported) and len(exported) == len(set(exported)) <= len(notebooks) and set(exported) <= set(notebooks)


def student_of(name: str, notebooks: Sequence[str]) -> str:
    """Return the student in a file's name, such as `S1001_batchnorm (2).ipynb`; else the name without extensions."""
    stem = EXTENSIONS.sub("", name)
    own = spelled(notebooks)
    if found := re.fullmatch(rf"(?P<student>.*?\w.*?)[-_ .]+(?:{own})(?:[-_ (.].*)?", stem, re.IGNORECASE):
        return found["student"]
    found = re.fullmatch(rf"(?:{own})[-_ .]+(?P<student>.*?)(?: ?\(\d+\))?", stem, re.IGNORECASE)
    if found and not notebook_of(name):
        words = {word.lower() for word in WORD.findall(found["student"])}
        if words and not words & STALE and len(found["student"]) > 2:
            return found["student"]
    return stem or name


def read(files: Sequence[FoundFile], depth: int, notebooks: Sequence[str]) -> Download:
    """Sort the files by the folder at this depth, or by the student in a file's name."""
    people: dict[str, Gathered] = {}
    for file in files:
        parts = file.parts
        in_folder = len(parts) > depth + 1
        key = parts[depth] if in_folder else student_of(parts[depth], notebooks)
        entry = people.setdefault(key, Gathered(person=Person(system=SYSTEM, key=key, name="", sid=key)))
        own = "/".join(parts[depth + 1 :]) if in_folder else parts[depth].removeprefix(key).lstrip("-_ ")
        own_name = own if EXTENSIONS.sub("", own) else parts[-1]
        entry.files.append(Attached(file=replace(file, name=own_name), owner=key))
        entry.names.append("/".join(parts[depth:]))
    result = Download()
    for key, entry in people.items():
        if why := _not_a_student(key, entry):
            result.left_out.append((key, why))
        else:
            result.handed.append(entry.handed())
    return result


def _not_a_student(key: str, entry: Gathered) -> str:
    """Return why this is not a submission, empty if it is one."""
    names = [name.lower() for name in entry.names]
    if key.startswith((".", "__")) and not any(".ipynb" in name or ".zip" in name for name in names):
        return "a hidden name, and nothing in it looks like a notebook"
    if all("/" not in name and name.endswith(TABLES) for name in names):
        return "a file of this kind is not a submission"
    return ""


def read_by_pattern(files: Sequence[FoundFile], pattern: re.Pattern[str]) -> Download:
    """Sort the files by the groups of a custom pattern: student, and optionally name, time and attempt."""
    people: dict[str, Gathered] = {}
    result = Download()
    for file in files:
        found = pattern.search(file.name)
        key = found["student"] if found else ""
        if not found or not key:
            result.left_out.append((file.name, "it does not match the pattern"))
            continue
        groups = found.groupdict()
        name = groups.get("name") or ""
        person = Person(system="pattern", key=key, name=name, sid=key)
        entry = people.setdefault(key, Gathered(person=person))
        time = iso_time(groups.get("time") or "")
        entry.submitted = max(filter(None, (entry.submitted, time)), default=None)
        attempt = groups.get("attempt") or ""
        number = int(attempt) if re.fullmatch(r"[0-9]{1,9}", attempt) else 0
        entry.files.append(Attached(file=replace(file, name=file.parts[-1]), attempt=number))
        entry.names.append("/".join(file.parts[1:]) or file.name)
    result.handed = [entry.handed() for entry in people.values()]
    return result
