"""Python source as text: what is code, what is a string or comment, which statements there are and what they bind.

The text is untrusted and is never compiled: `layout` is linear in its length, and a `Parser` passes at most MAX_TOKENS
to the tolerant parser and splits the rest by lines.
"""

import functools
import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import parso

Node = Any
"""A node or leaf of parso's tree, whose classes are not typed."""

MAX_TOKENS = 40_000
"""Tokens that one Parser parses in all; both notebooks of a lecture together have half as many."""
MAX_BLOCKS = 20
"""Nesting depth of blocks whose statements are examined."""

_PIECE = re.compile(r"\\.|#[^\n]*|'''|\"\"\"|['\"\n()\[\]{}]", re.DOTALL)
_CLOSING = {
    "'''": re.compile(r"\\.|'''", re.DOTALL),
    '"""': re.compile(r"\\.|\"\"\"", re.DOTALL),
    "'": re.compile(r"\\.|['\n]", re.DOTALL),
    '"': re.compile(r"\\.|[\"\n]", re.DOTALL),
}
DEFINITION = re.compile(r"^(\s*)(?:async\s+def|def|class)\s+(\w+)")
_ASSIGNMENT = re.compile(r"^(\s*)(\w+)\s*(?::[^=]+)?=(?!=)")
_CONTINUED = re.compile(r"^(?:else|elif|except|finally|case)\b|^[)\]}]")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_MAGIC = re.compile(r"^\s*(?:%time\s+(?P<timed>[^\n]+)|[%!?].*|.*[\w\])]\?{1,2}\s*)$")
_CELL_MAGIC = re.compile(r"^%%(\w+)")
TUPLES = frozenset({"testlist_star_expr", "testlist_comp", "exprlist", "testlist", "atom", "star_expr"})
COMPOUND = frozenset({"if_stmt", "while_stmt", "for_stmt", "try_stmt", "with_stmt"})
RUNS_HERE = frozenset({"time", "capture", "prun"})
"""Cell magics whose body is run as if they were absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The lines of a text by content.

    code: each line without comments and with strings emptied
    comments: the lines that contain only a comment
    inside: the lines that start inside a string, a bracket or a continued line
    """

    code: tuple[str, ...]
    comments: frozenset[int]
    inside: frozenset[int]


@functools.lru_cache(maxsize=64)
def layout(source: str) -> Layout:
    """Separate code from strings and comments. A triple quote that is never closed does not open a string."""
    code: list[str] = []
    comments: set[int] = set()
    inside: set[int] = set()
    unclosed: set[str] = set()
    depth = place = row = line_start = 0
    while found := _PIECE.search(source, place):
        piece = found[0]
        code.append(source[place : found.start()])
        place = found.end()
        if piece == "\n" or piece == "\\\n":
            row, line_start = row + 1, place
            code.append("\n")
            if depth and DEFINITION.match(source[place : place + 80]):
                depth = 0  # a bracket was never closed
            if depth or piece != "\n":
                inside.add(row)
        elif piece[0] == "#":
            if not source[line_start : found.start()].strip():
                comments.add(row)
        elif piece in "([{":
            depth += 1
            code.append(piece)
        elif piece in ")]}":
            depth = max(0, depth - 1)
            code.append(piece)
        elif piece in _CLOSING:
            end = None if piece in unclosed else _string_end(source, place, piece)
            if end is None:
                unclosed |= {piece} if len(piece) == 3 else set()
                continue
            lines = source.count("\n", place, end)
            inside.update(range(row + 1, row + lines + 1))
            code.append(piece + piece + "\n" * lines)
            if lines:
                row, line_start = row + lines, source.rfind("\n", place, end) + 1
            place = end
        else:
            code.append(piece)
    code.append(source[place:])
    return Layout(code=tuple("".join(code).split("\n")), comments=frozenset(comments), inside=frozenset(inside))


def _string_end(source: str, place: int, quote: str) -> int | None:
    """Return where the string opened before `place` ends, or None if it does not."""
    while found := _CLOSING[quote].search(source, place):
        if found[0] == quote:
            return found.end()
        if found[0] == "\n":
            return None
        place = found.end()
    return None


def is_python(source: str) -> bool:
    """Return whether a cell is run as Python, that is without a cell magic such as %%writefile or %%bash."""
    found = _CELL_MAGIC.match(source.lstrip())
    return found is None or found[1] in RUNS_HERE


def defined_names(lines: Sequence[str]) -> frozenset[str]:
    """Return the names that lines of code (of a Layout) seem to define outside of functions and classes."""
    names = set()
    nested = False
    for line in lines:
        found = DEFINITION.match(line) or _ASSIGNMENT.match(line)
        if line and line[0] not in " \t":
            nested = bool(DEFINITION.match(line))
        elif nested:
            continue
        if found:
            names.add(found[2])
    return frozenset(names)


