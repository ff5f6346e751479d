"""Errors of student code as plain values, with an explanation of missing names."""

import ast
import linecache
import traceback
from collections.abc import Iterator
from typing import Any

MAX_MESSAGE = 1000
MAX_REASON = 150

Missing = dict[str, str]
"""For a name that a statement should have bound, why it did not."""


def describe(error: BaseException, missing: Missing) -> dict[str, Any]:
    """Return an error as plain values: its type, its message, and the last line of the student's cells it came from."""
    place: dict[str, Any] = {"cell": "", "line": 0, "text": ""}
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith("<"):
        place = {"cell": error.filename[1:-1], "line": error.lineno or 0, "text": (error.text or "").strip()}
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<") and frame.filename in linecache.cache:
            place = {"cell": frame.filename[1:-1], "line": frame.lineno or 0, "text": frame.line or ""}
    return {"type": type(error).__name__, "message": _message(error, missing)[:MAX_MESSAGE], **place}


def _message(error: BaseException, missing: Missing) -> str:
    try:
        if isinstance(error, NameError) and error.name in missing:
            return f"name {error.name!r} is not defined: {missing[error.name]}"
        if isinstance(error, ModuleNotFoundError) and error.name:
            return f"{error.msg}: {_not_installed(error.name)}"
        return error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        return "(the error has no message)"


def _not_installed(module: str) -> str:
    return f"`{module.partition('.')[0]}` is not part of this assignment and not installed"


def note_missing(statement: ast.stmt, error: BaseException, text: str, missing: Missing) -> None:
    """Record for each name that the statement would have bound why it is missing.

    text: the first line of the statement
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        reason = _not_installed(error.name)
    else:
        reason = f"`{text.strip()}` stopped with {type(error).__name__}: {_message(error, missing)}"[:MAX_REASON]
    for name in bound_names(statement):
        missing.setdefault(name, reason)


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds in the namespace where it is executed."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            waiting.extend(ast.iter_child_nodes(node))
