"""The release as grading sees it: its cells, the region of each question, and the same for every older version.

A submission may have been made from any version. Its given cells are separated from added ones by the text of the
version that most of its cells come from, and its questions are identified by their current ids.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autograder.assignment import Assignment, Question
from autograder.errors import MasterError
from autograder.notebook import Cell, NotANotebook, Role, parse_notebook
from autograder.program import Step
from autograder.regions import Region, find_regions
from autograder.release.versions import Version, recorded

SIMILAR = 0.6


@dataclass(frozen=True, kw_only=True)
class ReleasedNotebook:
    """A notebook as released, in the current version or in an older one; without slots, as some values are cached.

    regions: the answer cell and region of each question, by current id
    written: the answer cell of each written question
    prologue: the number of executed steps before the first answer, which are the same for every submission
    names: the names that answers define, to the id of their question in this version
    now: the ids of this version's questions, to the current ones; a removed question is left out
    """

    name: str
    version: str
    cells: tuple[Cell, ...]
    regions: Mapping[str, tuple[Cell, Region]]
    prologue: int
    names: Mapping[str, str]
    now: Mapping[str, str]
    written: Mapping[str, Cell] = field(default_factory=dict)
    earlier: tuple["ReleasedNotebook", ...] = ()

    def given(self) -> list[Cell]:
        """Return the cells that are executed in grading, in order: given ones and answers."""
        return [cell for cell in self.cells if cell.kind == "code" and cell.role in (Role.GIVEN, Role.ANSWER)]

    def shared_steps(self) -> tuple[Step, ...]:
        """Return the steps before the first answer, which are the same for every submission."""
        return tuple(Step(label=cell.id, source=cell.source) for cell in self.given()[: self.prologue])

    def versions(self) -> tuple["ReleasedNotebook", ...]:
        """This version and the older ones, newest first."""
        return (self, *self.earlier)

    def regions_in(self, cell: Cell) -> list[Region]:
        """Return the regions of a submitted cell made from this version, by current ids."""
        regions = []
        for region in find_regions(cell.lines, self.names, cell.question):
            now = self.now.get(region.question)
            if now is not None:
                flags = tuple(replace(flag, question=now) for flag in region.flags)
                regions.append(replace(region, question=now, flags=flags))
        return regions

    def place_of(self, cell: Cell) -> str | None:
        """Return the id of the cell of this version with the same text, else with the same id, or None."""
        same = self._ids_by_source.get(cell.source)
        if cell.id in self.lines and (same is None or cell.id in same):
            return cell.id
        return same[0] if same else None

    @functools.cached_property
    def lines(self) -> Mapping[str, frozenset[str]]:
        """The lines of code of each cell, by its id, for comparing with submitted cells."""
        return {cell.id: frozenset(normal(cell.lines)) for cell in self.cells}

    @functools.cached_property
    def _ids_by_source(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for cell in self.cells:
            found.setdefault(cell.source, []).append(cell.id)
        return found


def names_to_questions(questions: Sequence[Question]) -> dict[str, str]:
    """Return the names that answers define, to the id of their question."""
    return {name: question.id for question in questions for name in question.defines}


def released_notebook(
    name: str, version: str, cells: tuple[Cell, ...], questions: Sequence[Question], versions: Sequence[Version] = ()
) -> ReleasedNotebook:
    """Index a released notebook by question. Raises ValueError if a question does not have exactly one region or cell.

    versions: all versions on record; those equal to this one are left out
    """
    names = names_to_questions(questions)
    regions: dict[str, tuple[Cell, Region]] = {}
    for cell in cells:
        for region in _regions(cell, names):
            if region.question in regions:
                raise ValueError(f"question {region.question} has two regions")
            regions[region.question] = (cell, region)
    written = _written(cells, questions)
    if missing := [one.id for one in questions if one.id not in (written if one.written else regions)]:
        raise ValueError(f"no region for {', '.join(missing)}")
    executed = [cell for cell in cells if cell.kind == "code" and cell.role in (Role.GIVEN, Role.ANSWER)]
    older = [one for one in reversed(versions) if one.notebooks.get(name, cells) != cells]
    return ReleasedNotebook(
        name=name,
        version=version,
        cells=cells,
        regions=regions,
        prologue=next((i for i, cell in enumerate(executed) if cell.role == Role.ANSWER), len(executed)),
        names=names,
        now={question.id: question.id for question in questions},
        written=written,
        earlier=tuple(_earlier(name, one, names, questions) for one in older),
    )


def _regions(cell: Cell, names: Mapping[str, str]) -> list[Region]:
    """Return the regions of a released answer cell, none for another cell or a written answer."""
    return find_regions(cell.lines, names) if cell.role == Role.ANSWER and cell.kind == "code" else []


def _written(cells: Sequence[Cell], questions: Sequence[Question]) -> dict[str, Cell]:
    """Return the answer cells of these questions that are text."""
    ids = {question.id for question in questions if question.written}
    answers = [cell for cell in cells if cell.role == Role.ANSWER and cell.kind != "code" and cell.question in ids]
    if len({cell.question for cell in answers}) < len(answers):
        raise ValueError("a written question has two answer cells")
    return {cell.question: cell for cell in answers}


def _earlier(name: str, version: Version, today: Mapping[str, str], questions: Sequence[Question]) -> ReleasedNotebook:
    """Return an older version of a notebook.

    A question is the same if it defines the same name, whatever its id; a written one if it has the same id.
    """
    names = {define: question for question, defines in version.defines.items() for define in defines}
    now = {question: today[define] for define, question in names.items() if define in today}
    cells = version.notebooks[name]
    regions = {
        now[region.question]: (cell, region)
        for cell in cells
        for region in _regions(cell, names)
        if region.question in now
    }
    return ReleasedNotebook(
        name=name,
        version=version.name,
        cells=cells,
        regions=regions,
        prologue=0,
        names=names,
        now=now,
        written=_written(cells, questions),
    )


def load_released(assignment: Assignment) -> dict[str, ReleasedNotebook]:
    """Return the committed release of each notebook. Raises MasterError if it is missing or unusable."""
    released = {}
    older = recorded(assignment)
    for name in assignment.notebooks:
        path = assignment.release_dir / f"{name}.ipynb"
        try:
            cells = parse_notebook(path.read_bytes())
            released[name] = released_notebook(name, assignment.version, cells, assignment.in_notebook(name), older)
        except NotANotebook as error:
            reason = str(error).partition(";")[0]  # the rest tells a student what to hand in
            raise MasterError(f"no usable release ({reason})", path, "run `autograder release`") from error
        except (OSError, ValueError) as error:
            raise MasterError(f"no usable release ({error})", path, "run `autograder release`") from error
    return released


def closest_version(released: ReleasedNotebook, cells: Sequence[Cell]) -> ReleasedNotebook:
    """Return the version that most of these submitted cells come from.

    Of several that are mostly there, it is the one of which the fewest cells are missing, as a version may only add
    questions; else the newest.
    """
    texts = {cell.source.strip() for cell in cells}

    def likeness(one: ReleasedNotebook) -> tuple[int, float]:
        own = {cell.source.strip() for cell in one.cells}
        common = len(texts & own)
        return common, -len(own) if 2 * common >= len(own) else -math.inf

    return max(released.versions(), key=likeness)


def origins(released: ReleasedNotebook, cells: Sequence[Cell]) -> tuple[ReleasedNotebook, list[Cell | None]]:
    """Return the version that most of these submitted cells come from, and the released cell behind each of them."""
    base = closest_version(released, cells)
    known = {cell.source.strip(): cell for one in reversed(released.versions()) for cell in one.cells}
    found = _match(base, cells)
    return base, [match or known.get(cell.source.strip()) for cell, match in zip(cells, found, strict=True)]


def _match(base: ReleasedNotebook, cells: Sequence[Cell]) -> list[Cell | None]:
    """Return the released cell behind each submitted one, matched by equal text, by id, else by similar text.

    Similar text alone counts only if the ids are lost, because a student's own cell may borrow lines of a given one.
    """
    by_id = {cell.id: cell for cell in base.cells}
    by_text = {cell.source.strip(): cell for cell in base.cells}
    ids_lost = sum(cell.id in by_id for cell in cells) * 2 < len(base.cells)
    found: list[Cell | None] = []
    for cell in cells:
        origin = by_text.get(cell.source.strip())
        if origin is None:
            own = frozenset(normal(cell.lines))
            likeness = {key: _likeness(own, other) for key, other in base.lines.items() if by_id[key].kind == cell.kind}
            best = max(likeness, key=likeness.__getitem__, default="")
            if likeness.get(cell.id, 0.0) >= SIMILAR / 2:
                origin = by_id[cell.id]
            elif ids_lost and cell.kind == "code" and likeness.get(best, 0.0) >= SIMILAR:
                origin = by_id[best]
        found.append(origin)
    return found


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Return how much of the shorter one is contained in the other, from 0 to 1."""
    return len(one & other) / max(1, min(len(one), len(other)))


def normal(lines: Sequence[str]) -> list[str]:
    """Return the lines without comments, blank lines and whitespace, for comparing code."""
    return [" ".join(line.split()) for line in lines if line.strip() and not line.lstrip().startswith("#")]
