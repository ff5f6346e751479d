"""Chance and time in hidden tests: numbers drawn without a seed, clocks that are read, and the order of sets."""

import ast
from collections.abc import Iterator

CLOCKS = frozenset({"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"})
DATES = frozenset({"now", "today", "utcnow"})
DRAWS = frozenset({"rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal"})
"""Functions of torch that take a generator."""
SEEDED = frozenset({"Random", "default_rng", "RandomState", "Generator", "SeedSequence"})
"""Generators of random and NumPy, which take a seed."""
ORDERING = frozenset({"list", "tuple", "enumerate", "iter", "zip", "map", "dict"})
"""Functions that take things in the order in which they come."""


def found(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each call in a module of hidden tests that gives something else on another run, and why."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (why := _why(node)):
            yield node.lineno, f"`{ast.unparse(node)}` {why}"
        for one in _in_order(node):
            if _is_set(one):
                yield one.lineno, f"the order of `{ast.unparse(one)}` is another in every process; sort it"


def _in_order(node: ast.AST) -> list[ast.expr]:
    """Return the expressions whose items a node takes in order, which sets have none of."""
    if isinstance(node, ast.For | ast.comprehension):
        return [node.iter]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ORDERING:
        return node.args
    return []


def _is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left) or _is_set(node.right)
    called = isinstance(node, ast.Call) and ast.unparse(node.func) in ("set", "frozenset")
    return called or isinstance(node, ast.Set | ast.SetComp)


def _why(call: ast.Call) -> str:
    module, _, name = ast.unparse(call.func).rpartition(".")
    if (module == "time" and name in CLOCKS) or (module.split(".")[-1] in ("datetime", "date") and name in DATES):
        return "reads the clock; a hidden test gives the same verdict on any day"
    if not module and name == "hash":
        return "is another number in every process, as texts are hashed with a random seed"
    seeded = bool(call.args or call.keywords)
    drawn = module in ("random", "np.random", "numpy.random") and not (name in SEEDED and seeded) and name != "seed"
    drawn |= module == "torch" and name in DRAWS and "generator" not in {one.arg for one in call.keywords}
    return "draws without a seed; use a generator with a seed" if drawn else ""
