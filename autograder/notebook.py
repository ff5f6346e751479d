"""Notebooks as plain data: the cells of a file that nobody vouches for, and the TODO regions inside them.

Only text is looked at here. Nothing is executed, imported or compiled, so any bytes may be handed in.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_BYTES = 64 << 20
MAX_CELLS = 5000
MAX_BRACKETS = 1 << 20
"""Of the whole file: JSON takes twenty times its size in memory where it holds little else."""
MAX_CODE = 2 << 20
MAX_MARKS = 100
"""Banners, start and end lines of one cell; what is below is not looked at."""
MAX_LINES = 3000
"""Of one cell; what is below is not looked at. These limits keep every search over a notebook short."""

BANNER = re.compile(r"^\s*#[\s#*]*TODO\s+([A-Za-z]\w*\d)\b")
START = re.compile(r"^\s*#[\s*]*START OF YOUR CODE\b", re.IGNORECASE)
END = re.compile(r"^\s*#[\s*]*END OF YOUR CODE\b", re.IGNORECASE)
DEFINITION = re.compile(r"^(\s*)(?:async\s+def|def|class)\s+(\w+)")
QUOTES = re.compile(r"^\s*[rRuU]?('''|\"\"\"|'|\")")


class Role(StrEnum):
    """What a cell of the release is for. Cells of any other role are not executed in grading."""

    ANSWER = "answer"
    GIVEN = "given"
    DEMO = "demo"
    CHECK = "check"
    PROMPT = "prompt"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell; `question` and `role` come from the release's metadata and may be lost or forged in a submission."""

    id: str
    kind: str
    source: str
    question: str = ""
    role: str = ""

    @property
    def lines(self) -> list[str]:
        return self.source.split("\n")


class NotANotebook(Exception):
    """The bytes are no notebook; the message is a plain reason for the student."""


def parse_notebook(data: bytes) -> tuple[Cell, ...]:
    """The cells of an .ipynb file (format 4).

    Raises NotANotebook with the reason, for whatever is wrong with the bytes.
    """
    if len(data) > MAX_BYTES:
        raise NotANotebook(
            f"the file has {len(data) >> 20} MiB, more than {MAX_BYTES >> 20}; clear all outputs and save again"
        )
    if not data.strip():
        raise NotANotebook("the file is empty; save the notebook and hand it in again")
    if data.count(b"[") + data.count(b"{") > MAX_BRACKETS:
        raise NotANotebook("the file holds too many values for a notebook; clear all outputs and save again")
    try:
        table = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise NotANotebook(
            "the file is not text in UTF-8, so it is no notebook; hand in the .ipynb file itself"
        ) from None
    except (ValueError, RecursionError):
        raise NotANotebook("the file is not JSON, so it is no notebook; hand in the .ipynb file itself") from None
    cells = table.get("cells") if isinstance(table, dict) else None
    if not isinstance(cells, list):
        raise NotANotebook("the file is JSON, but holds no notebook cells; hand in the .ipynb file itself")
    if len(cells) > MAX_CELLS:
        raise NotANotebook(f"the notebook has {len(cells)} cells, more than {MAX_CELLS}; delete those you do not need")
    parsed = tuple(_cell(entry, index) for index, entry in enumerate(cells))
    if sum(len(cell.source) for cell in parsed if cell.kind == "code") > MAX_CODE:
        raise NotANotebook(f"the cells hold more than {MAX_CODE >> 20} MiB of code; delete what is no code of yours")
    return parsed


def _cell(entry: Any, index: int) -> Cell:
    if not isinstance(entry, dict):
        raise NotANotebook(f"cell {index + 1} is damaged; open the notebook in Jupyter, save it and hand it in again")
    source = entry.get("source", "")
    if isinstance(source, list) and all(isinstance(part, str) for part in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotANotebook(f"the text of cell {index + 1} is damaged; open the notebook in Jupyter and save it again")
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kind = entry.get("cell_type")
    cell_id = entry.get("id")
    metadata = entry.get("metadata")
    homework = metadata.get("homework") if isinstance(metadata, dict) else None
    homework = homework if isinstance(homework, dict) else {}
    return Cell(
        id=cell_id if isinstance(cell_id, str) else "",
        kind=kind if isinstance(kind, str) else "",
        source="\n".join(lines[:MAX_LINES]),
        question=_text(homework, "question"),
        role=_text(homework, "role"),
    )


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""


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
    flags: tuple[str, ...] = ()


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
        flags.append(f"{question}: start marker missing, region found by its banner")
        first = mark + 1
        while first < len(lines) and lines[first].lstrip().startswith("#") and not END.match(lines[first]):
            first += 1
    else:
        first = start + 1
    indent = indent_of(lines[mark if start is None else start])
    last = next((i for i, kind, _ in later[:1] if kind == "end"), None)
    if last is None:
        flags.append(f"{question}: end marker missing, region taken to the end of its block")
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
