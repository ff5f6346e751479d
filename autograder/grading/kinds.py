"""Assertions about tables, estimators and plots, as the functions of `autograder.probing` return them.

Like all observations these are untrusted: any value either passes or raises AssertionError with a sentence for the
student.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autograder.grading.assertions import FLOAT64, agrees, assert_close, describe_kind, fail
from autograder.sandbox.channel import Value


def assert_table(
    value: Value,
    target: Mapping[str, Sequence[Any]],
    name: str,
    *,
    index: Sequence[Any] | None = None,
    any_order: bool = False,
    kind: str = "DataFrame",
    tolerance: float = FLOAT64,
) -> None:
    """Assert that a table has these columns with these values, in this order of columns and rows.

    target: the values by column; index: the labels of the rows, if they matter
    any_order: whether the rows may come in any order
    """
    columns, rows = _columns(value, name, kind)
    if kind == "DataFrame":
        _assert_columns(list(columns), list(target), name)
    wanted = len(next(iter(target.values()), ()))
    if rows != wanted:
        fail(f"your {name} has {rows} row{'s' * (rows != 1)}; {wanted} were expected")
    yours = list(columns.values())
    goals = [list(one) for one in target.values()]
    if any_order:
        yours, goals = _sorted(yours), _sorted(goals)
    elif not _same(yours, goals, tolerance) and _same(_sorted(yours), _sorted(goals), tolerance):
        fail(f"your {name} has the right rows in the wrong order: the row order matters here")
    for column, one, goal in zip(target, yours, goals, strict=True):
        what = f"{name}[{column!r}]" if kind == "DataFrame" else name
        for row, (item, wanted_item) in enumerate(zip(one, goal, strict=True)):
            if not _agree(item, wanted_item, tolerance):
                fail(f"your {what} in row {row} is {_shown(item)} where {_shown(wanted_item)} was expected")
    if index is not None and not _same([_items(value["index"])], [list(index)], tolerance):
        fail(f"your {name} has another index than expected; is a `reset_index` or `set_index` missing or too much?")


def _columns(value: Value, name: str, kind: str) -> tuple[dict[str, list[Any]], int]:
    """Return the columns of a table and its number of rows."""
    table = value if isinstance(value, Mapping) and {"kind", "columns", "index", "values"} <= set(value) else None
    if table is None or table["kind"] != kind:
        other = _with_article(str(table["kind"])[:40]) if table else describe_kind(value)
        fail(f"your {name} is {other}; a {kind} was expected")
    names, values = table["columns"], table["values"]
    if not isinstance(names, list) or not isinstance(values, list) or len(names) != len(values):
        fail(f"your {name} is not a usable {kind}")
    if twice := [one for one in names if names.count(one) > 1]:
        fail(f"your {name} has two columns {str(twice[0])[:40]!r}")
    found = {str(one): _items(items) for one, items in zip(names, values, strict=True)}
    lengths = {len(items) for items in found.values()}
    if len(lengths) > 1:
        fail(f"your {name} is not a usable {kind}")
    return found, lengths.pop() if lengths else 0


def _assert_columns(yours: list[str], wanted: list[str], name: str) -> None:
    extra = [one for one in yours if one not in wanted]
    if missing := [one for one in wanted if one not in yours]:
        near = [one for one in extra if one.strip().casefold() == missing[0].casefold()]
        spelt = f"; it has {near[0][:40]!r}" if near else ""
        fail(f"column {missing[0]!r} is missing in your {name}{spelt}")
    if extra:
        fail(f"your {name} has a column {extra[0][:40]!r} that was not expected")
    if yours != wanted:
        fail(f"your {name} has its columns in the order {', '.join(yours)}; {', '.join(wanted)} was expected")


def _items(values: Value) -> list[Any]:
    """Return a column as Python values, none for what is no column."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    return values if isinstance(values, list) else []


def _same(yours: list[list[Any]], goals: list[list[Any]], tolerance: float) -> bool:
    return all(
        len(one) == len(goal) and all(_agree(*pair, tolerance) for pair in zip(one, goal, strict=True))
        for one, goal in zip(yours, goals, strict=True)
    )


def _agree(item: Any, goal: Any, tolerance: float) -> bool:
    if goal is None or item is None:  # pandas has no None among numbers
        return _is_missing(item) and _is_missing(goal)
    if isinstance(goal, bool | np.bool_) or isinstance(item, bool):
        return type(item) is bool and item == bool(goal)
    return agrees(item, goal, tolerance)


def _is_missing(item: Any) -> bool:
    return item is None or (isinstance(item, float) and item != item)


def _sorted(columns: list[list[Any]]) -> list[list[Any]]:
    """Return the columns with their rows in an order that depends on the rows alone."""
    rows = sorted(zip(*columns, strict=True), key=lambda row: [(type(one).__name__ == "str", _key(one)) for one in row])
    return [list(column) for column in zip(*rows, strict=True)] or columns


def _key(item: Any) -> Any:
    if isinstance(item, str):
        return item
    return float("-inf") if _is_missing(item) or not isinstance(item, bool | int | float) else round(float(item), 6)


