"""Written answers: text cells that people grade, located by their markers, their banner or the cell's metadata.

The markers are HTML comments, which a rendered cell does not show. Only text is examined.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

BANNER = re.compile(r"^\s*(?:#\s?)?<!--[\s*]*TODO\s+([A-Z]+[0-9]+)\b")
START = re.compile(r"^\s*(?:#\s?)?<!--[\s*]*START OF YOUR ANSWER\b", re.IGNORECASE)
END = re.compile(r"^\s*(?:#\s?)?<!--[\s*]*END OF YOUR ANSWER\b", re.IGNORECASE)
COMMENT = re.compile(r"^# ?")
MOST = 20_000
"""Characters of an answer that are kept."""
CELL = """\
<!-- TODO {question} ({points}): double-click this cell and write your answer between the next two lines. -->
<!-- *****START OF YOUR ANSWER (DO NOT DELETE/MODIFY THIS LINE)***** -->

{answer}

<!-- *****END OF YOUR ANSWER (DO NOT DELETE/MODIFY THIS LINE)***** -->"""
PLACEHOLDER = "*Your answer to {question}: double-click this cell and replace this line.*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Text that belongs to the answer to a question; opens: whether it begins with the markers of an answer cell."""

    question: str
    text: str
    opens: bool


def answer_cell(question: str, points: str, answer: str = "") -> str:
    """Return the text of an answer cell, as students get it or with an answer; points: such as `2 points`."""
    return CELL.format(question=question, points=points, answer=answer or PLACEHOLDER.format(question=question))


def with_answer(cell: str, answer: str) -> str:
    """Return a released answer cell with this answer between its markers."""
    lines = cell.split("\n")
    first = next(index for index, line in enumerate(lines) if START.match(line))
    last = next(index for index, line in enumerate(lines) if END.match(line))
    return "\n".join([*lines[: first + 1], "", answer, "", *lines[last:]])


def is_marked(lines: Sequence[str], questions: Collection[str]) -> bool:
    """Return whether a cell has the banner of one of these questions."""
    return any("<!--" in line and (found := BANNER.match(line)) and found[1] in questions for line in lines)


def find_parts(
    lines: Sequence[str], questions: Collection[str], owner: str = "", released: Collection[str] = frozenset()
) -> list[Part]:
    """Return the parts of a cell that answer written questions, in order.

    Whatever the cell holds besides markers is the answer: nothing is lost that stands above or below them. Where cells
    were merged, each banner begins the answer to its question.
    owner: the question whose answer cell this is by its metadata; released: lines of the release, without white space
    at both ends, which are no answer outside the markers
    """
    if not owner and not is_marked(lines, questions):
        return []
    if any(line.startswith("#") and BANNER.match(line) for line in lines):  # exported as comments of a script
        lines = [COMMENT.sub("", line) for line in lines]
    return [part for part in _parts(lines, questions, owner, released) if part.opens or part.text]


def _parts(lines: Sequence[str], questions: Collection[str], owner: str, released: Collection[str]) -> Iterator[Part]:
    question, opens, inside = owner, False, False
    kept: list[str] = []
    for line in lines:
        if (found := BANNER.match(line)) and found[1] in questions:
            if opens or (question and question != found[1]):
                yield Part(question=question, text=_joined(kept), opens=opens)
                kept = []
            question, opens, inside = found[1], True, False
        elif START.match(line):
            opens, inside = True, True
        elif END.match(line):
            inside = False
        elif inside or line.strip() not in released:
            kept.append(line)
    if question:
        yield Part(question=question, text=_joined(kept), opens=opens)


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines).strip()[:MOST]


def words(text: str) -> str:
    """Return a text without differences of white space, for comparing answers."""
    return " ".join(text.split())
