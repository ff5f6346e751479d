"""Functions that do nothing of what a question asks for, instead of an answer: no hidden test may accept them."""

import ast
import textwrap

from autograder.regions import Region

RESULTS = {"nothing": "return None", "its input": "return {}"}
"""What a function returns, by what that is called; `{}` is its first input."""
ZEROS = {"zeros": "import torch; return torch.zeros_like({})"}


def stand_ins(cell: str, region: Region, answer: str, *, torch: bool) -> dict[str, str]:
    """Return texts of a region by what its functions return in them.

    cell: the answer cell with the reference answer, the lines `answer`, in the region
    torch: whether inputs may be tensors, so that zeros can take their shape
    """
    last = region.first + len(answer.split("\n"))
    around = [
        node
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, ast.FunctionDef) and node.lineno <= region.first and (node.end_lineno or 0) >= last
    ]
    found = {}
    for name, form in (RESULTS | ZEROS if torch else RESULTS).items():
        body = _result(form, around[-1]) if around else _emptied(answer, form)
        if body:
            found[name] = body
    return found


def _emptied(answer: str, form: str) -> str:
    """Return the definitions of an answer with functions that only return; what makes an object only calls its base."""
    tree = ast.parse(textwrap.dedent(answer))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            base = [one for one in node.body if ast.unparse(one).startswith("super().__init__(")]
            node.body = base or [ast.Pass()]
        elif isinstance(node, ast.FunctionDef):
            node.body = ast.parse(_result(form, node) or RESULTS["nothing"]).body
    return ast.unparse(tree)


def _result(form: str, function: ast.FunctionDef) -> str:
    """Return the statement with the name of the function's first input in it; empty when it needs one and has none."""
    inputs = [one.arg for one in (*function.args.posonlyargs, *function.args.args) if one.arg != "self"]
    return "" if "{}" in form and not inputs else form.format(*inputs)
