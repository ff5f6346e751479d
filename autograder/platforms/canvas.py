"""Canvas: the zip of an assignment's submissions, or its unpacked folder.

Each file is `{name}_{LATE_}{user id}_{attachment id}_{the student's name for it}`; anonymous ones begin with `anon`.
The zip holds the newest attempt only, no times, and a late mark without minutes.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from autograder.platforms.age import EXPORTED
from autograder.platforms.download import Attached, Download, Form, Gathered, Person, fitting_depth
from autograder.platforms.files import FoundFile

SYSTEM = "canvas"
NAMED = re.compile(
    r"(?P<name>.*?)_(?P<late>LATE_)?(?P<user>\d{1,19})_(?:(?P<attachment>\d{1,19})_(?P<file>.+)|(?P<typed>text|link)\.html)",
    re.DOTALL,
)
ANONYMOUS = re.compile(
    r"(?P<late>LATE_)?(?P<name>anon)_(?:LATE_)?(?P<user>[A-Za-z0-9]{5})_"
    r"(?:(?P<attachment>\d{1,19})_(?P<file>.+)|(?P<typed>text|link)\.html)",
    re.DOTALL,
)
TYPED = "text that was typed into Canvas, or a link; not a notebook"


def normal_name(name: str) -> str:
    """Return a name as Canvas writes it into file names: lower case, letters, digits and underscores only."""
    return re.sub(r"\W", "", name).lower()


def _parse(file: FoundFile, depth: int) -> re.Match[str] | None:
    if len(file.parts) != depth + 1:
        return None
    name = file.parts[depth]
    found = ANONYMOUS.fullmatch(name) or NAMED.fullmatch(name)
    if found and (exported := EXPORTED.search(name)) and exported.start() < found.start("user") + 1:
        return None  # an export of Otter: the digits are a date
    return found


def _fits(file: FoundFile, depth: int) -> bool:
    return bool(_parse(file, depth))


def share(files: Sequence[FoundFile]) -> float:
    """Return how many of the names are ones that Canvas gives."""
    return fitting_depth(files, _fits)[1]


def read(files: Sequence[FoundFile]) -> Download:
    """Sort the files by their owners' ids."""
    people: dict[str, Gathered] = {}
    result = Download()
    depth, _ = fitting_depth(files, _fits)
    for file in files:
        found = _parse(file, depth)
        if not found:
            result.left_out.append((file.name, "its name is not one that Canvas gives"))
            continue
        user = found["user"]
        anonymous = found.re is ANONYMOUS
        name = "" if anonymous else found["name"]
        stem = file.parts[-1][: found.end("user")]
        person = Person(system=SYSTEM, user=user, key=f"{found['name']}_{user}".lstrip("_"), name=name, stem=stem)
        entry = people.setdefault(user, Gathered(person=person))
        if found["late"] or (anonymous and "LATE" in file.parts[-1].split("_")[:2]):
            entry.late = "late"
        typed = TYPED if found["typed"] else ""
        own = replace(file, name=found["file"] or f"{found['typed']}.html", why=file.why or typed)
        entry.files.append(Attached(file=own, attachment=found["attachment"] or ""))
        entry.names.append(file.parts[-1])
    result.handed = [entry.handed() for entry in people.values()]
    return result


FORM = Form(name=SYSTEM, share=share, read=read)
