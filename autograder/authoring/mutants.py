"""Mutants: single-point changes of a reference answer, each of which the hidden tests ought to notice.

A mutant is made from the syntax tree of the answer: one expression or statement is replaced, and the tree is written
out again by `ast.unparse`. It is named by the line that changed, before and after, without indentation; a statement
that is doubled stands twice, and only the header of one that holds others is shown. Under these names
`equivalent_mutants.toml` lists the mutants that are right answers too, with reasons.
"""

import ast
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.assignment import Assignment
from autograder.assignment_file import read_toml
from autograder.authored import authored_text
from autograder.authoring.master import MasterQuestion
from autograder.authoring.mutations import OPERATORS, expressions
from autograder.errors import MasterError

FILE = "equivalent_mutants.toml"
KEYS = ("question", "line", "becomes", "reason")
PLAIN = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)
DECORATED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
BLOCKS = (ast.If, ast.For, ast.While, ast.With)

Key = tuple[str, str, str]
"""What a mutant is called: question, line, becomes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A changed reference answer.

    number: the line of the change in the reference answer, from 1
    trivial: whether nothing can notice it: an assignment that calls nothing, done twice
    """

    question: str
    number: int
    line: str
    becomes: str
    body: str
    trivial: bool = False

    @property
    def key(self) -> Key:
        return self.question, self.line, self.becomes


def mutants(question: str, answer: str, *, torch: bool) -> list[Mutant]:
    """Return the mutants of a reference answer, each once, in the order of their lines.

    torch: whether changes that only torch knows make sense, such as `detach` and `no_grad`
    """
    tree = ast.parse(textwrap.dedent(answer))
    original = ast.unparse(tree)
    found: dict[str, Mutant] = {}
    trivial = {f"{text}; {text}" for text in map(ast.unparse, filter(_is_trivial_twice, ast.walk(tree)))}
    for number, name, body in [*_expressions(tree, original, torch=torch), *_statements(tree, torch=torch)]:
        if body != original and name is not None:
            line, becomes = name
            same = becomes in trivial
            mutant = Mutant(question=question, number=number, line=line, becomes=becomes, body=body, trivial=same)
            found.setdefault(body, mutant)
    return sorted({one.key: one for one in reversed(found.values())}.values(), key=lambda one: one.number)


Change = tuple[int, tuple[str, str] | None, str]
"""The line number, the name and the whole text of a mutant."""


def _expressions(tree: ast.Module, original: str, *, torch: bool) -> Iterator[Change]:
    """Replace one expression, operator or keyword at a time."""
    for parent in list(ast.walk(tree)):
        for field, value in list(ast.iter_fields(parent)):
            for index, node in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(node, ast.expr):
                    continue
                for new in expressions(node, parent, field, torch=torch):
                    _put(parent, field, index, new)
                    body = ast.unparse(ast.fix_missing_locations(tree))
                    yield node.lineno, _changed_line(original, body), body
                _put(parent, field, index, node)


def _put(parent: ast.AST, field: str, index: int, node: ast.AST) -> None:
    value = getattr(parent, field)
    if isinstance(value, list):
        value[index] = node
    else:
        setattr(parent, field, node)


def _changed_line(original: str, body: str) -> tuple[str, str] | None:
    """Return the first line that differs, before and after."""
    for before, after in zip(original.splitlines(), body.splitlines(), strict=False):
        if before != after:
            return before.strip(), after.strip()
    return None


def _statements(tree: ast.Module, *, torch: bool) -> Iterator[Change]:
    """Delete or double one statement at a time, and put it under `no_grad` or take it out."""
    for parent in list(ast.walk(tree)):
        for _, block in ast.iter_fields(parent):
            if not isinstance(block, list):
                continue
            for index, node in enumerate(list(block)):
                if isinstance(node, ast.stmt) and not _is_text(node):
                    for name, new in _instead(node, torch=torch):
                        block[index : index + 1] = new
                        yield node.lineno, name, ast.unparse(ast.fix_missing_locations(tree))
                        block[index : index + len(new)] = [node]
                elif isinstance(parent, DECORATED) and block is parent.decorator_list:
                    del block[index]
                    yield node.lineno, (f"@{ast.unparse(node)}", "pass"), ast.unparse(tree)
                    block.insert(index, node)


