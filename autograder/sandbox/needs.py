"""Which steps of a program each step needs, found from the names in its code, before any of it is executed.

A step that only defines things, such as an answer made of functions and classes, is inert: executing it runs no code of
its author and changes nothing but its own names. It can influence another step only through these names. So what a
question's code does is decided by its own steps, by those whose names they use, by those that these use, and by every
step that is not inert. Where code can reach names without writing them, it needs everything.
"""

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autograder.sandbox import cells
from autograder.sandbox.describe import bound_names

Needs = list[list[int] | None]
"""For each step the numbers of the steps that it needs, itself included; None where it may need anything."""

WORD = re.compile(r"[^\W\d]\w*")
DECORATORS = {"staticmethod", "classmethod", "property", "torch.no_grad()", "torch.no_grad", "torch.inference_mode()"}
"""Decorators that run no code of the notebook."""
DECORATING = {"staticmethod", "classmethod", "property", "torch"}
HOOKS = ("__init_subclass__", "__set_name__", "__class_getitem__", "__mro_entries__", "__prepare__", "metaclass")
"""What makes the definition of a class run code."""
REACHING = {
    *("globals", "locals", "vars", "dir", "eval", "exec", "compile", "__import__", "breakpoint", "get_ipython"),
}
REACHING_ATTRIBUTES = {"_getframe", "currentframe", "f_globals", "f_locals", "f_back", "tb_frame"}
"""Names and attributes with which code reaches what it does not name."""
PLAIN_MODULES = {
    *("abc", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses", "decimal", "enum", "fractions"),
    *("functools", "heapq", "itertools", "math", "matplotlib", "numbers", "numpy", "operator", "pandas", "random"),
    *("re", "scipy", "sklearn", "statistics", "string", "textwrap", "time", "torch", "typing", "warnings"),
}
"""Modules whose functions look only at what they are given; the release may import more."""
INSPECTING_MODULES = {"builtins", "ctypes", "gc", "importlib", "inspect", "linecache", "pickle", "sys", "traceback"}
"""Modules that may look at more; given code imports them for its own purposes, which it may have."""
PLAIN_DUNDERS = re.compile(r"__(init|call|name|doc|len|iter|next|repr|str|eq|lt|gt|add|mul|sub|getitem|class)__")


class Piece:
    """A parsed piece of code: the names that it binds, the words in it, and what executing it can do.

    imports: the packages that it imports; `*` for all names of one
    assigns: those names that it binds in another way than by importing
    looked_up: the names whose values executing it looks at, even if it is inert
    reaching: whether it can reach what it does not name; hooked: whether it makes definitions of classes run code
    """

    def __init__(self, source: str, label: str) -> None:
        self.binds: set[str] = set()
        self.uses: set[str] = set()
        self.assigns: set[str] = set()
        self.imports: set[str] = set()
        self.looked_up: set[str] = set()
        self.inert = True
        self.reaching = False
        self.hooked = any(hook in source for hook in HOOKS)
        try:
            body = cells.parse(source, f"<{label}>")
        except (SyntaxError, ValueError):  # nothing of it is executed
            return
        except (RecursionError, MemoryError):
            self.reaching = True
            return
        for statement in body:
            self.binds.update(bound_names(statement))
            if not isinstance(statement, ast.Import | ast.ImportFrom):
                self.assigns.update(bound_names(statement))
            self.inert = self.inert and _is_inert(statement)
            for node in ast.walk(statement):
                self._look_at(node)
            self.looked_up.update(_looked_up(statement))

    def _look_at(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            self.uses.add(node.id)
            self.reaching |= node.id in REACHING
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.uses.update(WORD.findall(node.value))  # `getattr(owner, "name")`, annotations and queries as text
        elif isinstance(node, ast.Attribute):
            hidden = node.attr.startswith("__") and not PLAIN_DUNDERS.fullmatch(node.attr)
            self.reaching |= hidden or node.attr in REACHING_ATTRIBUTES
        elif isinstance(node, ast.Import):
            self.imports.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            star = any(alias.name == "*" for alias in node.names)
            self.imports.add("*" if star or node.level else (node.module or "").partition(".")[0])
        elif isinstance(node, ast.Global | ast.Nonlocal):
            self.uses.update(node.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is executed before a notebook's steps, statement by statement, as one cell may import everything.

    probed: the words of the probes, which may use given code that no step names
    """

    pieces: tuple[Piece, ...] = ()
    probed: frozenset[str] = frozenset()


NOTHING_GIVEN = Given()


def given_code(executed: Sequence[Mapping[str, str]], probes: Iterable[str]) -> Given:
    """Return the given code of cells that were executed; probes: the texts of the probes."""
    statements = [(one, cell["label"]) for cell in executed for one in cells.parse(cell["source"], cell["label"])]
    return Given(
        pieces=tuple(Piece(ast.unparse(one), label) for one, label in statements),
        probed=frozenset(word for text in probes for word in WORD.findall(text)),
    )


def needs(steps: Sequence[Mapping[str, Any]], given_before: Given) -> Needs:
    """Return what each step needs; call it before they are executed.

    steps: with label, source, and the names of its question that it defines
    """
    before, probed = given_before.pieces, given_before.probed
    own = [Piece(step["source"], step["label"]) for step in steps]
    if any(one.hooked or one.assigns & DECORATING for one in own):
        return [None] * len(own)
    _settle(own)
    every = [*before, *own]
    given = {*range(len(before)), *(len(before) + i for i, step in enumerate(steps) if not _is_students(step))}
    graph = _Graph(every, given)
    always = {i for i in given if every[i].binds & probed}
    always.update(len(before) + i for i, one in enumerate(own) if not one.inert)
    found = [graph.closure({len(before) + i, *always}) for i in range(len(own))]
    return [one and [i - len(before) for i in one if i >= len(before)] for one in found]


def _is_students(step: Mapping[str, Any]) -> bool:
    return bool(step["added"] or step["defines"])


def _settle(own: Sequence[Piece]) -> None:
    """Take back that a piece is inert where it looks at an object that code made, whose attributes may run code."""
    made: set[str] = set()
    while True:
        made.update(name for one in own if not one.inert for name in one.binds)
        active = [one for one in own if one.inert and one.looked_up & made]
        if not active:
            return
        for one in active:
            one.inert = False


class _Graph:
    """Pieces of code, connected by the names that one binds and another uses."""

    def __init__(self, every: Sequence[Piece], given: Collection[int]) -> None:
        """given: the numbers of those that the release gives; what these import to look around is their own business"""
        self._every = every
        self._given = given
        plain = PLAIN_MODULES | (set().union(*(every[i].imports for i in given)) - INSPECTING_MODULES)
        self._imports = {i for i, one in enumerate(every) if one.imports - plain}
        self._reaching = {i for i, one in enumerate(every) if one.reaching}
        self._makers: dict[str, list[int]] = {}
        for i, one in enumerate(every):
            for name in one.binds:
                self._makers.setdefault(name, []).append(i)

    def closure(self, start: Collection[int]) -> list[int] | None:
        """Return all that is needed by those to start with; None if that cannot be told."""
        found: set[int] = set()
        waiting = [i for i in start if not (i in self._given and i in self._imports)]
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            if number in self._reaching or number in self._imports:
                return None
            found.add(number)
            used = {other for name in self._every[number].uses for other in self._makers.get(name, ())}
            waiting.extend(used - self._imports if number in self._given else used)
        return sorted(found)


def _is_inert(statement: ast.stmt) -> bool:
    """Whether executing a statement only binds names: it calls nothing, and changes no object."""
    match statement:
        case ast.Import():
            return all(alias.name in sys.modules for alias in statement.names)
        case ast.ImportFrom():
            star = any(alias.name == "*" for alias in statement.names)
            return not star and not statement.level and statement.module in sys.modules
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return _is_inert_function(statement)
        case ast.ClassDef():
            plain = not statement.keywords and not statement.decorator_list
            return plain and all(map(_is_pure, statement.bases)) and all(map(_is_inert, statement.body))
        case ast.Assign():
            names = all(isinstance(target, ast.Name) for target in statement.targets)
            return names and _is_pure(statement.value)
        case ast.AnnAssign():
            value = statement.value is None or _is_pure(statement.value)
            return isinstance(statement.target, ast.Name) and value and _is_pure(statement.annotation)
        case ast.Expr():
            return isinstance(statement.value, ast.Constant)
        case _:
            return isinstance(statement, ast.Pass)


def _is_inert_function(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    known = all(ast.unparse(decorator) in DECORATORS for decorator in function.decorator_list)
    return known and all(map(_is_pure, _evaluated(function)))


def _evaluated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    """Yield what the definition of a function evaluates: defaults and annotations."""
    every = function.args
    yield from every.defaults
    yield from (default for default in every.kw_defaults if default)
    parameters = [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]
    yield from (one.annotation for one in parameters if one and one.annotation)
    if function.returns:
        yield function.returns


def _is_pure(value: ast.expr) -> bool:
    """Whether evaluating an expression only looks names up, or makes a value of constants."""
    match value:
        case ast.Constant() | ast.Name():
            return True
        case ast.Attribute():
            return _is_pure(value.value)
        case ast.Subscript():
            return _is_pure(value.value) and _is_pure(value.slice)
        case ast.Tuple() | ast.List():
            return all(map(_is_pure, value.elts))
        case ast.BinOp() if isinstance(value.op, ast.BitOr):  # of types
            return _is_pure(value.left) and _is_pure(value.right)
        case ast.BinOp() | ast.UnaryOp():
            parts = (one for one in ast.walk(value) if isinstance(one, ast.expr))
            return all(isinstance(one, ast.BinOp | ast.UnaryOp | ast.Constant) for one in parts)
        case _:
            return False


def _looked_up(statement: ast.stmt) -> Iterator[str]:
    """Yield the names whose values executing an inert statement looks at."""
    looked_at: list[ast.expr] = []
    waiting: list[ast.stmt] = [statement]
    while waiting:
        match waiting.pop():
            case ast.FunctionDef() | ast.AsyncFunctionDef() as function:
                looked_at.extend(_evaluated(function))
            case ast.ClassDef() as kind:
                looked_at.extend(kind.bases)
                waiting.extend(kind.body)
            case ast.Assign() as assignment:
                looked_at.append(assignment.value)
            case ast.AnnAssign() as assignment:
                looked_at.extend(one for one in (assignment.value, assignment.annotation) if one)
            case _:
                pass
    yield from (node.id for one in looked_at for node in ast.walk(one) if isinstance(node, ast.Name))
