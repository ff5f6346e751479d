"""Expressions of private code, found in a text however they are written there.

Spacing, line breaks, kinds of quotes, comment marks, and the names of the code's own variables do not matter, nor
what is done with the value: whether it is returned, assigned, or stands in a comment. `4.0` is the number `4`.
"""

import ast
import bisect
import itertools
import re
import textwrap
from collections.abc import Container, Iterator
from dataclasses import dataclass

TOKEN = re.compile(r"\w+|[^\w\s]")
IGNORED = frozenset("#\\;")
"""Characters that only show how an expression is written."""
WHOLE = re.compile(r"(?<![\w.])(\d+)\.0*(?![\w.])")
MIN_CHARACTERS = 24
"""Of an expression of a solution, without the names of variables; shorter ones give nothing away and are everywhere."""
VARIABLE = r"\w+"


class Told:
    """The tokens of a text, each followed by a space, and the lines that they are from."""

    def __init__(self, text: str) -> None:
        parts = []
        self._starts = []
        length = 0
        for line in text.split("\n"):
            self._starts.append(length)
            parts.append(normal(line))
            length += len(parts[-1])
        self.text = "".join(parts)

    def line(self, place: int) -> int:
        """Return the number of the line, from 0, of the token at a place of the text."""
        return bisect.bisect_right(self._starts, place) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """A private expression: what it is called, its text, and how it is found in the tokens of a text.

    part: the longest part that must stand as it is, by which most texts are ruled out
    """

    source: str
    text: str
    part: str
    pattern: re.Pattern[str]

    def place(self, told: str) -> int | None:
        """Return where it stands in a text of tokens, if it does."""
        found = self.pattern.search(told) if self.part in told else None
        return found.start() if found else None


def normal(text: str) -> str:
    """Return the tokens of a text, each followed by a space."""
    found = (token.replace('"', "'") for token in TOKEN.findall(WHOLE.sub(r"\1", text)))
    return "".join(f"{token} " for token in found if token not in IGNORED)


def sought(source: str, text: str, own: Container[str] = frozenset(), form: str = "{}") -> Sought:
    """Return how to find a text in tokens; own: names that may be others; form: what must stand around it."""
    fixed = fixed_tokens(text, own)
    runs = [list(run) for is_fixed, run in itertools.groupby(fixed, bool) if is_fixed]
    part = " ".join(max(runs, key=lambda run: sum(map(len, run)))) if runs else ""
    pattern = " ".join(re.escape(token) if token else VARIABLE for token in fixed)
    return Sought(source=source, text=text, part=part, pattern=re.compile(rf"(?<!\S){form.format(pattern)}(?!\S)"))


def fixed_tokens(text: str, own: Container[str]) -> list[str]:
    """Return the tokens of a text, empty for each of its own names."""
    return [token if token not in own else "" for token in normal(text).split()]


def expressions(answer: str) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield each long expression of an answer, its statement, and the names of the answer's own variables."""
    tree = ast.parse(textwrap.dedent(answer))
    own = own_names(tree)
    for node in ast.walk(tree):
        value = getattr(node, "value", None) if isinstance(node, ast.stmt) else None
        if not isinstance(value, ast.expr) or isinstance(value, ast.Constant):
            continue
        text = ast.unparse(value)
        if sum(map(len, fixed_tokens(text, own))) >= MIN_CHARACTERS:
            yield text, ast.unparse(node), own


def own_names(tree: ast.AST) -> frozenset[str]:
    """Return the names that code binds as variables."""
    return frozenset(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
