"""Assertions of hidden tests: they take anything, and name the mistake."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autograder.sandbox.channel import Opaque
from autograder.testing import (
    agrees,
    as_dict,
    as_tensor,
    assert_below,
    assert_close,
    assert_deviation,
    assert_unchanged,
    parts,
    truth,
)

GOAL = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
MISTAKES = {"the double": 2 * GOAL, "the goal itself": GOAL, "one number": torch.tensor([1.0, 2.0])}


@pytest.mark.parametrize("value", [GOAL, GOAL[None], GOAL.clone().requires_grad_(), GOAL.int(), GOAL * (1 + 1e-10)])
def test_right_values_pass(value: Any) -> None:
    assert_close(value, GOAL, "mean", mistakes=MISTAKES)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r"your mean is None; a tensor of shape \(3,\) was expected"),
        ("1", "your mean is a str"),
        (True, "your mean is a bool"),
        (Opaque("set"), "your mean is an object of type set"),
        ([1.0, 2.0, 3.0], "your mean is a list of length 3"),
        (GOAL[:, None], r"your mean has shape \(3, 1\); \(3,\) was expected"),
        (2 * GOAL, "your mean matches the double"),
        (2 * GOAL[:, None], "your mean matches the double"),
        (GOAL[:2], "your mean matches one number"),
        (GOAL * math.nan, "your mean contains NaN in 3 of 3 entries"),
        (GOAL.float() * (1 + 1e-7), "your mean is only accurate to float32 precision"),
        (
            GOAL + torch.tensor([0, 0, 1]),
            r"your mean\[2\] is 4 where 3 was expected; 1 of 3 entries differs, by 1$",
        ),
        (
            GOAL + torch.tensor([0, 2, 1]),
            r"your mean\[1\] is 4 where 2 was expected; 2 of 3 entries differ, by at most 2$",
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
        (0 * GOAL, "is zero everywhere"),
        (-GOAL, "has the wrong sign"),
        (GOAL / 32, "is 0.03125 times what was expected, in every entry"),
        (GOAL + 0.5, "is too large by 0.5, in every entry"),
        (GOAL - 0.5, "is too small by 0.5, in every entry"),
        (GOAL.flip(0), "is in reverse order"),
    ],
)
def test_a_simple_relation_to_the_target_is_told(value: torch.Tensor, relation: str) -> None:
    with pytest.raises(AssertionError, match=f"your dx {relation}"):
        assert_close(value, GOAL, "dx")


def test_the_transpose_is_told() -> None:
    square = torch.arange(9.0).reshape(3, 3)
    with pytest.raises(AssertionError, match="your dx is the transpose of what was expected"):
        assert_close(square.T, square, "dx")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("losses", "your losses match the double"),
        ("losses at rate 0", "your losses at rate 0 match the double"),
        ("bias", "your bias matches the double"),
        ("loss", "your loss matches the double"),
        ("y's mean", "your y's mean matches the double"),
    ],
)
def test_the_verb_agrees_with_the_name(name: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_close(2 * GOAL, GOAL, name, mistakes=MISTAKES)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-GOAL, "your logits have the wrong sign"),
        (0 * GOAL, "your logits are zero everywhere"),
        (GOAL * math.nan, "your logits contain NaN in 3 of 3 entries"),
        (GOAL[:2], r"your logits have shape \(2,\); \(3,\) was expected"),
        (GOAL.float() * (1 + 1e-7), "your logits are only accurate to float32 precision"),
        (None, "your logits are None"),
    ],
)
def test_a_name_in_the_plural_takes_a_plural_verb(value: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_close(value, GOAL, "logits")


def test_an_index_follows_what_it_belongs_to() -> None:
    with pytest.raises(AssertionError, match=r"your mean\[2\] after one batch is 4 where 3 was expected"):
        assert_close(GOAL + torch.tensor([0, 0, 1]), GOAL, "mean after one batch")


@pytest.mark.parametrize("target", [0.1, 73 / 3, 1e40, 1e-40, -1e300, math.inf, math.nan, 0.0, 7, 2**60])
def test_a_float_target_is_exact(target: float) -> None:
    assert_close(target, target, "result")
    assert_close(torch.tensor(target, dtype=torch.float64), target, "result")


@pytest.mark.parametrize(
    ("value", "target", "message"),
    [
        (0.1 + 1e-8, 0.1, "your result is only accurate to float32 precision"),
        (1e40, 2e40, "your result is 1e[+]40 where 2e[+]40 was expected$"),
        (math.nan, 1.0, "your result is NaN$"),
        (-1.0, 1.0, "your result is -1 where 1 was expected$"),
        ("1", 1.0, "your result is a str; a number was expected"),
        (True, 1.0, "your result is a bool; a number was expected"),
        (torch.ones(2), 1.0, r"your result has shape \(2,\); a single number was expected"),
    ],
)
def test_a_wrong_number_is_described(value: Any, target: float, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_close(value, target, "result")


ARRAY = np.array([[1.0, 2.0], [3.0, 4.0]])
TABLE = {"height": [1.5, 2.5], "name": "ada", "missing": None, "tall": True}


@pytest.mark.parametrize(
    ("value", "target"),
    [
        (ARRAY, ARRAY),
        (torch.from_numpy(ARRAY), ARRAY),
        (ARRAY, torch.from_numpy(ARRAY)),
        (np.float64(0.1), 0.1),
        (np.int64(3), 3),
        (0.1, np.float64(0.1)),
        ([1, 2.0], (1.0, 2)),
        (["a", ["b", None]], ["a", ("b", None)]),
        ([torch.ones(2)], [torch.ones(2)]),
        (TABLE, TABLE),
        ("ada", "ada"),
        (None, None),
        (torch.tensor(True), True),
        (np.bool_(False), False),
        ([], []),
    ],
)
def test_values_of_any_kind_pass(value: Any, target: Any) -> None:
    assert_close(value, target, "result", mistakes={"its opposite": target})
    assert agrees(value, target)


@pytest.mark.parametrize(
    ("value", "target", "message"),
    [
        (None, ARRAY, r"your result is None; an array of shape \(2, 2\) was expected"),
        (ARRAY[0], ARRAY, r"your result has shape \(2,\); \(2, 2\) was expected"),
        (ARRAY.astype(np.float32) + np.float32(1e-7), ARRAY, "float32 precision; compute in float64"),
        (np.array(["a"]), ARRAY, r"your result is a tensor of shape|your result is an array of shape \(1,\)"),
        (1.0, [1.0], "your result is a float; a list of length 1 was expected"),
        (1, [1.0], "your result is an int; a list of length 1 was expected"),
        ([1.0], [1.0, 2.0], "your result has length 1; 2 was expected"),
        ([1.0, 3.0], [1.0, 2.0], r"your result\[1\] is 3 where 2 was expected"),
        (TABLE | {"height": [1.5]}, TABLE, r"your result\['height'\] has length 1; 2 was expected"),
        ({"hieght": 1} | {k: v for k, v in TABLE.items() if k != "height"}, TABLE, "your result has no 'height'; it"),
        (TABLE | {"more": 1}, TABLE, "your result has a key 'more' that was not expected"),
        (TABLE | {"missing": 0}, TABLE, r"your result\['missing'\] is an int; None was expected"),
        (TABLE | {"tall": False}, TABLE, r"your result\['tall'\] is False; True was expected"),
        (TABLE | {"tall": 1}, TABLE, r"your result\['tall'\] is an int; True or False was expected"),
        ("Ada ", "ada", "your result differs from what was expected only in upper and lower case or white space"),
        ("eve", "ada", "your result is 'eve' where 'ada' was expected"),
        ("a" * 50 + "x" + "c" * 9, "a" * 50 + "b" + "c" * 9, "at character 51: 'xccccccc' where 'bccccccc' was"),
        ("a" * 50, "a" * 60, "your result has 50 characters; 60 were expected"),
        (3, "ada", "your result is an int; a str was expected"),
        ([2.0, 1.0], [1.0, 2.0], "your result matches the reverse"),
        ("ad", "ada", "your result matches a text that is cut short"),
    ],
)
def test_wrong_values_of_any_kind_are_described(value: Any, target: Any, message: str) -> None:
    mistakes: dict[str, Any] = {"the reverse": [2.0, 1.0], "a text that is cut short": "ad", "the target": target}
    with pytest.raises(AssertionError, match=message):
        assert_close(value, target, "result", mistakes=mistakes)


def test_a_target_that_cannot_be_compared_is_the_fault_of_the_author() -> None:
    with pytest.raises(TypeError, match="result: a target of type set"):
        assert_close({1}, {1}, "result")


def test_a_misspelt_key_is_shown_next_to_the_missing_one() -> None:
    with pytest.raises(AssertionError, match="your result has no 'std'; it has 'sdt', check the spelling"):
        as_dict({"mean": 1.0, "sdt": 2.0}, "result", ("mean", "std"))
    with pytest.raises(AssertionError, match=r"your result has no 'mean' and 'std'$"):
        as_dict({}, "result", ("mean", "std"))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.builds(Opaque, st.text()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
)
tensors = st.lists(st.integers(0, 3), max_size=3).map(lambda shape: torch.ones(shape))


@given(anything | tensors)
def test_anything_passes_or_is_an_assertion_error(value: Any) -> None:
    for check in (
        lambda: assert_close(value, GOAL, "mean"),
        lambda: assert_close(value, ARRAY, "mean"),
        lambda: assert_close(value, 0.1, "mean"),
        lambda: assert_close(value, TABLE, "mean", mistakes=MISTAKES),
        lambda: assert_close(value, ["a", 1.0, [True]], "mean"),
        lambda: assert_close(value, "a text", "mean"),
        lambda: as_dict(value, "mean", ("key",)),
        lambda: truth(value, "verdict"),
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
