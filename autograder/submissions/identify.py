"""Identification: the people of downloads, matched with the roster.

A person is matched by the id in the LMS, then by the course's id, then by e-mail address, then by exact name if nobody
else on the roster or in the download has that name. Nothing is guessed: anyone who cannot be matched keeps the LMS's
identity, which does not depend on others, and gets a flag that says what to add to the roster.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from autograder.platforms.canvas import normal_name
from autograder.platforms.download import Handed, Person
from autograder.results import Audience, Flag, LmsIdentity, Student
from autograder.submissions.roster import Enrolled

NUMBERED = frozenset({"canvas", "moodle"})
"""Platforms with their own numeric user ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """The students for whom a submission counts, with remarks.

    submitted: from the download, else from the roster for the first of them
    """

    handed: Handed
    students: tuple[Student, ...]
    flags: tuple[Flag, ...] = ()
    unmatched: tuple[str, ...] = ()
    submitted: str | None = None


@dataclass(slots=True, kw_only=True)
class _Index:
    """The roster, indexed by everything that identifies a person."""

    by_lms: dict[str, Enrolled] = field(default_factory=dict)
    by_id: dict[str, list[Enrolled]] = field(default_factory=dict)
    by_email: dict[str, list[Enrolled]] = field(default_factory=dict)
    by_name: dict[str, list[Enrolled]] = field(default_factory=dict)
    by_group: dict[str, list[Enrolled]] = field(default_factory=dict)


def without_roster(handed: Sequence[Handed]) -> list[Identified]:
    """Return everyone with the identity given in the download."""
    return [
        Identified(
            handed=one,
            students=tuple(dict.fromkeys(_lms_student(person, one) for person in one.people)),
            submitted=one.submitted,
        )
        for one in handed
    ]


def with_roster(handed: Sequence[Handed], roster: Sequence[Enrolled]) -> list[Identified]:
    """Return everyone with the identity given in the roster, if listed there."""
    index = _index(roster)
    people = [person for one in handed for person in one.people]
    sure = {id(person): found for person in people if (found := _sure(person, index))}
    taken = {found.id for found in sure.values()}
    names = Counter(_folded(person.name or person.key) for person in people)
    return [_identify(one, index, sure, taken, names) for one in handed]


def _identify(
    handed: Handed, index: _Index, sure: Mapping[int, Enrolled], taken: set[str], names: Mapping[str, int]
) -> Identified:
    group = _group_of(handed, index)
    if group:
        (person,) = handed.people
        students = tuple(_student(one, person, handed, group) for one in index.by_group[group])
        times = [one.submitted for one in index.by_group[group] if one.submitted]
        return Identified(handed=handed, students=students, submitted=handed.submitted or max(times, default=None))
    students_found: list[Student] = []
    flags: list[Flag] = []
    unmatched: list[str] = []
    submitted = handed.submitted
    for person in handed.people:
        found = sure.get(id(person))
        if found is None:
            found, why = _by_name(person, index, taken, names)
            if why:
                unmatched.append(f"{person.key}: {why}")
                flags.append(Flag(kind="not_on_roster", text=why, audience=Audience.STAFF))
        elif why := _name_of_another(person, found, index):
            flags.append(Flag(kind="name_of_another", text=why, audience=Audience.STAFF))
        student = _student(found, person, handed, found.group) if found else _lms_student(person, handed)
        students_found.append(student)
        submitted = submitted or (found.submitted if found else None)
    unique = tuple(dict.fromkeys(students_found))
    return Identified(
        handed=handed, students=unique, flags=tuple(flags), unmatched=tuple(unmatched), submitted=submitted
    )


def _sure(person: Person, index: _Index) -> Enrolled | None:
    """Return the student with this person's LMS id, else course id, else e-mail address.

    The numbers of Canvas and Moodle are compared with LMS ids only, and first; other platforms use the course's ids.
    """
    by_lms = [index.by_lms[person.user]] if person.user in index.by_lms else []
    by_id = index.by_id.get(_folded(person.sid or person.key), [])
    by_email = index.by_email.get(_folded(person.email or person.key), [])
    tables = [by_lms, by_id, by_email] if person.system in NUMBERED else [by_id, by_email, by_lms]
    return next((same[0] for same in tables if len(same) == 1), None)


def _name_of_another(person: Person, found: Enrolled, index: _Index) -> str:
    """Return what to check where the ids say one student and the name another, as after sorting a column by itself."""
    same = index.by_name.get(_folded(person.name or person.key), [])
    if not same or found in same:
        return ""
    who = f"the ids are those of {found.id}, the name {person.name or person.key} is that of {same[0].id}"
    return f"{who}; check the rows of both in the roster"


def _by_name(person: Person, index: _Index, taken: set[str], names: Mapping[str, int]) -> tuple[Enrolled | None, str]:
    """Return the only student with this name, or None and what to add to the roster."""
    name = person.name or person.key
    what = f"add the LMS id {person.user} to the roster" if person.user else f"add the id {person.key} to the roster"
    same = index.by_name.get(_folded(name), [])
    if not same:
        return None, f"no student on the roster has this id or name; {what}"
    if len(same) > 1 or names[_folded(name)] > 1:
        return None, f"several people are called {name}; {what} for the right one"
    if same[0].id in taken:
        return None, f"{same[0].id} has this name, but submitted under another id; {what}"
    return same[0], ""


def _group_of(handed: Handed, index: _Index) -> str:
    """Return the group on the roster with the submitter's name, empty if it is a person's name."""
    if len(handed.people) != 1:
        return ""
    name = handed.people[0].name or handed.people[0].key
    matches = {group for group in index.by_group if group in (name, unicodedata.normalize("NFC", name))} or {
        group for group in index.by_group if handed.people[0].system == "canvas" and normal_name(group) == name
    }
    return matches.pop() if len(matches) == 1 else ""


def _index(roster: Iterable[Enrolled]) -> _Index:
    index = _Index()
    for one in roster:
        index.by_lms |= dict.fromkeys(one.lms, one)
        index.by_id.setdefault(_folded(one.id), []).append(one)
        if one.email:
            index.by_email.setdefault(_folded(one.email), []).append(one)
        for name in _forms_of(one.name):
            index.by_name.setdefault(name, []).append(one)
        if one.group:
            index.by_group.setdefault(one.group, []).append(one)
    return index


def _forms_of(name: str) -> set[str]:
    """Return the spellings of a name: unchanged, and as Canvas's `lastfirst`."""
    if not name:
        return set()
    words = [part.strip() for part in name.split(",")] if "," in name else name.rsplit(" ", 1)
    forms = {_folded(name), _folded(normal_name(name))}
    if len(words) == 2:
        first, last = (words[1], words[0]) if "," in name else words
        forms |= {_folded(f"{first} {last}"), _folded(f"{last}, {first}"), _folded(normal_name(last + first))}
    return forms


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _identity(person: Person, handed: Handed) -> LmsIdentity | None:
    attachments = tuple(one.attachment for one in handed.files if one.attachment)
    if not person.user:
        return None
    return LmsIdentity(system=person.system, user=person.user, attachments=attachments, stem=person.stem)


def _lms_student(person: Person, handed: Handed) -> Student:
    return Student(id=person.key, name=person.name, lms=_identity(person, handed))


def _student(found: Enrolled, person: Person, handed: Handed, group: str) -> Student:
    return Student(
        id=found.id,
        name=found.name or person.name,
        group=group or None,
        lms=_identity(person, handed),
        extension_minutes=found.extension_minutes,
    )
