"""Code that a student wrote in and around the released cells, separated from the released code."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from autograder.notebook import Cell, Role
from autograder.regions import BANNER, END, START, ends_open_region
from autograder.release.released import ReleasedNotebook, normal
from autograder.source import DEFINITION, RUNS_HERE, Kind, Parser, Statement, layout, trusted_statements

MAX_PARTS = 6
"""Cells over which one answer may be split."""


def _text(one: Statement, lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(normal(one.text(lines).split("\n")))


class ReleasedCode:
    """The statements of the release, in all its versions."""

    def __init__(self, released: ReleasedNotebook) -> None:
        self._cells = [cell for one in released.versions() for cell in one.cells if cell.kind == "code"]

    @functools.cached_property
    def shown(self) -> frozenset[tuple[str, ...]]:
        """The statements of demonstration and check cells, which grading does not run."""
        return self._statements(Role.DEMO, Role.CHECK)

    @functools.cached_property
    def given(self) -> frozenset[tuple[str, ...]]:
        return self._statements(Role.GIVEN)

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """The names bound by cells other than answers."""
        cells = [cell for cell in self._cells if cell.role != Role.ANSWER]
        return frozenset(name for cell in cells for one in trusted_statements(cell.source) for name in one.names)

    def _statements(self, *roles: Role) -> frozenset[tuple[str, ...]]:
        cells = [(cell.source, cell.lines) for cell in self._cells if cell.role in roles]
        return frozenset(_text(one, lines) for source, lines in cells for one in trusted_statements(source))


def around(lines: Sequence[str], code: ReleasedCode, parser: Parser, *, merged: bool) -> str:
    """Return the student's own code in lines around regions, empty if there is none.

    merged: whether other released cells were merged into this one; given statements, and statements that bind their
    names, then belong to the release
    """
    source = "\n".join(lines)
    seen = layout(source)
    if not any(line.strip() for line in seen.code):
        return ""
    dropped = set(seen.comments)
    if lines[0].startswith("%%") and lines[0][2:].split(maxsplit=1)[0] in RUNS_HERE:
        dropped.add(0)
    for one in parser.statements(source):
        text = _text(one, lines)
        known = text in code.shown or (merged and text in code.given)
        changed = merged and one.kind is not Kind.IMPORT and not one.names.isdisjoint(code.names)
        if known or changed:
            dropped.update(range(one.first, one.last))
    kept = [line for index, line in enumerate(lines) if index not in dropped]
    has_code = any(line.strip() for index, line in enumerate(seen.code) if index not in dropped)
    return "\n".join(kept) if has_code else ""


def is_merged(cell: Cell, code: ReleasedCode, parser: Parser) -> bool:
    """Return whether an added cell contains mostly released code, as after a merge of cells."""
    statements, lines = parser.statements(cell.source), cell.lines
    known = sum(text in code.shown or text in code.given for text in (_text(one, lines) for one in statements))
    return known > 1 and 2 * known >= len(statements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Code that a student added. names: if given, run it only if other code of the student's uses one of them."""

    source: str
    names: frozenset[str] = frozenset()


def additions(released: Cell, cell: Cell, code: ReleasedCode, parser: Parser) -> Iterator[Addition]:
    """Yield what the student added to a released cell: imports, and statements that bind names new to the release.

    A given line that was changed does not count. Assignments in a demonstration or a check run only if they are used,
    because demonstrations take long.
    """
    if cell.source == released.source:
        return
    lines = cell.lines
    as_released = [_text(one, released.lines) for one in trusted_statements(released.source)]
    always: list[str] = []
    for one in parser.statements(cell.source):
        text, source = _text(one, lines), one.text(lines)
        new = one.names.isdisjoint(code.names) and text not in code.shown
        if text in as_released:
            as_released.remove(text)
        elif one.kind is Kind.IMPORT:
            always.append(source)
        elif not one.names or not new:
            continue
        elif released.role == Role.GIVEN or one.kind in (Kind.FUNCTION, Kind.CLASS):
            always.append(source)
        elif one.kind is Kind.ASSIGNMENT:
            yield Addition(source=source, names=one.names)
    if always:
        yield Addition(source="\n".join(always))


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedCell:
    """A submitted cell, or several that are one answer; `number` is that of the first, from 1, `last` of the last."""

    number: int
    last: int
    cell: Cell
    match: Cell | None


def joined(cells: Sequence[Cell], matches: Sequence[Cell | None], names: Mapping[str, str]) -> list[NumberedCell]:
    """Join code cells over which one answer was split: up to its END line, or while the next one starts indented."""
    result: list[NumberedCell] = []
    parts = 1
    joining_to = 0
    for index, (cell, match) in enumerate(zip(cells, matches, strict=True)):
        current = NumberedCell(number=index + 1, last=index + 1, cell=cell, match=match)
        before = result[-1] if result and result[-1].cell.kind == cell.kind == "code" else None
        if (
            before
            and parts < MAX_PARTS
            and (index < joining_to or (_goes_on(current) and _is_open(before.cell, names)))
        ):
            source = f"{before.cell.source}\n{cell.source}"
            result[-1] = replace(before, last=index + 1, cell=replace(before.cell, source=source))
            parts += 1
            continue
        result.append(current)
        parts = 1
        joining_to = _end_of_split(cells, matches, index)
    return result


def _end_of_split(cells: Sequence[Cell], matches: Sequence[Cell | None], index: int) -> int:
    """Return the index after the cell that closes the region left open by this cell, else 0."""
    if cells[index].kind != "code" or not _has_open_region(cells[index].lines):
        return 0
    for later in range(index + 1, min(len(cells), index + MAX_PARTS)):
        lines = cells[later].lines
        if cells[later].kind != "code" or _is_released(cells[later], matches[later]):
            return 0
        if ends_open_region(lines):
            return later + 1
        if any(START.match(line) or BANNER.match(line) for line in lines):
            return 0
    return 0


def _is_released(cell: Cell, match: Cell | None) -> bool:
    return match is not None and match.source.strip() == cell.source.strip()


def _has_open_region(lines: Sequence[str]) -> bool:
    """Return whether the last marker of a cell is a START line."""
    return _last_marker(lines) == "start"


def _last_marker(lines: Sequence[str]) -> str:
    if not any("#" in line and (START.match(line) or END.match(line)) for line in lines):
        return ""
    comments = sorted(layout("\n".join(lines)).comments, reverse=True)
    kinds = (kind for i in comments for kind, mark in (("start", START), ("end", END)) if mark.match(lines[i]))
    return next(kinds, "")


def _goes_on(one: NumberedCell) -> bool:
    """Return whether the first line of a cell is indented."""
    first = next((line for line in one.cell.lines if line.strip()), "")
    return first[:1] in (" ", "\t") and not _is_released(one.cell, one.match)


def _is_open(cell: Cell, names: Iterable[str]) -> bool:
    """Return whether the last statement of a cell is the definition of an answer without an END line."""
    if _last_marker(cell.lines) == "end":
        return False
    starts = [line for line in layout(cell.source).code if line.strip() and line[0] not in " \t)]}"]
    found = DEFINITION.match(starts[-1]) if starts else None
    return found is not None and found[2] in set(names)