class Kind(StrEnum):
    """What a statement is. EMPTY does nothing: pass, `...`, a string, `raise NotImplementedError`."""

    IMPORT = "import"
    FUNCTION = "function"
    CLASS = "class"
    ASSIGNMENT = "assignment"
    BLOCK = "block"
    EMPTY = "empty"
    OTHER = "other"


NO_HEADER = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement, as lines `first` to `last` (exclusive) of its text, with its decorators.

    names: what it binds in its block; target: what an assignment assigns to, as text
    module: where an import takes its names from
    header: the lines of a function's or class's header; parameters: the names of a function's
    body: the statements in a function or class
    """

    kind: Kind
    first: int
    last: int
    names: frozenset[str] = frozenset()
    target: str = ""
    module: str = ""
    header: tuple[int, int] = NO_HEADER
    parameters: tuple[str, ...] = ()
    body: tuple["Statement", ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it does nothing, like a function with only `pass`."""
        if self.kind in (Kind.FUNCTION, Kind.CLASS):
            return all(inner.is_empty for inner in self.body)
        return self.kind is Kind.EMPTY

    def text(self, lines: Sequence[str]) -> str:
        return "\n".join(lines[self.first : self.last])


class Parser:
    """Splits texts into statements with a parser, or by lines once the total number of tokens is too large."""

    def __init__(self, tokens: int = MAX_TOKENS) -> None:
        self._left = tokens
        self._known: dict[str, tuple[Statement, ...]] = {}

    def statements(self, source: str) -> tuple[Statement, ...]:
        """Return the statements of a text, however broken it is."""
        if source not in self._known:
            text = _without_magics(source)
            parsed = None
            tokens = sum(1 for _ in _TOKEN.finditer(text))
            if tokens <= self._left:
                self._left -= tokens
                parsed = _parsed(text)
            self._known[source] = _by_lines(text) if parsed is None else parsed
        return self._known[source]


@functools.lru_cache(maxsize=1024)
def trusted_statements(source: str) -> tuple[Statement, ...]:
    """Return the statements of a text of the release."""
    return Parser().statements(source)


def _without_magics(source: str) -> str:
    """Return the text with IPython's own lines left empty, and the first line's indent removed from all."""
    source = source.replace("\r", " ")  # a line break to the parser
    seen = layout(source)
    lines = source.split("\n")
    first = next((line for line in seen.code if line.strip()), "")
    if first[:1] in (" ", "\t"):
        lines = textwrap.dedent(source.expandtabs(4)).split("\n")
    for index, code in enumerate(seen.code):
        if index not in seen.inside and (magic := _MAGIC.match(code)):
            lines[index] = lines[index].lstrip()[len("%time") :].lstrip() if magic["timed"] else ""
    return "\n".join(lines)


def _by_lines(source: str) -> tuple[Statement, ...]:
    """Split a text at the lines of code that are not indented."""
    code, inside = (seen := layout(source)).code, seen.inside
    starts = [
        index
        for index, line in enumerate(code)
        if line.strip() and line[0] not in " \t" and index not in inside and not _CONTINUED.match(line)
    ]
    starts = [index for place, index in enumerate(starts) if place == 0 or not code[starts[place - 1]].startswith("@")]
    found = []
    for first, last in itertools.pairwise([*starts, len(code)]):
        names = defined_names(code[first:last])
        word = code[first].split(maxsplit=1)[0]
        kind = Kind.IMPORT if word in ("import", "from") else Kind.ASSIGNMENT if names else Kind.OTHER
        if any(DEFINITION.match(line) for line in code[first:last]):
            kind = Kind.BLOCK
        found.append(Statement(kind=kind, first=first, last=last, names=names))
    return tuple(found)


def _parsed(source: str) -> tuple[Statement, ...] | None:
    """Parse a text, or return None if the parser fails."""
    try:
        module = parso.parse(source + "\n")
        return tuple(_with_broken(source, _statements(module, 0)))
    except Exception:  # nested too deeply, or another failure on hostile text; splitting by lines always works
        return None


def _with_broken(source: str, found: Sequence[Statement]) -> Iterator[Statement]:
    """Add what the lines of a statement that cannot be parsed seem to define."""
    code = layout(source).code if any(one.kind is Kind.OTHER for one in found) else ()
    for one in found:
        names = defined_names(code[one.first : one.last]) if one.kind is Kind.OTHER else frozenset()
        yield replace(one, kind=Kind.BLOCK, names=names) if names else one


