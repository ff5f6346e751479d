"""The roster: a table of students, kept by the course or exported from an LMS.

Canvas's gradebook, Moodle's grading worksheet and Gradescope's roster work unchanged. Headers are matched without case
and punctuation, in several languages; delimiter and encoding are detected.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import UsageError, printable
from autograder.platforms.headers import HEADERS
from autograder.platforms.moodle import BLIND
from autograder.platforms.table import parse_table, plain
from autograder.platforms.times import local_time

MAX_ROSTER = 64 << 20
DURATION = re.compile(r"(?P<number>\d{1,6}(?:[.,]\d{1,3})?)\s*(?P<unit>[a-z]*)\.?")
UNITS = {
    **dict.fromkeys(("", "m", "min", "mins", "minute", "minutes", "minuten"), 1),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "std", "stunde", "stunden"), 60),
    **dict.fromkeys(("d", "day", "days", "tag", "tage"), 24 * 60),
}
"""Minutes in a unit of an extension, by what people call it; a number alone is minutes."""
STAFF = frozenset({"instructor", "ta", "reader", "teacher", "teachingassistant", "tutor", "observer", "designer"})
"""Roles of people who hand in nothing, as in Gradescope's roster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """One student of the course; everything but `id` may be empty.

    lms: the ids of this person in LMSs; extension_minutes: that they have beyond the deadline
    submitted: the ISO time that a grading worksheet has, in the zone of this machine, as the worksheet names none
    """

    id: str
    name: str = ""
    email: str = ""
    lms: tuple[str, ...] = ()
    group: str = ""
    section: str = ""
    extension_minutes: float = 0
    submitted: str | None = None


def read_roster(path: Path) -> tuple[Enrolled, ...]:
    """Read a roster.

    Raises UsageError for a file without a usable header, two students with one id, and an extension that is no time.
    """
    try:
        data = path.read_bytes()[:MAX_ROSTER]
    except OSError as error:
        raise UsageError(f"the roster cannot be read ({error.strerror})", path, "check the path") from error
    table = parse_table(data, str(path))
    rows = [row for row in ([plain(cell.text) for cell in cells] for cells in table.rows) if any(row)]
    columns = _columns(rows) if rows else {}
    if not columns.keys() & {"id", "lms", "email"}:
        found = ", ".join(rows[0]) if rows else "nothing"
        fix = "give it a header such as id,name,email,lms id"
        raise UsageError(f"no column with ids or e-mail addresses (the header is: {found})", path, fix)
    people = [_enrolled(columns, row, path) for row in rows[1:]]
    return _checked([one for one in people if one], path)


def _columns(rows: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """Return the columns of each kind.

    In Canvas's gradebook `Student` is the name and `ID` the id in Canvas; in Moodle's worksheet, whose headers are
    in the site's language, the first column contains entries such as `Participant 123`.
    """
    names = [_key(cell) for cell in rows[0]]
    known = {
        kind: [place for place, name in enumerate(names) if name in words]
        for kind, words in HEADERS.items()
        if any(name in words for name in names)
    }
    if names[:2] == ["student", "id"] or names[:3] == ["lastname", "firstname", "id"]:
        place = names.index("id")
        sis = [names.index(name) for name in ("sisuserid", "sisloginid") if name in names]
        known |= {"lms": [place], "id": [*sis, place]}
        if names[0] == "student":
            known["name"] = [0]
    elif len(rows) > 1 and all(_lms_id(row[0]) != row[0].strip() for row in rows[1:]):
        known |= {"lms": [0], "id": [place for place in known.get("id", ()) if place]}
    return known


def _key(header: str) -> str:
    plain = unicodedata.normalize("NFKD", header.casefold())
    return "".join(c for c in plain if c.isalnum())


def _enrolled(columns: Mapping[str, Sequence[int]], row: Sequence[str], path: Path) -> Enrolled | None:
    """Return the student of a row; None for staff, and for the rows of Canvas's gradebook that are about points."""

    def cell(kind: str) -> str:
        texts = [row[place] for place in columns.get(kind, ()) if place < len(row)]
        return next(filter(None, texts), "")

    if row and (row[0].startswith("Points Possible") or row[0] == "Student, Test"):
        return None
    if _key(cell("role")) in STAFF:
        return None
    name = cell("name") or " ".join(filter(None, (cell("first"), cell("last"))))
    texts = [row[place] for place in columns.get("lms", ()) if place < len(row)]
    lms = tuple(_lms_id(part) for text in texts for part in re.split(r"[,;|]", text) if part.strip())
    email = cell("email") if "@" in cell("email") else ""
    own = cell("id") or email or (f"{name or 'Participant'}_{lms[0]}" if lms else "")
    if not own:
        return None
    return Enrolled(
        id=own,
        name=name,
        email=email,
        lms=lms,
        group=cell("group"),
        section=cell("section"),
        extension_minutes=_minutes(cell("extension"), own, path),
        submitted=local_time(cell("submitted")),
    )


def _minutes(text: str, student: str, path: Path) -> float:
    """Return an extension in minutes: `90`, `36 h` or `2 days`; none is 0."""
    if not text:
        return 0
    found = DURATION.fullmatch(text.casefold())
    if not found or found["unit"] not in UNITS:
        what = f"the extension of {printable(student)} is no length of time: {printable(text)}"
        raise UsageError(what, path, "give minutes, or a number with its unit such as 36 h or 2 days")
    return float(found["number"].replace(",", ".")) * UNITS[found["unit"]]


def _lms_id(text: str) -> str:
    """Return the id itself of `Participant 123`."""
    text = text.strip()
    prefix = next((word for word in BLIND if text.startswith(word)), "")
    return text.removeprefix(prefix).strip()


def _checked(people: Sequence[Enrolled], path: Path) -> tuple[Enrolled, ...]:
    for kind, values in (
        ("id", [one.id for one in people]),
        ("LMS id", [lms for one in people for lms in one.lms]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1}) if len(set(values)) < len(values) else []
        if twice:
            raise UsageError(f"two students have the {kind} {twice[0]}", path, "correct one of the rows")
    if not people:
        raise UsageError("the roster has no students", path, "export it again")
    return tuple(people)
