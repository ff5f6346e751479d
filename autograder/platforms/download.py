"""The contents of a download: who submitted which files, before anyone is matched with a roster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autograder.platforms.files import FoundFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A file as it lies in a download, with the LMS's number of the attachment and of the attempt.

    owner: what the student is called, where the file may be named after them
    """

    file: FoundFile
    owner: str = ""
    attachment: str = ""
    attempt: int = 0


MAX_WRAPPED = 4
"""How deep below the root a platform's names are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person as named by a platform.

    system: the platform; user: its id of the person, empty where files carry none
    key: what the results call them without a roster; it depends on nobody else
    sid, email: the course's own id and the address, where the platform has them
    stem: as in LmsIdentity
    """

    system: str
    key: str
    user: str = ""
    name: str = ""
    sid: str = ""
    email: str = ""
    stem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """The submission of one person or of several together; `files` have their owner's names.

    label: the names in the download; submitted, late: as in Result
    """

    people: tuple[Person, ...]
    files: tuple[Attached, ...]
    label: str
    submitted: str | None = None
    late: float | str | None = None


@dataclass(slots=True, kw_only=True)
class Download:
    """The contents of a listing: who submitted what, and what belongs to nobody, with the reason."""

    handed: list[Handed] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The format in which one platform packs submissions.

    share: returns how much of a listing matches, from 0 to 1
    read: returns the listing as a Download
    """

    name: str
    share: Callable[[Sequence[FoundFile]], float]
    read: Callable[[Sequence[FoundFile]], Download]


@dataclass(slots=True, kw_only=True)
class Gathered:
    """The files of one person while a listing is read."""

    person: Person
    files: list[Attached] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    submitted: str | None = None
    late: float | str | None = None

    def handed(self) -> Handed:
        """Return what was gathered."""
        return Handed(
            people=(self.person,),
            files=tuple(self.files),
            label="; ".join(self.names) or self.person.key,
            submitted=self.submitted,
            late=self.late,
        )


def fitting_depth(files: Sequence[FoundFile], fits: Callable[[FoundFile, int], bool]) -> tuple[int, float]:
    """Return the depth at which most names are a platform's, and how many of the names there, from 0 to 1.

    Names count once, however many files lie below them, and only below folders that all files share: nothing that a
    single student hands in decides the form of a whole class.
    """
    best = (1, 0.0)
    for depth in range(MAX_WRAPPED):
        if len({file.parts[:depth] for file in files}) > 1:
            break
        names: dict[str, bool] = {}
        for file in files:
            if len(file.parts) > depth:
                name = file.parts[depth]
                names[name] = names.get(name, False) or fits(file, depth)
        found = sum(names.values()) / max(1, len(names))
        if found > best[1]:
            best = (depth, found)
    return best
