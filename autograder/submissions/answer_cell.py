"""A region of a submission -> the released answer cell with that region's text in it.

The given part of the cell is as released, plus the student's additions: decorators, renamed parameters, statements
above the START line, and statements in other given functions of the same class.
"""

import difflib
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autograder.notebook import Cell
from autograder.regions import Region, indent_of
from autograder.release.released import ReleasedNotebook, normal
from autograder.results import Flag
from autograder.source import NO_HEADER, Kind, Parser, Statement, trusted_statements


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCell:
    """The text of an answer cell as it is executed.

    own: the part written by the student, without indent
    """

    source: str
    own: str
    flags: tuple[Flag, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """Lines that replace lines `first` to `last` (exclusive) of the released cell; `kind` is for the flags."""

    first: int
    last: int
    lines: tuple[str, ...]
    kind: str


def answer_cell(
    released: ReleasedNotebook, base: ReleasedNotebook, cell: Cell, region: Region, parser: Parser
) -> AnswerCell:
    """Put a submitted region into the released answer cell.

    base: the version that the submission was made from; what it contains here is not the student's code
    """
    released_cell, target = released.regions[region.question]
    old_cell, old_target = base.regions.get(region.question, (released_cell, target))
    lines = cell.lines
    body = _indented(lines[region.first : region.last], region.indent, target.indent)
    end = answer_end(lines, region, target)
    tail = lines[region.after : end]
    edits = _edits(released_cell, target, cell, region, parser)
    own_edits = edits if old_cell == released_cell else _edits(old_cell, old_target, cell, region, parser)
    top = _apply(edits, released_cell.lines[: target.first])
    inserted = [line for edit in own_edits if edit.kind in ("above", "given") for line in edit.lines]
    return AnswerCell(
        source="\n".join([*top, *body, *tail, *released_cell.lines[target.last :]]),
        own="\n".join([*map(textwrap.dedent, inserted), textwrap.dedent("\n".join([*body, *tail]))]),
        flags=(*region.flags, *_flags(region.question, own_edits, bool(tail))),
    )


def _indented(body: Sequence[str], indent: str, wanted: str) -> list[str]:
    if indent == wanted:
        return list(body)
    return textwrap.indent(textwrap.dedent("\n".join(body).expandtabs(4)), wanted).split("\n")


def answer_end(lines: Sequence[str], region: Region, target: Region) -> int:
    """Return the line after the answer; code below the END line may still belong to the function or class."""
    end = region.after
    while target.indent and end < len(lines) and (not lines[end].strip() or lines[end][0] in " \t"):
        end += 1
    return end if normal(lines[region.after : end]) else region.after


def _flags(question: str, edits: Sequence[_Edit], tail: bool) -> Iterator[Flag]:
    kinds = {edit.kind for edit in edits} | ({"tail"} if tail else set())
    texts = {
        "above": ("code_above_marker", "code above the START line was taken as part of the answer"),
        "given": ("given_part_extended", "code added to the given part of the answer's class was kept"),
        "tail": ("code_below_marker", "code below the END line was taken as part of the answer"),
        "header": ("header_changed", "the def line was changed; the submission's was used"),
    }
    for key, (kind, text) in texts.items():
        if key in kinds:
            yield Flag(kind=kind, question=question, text=text)


def _apply(edits: Sequence[_Edit], lines: Sequence[str]) -> list[str]:
    result = list(lines)
    for edit in sorted(edits, key=lambda edit: edit.first, reverse=True):
        result[edit.first : edit.last] = edit.lines
    return result


def _edits(given: Cell, target: Region, cell: Cell, region: Region, parser: Parser) -> list[_Edit]:
    """Return the student's changes in the given part above the region, as edits of the released cell."""
    untouched = cell.lines[region.top : region.first] == given.lines[target.top : target.first]
    if untouched or not target.indent:
        return []
    comparison = _Comparison(given.lines, target, cell.lines, region)
    outermost = [one for one in trusted_statements(given.source) if one.first < target.first][-1:]
    theirs = [one for one in parser.statements(cell.source) if one.first < region.first][-1:]
    return list(comparison.block(outermost, theirs))


AROUND = "the definition around the region"


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The lines of the released cell with its region, and the submitted ones with theirs."""

    given: Sequence[str]
    target: Region
    lines: Sequence[str]
    region: Region

    def block(
        self, given: Sequence[Statement], theirs: Sequence[Statement], *, innermost: bool = False
    ) -> Iterator[_Edit]:
        """Compare the statements of a block that begin above the region; `innermost` is the one that contains it."""
        given = [one for one in given if one.first < self.target.first]
        theirs = [one for one in theirs if one.first < self.region.first]
        around, own_around = _around(given, self.given, self.target), _around(theirs, self.lines, self.region)
        keys = [AROUND if one is around else _key(one, self.given) for one in given]
        own_keys = [AROUND if one is own_around else _key(one, self.lines) for one in theirs]
        matcher = difflib.SequenceMatcher(None, keys, own_keys, autojunk=False)
        for kind, first, last, own_first, own_last in matcher.get_opcodes():
            if kind == "equal":
                for one, own in zip(given[first:last], theirs[own_first:own_last], strict=True):
                    if one.header != NO_HEADER and own.header != NO_HEADER:
                        yield from self._definition(one, own, around=one is around)
                continue
            changed = {_subject(one) for one in given[first:last]}
            kept = [
                one
                for one in theirs[own_first:own_last]
                if not one.is_empty and _subject(one) not in changed and one is not own_around
            ]
            lines = "\n".join(one.text(self.lines) for one in kept).split("\n")
            if not any(line.strip() for line in lines):
                continue
            own_indent = indent_of(self.lines[kept[0].first])
            if innermost and last == len(given):
                place, indent, name = self.target.first, self.target.indent, "above"
            elif given:
                place = given[last - 1].last if last else given[0].first
                indent, name = indent_of(self.given[given[0].first]), "given"
            else:
                continue
            yield _Edit(first=place, last=place, lines=tuple(_indented(lines, own_indent, indent)), kind=name)

    def _definition(self, given: Statement, own: Statement, *, around: bool) -> Iterator[_Edit]:
        """Compare a function or class present in both: decorators, parameters, statements."""
        top, end = own.header
        own_indent, indent = indent_of(self.lines[top]), indent_of(self.given[given.header[0]])
        old = {line.strip() for line in self.given[given.first : given.header[0]]}
        decorators = [line for line in self.lines[own.first : top] if line.strip() and line.strip() not in old]
        if decorators:
            lines = tuple(_indented(decorators, own_indent, indent))
            yield _Edit(first=given.first, last=given.first, lines=lines, kind="decorator")
        functions = given.kind is own.kind is Kind.FUNCTION
        if around and functions and given.parameters != own.parameters:
            name = re.compile(rf"\b{re.escape(min(own.names))}\b")
            header = [name.sub(min(given.names), self.lines[top], count=1), *self.lines[top + 1 : end]]
            lines = tuple(_indented(header, own_indent, indent))
            yield _Edit(first=given.header[0], last=given.header[1], lines=lines, kind="header")
        deeper = _around([one for one in given.body if one.first < self.target.first], self.given, self.target)
        yield from self.block(given.body, own.body, innermost=around and not deeper)


def _around(block: Sequence[Statement], lines: Sequence[str], region: Region) -> Statement | None:
    """Return the function or class that contains the region, among the statements of a block that begin above it."""
    last = block[-1] if block else None
    if last is None or last.header == NO_HEADER or len(indent_of(lines[last.first])) >= len(region.indent):
        return None
    return last


def _key(one: Statement, lines: Sequence[str]) -> str:
    """Return the identity of a statement: kind and name of a definition, else the text."""
    if one.header != NO_HEADER:
        return f"{one.kind} {min(one.names)}"
    return one.kind if one.is_empty else "\n".join(normal(one.text(lines).split("\n")))


def _subject(one: Statement) -> str:
    """Return the subject of a statement: what it assigns to or defines, else its kind."""
    return one.target or " ".join(sorted(one.names)) or one.kind
