"""Tables, estimators and plots: they cross the channel as plain values, and a message says what is wrong with them."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, Ridge

from autograder import probing
from autograder.sandbox import channel
from autograder.testing import (
    as_axes,
    as_estimator,
    assert_close,
    assert_parameters,
    assert_plot,
    assert_table,
)

matplotlib.use("agg")
PRICES: dict[str, list[Any]] = {
    "town": ["Ulm", "Bonn", None],
    "price": [1.5, 2.5, float("nan")],
    "old": [True, False, True],
}


def crossed(value: Any) -> Any:
    """The value as a hidden test gets it."""
    return channel.decode(*channel.split(channel.encode(value)))


def frame(**changes: Any) -> pd.DataFrame:
    return pd.DataFrame({**PRICES, **changes})


@pytest.fixture(autouse=True)
def _no_figures() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


def test_a_table_crosses_with_its_values() -> None:
    assert_table(crossed(probing.table(frame())), PRICES, "table")


def test_a_series_crosses_too() -> None:
    seen = crossed(probing.table(pd.Series([1, 2], name="n")))
    assert_table(seen, {"n": [1, 2]}, "counts", kind="Series")
    with pytest.raises(AssertionError, match="your counts is a Series; a DataFrame was expected"):
        assert_table(seen, {"n": [1, 2]}, "counts")


def test_times_cross_as_texts() -> None:
    days = pd.DataFrame({"day": pd.to_datetime(["2026-01-02", None])})
    assert_table(crossed(probing.table(days)), {"day": ["2026-01-02 00:00:00", None]}, "table")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.drop(columns="price"), "column 'price' is missing in your table"),
        (lambda one: one.rename(columns={"price": "Price"}), "column 'price' is missing in your table; it has 'Price'"),
        (lambda one: one.assign(extra=1), "your table has a column 'extra' that was not expected"),
        (lambda one: one[["price", "town", "old"]], "your table has its columns in the order price, town, old"),
        (lambda one: one.iloc[:2], "your table has 2 rows; 3 were expected"),
        (lambda one: one.iloc[::-1], "your table has the right rows in the wrong order: the row order matters here"),
        (lambda one: one.assign(price=[1.5, 3, 0]), r"your table\['price'\] in row 1 is 3 where 2.5 was expected"),
        (lambda one: one.fillna({"price": 0}), r"your table\['price'\] in row 2 is 0 where missing was expected"),
        (lambda one: one.assign(old=[1, 0, 1]), r"your table\['old'\] in row 0 is 1 where True was expected"),
        (lambda one: one["price"], "your table is a Series; a DataFrame was expected"),
        (lambda one: one["price"].to_numpy(), "your table is a(n array| tensor) of shape"),
        (lambda one: None, "your table is None; a DataFrame was expected"),
    ],
    ids=lambda one: one if isinstance(one, str) else "frame",
)
def test_what_is_wrong_with_a_table(change: Callable[[pd.DataFrame], Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_table(crossed(probing.table(change(frame()))), PRICES, "table")


def test_rows_in_any_order_where_the_test_says_so() -> None:
    seen = crossed(probing.table(frame().iloc[[2, 0, 1]]))
    assert_table(seen, PRICES, "table", any_order=True)
    with pytest.raises(AssertionError, match="has another index than expected"):
        assert_table(seen, PRICES, "table", any_order=True, index=[0, 1, 2])


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
KEYS = (
    "kind",
    "columns",
    "index",
    "values",
    "parameters",
    "fitted",
    "attributes",
    "lines",
    "legend",
    "title",
    "x",
    "y",
)
forged = anything | st.dictionaries(st.sampled_from(KEYS), anything | st.just("DataFrame") | st.just("KMeans"))


@given(forged)
def test_whatever_is_forged_passes_or_is_told(value: Any) -> None:
    axes = value if isinstance(value, dict) else {}
    for check in (
        lambda: assert_table(value, PRICES, "table"),
        lambda: assert_table(value, PRICES, "table", any_order=True),
        lambda: as_estimator(value, "model", "KMeans"),
        lambda: assert_parameters(value, "model", n_clusters=2),
        lambda: as_axes(value, "plot"),
        lambda: as_axes([value], "plot"),
        lambda: assert_plot(axes, "plot", texts={"title": ["loss"]}, labels=["a"], lines=[([1], [2])]),
    ):
        with contextlib.suppress(AssertionError):
            check()


def test_an_estimator_crosses_with_what_it_learnt() -> None:
    model = LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    seen = crossed(probing.estimator(model, "coef_", "intercept_", "classes_"))
    learnt = as_estimator(seen, "model", "LinearRegression")
    assert set(learnt) == {"coef_", "intercept_"}
    assert_close(learnt["coef_"], np.array([2.0]), "slope")
    assert_parameters(seen, "model", fit_intercept=True)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (KMeans(2), "your model is not fitted; call `fit` before you return it"),
        (Ridge(), "your model is a Ridge; a KMeans was expected"),
        (3, "your model is an int; a fitted KMeans was expected"),
        (object(), "your model is an object of type object; a fitted KMeans was expected"),
    ],
    ids=["not fitted", "another kind", "a number", "an object"],
)
def test_what_is_wrong_with_an_estimator(model: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        as_estimator(crossed(probing.estimator(model)), "model", "KMeans")


def test_the_parameters_of_an_estimator() -> None:
    seen = crossed(probing.estimator(KMeans(n_clusters=3)))
    with pytest.raises(AssertionError, match="your model has n_clusters=3; n_clusters=4 was expected"):
        assert_parameters(seen, "model", n_clusters=4)


def draw(**changes: Any) -> Any:
    made: dict[str, Any] = {"x": [1, 2, 3], "y": [3.0, 2.0, 1.0], "title": "Loss over steps", "xlabel": "step"}
    made |= changes
    figure, axes = plt.subplots()
    axes.plot(made["x"], made["y"], label="train")
    axes.set(title=made["title"], xlabel=made["xlabel"], yscale=made.get("yscale", "log"))
    if made.get("legend", True):
        axes.legend()
    return figure


def check_plot(seen: Any) -> None:
    axes = as_axes(seen, "plot", count=1)
    assert_plot(
        axes,
        "plot",
        texts={"title": ["loss"], "xlabel": []},
        scales={"yscale": "log"},
        lines=[([1, 2, 3], [3.0, 2.0, 1.0])],
        labels=["train"],
    )


def test_a_plot_crosses_as_what_its_axes_hold() -> None:
    figure = draw()
    check_plot(crossed(probing.axes(figure)))
    check_plot(crossed(probing.axes(figure.axes[0])))
    check_plot(crossed(probing.axes()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": ""}, "your plot has no title"),
        ({"title": "Steps"}, "the title of your plot does not say 'loss'"),
        ({"xlabel": " "}, "your plot has no xlabel"),
        ({"legend": False}, "your plot has no legend"),
        ({"yscale": "linear"}, "the yscale of your plot is 'linear'; 'log' was expected"),
        ({"x": [3.0, 2.0, 1.0], "y": [1, 2, 3]}, "a line of your plot has x and y swapped"),
        ({"y": [3.0, 2.0, 1.5]}, r"your y\[2\] of a line in the plot is 1.5 where 1 was expected|y of a line"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_plot(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_plot(crossed(probing.axes(draw(**changes))))


def test_no_plot_at_all() -> None:
    with pytest.raises(AssertionError, match="your plot has no axes: nothing was drawn, or the figure was closed"):
        check_plot(crossed(probing.axes()))


def test_bars_and_points_cross_too() -> None:
    figure, axes = plt.subplots()
    axes.bar(["a", "b"], [1.0, 2.0])
    axes.scatter([0, 1], [2, 3], label="seen")
    (seen,) = crossed(probing.axes(figure))
    assert seen["bars"] == [1.0, 2.0]
    assert seen["points"][0]["label"] == "seen"
    assert np.asarray(seen["points"][0]["xy"]).tolist() == [[0.0, 2.0], [1.0, 3.0]]
