"""Additional assertions for torch tensors in hidden tests. torch is imported on first use."""

from typing import TYPE_CHECKING

from autograder.grading.assertions import as_array, fail, is_tensor, mapping
from autograder.sandbox.channel import Value

if TYPE_CHECKING:
    from torch import Tensor


def as_tensor(value: Value, name: str, shape: tuple[int, ...] | None = None, noun: str = "tensor") -> "Tensor":
    """Return the value as a float64 tensor of this shape; a (1, D) value is accepted as (D,), a plain number as ().

    noun: what to call a tensor in messages
    Raises AssertionError if it is anything else.
    """
    import torch

    return torch.from_numpy(as_array(value, name, shape, noun))


def close(yours: "Tensor", target: "Tensor", tolerance: float) -> "Tensor":
    """Return which entries agree, relatively or absolutely."""
    import torch

    return torch.isclose(yours, target.to(torch.float64), rtol=tolerance, atol=tolerance, equal_nan=True)


def assert_unchanged(after: Value, before: "Tensor", name: str) -> None:
    """Assert that an input is unchanged after the call."""
    if not is_tensor(after) or after.shape != before.shape or not bool((after.to(before.dtype) == before).all()):
        fail(f"your code changed its input {name} in place; create a new tensor instead (x = x - m, not x -= m)")


def tensors(value: Value) -> "dict[str, Tensor]":
    """Return the entries of a mapping that are tensors; none if it is not a mapping."""
    return {name: one for name, one in mapping(value).items() if is_tensor(one)}


def assert_same_tensors(after: Value, before: Value, whose: str) -> None:
    """Assert that named tensors are the same after a call as before, entry by entry."""
    now, was = tensors(after), tensors(before)
    if missing := sorted(set(was) - set(now)):
        fail(f"{whose} {missing[0]} is missing after the call")
    if extra := sorted(set(now) - set(was)):
        fail(f"{whose} {extra[0]} was not there before the call")
    for name, value in was.items():
        if now[name].shape != value.shape or not bool((now[name].double() == value.double()).all()):
            fail(f"your code changed {whose} {name}")
