"""What probes may use to return what does not cross from the sandbox as it is: tables, estimators and plots.

Numbers, texts, None, arrays, tensors, and lists, tuples and string-keyed dicts of them cross as they are. These
functions make such values of everything else, and pass on what is something else, so that a hidden test can say so.
Nothing is imported here: a library that student code did not load made none of its objects.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

MOST_AXES = 20
MOST_SERIES = 50
"""Lines, bars or points of one axes."""


def table(value: Any) -> Any:
    """Return a pandas DataFrame or Series as plain values: its kind, columns, index, and the values of each column."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, pandas.DataFrame | pandas.Series):
        return value
    kind = type(value).__name__
    frame = value.to_frame() if isinstance(value, pandas.Series) else value
    names = [str(name) for name in frame.columns]
    return {
        "kind": kind,
        "columns": names,
        "index": _column(frame.index),
        "values": [_column(frame.iloc[:, place]) for place in range(len(names))],
    }


def _column(series: Any) -> Any:
    """Return numbers and booleans as an array, else a list of texts and numbers with None where one is missing."""
    if getattr(series.dtype, "kind", "O") in "biuf":
        return series.to_numpy()
    missing = series.isna()
    return [None if gone else _plain(item) for item, gone in zip(series, missing, strict=True)]


def _plain(item: Any) -> Any:
    item = item.item() if hasattr(item, "item") and not hasattr(item, "isoformat") else item
    return item if isinstance(item, bool | int | float | str) else str(item)


def estimator(value: Any, *attributes: str) -> Any:
    """Return a scikit-learn estimator as plain values: its kind, parameters, whether it is fitted, and attributes.

    attributes: such as `coef_`; those that the estimator has not are left out
    """
    if not callable(getattr(value, "get_params", None)) or not callable(getattr(value, "fit", None)):
        return value
    parameters = value.get_params(deep=False)
    fitted = sorted(name for name in vars(value) if name.endswith("_") and not name.startswith("_"))
    return {
        "kind": type(value).__name__,
        "parameters": {name: _parameter(one) for name, one in parameters.items()},
        "fitted": bool(fitted),
        "attributes": {name: getattr(value, name) for name in attributes if hasattr(value, name)},
    }


def _parameter(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else type(value).__name__


def axes(figure: Any = None) -> list[dict[str, Any]]:
    """Return what each axes of a figure holds: title, labels, legend, scales, and the data of lines, points and bars.

    figure: a matplotlib figure or axes; None for the current figure. An empty list means that there is none.
    """
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    if figure is None:
        figure = pyplot.gcf() if pyplot.get_fignums() else None
    found = getattr(figure, "axes", None)
    every = [figure] if hasattr(figure, "get_xlabel") else found if isinstance(found, list) else []
    return [_axes(one) for one in every[:MOST_AXES]]


def _axes(one: Any) -> dict[str, Any]:
    legend = one.get_legend()
    return {
        "title": one.get_title(),
        "xlabel": one.get_xlabel(),
        "ylabel": one.get_ylabel(),
        "xscale": one.get_xscale(),
        "yscale": one.get_yscale(),
        "legend": None if legend is None else [text.get_text() for text in legend.get_texts()],
        "lines": [
            {"label": _label(line), "x": _numbers(line.get_xdata()), "y": _numbers(line.get_ydata())}
            for line in one.get_lines()[:MOST_SERIES]
        ],
        "points": [_points(one) for one in _with(one.collections, "get_offsets")],
        "bars": [float(bar.get_height()) for bar in _with(one.patches, "get_height")],
    }


def _with(artists: Iterable[Any], method: str) -> list[Any]:
    return [one for one in artists if hasattr(one, method)][:MOST_SERIES]


def _points(one: Any) -> dict[str, Any]:
    return {"label": _label(one), "xy": _numbers(one.get_offsets())}


def _label(artist: Any) -> str:
    """Return the label that was given to an artist; matplotlib's own begin with an underscore."""
    label = str(artist.get_label())
    return "" if label.startswith("_") else label


def _numbers(values: Any) -> Any:
    """Return data as an array of numbers, else as a list of texts, such as categories."""
    import numpy as np

    array: Any = np.ma.filled(np.ma.asarray(values, dtype=object if _texts(values) else None), np.nan)
    if array.dtype.kind in "biuf":
        return array
    return [str(item) for item in array.ravel()[:1000]]


def _texts(values: Any) -> bool:
    return not isinstance(values, Mapping) and any(isinstance(item, str) for item in list(values)[:1])
