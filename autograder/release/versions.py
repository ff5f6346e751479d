"""Versions: what students were given with each release, kept as one JSON record per version next to the masters.

A record (`solutions/<name>/versions/<version>.json`) contains the text of every cell. It shows what changed for
students between versions, and makes it possible to grade submissions made from an older version.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.errors import MasterError, UsageError
from autograder.notebook import Cell, parse_notebook

FOLDER = "versions"
NAME = re.compile(r"\d+(\.\d+)*", re.ASCII)
TOML_LINE = re.compile(r'^version\s*=\s*"[^"\n]*"', re.MULTILINE)
DATE_LINE = re.compile(r"^released\s*=.*\n", re.MULTILINE)
CELL_KEYS = ("id", "kind", "source", "question", "role")


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantFigures:
    """How many mutants of one reference answer there are, and how many of them are noticed.

    equivalent: those that are right answers too, which nothing has to notice
    noticed: by the hidden tests, of all others; by_check: by the public check, None where it could not be measured
    """

    made: int
    equivalent: int
    noticed: int
    by_check: int | None

    @property
    def wrong(self) -> int:
        """The mutants that hidden tests have to notice."""
        return self.made - self.equivalent

    @property
    def survivors(self) -> int:
        return self.wrong - self.noticed


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A release as students got it.

    points, defines: by question; notebooks: the cells of each; files: the SHA-256 of every other file, by its path
    mutants: what was measured when it was made, by question; None if it was not
    """

    name: str
    points: Mapping[str, float]
    defines: Mapping[str, tuple[str, ...]]
    notebooks: Mapping[str, tuple[Cell, ...]]
    files: Mapping[str, str]
    mutants: Mapping[str, MutantFigures] | None = None


def order(name: str) -> tuple[int, ...]:
    """Return a key that sorts versions by their numbers, so that 2026.10 comes after 2026.9."""
    return tuple(map(int, name.split(".")))


def current(assignment: Assignment, files: Mapping[PurePosixPath, bytes]) -> Version:
    """Return the version made of these files of a release, without the manifest, which only describes the others."""
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
        "mutants": None if version.mutants is None else {key: _row(one) for key, one in version.mutants.items()},
        "files": dict(version.files),
        "notebooks": {
            name: [{key: getattr(cell, key) for key in CELL_KEYS} for cell in cells]
            for name, cells in version.notebooks.items()
        },
    }
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def _row(figures: MutantFigures) -> dict[str, int | None]:
    return asdict(figures) | {"survivors": figures.survivors}


def from_json(text: str) -> Version:
    """Read a record. Raises KeyError, TypeError or ValueError if the text is not one."""
    table: dict[str, Any] = json.loads(text)
    questions, mutants = table["questions"], table.get("mutants")  # records of older kits have no figures
    return Version(
        name=str(table["version"]),
        points={key: float(entry["points"]) for key, entry in questions.items()},
        defines={key: tuple(entry["defines"]) for key, entry in questions.items()},
        notebooks={
            name: tuple(Cell(**{key: str(cell[key]) for key in CELL_KEYS}) for cell in cells)
            for name, cells in table["notebooks"].items()
        },
        files=dict(table["files"]),
        mutants=None if mutants is None else {key: _figures(row) for key, row in mutants.items()},
    )


def _figures(row: Mapping[str, int | None]) -> MutantFigures:
    by_check = row["by_check"]
    made, equivalent, noticed = (int(row[key] or 0) for key in ("made", "equivalent", "noticed"))
    return MutantFigures(made=made, equivalent=equivalent, noticed=noticed, by_check=by_check)


def recorded(assignment: Assignment) -> list[Version]:
    """Return every version on record, oldest first. Raises MasterError for a record that cannot be read."""
    found = []
    for path in (assignment.masters_dir / FOLDER).glob("*.json"):
        try:
            version = from_json(path.read_text(encoding="utf-8"))
            if path.stem != version.name or not NAME.fullmatch(version.name):
                raise ValueError(f"it is for version {version.name!r}")
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"not a valid version record ({error})"
            raise MasterError(what, path, "restore it from the repository") from error
        found.append(version)
    return sorted(found, key=lambda version: order(version.name))


def names(assignment: Assignment) -> list[str]:
    """Return the names of all versions up to the assignment's own, oldest first."""
    folder = assignment.masters_dir / FOLDER
    before = [path.stem for path in folder.glob("*.json") if NAME.fullmatch(path.stem)]
    own = assignment.version
    if not NAME.fullmatch(own):
        where = assignment.masters_dir / "assignment.toml"
        raise MasterError(f"{own!r} is not a valid version", where, "use numbers separated by dots, such as 2026.1")
    return [*sorted((name for name in before if order(name) < order(own)), key=order), own]


def previous(assignment: Assignment) -> Version | None:
    """Return the newest version on record that is older than the assignment's own."""
    older = [version for version in recorded(assignment) if order(version.name) < order(assignment.version)]
    return older[-1] if older else None


def choose(assignment: Assignment, name: str, today: date) -> Assignment:
    """Return the assignment with this version, which is written into assignment.toml with the day if it is new.

    Raises UsageError for an invalid version, or one older than what students have.
    """
    if not NAME.fullmatch(name):
        fix = "use numbers separated by dots, such as 2026.1"
        raise UsageError(f"{name!r} is not a valid version", "--version", fix)
    known = {version.name for version in recorded(assignment)}
    newest = max(known, key=order, default=name)
    if order(name) < order(newest):
        raise UsageError(f"{name} is older than {newest}, which students have", "--version", "choose a newer one")
    if name == assignment.version and name in known:
        return assignment
    path = assignment.masters_dir / "assignment.toml"
    text = DATE_LINE.sub("", path.read_text(encoding="utf-8"), count=1)
    text, count = TOML_LINE.subn(f'version = "{name}"\nreleased = {today}', text, count=1)
    if not count:
        raise MasterError("no line `version = ...` to change", path, f'write `version = "{name}"` on a separate line')
    path.write_text(text, encoding="utf-8")
    return load_assignment(assignment.name, assignment.home)


def keep(assignment: Assignment, version: Version) -> Path:
    """Write the record of a version, which never changes afterwards; return its path.

    Raises UsageError if this version is on record with different contents; figures of mutants are none.
    """
    path = record_of(assignment, version.name)
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        path.write_text(to_json(version), encoding="utf-8")
        return path
    kept = next(one for one in recorded(assignment) if one.name == version.name)
    if replace(kept, mutants=None) != replace(version, mutants=None):
        fix = f"choose a new --version, or delete {path.name} if {version.name} was never published"
        raise UsageError(f"version {version.name} is on record with different contents", path, fix)
    return path


def record_of(assignment: Assignment, name: str) -> Path:
    """Return where the record of a version is kept."""
    return assignment.masters_dir / FOLDER / f"{name}.json"
