"""Assertions of hidden tests: they take anything, and name the mistake."""

import math
import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autograder.grading.assertions import (
    as_tensor,
    assert_below,
    assert_close,
    assert_deviation,
    assert_unchanged,
    parts,
)
from autograder.sandbox.channel import Opaque

GOAL = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
MISTAKES = {"the double": 2 * GOAL, "the goal itself": GOAL, "one number": torch.tensor([1.0, 2.0])}


@pytest.mark.parametrize("value", [GOAL, GOAL[None], GOAL.clone().requires_grad_(), GOAL.int(), GOAL * (1 + 1e-10)])
def test_right_values_pass(value: Any) -> None:
    assert_close(value, GOAL, "mean", mistakes=MISTAKES)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r"your mean is None; a tensor was expected of shape \(3,\)"),
        ("1", "your mean is a str"),
        (True, "your mean is a bool"),
        (Opaque("set"), "your mean is an object of type set"),
        ([1.0, 2.0, 3.0], "your mean is a list of 3"),
        (GOAL[:, None], r"your mean has shape \(3, 1\); \(3,\) was expected"),
        (2 * GOAL, "your mean matches the double"),
        (2 * GOAL[:, None], "your mean matches the double"),
        (GOAL[:2], "your mean matches one number"),
        (GOAL * math.nan, "your mean holds NaN in 3 of 3 entries"),
        (GOAL.float() * (1 + 1e-7), "right to single precision only"),
        (
            GOAL + torch.tensor([0, 0, 1]),
            r"your mean\[2\] is 4 where 3 was expected; 1 of 3 entries differ, at most by 1",
        ),
        (GOAL + torch.tensor([0, math.inf, 0]), r"your mean\[1\] is inf where 2 was expected"),
        (7.0, r"your mean has shape \(\); \(3,\) was expected"),
    ],
)
def test_wrong_values_are_described(value: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_close(value, GOAL, "mean", mistakes=MISTAKES)


@pytest.mark.parametrize(
    ("value", "relation"),
    [
        (0 * GOAL, "is zero in every entry"),
        (-GOAL, "is right but for the sign"),
        (GOAL / 32, "is 0.03125 times what was expected, everywhere"),
        (GOAL + 0.5, "is larger by 0.5 than expected, in every entry"),
        (GOAL - 0.5, "is smaller by 0.5 than expected, in every entry"),
        (GOAL.flip(0), "is in the reverse order of what was expected"),
    ],
)
def test_a_simple_relation_to_the_target_is_told(value: torch.Tensor, relation: str) -> None:
    with pytest.raises(AssertionError, match=f"your dx {relation}"):
        assert_close(value, GOAL, "dx")


def test_the_transpose_is_told() -> None:
    square = torch.arange(9.0).reshape(3, 3)
    with pytest.raises(AssertionError, match="your dx is the transpose of what was expected"):
        assert_close(square.T, square, "dx")


def test_names_in_the_plural() -> None:
    with pytest.raises(AssertionError, match="your losses match the double"):
        assert_close(2 * GOAL, GOAL, "losses", mistakes=MISTAKES)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.builds(Opaque, st.text()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
)
tensors = st.lists(st.integers(0, 3), max_size=3).map(lambda shape: torch.ones(shape))


@given(anything | tensors)
def test_anything_passes_or_is_an_assertion_error(value: Any) -> None:
    for check in (
        lambda: assert_close(value, GOAL, "mean"),
        lambda: as_tensor(value, "mean"),
        lambda: parts(value, ("y", "mean")),
        lambda: assert_deviation(value, 1.0, "weight"),
        lambda: assert_unchanged(value, GOAL, "x"),
    ):
        try:
            check()
        except AssertionError as error:
            assert re.search(r"\byour\b", str(error))  # noqa: PT017  (any other kind of error must surface)


@pytest.mark.parametrize(
    ("deviation", "named"), [(2.0, True), (2.03, True), (1.97, True), (2.05, False), (1.9, False), (1.5, False)]
)
def test_a_deviation_is_named_only_when_it_is_that_of_the_mistake(deviation: float, named: bool) -> None:
    numbers = torch.tensor([deviation, -deviation] * 50)
    with pytest.raises(AssertionError) as caught:
        assert_deviation(numbers, 1.0, "weight", mistakes={"the double": 2.0, "the triple": 3.0})
    assert ("it is the double" in str(caught.value)) is named


@pytest.mark.parametrize("value", [math.nan, math.inf, 5.0, 5.1])
def test_a_loss_that_is_not_below_its_limit_fails(value: float) -> None:
    with pytest.raises(AssertionError, match="why"):
        assert_below(value, 5.0, "the loss", "why")
    assert_below(4.9, 5.0, "the loss", "why")
