"""Chance and time in hidden tests: numbers drawn without a seed, and clocks that are read."""

import ast
from collections.abc import Iterator

CLOCKS = frozenset({"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"})
DATES = frozenset({"now", "today", "utcnow"})
DRAWS = frozenset({"rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal"})
"""Functions of torch that take a generator."""
SEEDED = frozenset({"Random", "default_rng", "RandomState", "Generator", "SeedSequence"})
"""Generators of random and NumPy, which take a seed."""


def found(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each call in a module of hidden tests that gives something else on another run, and why."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (why := _why(node)):
            yield node.lineno, f"`{ast.unparse(node)}` {why}"


def _why(call: ast.Call) -> str:
    module, _, name = ast.unparse(call.func).rpartition(".")
    if (module == "time" and name in CLOCKS) or (module.split(".")[-1] in ("datetime", "date") and name in DATES):
        return "reads the clock; a hidden test gives the same verdict on any day"
    seeded = bool(call.args or call.keywords)
    drawn = module in ("random", "np.random", "numpy.random") and not (name in SEEDED and seeded) and name != "seed"
    drawn |= module == "torch" and name in DRAWS and "generator" not in {one.arg for one in call.keywords}
    return "draws without a seed; use a generator with a seed" if drawn else ""
