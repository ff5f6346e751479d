"""Claims: statements of the text around a demonstration, as expressions over the variables of its cell.

An author writes `# CLAIM: expression` lines into a code cell of a master. The build strips them, so students never see
them, and the release check evaluates each in the kernel after its cell has run with the solutions.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.authored import authored_text
from autograder.errors import MasterError

CLAIM = re.compile(r"[ \t]*# CLAIM:(.*)$")
CELL = re.compile(r"^# %%.*$", re.MULTILINE)
SUFFIX = "-claims"
"""Suffix of the id of a cell that evaluates claims, after the id of the cell that they are about."""
EVALUATE = """
def _claims(texts, scope):
    import ast, json

    outcomes = []
    for text in texts:
        names = dict.fromkeys(node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name))
        known = [name for name in names if name in scope and not callable(scope[name])]
        values = [f"{{name}} = {{scope[name]!r}}"[:160] for name in known]
        try:
            outcomes.append((bool(eval(text, scope)), ", ".join(values)))
        except Exception as error:
            outcomes.append((False, f"{{type(error).__name__}}: {{error}}"))
    print(json.dumps(outcomes))


_claims({texts!r}, globals())
"""
"""The code of a cell that evaluates claims; it prints a list of pairs (holds, why not)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An expression that must be true after its cell; `line` is its line in the master, from 1."""

    line: int
    expression: str


def without_claims(source: str) -> str:
    """Return the source of a cell without its claims, as students get it."""
    return "\n".join(line for line in source.split("\n") if not CLAIM.match(line))


def read_claims(master: Path) -> dict[str, list[Claim]]:
    """Return the claims of a master by the source of their cell, as students get it.

    Raises MasterError for a claim that is not a Python expression.
    """
    text = authored_text(master)
    starts = [found.end() + 1 for found in CELL.finditer(text)]
    found: dict[str, list[Claim]] = {}
    for start, end in zip(starts, [*starts[1:], len(text) + 1], strict=True):
        source = CELL.sub("", text[start : end - 1])
        first = text[:start].count("\n") + 1
        claims = [_claim(master, first + i, line) for i, line in enumerate(source.split("\n")) if CLAIM.match(line)]
        if claims:
            found[without_claims(source).strip("\n")] = claims
    return found


def _claim(master: Path, line: int, text: str) -> Claim:
    match = CLAIM.match(text)
    expression = match[1].strip() if match else ""
    try:
        ast.parse(expression, mode="eval")
    except SyntaxError:
        raise MasterError(f"not an expression: {expression!r}", f"{master}:{line}", "correct the claim") from None
    return Claim(line=line, expression=expression)


def by_cell(master: Path, cells: Iterable[Mapping[str, Any]]) -> dict[str, list[Claim]]:
    """Return the claims of a master by the id of their released cell.

    Raises MasterError for claims whose cell is not in the release.
    """
    ids = {"".join(cell["source"]): cell["id"] for cell in cells if cell["cell_type"] == "code"}
    found = {}
    for source, claims in read_claims(master).items():
        if source not in ids:
            what = "claims about a cell that is not in the release"
            raise MasterError(what, f"{master}:{claims[0].line}", "run `autograder release`")
        found[ids[source]] = claims
    return found


def evaluating(cell_id: str) -> str:
    """Return the id of the cell that evaluates the claims about a cell."""
    return f"{cell_id[: 64 - len(SUFFIX)]}{SUFFIX}"


def with_evaluation(notebook: Mapping[str, Any], claims: Mapping[str, list[Claim]]) -> dict[str, Any]:
    """Return the notebook with a cell after each one that has claims, which evaluates them."""
    cells = []
    for cell in notebook["cells"]:
        cells.append(cell)
        if about := claims.get(cell["id"]):
            code = EVALUATE.format(texts=[claim.expression for claim in about])
            empty: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
            cells.append(empty | {"id": evaluating(cell["id"]), "source": code})
    return {**notebook, "cells": cells}


def broken_claims(printed: Mapping[str, str], claims: Mapping[str, list[Claim]]) -> Iterator[str]:
    """Yield a line for each claim that does not hold.

    printed: what the evaluating cell of a cell printed, by the id of the cell; nothing where it was not reached
    """
    for cell, about in claims.items():
        text = printed.get(cell, "").strip()
        outcomes = json.loads(text) if text else [(False, "the run did not get this far")] * len(about)
        for claim, (holds, why) in zip(about, outcomes, strict=True):
            if not holds:
                seen = f" ({why})" if why else ""
                yield f"cell {cell}, line {claim.line} of the master: `{claim.expression}` is false{seen}"