def _shown(item: Any) -> str:
    if _is_missing(item):
        return "missing"
    return f"{float(item):.6g}" if isinstance(item, int | float) and not isinstance(item, bool) else repr(item)[:40]


def _with_article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'AEIOaeio' else 'a'} {noun}"


def as_estimator(value: Value, name: str, kind: str, *, fitted: bool = True) -> Mapping[str, Value]:
    """Return the attributes of an estimator of this kind, such as `KMeans`. Raises AssertionError for anything else."""
    keys = {"kind", "parameters", "fitted", "attributes"}
    table = value if isinstance(value, Mapping) and keys <= set(value) else None
    if table is None:
        fail(f"your {name} is {describe_kind(value)}; a fitted {kind} was expected")
    if table["kind"] != kind:
        fail(f"your {name} is {_with_article(str(table['kind'])[:40])}; {_with_article(kind)} was expected")
    if fitted and table["fitted"] is not True:
        fail(f"your {name} is not fitted; call `fit` before you return it")
    attributes = table["attributes"]
    return attributes if isinstance(attributes, Mapping) else {}


def assert_parameters(value: Value, name: str, **wanted: Any) -> None:
    """Assert that an estimator was made with these parameters."""
    table = value if isinstance(value, Mapping) else {}
    parameters = table.get("parameters")
    parameters = parameters if isinstance(parameters, Mapping) else {}
    for key, goal in wanted.items():
        if key not in parameters or parameters[key] != goal or type(parameters[key]) is not type(goal):
            fail(f"your {name} has {key}={_shown(parameters.get(key))}; {key}={goal!r} was expected")


def as_axes(value: Value, name: str, number: int = 0, count: int | None = None) -> Mapping[str, Value]:
    """Return what the axes with this number hold. Raises AssertionError if there is none, or another count of them."""
    every = value if isinstance(value, list) else []
    if not every:
        fail(f"your {name} has no axes: nothing was drawn, or the figure was closed")
    if (count is not None and len(every) != count) or number >= len(every):
        wanted = number + 1 if count is None else count
        fail(f"your {name} has {len(every)} axes; {wanted} {'was' if wanted == 1 else 'were'} expected")
    found = every[number]
    if not isinstance(found, Mapping):
        fail(f"your {name} is {describe_kind(found)}; axes of a figure were expected")
    return found


def assert_plot(
    axes: Mapping[str, Value],
    name: str,
    *,
    texts: Mapping[str, Sequence[str]] | None = None,
    lines: Sequence[tuple[Sequence[float], Sequence[float]]] | None = None,
    labels: Sequence[str] | None = None,
    scales: Mapping[str, str] | None = None,
    tolerance: float = FLOAT64,
) -> None:
    """Assert what axes hold, as `as_axes` returns them.

    texts: by title, xlabel or ylabel, words that must occur in it; without words, it must not be empty
    lines: the x and y of each line, in any order; labels: those of the legend, in any order
    scales: by xscale or yscale, such as `log`
    """
    for key, words in (texts or {}).items():
        text = axes.get(key)
        if not isinstance(text, str) or not text.strip():
            fail(f"your {name} has no {key}")
        for word in words:
            if word.casefold() not in text.casefold():
                fail(f"the {key} of your {name} does not say {word!r}")
    for key, goal in (scales or {}).items():
        if axes.get(key) != goal:
            fail(f"the {key} of your {name} is {_shown(axes.get(key))}; {goal!r} was expected")
    if lines is not None:
        _assert_lines(axes.get("lines"), lines, name, tolerance)
    if labels is not None:
        legend = axes.get("legend")
        if not isinstance(legend, list) or not legend:
            fail(f"your {name} has no legend")
        if missing := [label for label in labels if label not in legend]:
            fail(f"the legend of your {name} does not name {missing[0]!r}")


def _assert_lines(
    value: Value, wanted: Sequence[tuple[Sequence[float], Sequence[float]]], name: str, tolerance: float
) -> None:
    found = [line for line in value if isinstance(line, Mapping)] if isinstance(value, list) else []
    if len(found) != len(wanted):
        fail(f"your {name} has {len(found)} line{'s' * (len(found) != 1)}; {len(wanted)} were expected")
    left = [(line.get("x"), line.get("y")) for line in found]

    def place(x: Any, y: Any) -> int:
        fits = (agrees(own_x, x, tolerance) and agrees(own_y, y, tolerance) for own_x, own_y in left)
        return next((number for number, fit in enumerate(fits) if fit), -1)

    for points in wanted:
        x, y = (np.asarray(values, dtype=float) for values in points)
        if place(x, y) >= 0:
            del left[place(x, y)]
            continue
        if place(y, x) >= 0:
            fail(f"a line of your {name} has x and y swapped")
        assert_close(left[0][0], x, f"x of a line in the {name}", tolerance=tolerance)
        assert_close(left[0][1], y, f"y of a line in the {name}", tolerance=tolerance)
