"""TODO regions: where they stand in a cell, by their markers, their banner or the definition they belong to.

Only text is looked at. Nothing is executed, imported or compiled, so any cell may be handed in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autograder.results import Flag

MAX_MARKS = 100
"""Banners, start and end lines of one cell; what is below is not looked at."""
BANNER = re.compile(r"^\s*#[\s#*]*TODO\s+([A-Za-z]\w*\d)\b")
START = re.compile(r"^\s*#[\s*]*START OF YOUR CODE\b", re.IGNORECASE)
END = re.compile(r"^\s*#[\s*]*END OF YOUR CODE\b", re.IGNORECASE)
DEFINITION = re.compile(r"^(\s*)(?:async\s+def|def|class)\s+(\w+)")
QUOTES = re.compile(r"^\s*[rRuU]?('''|\"\"\"|'|\")")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A TODO region found in a cell, as indices of lines.

    top: first line that belongs to the definition or, where the region is not inside one, to the banner
    body: the student's lines, `first` to `last` (exclusive); after `last` the end marker and what follows it
    """

    question: str
    top: int
    first: int
    last: int
    after: int
    indent: str
    flags: tuple[Flag, ...] = ()


def indent_of(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def find_regions(lines: Sequence[str], names: Mapping[str, str], fallback: str = "") -> list[Region]:
    """Every TODO region of a cell, in order, with what was amiss as flags.

    names: the names that answers define, to their question; it finds a region whose banner and markers are lost.
    fallback: the question to assume when neither banner nor definition tells, from the cell's metadata.
    """
    known = set(names.values())
    marks = [(i, kind, found) for i, line in enumerate(lines) for kind, found in _mark(line, known)][:MAX_MARKS]
    regions: list[Region] = []
    used: set[int] = set()
    for place, (index, kind, question) in enumerate(marks):
        if index in used:
            continue
        later = marks[place + 1 :]
        if kind == "start":
            owner = _owner(lines, index, names) or fallback
            if owner in known:
                regions.append(_region(lines, owner, index, index, later, names))
        elif kind == "banner":
            start = next((i for i, k, _ in later[:1] if k == "start"), None)
            if start is not None:
                used.add(start)
                later = marks[place + 2 :]
            regions.append(_region(lines, question, index, start, later, names))
    return regions


def _mark(line: str, known: set[str]) -> list[tuple[str, str]]:
    if START.match(line):
        return [("start", "")]
    if END.match(line):
        return [("end", "")]
    banner = BANNER.match(line)
    return [("banner", banner[1])] if banner and banner[1] in known else []


def _owner(lines: Sequence[str], index: int, names: Mapping[str, str]) -> str:
    for line in reversed(lines[:index]):
        found = DEFINITION.match(line)
        if found and found[2] in names:
            return names[found[2]]
    return ""


def _region(
    lines: Sequence[str],
    question: str,
    mark: int,
    start: int | None,
    later: Sequence[tuple[int, str, str]],
    names: Mapping[str, str],
) -> Region:
    flags = []
    if start is None:
        text = "the START line is missing; the region was found by its banner"
        flags.append(Flag(kind="region_by_banner", question=question, text=text))
        first = mark + 1
        while first < len(lines) and lines[first].lstrip().startswith("#") and not END.match(lines[first]):
            first += 1
    else:
        first = start + 1
    indent = indent_of(lines[mark if start is None else start])
    last = next((i for i, kind, _ in later[:1] if kind == "end"), None)
    if last is None:
        text = "the END line is missing; the region was taken to the end of its block"
        flags.append(Flag(kind="end_marker_missing", question=question, text=text))
        last = _block_end(lines, first, indent)
        after = last
    else:
        after = last + 1
    top = _top(lines, mark, indent, names)
    return Region(question=question, top=top, first=first, last=last, after=after, indent=indent, flags=tuple(flags))


def _block_end(lines: Sequence[str], first: int, indent: str) -> int:
    """The first line from `first` on that leaves the block of this indent, or the number of lines."""
    for index in range(first, len(lines)):
        line = lines[index]
        if indent and line.strip() and not line.lstrip().startswith("#") and len(indent_of(line)) < len(indent):
            return index
        if BANNER.match(line):
            return index
    return len(lines)


def _top(lines: Sequence[str], mark: int, indent: str, names: Mapping[str, str]) -> int:
    """Where what belongs to the region begins: at its column-0 definition with decorators, or at the banner's box."""
    top = mark
    if indent:
        for index in range(mark, -1, -1):
            found = DEFINITION.match(lines[index])
            if found and not found[1] and found[2] in names:
                top = index
                break
        while top > 0 and lines[top - 1].startswith("@"):
            top -= 1
        return top
    while top > 0 and lines[top - 1].startswith("#"):
        top -= 1
    return top


def header_end(lines: Sequence[str], index: int) -> int:
    """The line after the `def` or `class` line at `index`, its continuation lines and its docstring."""
    depth = 0
    while index < len(lines):
        text = lines[index].split("#")[0]
        depth += sum(text.count(c) for c in "([{") - sum(text.count(c) for c in ")]}")
        index += 1
        if depth <= 0:
            break
    first = next((i for i in range(index, len(lines)) if lines[i].strip()), index)
    quote = QUOTES.match(lines[first]) if first < len(lines) else None
    if not quote:
        return index
    rest = lines[first].lstrip().lstrip("rRuU")[len(quote[1]) :]
    if quote[1] in rest or len(quote[1]) == 1:
        return first + 1
    closing = next((i for i in range(first + 1, len(lines)) if quote[1] in lines[i]), first)
    return closing + 1
