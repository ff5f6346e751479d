"""Which code is the answer: the candidates for a question, and the choice among them.

A candidate is a TODO region or other code that binds the name that the question asks for: a definition, an assignment,
an import. What the notebook would define after a run from top to bottom counts, that is the last candidate; the others
are alternatives in case it does not get full marks.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from autograder.assignment import Question
from autograder.notebook import Cell
from autograder.program import Alternative
from autograder.regions import Region
from autograder.release.released import ReleasedNotebook, normal
from autograder.results import Flag, Status
from autograder.source import DEFINITION, Kind, Parser, Statement, layout
from autograder.submissions.answer_cell import answer_cell

MAX_COPIES = 100
"""Candidates for a question; earlier ones are ignored."""
MAX_ALTERNATIVES = 2
MAX_COMPLETED = 100_000
"""Characters of answers that are concatenated."""
WORD = re.compile(r"(\.?)\b([^\W\d]\w*)")
AS_TEXT = "the answer's cell is not a code cell; its text was graded as code"


class Level(IntEnum):
    """How far a candidate is from the release: as released, emptied (`pass`, a docstring), an attempt."""

    RELEASED = 0
    EMPTY = 1
    ATTEMPTED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Code that may be the answer to a question, as the whole answer cell.

    place: the cell that contains it, for people to read; in_region: whether it was found as a TODO region
    defines: whether its cell binds the question's name, or is only marked as its answer cell by the metadata
    as_text: whether it is in a text cell, which Jupyter does not run
    before, after: for a region, the student's own code around it in its cell
    """

    source: str
    level: Level
    place: str
    file: str
    in_region: bool
    defines: bool = True
    as_text: bool = False
    before: str = ""
    after: str = ""
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is graded as the answer to a question; `status` is set if it is unanswered, else None.

    before, after: the student's own code around regions of this question
    """

    source: str
    file: str = ""
    status: Status | None = None
    flags: tuple[Flag, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The location of code: a cell of a file (`cell` is its text and metadata), and its version.

    number: of the cell in its file, from 1
    """

    file: str
    number: int
    cell: Cell
    base: ReleasedNotebook

    @property
    def as_text(self) -> bool:
        return self.cell.kind != "code"

    def __str__(self) -> str:
        return f"cell {self.number} of {self.file}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRegion:
    """A region, and the student's own code around it in its cell."""

    place: Place
    region: Region
    before: str
    after: str = ""


def from_region(released: ReleasedNotebook, found_region: FoundRegion, parser: Parser) -> Candidate:
    """Return a region as a candidate."""
    place, region = found_region.place, found_region.region
    found = answer_cell(released, place.base, place.cell, region, parser)
    stubs = [one.regions[region.question] for one in released.versions() if region.question in one.regions]
    as_released = [normal(cell.lines[stub.first : stub.last]) for cell, stub in stubs]
    level = Level.ATTEMPTED
    if normal(found.own.split("\n")) in as_released:
        level = Level.RELEASED
    elif not _does_something(found.own) and all(one.is_empty for one in parser.statements(found.own)):
        level = Level.EMPTY
    return Candidate(
        source=found.source,
        level=level,
        place=str(place),
        file=place.file,
        in_region=True,
        defines=region.defines,
        as_text=place.as_text,
        before=found_region.before,
        after=found_region.after,
        flags=found.flags,
    )


def _does_something(text: str) -> bool:
    """Return whether a line of the text obviously assigns or returns a value; anything else needs the parser."""
    seen = layout(text)
    return any(
        " = " in line or line.lstrip().startswith("return ")
        for index, line in enumerate(seen.code)
        if index not in seen.inside and not DEFINITION.match(line)
    )


def from_code(
    released: ReleasedNotebook,
    question: Question,
    place: Place,
    source: str,
    parser: Parser,
    modules: Mapping[str, str],
) -> Candidate | None:
    """Return code outside regions as a candidate, or None if it does not bind the question's name."""
    if not any(name in source for name in question.defines) and not (modules and "*" in source):
        return None
    binding = list(_binding(question, source, parser, modules))
    if not binding:
        return None
    level = Level.ATTEMPTED
    if all(one.is_empty for one in binding):
        stubs = [one.regions[question.id][0] for one in released.versions() if question.id in one.regions]
        as_released = any(normal(source.split("\n")) == normal(stub.lines) for stub in stubs)
        level = Level.RELEASED if as_released else Level.EMPTY
    bound = frozenset(name for one in binding for name in one.names)
    return Candidate(
        source=source,
        level=level,
        place=str(place),
        file=place.file,
        in_region=False,
        defines="*" in bound or bound.issuperset(question.defines),
        as_text=place.as_text,
    )


def _binding(question: Question, source: str, parser: Parser, modules: Mapping[str, str]) -> Iterator[Statement]:
    """Yield the statements that bind a name of the question, except those that use it, such as `f = cached(f)`."""
    lines = source.split("\n")
    for one in parser.statements(source):
        names = one.names.intersection(question.defines)
        if one.kind is Kind.IMPORT:
            everything = "*" in one.names and one.module in modules
            inside = (inner.names for inner in parser.statements(modules[one.module])) if everything else ()
            if (names and one.module in modules) or any(found.intersection(question.defines) for found in inside):
                yield one
        elif names and not (one.kind in (Kind.ASSIGNMENT, Kind.BLOCK) and _needs(names, one.text(lines))):
            yield one


