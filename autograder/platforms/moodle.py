"""Moodle: the zip of an assignment's submissions, with folders or flat, before and after version 4.1.

The path holds `{full name}_{participant id}_assignsubmission_{file or onlinetext}_`, followed by the student's own name
for the file or by a folder boundary. Blind marking writes `Participant` for the name. Times stand in the grading
worksheet only.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from autograder.platforms.download import Attached, Download, Form, Gathered, Person, fitting_depth
from autograder.platforms.files import FoundFile

SYSTEM = "moodle"
PART = re.compile(
    r"(?P<name>.*?)_(?P<user>\d{1,19})_assign(?P<what>submission|feedback)_(?P<kind>file|onlinetext)_?(?P<rest>.*)",
    re.DOTALL,
)
BLIND = frozenset({"Participant", "Teilnehmer/in", "Teilnehmerin", "Deelnemer", "Participante", "Участник"})
TYPED = "text that was typed into Moodle; not a notebook"


def _parse(file: FoundFile, depth: int) -> tuple[re.Match[str], str] | None:
    """Return what the part that Moodle named says, and the student's own path of the file."""
    found = PART.fullmatch(file.parts[depth]) if len(file.parts) > depth else None
    if not found:
        return None
    own = "/".join([*filter(None, [found["rest"]]), *file.parts[depth + 1 :]])
    return found, own or file.parts[depth]


def _fits(file: FoundFile, depth: int) -> bool:
    return bool(_parse(file, depth))


def share(files: Sequence[FoundFile]) -> float:
    """Return how many of the names are ones that Moodle gives."""
    return fitting_depth(files, _fits)[1]


def read(files: Sequence[FoundFile]) -> Download:
    """Sort the files by their owners' participant ids."""
    people: dict[str, Gathered] = {}
    result = Download()
    depth, _ = fitting_depth(files, _fits)
    for file in files:
        parsed = _parse(file, depth)
        if not parsed:
            result.left_out.append((file.name, "its path is not one that Moodle gives"))
            continue
        found, own = parsed
        if found["what"] == "feedback":
            result.left_out.append((file.name, "feedback, not a submission"))
            continue
        name = found["name"]
        blind = name in BLIND
        key = f"{name}_{found['user']}".lstrip("_")
        stem = f"{name}_{found['user']}"
        person = Person(system=SYSTEM, user=found["user"], key=key, name="" if blind else name, stem=stem)
        entry = people.setdefault(found["user"], Gathered(person=person))
        typed = TYPED if found["kind"] == "onlinetext" else ""
        entry.files.append(Attached(file=replace(file, name=own, why=file.why or typed)))
        entry.names.append("/".join(file.parts[1:]) or file.name)
    result.handed = [entry.handed() for entry in people.values()]
    return result


FORM = Form(name=SYSTEM, share=share, read=read)
