"""Assertions about numbers that an answer drew at random, such as initial weights."""

import math
from collections.abc import Mapping

from autograder.testing import Value, as_tensor, assert_deviation, fail
from torch import Tensor

EXPECTED_FAR_OUT = 20
"""Numbers of a normal distribution that are expected beyond the limit; the probability that there are none is 2e-9."""


def assert_drawn(
    value: Value, std: float, name: str, *, mistakes: Mapping[str, float] | None = None, tolerance: float = 0.05
) -> None:
    """Assert that numbers were drawn from a normal distribution with this standard deviation."""
    assert_deviation(value, std, name, mistakes=mistakes, tolerance=tolerance)
    drawn = as_tensor(value, name)
    assert_normal(drawn, float(drawn.std(correction=0)), name)


def assert_drawn_independently(weight: Tensor, name: str) -> None:
    """Assert that no row or column has one value only, that rows are not orthogonal, and that entries differ."""
    if weight.dim() != 2:
        return
    if bool((weight == weight[0]).all(0).any()) or bool((weight == weight[:, :1]).all(1).any()):
        fail(f"a whole row or column of {name} has one and the same value; draw each weight independently")
    if _orthogonal(weight):
        fail(
            f"the rows or columns of {name} are orthogonal to each other (orthogonal_); draw each weight independently"
        )


def assert_different_numbers(weight: Tensor, name: str) -> None:
    if len(weight.unique()) < 0.9 * weight.numel():
        fail(f"many entries of {name} are equal; draw each one independently")


def _orthogonal(drawn: Tensor) -> bool:
    """Return whether the rows or the columns, whichever are fewer, are orthogonal to each other."""
    short = drawn.double() if drawn.shape[0] <= drawn.shape[1] else drawn.double().T
    products = short @ short.T
    squares = products.diagonal()
    return float((products - squares.diag()).abs().max()) < 1e-3 * float(squares.min())


def assert_normal(weight: Tensor, std: float, name: str) -> None:
    """Assert that numbers of this standard deviation have mean 0, that 4.55 % of them lie beyond two of it, some far
    beyond, and that each was drawn for itself.
    """
    assert_drawn_independently(weight, name)
    count, sizes = weight.numel(), weight.double().abs() / std
    if abs(float(weight.double().mean())) > 6 * std / math.sqrt(count):
        fail(f"{name} has mean {float(weight.double().mean()):.4f}; a mean of 0 was expected")
    beyond = float((sizes > 2).double().mean())
    if abs(beyond - 0.0455) > 6 * math.sqrt(0.0455 * 0.9545 / count) + 0.008:
        fail(
            f"{name} has the right standard deviation, but is not normally distributed: {beyond:.1%} of its entries "
            "are beyond two standard deviations where 4.6% were expected"
        )
    limit = far_out(count)
    if float(sizes.max()) < limit:
        fail(
            f"no entry of {name} is more than {limit:.1f} standard deviations from 0; draw from a normal distribution, "
            "and do not truncate it"
        )
    assert_different_numbers(weight, name)


def far_out(count: int) -> float:
    """Return beyond how many standard deviations EXPECTED_FAR_OUT of so many normal numbers are expected."""
    low, high = 0.0, 10.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if count * math.erfc(middle / math.sqrt(2)) > EXPECTED_FAR_OUT else (low, middle)
    return low


def assert_within(weight: Tensor, limit: float, name: str) -> None:
    """Assert that no entry is larger than the limit of the uniform distribution that PyTorch draws it from."""
    if float(weight.double().abs().max()) > limit * (1 + 1e-6):
        fail(
            f"{name} has entries beyond {limit:.4f}, but PyTorch draws them uniformly between -{limit:.4f} and "
            f"{limit:.4f}; leave it as PyTorch initialises it"
        )
