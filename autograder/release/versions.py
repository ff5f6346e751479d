"""Versions: what students were given with each release, kept as one JSON record a version beside the masters.

A record (`solutions/<name>/versions/<version>.json`) holds the text of every cell. It tells what changed for students
from one version to the next, and lets a submission that was made from an older version be told from it and graded.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.errors import MasterError, UsageError
from autograder.notebook import Cell, parse_notebook

FOLDER = "versions"
NAME = re.compile(r"\d+(\.\d+)*", re.ASCII)
TOML_LINE = re.compile(r'^version\s*=\s*"[^"\n]*"', re.MULTILINE)
CELL_KEYS = ("id", "kind", "source", "question", "role")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A release as students got it.

    points, defines: by question; notebooks: the cells of each; files: the SHA-256 of every other file, by its path
    """

    name: str
    points: Mapping[str, float]
    defines: Mapping[str, tuple[str, ...]]
    notebooks: Mapping[str, tuple[Cell, ...]]
    files: Mapping[str, str]


def order(name: str) -> tuple[int, ...]:
    """A key that sorts versions by their numbers, so that 2026.10 comes after 2026.9."""
    return tuple(map(int, name.split(".")))


def current(assignment: Assignment, files: Mapping[PurePosixPath, bytes]) -> Version:
    """The version that these files of a release are; the manifest is left out, as it only tells of the others."""
    own = {f"{name}.ipynb": name for name in assignment.notebooks}
    return Version(
        name=assignment.version,
        points={one.id: one.points for one in assignment.questions},
        defines={one.id: one.defines for one in assignment.questions},
        notebooks={name: parse_notebook(files[PurePosixPath(path)]) for path, name in own.items()},
        files={
            str(path): hashlib.sha256(data).hexdigest()
            for path, data in sorted(files.items())
            if str(path) not in own and path.name != "MANIFEST.json"
        },
    )


def to_json(version: Version) -> str:
    table = {
        "version": version.name,
        "questions": {
            key: {"points": points, "defines": list(version.defines[key])} for key, points in version.points.items()
        },
        "files": dict(version.files),
        "notebooks": {
            name: [{key: getattr(cell, key) for key in CELL_KEYS} for cell in cells]
            for name, cells in version.notebooks.items()
        },
    }
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> Version:
    """Raises KeyError, TypeError or ValueError when the text is not a record."""
    table: dict[str, Any] = json.loads(text)
    questions = table["questions"]
    return Version(
        name=str(table["version"]),
        points={key: float(entry["points"]) for key, entry in questions.items()},
        defines={key: tuple(entry["defines"]) for key, entry in questions.items()},
        notebooks={
            name: tuple(Cell(**{key: str(cell[key]) for key in CELL_KEYS}) for cell in cells)
            for name, cells in table["notebooks"].items()
        },
        files=dict(table["files"]),
    )


def recorded(assignment: Assignment) -> list[Version]:
    """Every version on record, oldest first. Raises MasterError for a record that cannot be read."""
    found = []
    for path in (assignment.masters_dir / FOLDER).glob("*.json"):
        try:
            version = from_json(path.read_text(encoding="utf-8"))
            if path.stem != version.name or not NAME.fullmatch(version.name):
                raise ValueError(f"it says version {version.name!r}")
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise MasterError(f"not the record of a version ({error})", path, "take it from the repository") from error
        found.append(version)
    return sorted(found, key=lambda version: order(version.name))


def names(assignment: Assignment) -> list[str]:
    """The names of all versions up to the assignment's own, oldest first."""
    folder = assignment.masters_dir / FOLDER
    before = [path.stem for path in folder.glob("*.json") if NAME.fullmatch(path.stem)]
    own = assignment.version
    if not NAME.fullmatch(own):
        where = assignment.masters_dir / "assignment.toml"
        raise MasterError(f"{own!r} is no version", where, "write numbers with dots, as in 2026.1")
    return [*sorted((name for name in before if order(name) < order(own)), key=order), own]


def previous(assignment: Assignment) -> Version | None:
    """The newest version on record that is older than the assignment's own."""
    older = [version for version in recorded(assignment) if order(version.name) < order(assignment.version)]
    return older[-1] if older else None


def choose(assignment: Assignment, name: str) -> Assignment:
    """The assignment with this version, which is written into assignment.toml when it is another one.

    Raises UsageError for a name that is no version, or is older than what students have.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no version", "--version", "give numbers with dots, as in 2026.1")
    newest = max((version.name for version in recorded(assignment)), key=order, default=name)
    if order(name) < order(newest):
        raise UsageError(f"{name} is older than {newest}, which students have", "--version", "give a newer one")
    if name == assignment.version:
        return assignment
    path = assignment.masters_dir / "assignment.toml"
    text, count = TOML_LINE.subn(f'version = "{name}"', path.read_text(encoding="utf-8"), count=1)
    if not count:
        raise MasterError("no line `version = ...` to change", path, f'write `version = "{name}"` on a line of its own')
    path.write_text(text, encoding="utf-8")
    return load_assignment(assignment.name, assignment.home)


def keep(assignment: Assignment, version: Version) -> Path:
    """Write the record of a version, which is never changed afterwards.

    Raises UsageError when students were given this version with other contents.
    """
    path = assignment.masters_dir / FOLDER / f"{version.name}.json"
    text = to_json(version)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        fix = f"give a new --version, or delete {path.name} if {version.name} never went out"
        raise UsageError(f"version {version.name} is on record with other contents", path, fix)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
