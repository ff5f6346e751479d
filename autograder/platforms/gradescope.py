"""Gradescope: the export of an assignment's submissions, `submission_{id}/…` with `submission_metadata.yml`.

The metadata list each submission's submitters (several for a group), time, results and history. Any key may be missing,
and keys come with or without Ruby's colon. Only the necessary parts are parsed: results may take megabytes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autograder.errors import UsageError
from autograder.platforms.download import Attached, Download, Form, Handed, Person, fitting_depth
from autograder.platforms.files import FoundFile
from autograder.platforms.times import iso_time

SYSTEM = "gradescope"
METADATA = "submission_metadata.yml"
FOLDER = re.compile(r"submission_(\d{1,19})")
ENTRY = re.compile(r"\S")
KEY = re.compile(r"""^  ["']?:?(\w+)["']?:""")
NEEDED = frozenset({"submitters", "created_at"})
MAX_METADATA = 512 << 20


def _own_path(file: FoundFile, depth: int) -> tuple[str, str] | None:
    """Return the submission's id and the file's path in it."""
    found = FOLDER.fullmatch(file.parts[depth]) if len(file.parts) > depth + 1 else None
    return (found[1], "/".join(file.parts[depth + 1 :])) if found else None


def _is_metadata(file: FoundFile, depth: int) -> bool:
    return len(file.parts) == depth + 1 and file.parts[depth] == METADATA


def _fits(file: FoundFile, depth: int) -> bool:
    return bool(_own_path(file, depth)) or _is_metadata(file, depth)


def share(files: Sequence[FoundFile]) -> float:
    """Return how many of the names are an export's; 0 if there is no metadata file."""
    depth, found = fitting_depth(files, _fits)
    return found if any(_is_metadata(file, depth) for file in files) else 0.0


def needed(text: str) -> str:
    """Return the metadata without results, history and other parts that take long to parse."""
    kept: list[str] = []
    keep = True
    for line in text.splitlines():
        if ENTRY.match(line):
            keep = True
        elif key := KEY.match(line):
            keep = key[1] in NEEDED
        if keep:
            kept.append(line)
    return "\n".join(kept)


def _metadata(file: FoundFile) -> Mapping[str, Any]:
    """Parse the metadata with every value as text. Raises UsageError if they are damaged."""
    import yaml  # only this format needs it, and a grader in a container does not have it

    text = file.read(MAX_METADATA).decode("utf-8", "replace")
    try:
        table = yaml.load(needed(text), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except yaml.YAMLError as error:
        what = f"the metadata cannot be parsed ({str(error).splitlines()[0]})"
        raise UsageError(what, file.name, "download the export again") from error
    return table if isinstance(table, dict) else {}


def _value(table: Any, key: str) -> Any:
    """Return a value by its key with or without Ruby's colon; None if there is none."""
    return (table.get(f":{key}") or table.get(key)) if isinstance(table, dict) else None


def _people(submitters: Any, identifier: str) -> tuple[Person, ...]:
    people = []
    for one in submitters if isinstance(submitters, list) else ():
        texts = {key: str(_value(one, key) or "").strip() for key in ("name", "sid", "email")}
        key = texts["sid"] or texts["email"] or (f"{texts['name']}_{identifier}" if texts["name"] else "")
        if key:
            people.append(
                Person(
                    system=SYSTEM,
                    key=key,
                    user=texts["sid"] or texts["email"],
                    name=texts["name"],
                    sid=texts["sid"],
                    email=texts["email"],
                )
            )
    return tuple(people) or (Person(system=SYSTEM, key=f"submission_{identifier}"),)


def read(files: Sequence[FoundFile]) -> Download:
    """Group the files by submission, with submitters from the metadata."""
    result = Download()
    metadata: dict[str, Any] = {}
    folders: dict[str, list[Attached]] = {}
    depth, _ = fitting_depth(files, _fits)
    for file in files:
        own = _own_path(file, depth)
        if own:
            folders.setdefault(own[0], []).append(Attached(file=replace(file, name=own[1])))
        elif _is_metadata(file, depth):
            metadata.update(_metadata(file))
        else:
            result.left_out.append((file.name, "it is outside the submissions' folders"))
    for identifier, attached in folders.items():
        entry = metadata.get(f"submission_{identifier}")
        result.handed.append(
            Handed(
                people=_people(_value(entry, "submitters"), identifier),
                files=tuple(attached),
                label=f"submission_{identifier}",
                submitted=iso_time(str(_value(entry, "created_at") or "")),
            )
        )
    for name, entry in metadata.items():
        found = FOLDER.fullmatch(str(name))
        if found and found[1] not in folders and _value(entry, "submitters"):
            people = _people(_value(entry, "submitters"), found[1])
            time = iso_time(str(_value(entry, "created_at") or ""))
            result.handed.append(Handed(people=people, files=(), label=str(name), submitted=time))
    return result


FORM = Form(name=SYSTEM, share=share, read=read)
