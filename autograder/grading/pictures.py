"""What a hidden test says to have a picture made of an observation, whatever student code returned.

A picture function gets the `observe` and the parameters of the case that failed. `observe` answers only what this case
has asked already: a picture never runs code.
"""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from autograder.grading.assertions import Array, Numbers, as_array, describe_kind, fail
from autograder.pictures import Kind, Picture, four_digits
from autograder.sandbox.channel import Value

PictureOf: TypeAlias = Callable[..., Picture]
"""A picture function: takes `observe` and the parameters of a hidden test."""
Band: TypeAlias = tuple[Numbers, Numbers]
"""The lowest and the highest value of right answers at each place."""

BANDS = "bands.csv"
"""The bands that `autograder calibrate` measured, next to the hidden tests."""
Line: TypeAlias = tuple[str, Sequence[float]]
"""What a line is, and its value at each place."""

MOST_PLACES = 200
NARROWEST = 0.01
"""Width of a band at any place, relative to all that it covers: a narrower one would tell the expected values."""


def curve(
    title: str,
    *,
    x: str,
    y: str,
    yours: Value,
    band: Band,
    at: Sequence[float] = (),
    line: Line | None = None,
    log: bool = False,
) -> Picture:
    """Return a picture of values along an axis, joined, over a band of right answers.

    x, y: what the axes show; yours: what student code returned, of any kind
    at: the places on the x axis, 1, 2, ... by default
    line: what to compare with besides; it must not tell expected values. log: draw the y axis logarithmically
    Raises AssertionError for values that are not as many numbers as the band has; ValueError for a band that is wrong.
    """
    return _picture(Kind.CURVE, title, x=x, y=y, yours=yours, band=band, at=at, line=line, log=log)


def points(title: str, *, x: str, y: str, yours: Value, band: Band, at: Sequence[float], line: Line) -> Picture:
    """Return a picture of points, each over its band, next to a line. Arguments as for `curve`."""
    return _picture(Kind.POINTS, title, x=x, y=y, yours=yours, band=band, at=at, line=line)


def bars(title: str, *, x: str, y: str, yours: Value, band: Band, at: Sequence[float] = ()) -> Picture:
    """Return a picture of values as bars from zero, each over its band. Arguments as for `curve`."""
    return _picture(Kind.BARS, title, x=x, y=y, yours=yours, band=band, at=at)


def band_of(right: Sequence[Numbers], *, margin: float = 0.25, log: bool = False) -> Band:
    """Return the band that covers the series of several right answers, with a margin on both sides.

    margin: relative to the width at each place, of the logarithms where `log` is set
    """
    every = np.stack([as_array(one, "series") for one in right])
    every = np.log(every) if log else every
    low, high = every.min(0), every.max(0)
    low, high = low - margin * (high - low), high + margin * (high - low)
    return (np.exp(low), np.exp(high)) if log else (low, high)


def measured_band(module_file: str, question: str, test: str) -> Band:
    """Return the band of right answers that `autograder calibrate` measured for a loss test, over all data files.

    module_file: `__file__` of the module next to `bands.csv`
    """
    path = Path(module_file).with_name(BANDS)
    found: dict[int, tuple[float, float]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if (row["question"], row["test"]) == (question, test):
                place, low, high = int(row["place"]), float(row["low"]), float(row["high"])
                before = found.get(place, (low, high))
                found[place] = min(low, before[0]), max(high, before[1])
    if not found:
        raise ValueError(f"{BANDS} has no band of {question} {test}; run `autograder calibrate`")
    low_high = np.array([found[place] for place in sorted(found)])
    return low_high[:, 0], low_high[:, 1]


def _picture(
    kind: Kind,
    title: str,
    *,
    x: str,
    y: str,
    yours: Value,
    band: Band,
    at: Sequence[float],
    line: Line | None = None,
    log: bool = False,
) -> Picture:
    low, high = (_four_digits(as_array(one, "band")) for one in band)
    places = np.array(at, dtype=np.float64) if len(at) else np.arange(1.0, len(low) + 1)
    line_is, values = line or ("", ())
    guide = np.array(values, dtype=np.float64)
    _check(low, high, places, guide, log=log)
    return Picture(
        kind=kind,
        title=title,
        x=x,
        y=y,
        at=tuple(places.tolist()),
        yours=tuple(None if one is None else four_digits(one) for one in _series(yours, len(low))),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        line=tuple(guide.tolist()),
        line_is=line_is,
        log=log,
    )


def _four_digits(band: Array) -> Array:
    return np.array([four_digits(one) for one in band.ravel().tolist()]).reshape(band.shape)


def _check(low: Array, high: Array, places: Array, line: Array, *, log: bool) -> None:
    """Raise ValueError for a band that cannot be drawn, or that is as good as the expected values."""
    if low.ndim != 1 or not 0 < len(low) <= MOST_PLACES or low.shape != high.shape or low.shape != places.shape:
        raise ValueError(f"a picture needs `at` and a band of equal lengths, at most {MOST_PLACES}")
    if line.shape not in ((0,), low.shape) or not np.isfinite(line).all() or (log and (line <= 0).any()):
        raise ValueError("the line of a picture needs a finite value at each place, positive on a logarithmic axis")
    if not np.isfinite([low, high, places]).all() or (np.diff(places) <= 0).any():
        raise ValueError("the band of a picture must be finite, and its places in ascending order")
    if log and (low <= 0).any():
        raise ValueError("the band of a picture with a logarithmic axis must be positive")
    if log:
        low, high = np.log(low), np.log(high)
    if (high - low < NARROWEST * (high.max() - low.min())).any() or (high <= low).any():
        raise ValueError("the band of a picture is so narrow that it tells the expected values")


def _series(value: Value, count: int) -> list[float | None]:
    """Return as many numbers, None for those that are not finite. Raises AssertionError for anything else."""
    if isinstance(value, list | tuple):
        if len(value) != count:
            fail(f"the values are {describe_kind(value)}; {count} were expected")
        numbers = [float(as_array(one, "value", ())) for one in value]
    else:
        numbers = as_array(value, "values", (count,)).tolist()
    return [one if math.isfinite(one) else None for one in numbers]
