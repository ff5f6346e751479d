"""What hidden tests must keep to themselves, besides whole lines: statements, inputs, expected values and texts.

Public checks call the same functions and assert in the same words, so a short statement is no secret. What counts is
long, or holds the data of a test: students who know it can return the right values for it without an answer.
"""

import ast
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from autograder.authored import authored_text
from autograder.authoring.verify.tokens import Sought, fixed_tokens, own_names, sought

MIN_WORDS = 8
"""Words and numbers of a statement without the names of its variables, and words of a text."""
MIN_HINT = 4
"""Words of a hint, which nobody would write in the same words elsewhere."""
MIN_NUMBERS = 3
"""Numbers of a list or of a call; fewer, such as a shape and a seed, are in every check."""
MIN_DIGITS = 4
"""Significant digits of an expected value or limit."""
WORD = re.compile(r"\w")
IN_BRACKETS = r"[\[({{] {}(?: ,)? [\])}}]"


def secrets(path: Path) -> Iterator[Sought]:
    """Yield what a module of hidden tests must keep to itself. Raises MasterError for one that is not UTF-8."""
    try:
        tree = ast.parse(authored_text(path))
    except (SyntaxError, ValueError):
        return  # a rule of its own tells of it
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.FunctionDef):
            yield from _in_scope(path.name, scope)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            yield from _constant(path.name, node)
        elif isinstance(node, ast.keyword) and node.arg == "hint":
            yield from _text(f"the hint in line {node.value.lineno} of {path.name}", node.value, MIN_HINT)


def _in_scope(name: str, scope: ast.Module | ast.FunctionDef) -> Iterator[Sought]:
    own = own_names(scope) | {node.arg for node in ast.walk(scope) if isinstance(node, ast.arg)}
    inner = [one for one in scope.body if not isinstance(one, ast.FunctionDef | ast.ClassDef)]
    decorators: Sequence[ast.expr] = scope.decorator_list if isinstance(scope, ast.FunctionDef) else ()
    for top in (*inner, *decorators):
        for node in ast.walk(top):
            value = _value(node)
            if value is not None:
                text = ast.unparse(value)
                if sum(bool(WORD.match(token)) for token in fixed_tokens(text, own)) >= MIN_WORDS:
                    yield sought(f"line {value.lineno} of {name}, in other words", text, own)
            elif isinstance(node, ast.Call | ast.List | ast.Tuple | ast.Set) and _has_data(node):
                yield _data(name, node, own)


def _value(node: ast.AST) -> ast.expr | None:
    """Return what a simple statement computes, if it is not only a text."""
    value = node.test if isinstance(node, ast.Assert) else getattr(node, "value", None)
    if not isinstance(node, ast.stmt) or not isinstance(value, ast.expr) or isinstance(value, ast.Constant):
        return None
    return value


def _has_data(node: ast.expr) -> bool:
    """Whether an expression holds numbers that are not a plain series such as 1, 2, 3."""
    numbers = _numbers(node)
    steps = {round(after - before, 9) for before, after in itertools.pairwise(numbers)}
    return len(numbers) >= MIN_NUMBERS and len(steps) > 1


def _numbers(node: ast.AST) -> list[float]:
    """Return the numbers in an expression, without those of slices."""
    if isinstance(node, ast.Constant):
        value = node.value
        return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []
    inner = [] if isinstance(node, ast.Slice | ast.Subscript) else list(ast.iter_child_nodes(node))
    return [number for one in inner for number in _numbers(one)]


def _data(name: str, node: ast.expr, own: frozenset[str]) -> Sought:
    source = f"data of line {node.lineno} of {name}; take other numbers in public"
    text = ast.unparse(node)
    if isinstance(node, ast.Call):
        return sought(source, text, own)
    return sought(source, text[1:-1].rstrip(","), own, IN_BRACKETS)


def _constant(name: str, node: ast.Constant) -> Iterator[Sought]:
    if isinstance(node.value, str):
        yield from _text(f"a text in line {node.lineno} of {name}", node, MIN_WORDS)
    elif isinstance(node.value, float):
        written = repr(node.value)
        if len(written.partition("e")[0].replace(".", "").strip("0")) >= MIN_DIGITS:
            yield sought(f"a value in line {node.lineno} of {name}; take other numbers in public", written)


def _text(source: str, node: ast.expr, least: int) -> Iterator[Sought]:
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    if sum(bool(WORD.match(token)) for token in text.split()) >= least:
        yield sought(source, text)
