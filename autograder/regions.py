"""TODO regions: located in a cell by their markers, their banner or the definition they belong to.

A region is code: markers and banners count only as comments on lines of their own, not inside a string or a further
comment, and only where their cell defines what the question asks for. Only text is examined. Nothing is executed,
imported or compiled, so any cell is safe to search.
"""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from autograder.results import Flag
from autograder.source import DEFINITION, defined_names, is_python, layout

MAX_MARKS = 100
"""Banners, START and END lines of one cell; the rest is ignored."""
MAX_DEPTH = 100
"""Nested indents; Python allows no more."""
BANNER = re.compile(r"^\s*#[\s*]*TODO\s+([A-Za-z]\w*\d)\b")
START = re.compile(r"^\s*#[\s*]*START OF YOUR CODE\b", re.IGNORECASE)
END = re.compile(r"^\s*#[\s*]*END OF YOUR CODE\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A TODO region found in a cell, as indices of lines.

    top: first line that belongs to the definition or, where the region is not inside one, to the banner
    body: the student's lines, `first` to `last` (exclusive); after `last` the end marker and what follows it
    defines: whether the cell defines what the question asks for; otherwise only its metadata identify the region
    """

    question: str
    top: int
    first: int
    last: int
    after: int
    indent: str
    defines: bool = True
    flags: tuple[Flag, ...] = ()


OTHER = "?"
"""Stands for a question: a definition that answers none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    line: int
    kind: str
    question: str = ""


def indent_of(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _width(line: str) -> int:
    return len(indent_of(line).expandtabs(4))


def _is_box(line: str) -> bool:
    """Return whether the line belongs to a banner."""
    return line.lstrip().startswith("#") and not END.match(line)


def may_hold_region(lines: Sequence[str]) -> bool:
    """Return whether a line looks like a banner or marker, at any indent."""
    return any("#" in line and (START.match(line) or END.match(line) or BANNER.match(line)) for line in lines)


def ends_open_region(lines: Sequence[str]) -> bool:
    """Return whether the first marker of these lines is an END line."""
    comments = layout("\n".join(lines)).comments
    kinds = (kind for i in sorted(comments) for kind, mark in (("end", END), ("start", START)) if mark.match(lines[i]))
    return next(kinds, "") == "end"


def find_regions(lines: Sequence[str], names: Mapping[str, str], fallback: str = "") -> list[Region]:
    """Return every TODO region of a cell, in order, with irregularities as flags.

    names: the names that answers define, to their question; used if banner and markers are lost
    fallback: the question whose answer cell this is, by its metadata; its region counts even if the cell does not
    define the question's name
    """
    if not may_hold_region(lines) or not is_python(source := "\n".join(lines)):
        return []
    return _Cell(lines, source, names, fallback).regions()


class _Cell:
    """A cell that may hold regions: its lines, its code without strings and comments, and its marks."""

    def __init__(self, lines: Sequence[str], source: str, names: Mapping[str, str], fallback: str) -> None:
        seen = layout(source)
        self.lines, self.names, self.fallback, self.code = lines, names, fallback, seen.code
        self.defined = {names[name] for name in defined_names(seen.code) if name in names}
        marks = (mark for i in sorted(seen.comments) if (mark := self._mark(i)))
        self.marks = [mark for _, mark in zip(range(MAX_MARKS), marks, strict=False)]
        self.owners: dict[int, str] = {}
        self.tops: dict[int, int] = {}
        self._look_around(seen.inside)

    def _look_around(self, inside: Set[int]) -> None:
        """Note the definition that encloses each mark, by indents, and the last one without indent."""
        marked = {mark.line for mark in self.marks}
        around: list[tuple[int, str]] = []  # the lines that a line of this indent would be inside of
        top = -1
        for index, line in enumerate(self.code):
            if index in marked:
                width = _width(self.lines[index])
                names = [name for indent, name in reversed(around) if indent < width and name]
                answers = [self.names[name] for name in names if name in self.names]
                self.owners[index] = answers[0] if answers else OTHER if names else ""
                self.tops[index] = top
            if not line.strip() or index in inside:
                continue
            found = DEFINITION.match(line)
            while around and around[-1][0] >= _width(line):
                around.pop()
            if len(around) < MAX_DEPTH:
                around.append((_width(line), found[2] if found else ""))
            if found and not found[1]:
                top = index

    def regions(self) -> list[Region]:
        found: list[Region] = []
        inside: set[int] = set()
        for place, mark in enumerate(self.marks):
            if mark.kind != "start" or place in inside:
                continue
            close = self._close(place)
            inside |= set(range(place, close))
            region = self._marked(place, close)
            if region and not (self._is_blank(region) and any(one.question == region.question for one in found)):
                found.append(region)
        marked = {region.question for region in found}
        for place, mark in enumerate(self.marks):
            if mark.kind == "banner" and place not in inside and mark.question not in marked:
                marked.add(mark.question)
                if region := self._bannered(place):
                    found.append(region)
        return sorted(found, key=lambda region: region.first)

    def _mark(self, index: int) -> _Mark | None:
        line = self.lines[index]
        if START.match(line):
            return _Mark(line=index, kind="start")
        if END.match(line):
            return _Mark(line=index, kind="end")
        banner = BANNER.match(line)
        if banner and (banner[1] in self.defined or banner[1] == self.fallback):
            return _Mark(line=index, kind="banner", question=banner[1])
        return None

    def _close(self, place: int) -> int:
        """Return which mark ends the region of this START line: its END line or the next region's first mark.

        Marks inside the region do not start another one: they are a note, or a repeated START line.
        """
        for later in range(place + 1, len(self.marks)):
            mark = self.marks[later]
            if mark.kind == "end":
                return later
            if mark.kind == "start" and self.owners[mark.line] != self.owners[self.marks[place].line]:
                banner = self.marks[later - 1]
                return later - 1 if banner.kind == "banner" and later - 1 > place else later
        return len(self.marks)

    def _marked(self, place: int, close: int) -> Region | None:
        """Return the region of a START line and the mark that closes it, or None if it answers no question."""
        start = self.marks[place]
        banner = self.marks[place - 1] if place and self.marks[place - 1].kind == "banner" else None
        limit = self.marks[close].line if close < len(self.marks) else len(self.lines)
        inner = defined_names(self.code[start.line : limit]) if not indent_of(self.lines[start.line]) else frozenset()
        owner = self.owners[start.line]
        around = (
            banner.question if banner else next((self.names[name] for name in sorted(inner) if name in self.names), "")
        )
        question = owner or around or self.fallback
        if owner == OTHER:
            question = "" if self.fallback in self.defined else self.fallback
        if question not in self.names.values() or (question not in self.defined and question != self.fallback):
            return None
        mark = banner.line if banner and banner.question == question else start.line
        return self._region(question, mark, start.line + 1, close, [])

    def _bannered(self, place: int) -> Region | None:
        """Return the region of a banner whose START line is missing, or None if no definition encloses it."""
        mark = self.marks[place]
        comments = (i for i in range(mark.line + 1, len(self.lines)) if not _is_box(self.lines[i]))
        first = next(comments, len(self.lines))
        closed = place + 1 < len(self.marks) and self.marks[place + 1].kind == "end"
        region = self._region(
            mark.question,
            mark.line,
            first,
            place + 1 if closed else len(self.marks),
            [Flag(kind="region_by_banner", question=mark.question, text=BY_BANNER)],
        )
        body = {self.names.get(name) for name in defined_names(self.code[region.first : region.last])}
        around = self.owners[mark.line] if region.indent else mark.question if mark.question in body else ""
        by_metadata = around in ("", OTHER) and mark.question == self.fallback and not region.defines
        if around != mark.question and not by_metadata:
            return None
        return region

    def _region(self, question: str, mark: int, first: int, close: int, flags: list[Flag]) -> Region:
        """Return the region from line `first` to a mark; an END line closes it, otherwise the end of its block."""
        indent = indent_of(self.lines[first - 1])
        if close < len(self.marks) and self.marks[close].kind == "end":
            last = self.marks[close].line
            after = last + 1
        else:
            flags.append(Flag(kind="end_marker_missing", question=question, text=END_MISSING))
            limit = self.marks[close].line if close < len(self.marks) else len(self.lines)
            last = after = self._block_end(first, limit, indent)
        return Region(
            question=question,
            top=self._top(mark, indent),
            first=first,
            last=last,
            after=after,
            indent=indent,
            defines=question in self.defined,
            flags=tuple(flags),
        )

    def _is_blank(self, region: Region) -> bool:
        return not any(line.strip() for line in self.code[region.first : region.last])

    def _block_end(self, first: int, limit: int, indent: str) -> int:
        """Return the first line from `first` on that leaves the block of this indent, at most `limit`."""
        banners = {mark.line for mark in self.marks if mark.kind == "banner"}
        for index in range(first, limit):
            code = self.code[index]
            if indent and code.strip() and len(indent_of(code)) < len(indent):
                return index
            if index in banners:
                return index
        return limit

    def _top(self, mark: int, indent: str) -> int:
        """Return the first line that belongs to the region: its outermost definition with decorators, or its box."""
        top = mark
        if indent:
            top = self.tops[mark] if self.tops[mark] >= 0 else mark
            while top > 0 and self.lines[top - 1].startswith("@"):
                top -= 1
            return top
        while top > 0 and self.lines[top - 1].startswith("#"):
            top -= 1
        return top


BY_BANNER = "the START line is missing; the region was found by its banner"
END_MISSING = "the END line is missing; the region was taken to the end of its block"
