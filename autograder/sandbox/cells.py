"""The meaning of a cell: its text as Python statements, read as IPython reads it.

Text that is valid Python is used unchanged. Anything else goes through IPython's own transformer, which turns magics,
shell commands, help and auto-calls into calls of `get_ipython()`; `jupyter.py` provides what those calls reach. Magics
that run a statement or a body, such as `%time` and `%%capture`, are replaced here by what they run.
"""

import ast
import re
from types import CodeType
from typing import TypeVar

from IPython.core.inputtransformer2 import TransformerManager

TIMED = {"time": "", "timeit": "nrp", "prun": "lsTD", "lprun": "fmTDsru", "memit": "rti", "mprun": "fTc"}
"""Magics that run the statement after them, with those of their options that take a value."""
BODIES = {*TIMED, "capture"}
"""Cell magics that run the rest of the cell."""
OPTION = re.compile(r"--?([A-Za-z][\w-]*)\s*")
Node = TypeVar("Node", ast.stmt, ast.expr)
LINE_MAGIC, CELL_MAGIC = "run_line_magic", "run_cell_magic"

_transformer = TransformerManager()  # type: ignore[no-untyped-call]


def parse(source: str, file: str) -> list[ast.stmt]:
    """Return the statements of a cell.

    Raises SyntaxError if the text is neither Python nor anything IPython can transform, and ValueError, RecursionError
    or MemoryError if the parser cannot handle it.
    """
    try:
        text, body = source, ast.parse(source, file).body
    except SyntaxError as error:
        text = _transformed(source)
        if text == source:
            raise
        body = _parse_transformed(text, source, file, error)
    if "get_ipython" not in text:
        return body
    if cell := _cell_magic(body):
        name, arguments, rest = cell
        return _body_of(name, arguments, rest, file, first_line=body[0].lineno + 1)
    return [statement for old in body for statement in _inlined(old)]


def compiled(source: str, file: str) -> CodeType:
    """Return the code of a whole cell. Raises the same errors as `parse`."""
    code: CodeType = compile(ast.Module(parse(source, file), []), file, "exec", dont_inherit=True)
    return code


def _transformed(source: str) -> str:
    try:
        text: str = _transformer.transform_cell(source)
    except (SyntaxError, RuntimeError):  # from the transformer: an unclosed string or bracket, or too many magics
        return source
    return text


def _parse_transformed(text: str, source: str, file: str, error: SyntaxError) -> list[ast.stmt]:
    """Parse transformed text, or else the cell without the lines that look like magics."""
    try:
        tree = ast.parse(text, file)
    except SyntaxError as transformed:
        lines = source.split("\n")
        python = [_without_magic(line) for line in lines]
        if python == lines:
            raise transformed from error
        return ast.parse("\n".join(python), file).body
    blank = len(source) - len(source.lstrip("\n"))  # the transformer drops empty lines at the top
    ast.increment_lineno(tree, blank)
    return tree.body


def _without_magic(line: str) -> str:
    text = line.lstrip()
    return line[: len(line) - len(text)] + "pass" if text.startswith(("%", "!")) else line


def _magic(node: ast.AST, method: str) -> list[str] | None:
    """Return the arguments if this is `get_ipython().<method>("...", ...)` with only string arguments."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method):
        return None
    shell = node.func.value
    if not (isinstance(shell, ast.Call) and isinstance(shell.func, ast.Name) and shell.func.id == "get_ipython"):
        return None
    values = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return values if len(values) == len(node.args) else None


def _cell_magic(body: list[ast.stmt]) -> tuple[str, str, str] | None:
    """Return name, arguments and body if the cell is a single cell magic that runs its body."""
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        return None
    found = _magic(body[0].value, CELL_MAGIC)
    return (found[0], found[1], found[2]) if found and len(found) == 3 and found[0] in BODIES else None


def _body_of(name: str, arguments: str, rest: str, file: str, first_line: int) -> list[ast.stmt]:
    statements = parse(rest, file)
    for statement in statements:
        ast.increment_lineno(statement, first_line - 1)
    variable = arguments.split()[-1] if name == "capture" and arguments.split() else ""
    if variable.isidentifier():
        statements += parse(f"{variable} = get_ipython().captured", file)
    return statements


class _Inline(ast.NodeTransformer):
    """Replaces a magic that runs a statement by that statement, wherever it occurs."""

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | list[ast.stmt]:
        text = _timed(node.value)
        if text:
            try:
                return [_at(node, statement) for statement in parse(text, "<magic>")] or node
            except SyntaxError:
                return node
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        text = _timed(node)
        if text:
            try:
                statements = parse(text, "<magic>")
            except SyntaxError:
                return node
            if len(statements) == 1 and isinstance(statements[0], ast.Expr):
                return _at(node, statements[0].value)
        self.generic_visit(node)
        return node


def _inlined(statement: ast.stmt) -> list[ast.stmt]:
    found = _Inline().visit(statement)
    return found if isinstance(found, list) else [found]


def _timed(node: ast.AST) -> str:
    """Return the statement that this magic runs, without the magic's options."""
    found = _magic(node, LINE_MAGIC)
    if found is None or len(found) != 2 or found[0] not in TIMED:
        return ""
    name, line = found[0], found[1].strip()
    while option := OPTION.match(line):
        line = line[option.end() :]
        if option[1] in TIMED[name]:  # a single letter whose value is a separate word
            line = line.partition(" ")[2].lstrip()
    return line


def _at(place: ast.expr | ast.stmt, node: Node) -> Node:
    """Return the node with the source location of the magic in every part of it."""
    for part in ast.walk(node):
        if isinstance(part, (ast.stmt, ast.expr, ast.excepthandler, ast.arg, ast.keyword, ast.alias)):
            ast.copy_location(part, place)
    return node