def _statements(block: Node, depth: int) -> list[Statement]:
    """Return the statements of a block; unparsable text becomes one of kind OTHER with the indented lines below."""
    found: list[Statement] = []
    nodes = [node for node in block.children if node.type not in ("newline", "endmarker")]
    margin = nodes[0].start_pos[1] if nodes and block.type == "suite" else 0
    for node in nodes:
        first, end = node.start_pos[0] - 1, node.end_pos
        last = end[0] - 1 if end[1] == 0 else end[0]
        broken = node.type in ("error_node", "error_leaf")
        one = Statement(kind=Kind.OTHER, first=first, last=max(last, first + 1))
        if not broken:
            one = replace(_statement(node, depth), first=one.first, last=one.last)
        before = found[-1] if found else None
        goes_on = before and before.kind is Kind.OTHER and (broken or node.start_pos[1] > margin)
        if before and goes_on:
            found[-1] = replace(before, last=max(one.last, before.last))
        elif before and first < before.last:  # on one line, as what cannot be parsed leaves it
            names = before.names | one.names
            found[-1] = Statement(kind=Kind.BLOCK, first=before.first, last=max(one.last, before.last), names=names)
        else:
            found.append(one)
    return found


def _statement(node: Node, depth: int) -> Statement:
    inner = node
    while inner.type in ("decorated", "async_stmt", "async_funcdef"):
        inner = inner.children[-1]
    if inner.type in ("funcdef", "classdef"):
        return _definition(inner, depth)
    if inner.type == "simple_stmt":
        parts = [part for part in inner.children if part.type not in ("newline", "operator") or part == "..."]
        return _joined([_small(part) for part in parts])
    if inner.type not in COMPOUND:
        return _joined([_small(inner)])  # part of a line that cannot be parsed as a whole
    names = set(_header_names(inner))
    for part in getattr(inner, "children", ()) if depth < MAX_BLOCKS else ():
        if part.type == "suite":
            names.update(*(one.names for one in _statements(part, depth + 1)))
        elif part.type == "simple_stmt":
            names |= _statement(part, depth + 1).names
    return Statement(kind=Kind.BLOCK, first=0, last=0, names=frozenset(names))


def _definition(node: Node, depth: int) -> Statement:
    body, colon = node.children[-1], node.children[-2]
    if depth >= MAX_BLOCKS:
        inner = [Statement(kind=Kind.OTHER, first=0, last=0)]
    elif body.type == "suite":
        inner = _statements(body, depth + 1)
    else:
        inner = [_statement(body, depth + 1)]
    function = node.type == "funcdef"
    return Statement(
        kind=Kind.FUNCTION if function else Kind.CLASS,
        first=0,
        last=0,
        names=frozenset({node.name.value}),
        header=(node.start_pos[0] - 1, colon.end_pos[0]),
        parameters=tuple(one.name.value for one in node.get_params()) if function else (),
        body=tuple(inner),
    )


def _joined(parts: Sequence[Statement]) -> Statement:
    """Return the statements of one line, between semicolons, as one."""
    first = next((one for one in parts if one.names), None)
    first = first or next((one for one in parts if one.kind is not Kind.EMPTY), parts[0])
    return replace(first, names=frozenset(name for one in parts for name in one.names))


def _small(node: Node) -> Statement:
    text = node.get_code(include_prefix=False)
    if node.type in ("import_name", "import_from"):
        star = node.type == "import_from" and node.is_star_import()
        names = frozenset({"*"}) if star else frozenset(name.value for name in node.get_defined_names())
        module = ".".join(name.value for name in node.get_from_names()) if node.type == "import_from" else ""
        return Statement(kind=Kind.IMPORT, first=0, last=0, names=names, module=module)
    if node.type == "expr_stmt":
        targets = node.children[:-2:2] if node.children[1] == "=" else node.children[:1]
        plain = frozenset(name for part in targets for name in _targets(part))
        target = "".join(node.children[0].get_code(include_prefix=False).split())
        return Statement(kind=Kind.ASSIGNMENT, first=0, last=0, names=plain, target=target)
    empty = node.type in ("string", "strings") or text in ("pass", "...")
    empty = empty or text.startswith("raise NotImplementedError")
    return Statement(kind=Kind.EMPTY if empty else Kind.OTHER, first=0, last=0)


def _header_names(node: Node) -> Iterator[str]:
    """Yield what the header of a for or with statement binds."""
    if node.type == "for_stmt":
        yield from _targets(node.children[1])
    elif node.type == "with_stmt":
        for item in node.children:
            if item.type == "with_item":
                yield from _targets(item.children[-1])


def _targets(node: Node) -> Iterator[str]:
    """Yield the names that an assignment to this binds; attributes and elements are not names."""
    if node.type == "name":
        yield node.value
    elif node.type in TUPLES:
        for part in node.children:
            yield from _targets(part)
