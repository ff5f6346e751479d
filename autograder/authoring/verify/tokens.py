"""Expressions of a solution, found in a text however they are written there.

Spacing, line breaks, kinds of quotes, comment marks, and the names of the solution's own variables do not matter, nor
what is done with the value: whether it is returned, assigned, or stands in a comment.
"""

import ast
import itertools
import re
import textwrap
from collections.abc import Iterator

TOKEN = re.compile(r"\w+|[^\w\s]")
IGNORED = frozenset("#\\;")
"""Characters that only show how an expression is written."""
MIN_CHARACTERS = 24
"""Of an expression, without the names of variables; shorter ones give nothing away and stand everywhere."""
VARIABLE = r"\w+"


def normal(text: str) -> str:
    """Return the tokens of a text, each followed by a space."""
    found = (token.replace('"', "'") for token in TOKEN.findall(text))
    return "".join(f"{token} " for token in found if token not in IGNORED)


def patterns(answer: str) -> Iterator[tuple[str, str, re.Pattern[str]]]:
    """Yield each long expression of an answer: its text, the longest part that must stand as it is, and a pattern.

    The pattern is for a text that `normal` gives.
    """
    tree = ast.parse(textwrap.dedent(answer))
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        value = getattr(node, "value", None) if isinstance(node, ast.stmt) else None
        if not isinstance(value, ast.expr) or isinstance(value, ast.Constant):
            continue
        text = ast.unparse(value)
        fixed = [token if token not in own else "" for token in normal(text).split()]
        if sum(map(len, fixed)) >= MIN_CHARACTERS:
            runs = [list(run) for is_fixed, run in itertools.groupby(fixed, bool) if is_fixed]
            part = " ".join(max(runs, key=lambda run: sum(map(len, run))))
            pattern = " ".join(re.escape(token) if token else VARIABLE for token in fixed)
            yield text, part, re.compile(rf"(?<!\S){pattern}(?!\S)")


def occurs(text: str, part: str, pattern: re.Pattern[str]) -> bool:
    """Whether an expression stands in a text that `normal` gave."""
    return part in text and pattern.search(text) is not None
