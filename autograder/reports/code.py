"""Student code in a page: highlighted, escaped, clipped, with the lines marked that matter."""

import functools
import re
from collections.abc import Collection
from dataclasses import dataclass

from markupsafe import Markup, escape
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

from autograder.assignment import Assignment
from autograder.regions import find_regions
from autograder.release.released import names_to_questions
from autograder.reports.html import clipped, visible
from autograder.wording import number_of

MOST_SOURCE = 100_000
"""Characters of an answer in which markers are looked for."""
MOST_LINE = 400
"""Characters of one line that are shown."""
CLASSES = (
    (Comment, "c"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (String, "s"),
    (Number, "m"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Decorator, "f"),
    (Name.Builtin, "b"),
)
PLACE = re.compile(r"\(line (\d+) of ([^:()]+): [^\n]*\)")
"""How the message of an error tells its line: of the answer as graded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of code as it stands in a page; number 0 for a gap."""

    number: int
    html: Markup
    marked: bool = False


def failing_line(message: str, question: str) -> int:
    """Return the line of this question's answer that a message names, 0 where it names none."""
    found = PLACE.search(message)
    return int(found[1]) if found and found[2] == question and len(found[1]) < 7 else 0


def own_lines(source: str, question: str, assignment: Assignment) -> range:
    """Return the numbers of the lines between the markers of a question's region; all lines where there are none."""
    lines = split_lines(source)
    regions = find_regions(lines, names_to_questions(assignment.questions)) if len(source) <= MOST_SOURCE else []
    for region in regions:
        if region.question == question:
            return range(region.first + 1, region.last + 1)
    return range(1, len(lines) + 1)


def code_lines(
    source: str, own: range, marked: Collection[int] = (), most: int = 8000, *, python: bool = True
) -> list[Line]:
    """Return the student's own lines of an answer, highlighted, with gaps where something is left out.

    own: their numbers; marked: numbers of lines to mark, shown wherever they are; most: characters to show
    python: False for a written answer, which is shown as it is
    """
    lines = [clipped(visible(line), MOST_LINE) for line in split_lines(source)]
    own = range(own.start, min(own.stop, len(lines) + 1))
    shown = _shown(lines, own, marked, most)
    found: list[Line] = []
    chosen = tuple(lines[number - 1] for number in shown)
    colours = _highlighted(chosen) if python else tuple(map(escape, chosen))
    for number, html in zip(shown, colours, strict=True):
        if gap := number - found[-1].number - 1 if found else len(range(own.start, number)):
            found.append(_gap(gap))
        found.append(Line(number=number, html=html, marked=number in marked))
    if gap := len(range(max([own.start, *(number + 1 for number in shown)]), own.stop)):
        found.append(_gap(gap))
    return found


def split_lines(source: str) -> list[str]:
    """Return the lines as Python counts them."""
    return source.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")


def _gap(count: int) -> Line:
    return Line(number=0, html=Markup("… {} …").format(number_of(count, "line")))


def _shown(lines: list[str], own: range, marked: Collection[int], most: int) -> list[int]:
    """Return the numbers of the lines that fit, marked ones and those next to them first."""
    near = [n for n in sorted(marked) if 1 <= n <= len(lines)]
    near += [n + step for n in near for step in (-1, 1, -2, 2) if n + step in own]
    shown: set[int] = set()
    room = most
    for number in dict.fromkeys([*near, *own]):
        room -= len(lines[number - 1]) + 1
        if room < 0:
            break
        shown.add(number)
    return sorted(shown)


@functools.lru_cache(maxsize=4096)
def _highlighted(lines: tuple[str, ...]) -> tuple[Markup, ...]:
    """Return the lines as HTML, one for each. Much of a class wrote the same, which is read once."""
    if not lines:
        return ()
    done: list[list[str]] = [[]]
    for token, text in _lexer().get_tokens("\n".join(lines)):
        style = _class(token)
        for place, part in enumerate(text.split("\n")):
            if place:
                done.append([])
            if part:
                shown = str(escape(part))
                done[-1].append(f'<span class="{style}">{shown}</span>' if style else shown)
    return tuple(Markup("".join(pieces)) for pieces in done)


@functools.cache
def _lexer() -> PythonLexer:
    return PythonLexer(stripnl=False, ensurenl=False)


@functools.cache
def _class(token: _TokenType) -> str:
    return next((name for kind, name in CLASSES if token in kind), "")