def _is_trivial_twice(node: ast.AST) -> bool:
    """Whether a statement assigns to plain names what calls nothing and does not depend on these names."""
    if not isinstance(node, ast.Assign) or not all(isinstance(target, ast.Name) for target in node.targets):
        return False
    inner = list(ast.walk(node.value))
    targets = {target.id for target in node.targets if isinstance(target, ast.Name)}
    reads = {one.id for one in inner if isinstance(one, ast.Name)}
    return not targets & reads and not any(isinstance(one, ast.Call | ast.Await | ast.Yield) for one in inner)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _instead(node: ast.stmt, *, torch: bool) -> Iterator[tuple[tuple[str, str], list[ast.stmt]]]:
    """Yield what a statement is replaced by, each with the mutant's name."""
    text = ast.unparse(node).split("\n")[0]
    short = f"{text} ..." if isinstance(node, BLOCKS) else text
    if isinstance(node, ast.AugAssign):
        for op in OPERATORS.get(type(node.op), ()):
            changed = ast.AugAssign(target=node.target, op=op(), value=node.value)
            yield (text, ast.unparse(changed)), [changed]
    if isinstance(node, (*PLAIN, *BLOCKS, ast.Return, ast.Raise, ast.Break, ast.Continue)):
        yield (text, "pass"), [ast.Pass()]
    if isinstance(node, (*PLAIN, *BLOCKS)):
        yield (text, f"{short}; {short}"), [node, node]
    if torch and isinstance(node, (*PLAIN, ast.For)):
        under = ast.parse("with torch.no_grad():\n    pass").body[0]
        assert isinstance(under, ast.With)
        under.body = [node]
        yield (text, f"with torch.no_grad(): {short}"), [under]
    if isinstance(node, ast.With) and any("no_grad" in ast.unparse(item) for item in node.items):
        left = [item for item in node.items if "no_grad" not in ast.unparse(item)]
        freed = (
            ast.With(items=left, body=node.body) if left else ast.If(test=ast.Constant(True), body=node.body, orelse=[])
        )
        yield (text, ast.unparse(ast.fix_missing_locations(freed)).split("\n")[0]), [freed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """All mutants of an assignment.

    made: by question; listed: those listed as right answers, each with its line in the file
    """

    made: Mapping[str, tuple[Mutant, ...]]
    listed: Mapping[Key, int]

    def wrong(self, question: str) -> list[Mutant]:
        """Return the mutants of a question that its hidden tests have to notice."""
        return [one for one in self.made[question] if one.key not in self.listed and not one.trivial]


def population(assignment: Assignment, masters: Mapping[str, MasterQuestion]) -> Population:
    """Return the mutants of every reference answer. Raises MasterError for a mistake in the list of equivalent ones."""
    answers = {one.id: "\n".join(masters[one.id].answer) for one in assignment.tested}
    made = {key: tuple(mutants(key, answer, torch=assignment.uses_torch)) for key, answer in answers.items()}
    return Population(made=made, listed=equivalent(assignment))


def equivalent(assignment: Assignment) -> dict[Key, int]:
    """Return the mutants listed as right answers, each with its line in the file; none without a file.

    Raises MasterError for an entry without question, line, becomes and reason, and for one that is listed twice.
    """
    path = assignment.masters_dir / FILE
    if not path.is_file():
        return {}
    root = read_toml(path)
    lines = _entry_lines(path)
    found: dict[Key, int] = {}
    entries = root.values.get("mutant", [])
    if set(root.values) - {"mutant"} or not isinstance(entries, list) or len(entries) != len(lines):
        raise MasterError("not a list of mutants", f"{path}:1", "write tables [[mutant]] only")
    for line, entry in zip(lines, entries, strict=True):
        if set(entry) != set(KEYS) or not all(isinstance(value, str) and value.strip() for value in entry.values()):
            raise MasterError("an incomplete entry", f"{path}:{line}", f"give {', '.join(KEYS)}, each as a text")
        key = (entry["question"], entry["line"], entry["becomes"])
        if key in found:
            raise MasterError("the same mutant is listed twice", f"{path}:{line}", f"see line {found[key]}")
        found[key] = line
    return found


def _entry_lines(path: Path) -> list[int]:
    text = authored_text(path).splitlines()
    return [number for number, line in enumerate(text, start=1) if line.strip() == "[[mutant]]"]