def _needs(names: frozenset[str], text: str) -> bool:
    """Return whether the value assigned to one of these names uses that name, on one line."""
    for line in text.split("\n"):
        target, _, value = line.partition("=")
        if not DEFINITION.match(target) and not names.isdisjoint(_words(target) & _words(value)):
            return True
    return False


def _words(text: str) -> set[str]:
    """Return the names in a text, without attributes."""
    return {word for dot, word in WORD.findall(text) if not dot}


def choose(
    released: ReleasedNotebook, question: Question, found: Sequence[FoundRegion | Candidate], parser: Parser
) -> Choice:
    """Return what is graded: the last attempt in the notebook."""
    stub = released.regions[question.id][0].source
    latest = [
        from_region(released, one, parser) if isinstance(one, FoundRegion) else one for one in found[-MAX_COPIES:]
    ]
    candidates = _completed(latest, stub)
    attempted = [one for one in candidates if one.level is Level.ATTEMPTED]
    emptied = [one for one in candidates if one.level is Level.EMPTY]
    if attempted:
        rank = max(map(_rank, attempted))
        attempted = [one for one in attempted if _rank(one) == rank]
        chosen = attempted[-1]
        choice = _chosen(question, chosen, attempted, candidates)
    elif emptied:
        chosen = emptied[-1]
        choice = _chosen(question, chosen, emptied, candidates)
    elif any(one.in_region for one in candidates):
        chosen = None
        choice = Choice(source=stub, status=Status.NOT_ATTEMPTED)
    else:
        text = "no region found in the submission"
        flag = Flag(kind="region_missing", question=question.id, text=text)
        return Choice(source=stub, status=Status.MISSING, flags=(flag,))
    run = [one for one in candidates if not one.as_text or one is chosen]
    return replace(
        choice,
        before=tuple(dict.fromkeys(one.before for one in run)),
        after=tuple(dict.fromkeys(one.after for one in run)),
    )


def _rank(one: Candidate) -> tuple[bool, bool]:
    """Return a rank: code above text, definitions of the name above other content of the answer cell."""
    return not one.as_text, one.defines


def _completed(candidates: Sequence[Candidate], stub: str) -> list[Candidate]:
    """Append code that binds only some of the question's names to the answer before it, which it partly replaces."""
    found: list[Candidate] = []
    for one in candidates:
        if not one.in_region and not one.defines and one.level is Level.ATTEMPTED:
            before = next((other.source for other in reversed(found) if other.level is Level.ATTEMPTED), stub)
            before = stub if len(before) > MAX_COMPLETED else before
            one = replace(one, source=f"{before}\n\n\n{one.source}", defines=True)
        found.append(one)
    return found


def _chosen(
    question: Question, chosen: Candidate, attempted: Sequence[Candidate], candidates: Sequence[Candidate]
) -> Choice:
    others: list[Candidate] = []
    seen = [normal(chosen.source.split("\n"))]
    for one in reversed(attempted):
        if len(others) == MAX_ALTERNATIVES:
            break
        text = normal(one.source.split("\n"))
        if text not in seen:
            seen.append(text)
            others.append(one)
    return Choice(
        source=chosen.source,
        file=chosen.file,
        flags=(*chosen.flags, *_remarks(question, chosen, attempted, others, candidates)),
        alternatives=tuple(
            Alternative(source=one.source, file=one.file, flag=_better(question, one, chosen)) for one in others
        ),
    )


def _remarks(
    question: Question,
    chosen: Candidate,
    attempted: Sequence[Candidate],
    others: Sequence[Candidate],
    candidates: Sequence[Candidate],
) -> Iterator[Flag]:
    """Yield flags for a choice that is not the only region of the question."""
    regions = [one for one in candidates if one.in_region and _rank(one) == _rank(chosen)]
    if chosen.as_text:
        yield Flag(kind="answer_not_code", question=question.id, text=AS_TEXT)
    elif not chosen.in_region and not others:
        where = "the region is as released" if regions else "no region found"
        if any(one.level is Level.EMPTY for one in regions):
            where = "the region is empty"
        text = f"{where}; the definition of {question.defines[0]} in another cell was graded"
        yield Flag(kind="definition_elsewhere", question=question.id, text=text)
    elif others and not all(one.in_region for one in (chosen, *others)):
        text = f"answered in {_listed([chosen, *others])}; {chosen.place} was graded, as the last of them"
        yield Flag(kind="several_answers", question=question.id, text=text)
    elif len(regions) > 1:
        which = "the last of them" if len(attempted) > 1 else "the one that was filled in"
        text = f"{len(regions)} regions found; {which} was graded"
        yield Flag(kind="several_regions", question=question.id, text=text)


def _listed(candidates: Sequence[Candidate]) -> str:
    places = list(dict.fromkeys(one.place for one in candidates))
    return " and ".join([", ".join(places[:-1]), places[-1]] if len(places) > 1 else places)


def _better(question: Question, other: Candidate, chosen: Candidate) -> Flag:
    text = f"{other.place} gets more points than {chosen.place}, the last answer, and counts instead"
    if other.place == chosen.place:
        text = (
            f"{other.place} answers it more than once; an earlier answer gets more points than the last one and counts"
        )
    return Flag(kind="several_answers", question=question.id, text=text)
