"""Assertions for hidden tests, with messages that name the mistake.

Observations are untrusted: they may be of any type and shape. Every assertion here takes anything and either passes or
raises AssertionError with a sentence for the student. A message shows one entry at most, never an input as a whole.
"""

import math
from collections.abc import Mapping
from typing import NoReturn

import torch
from torch import Tensor

from autograder.sandbox.channel import Opaque, Value

FLOAT64 = 1e-9
FLOAT32 = 2e-4
SINGLE = 2e-6
"""What float32 keeps of numbers around one."""
ALIKE = 0.02
"""How near, relatively, a measured deviation must come to that of a known mistake to be called by its name."""


def fail(message: str) -> NoReturn:
    raise AssertionError(message)


def describe_kind(value: Value) -> str:
    """What a value is, in words: `None`, `a str`, `a tensor of shape (2, 3)`."""
    if value is None:
        return "None"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, Opaque):
        return f"an object of type {value.type_name}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def as_tensor(value: Value, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
    """The value as a float64 tensor of this shape; a (1, D) value stands for a (D,) one, a plain number for ().

    Raises AssertionError when it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, Tensor | int | float):
        fail(f"your {name} is {describe_kind(value)}; a tensor was expected" + (f" of shape {shape}" if shape else ""))
    if isinstance(value, int):
        value = max(-(1 << 62), min(value, 1 << 62))
    tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
    if shape is not None and tuple(tensor.shape) == (1, *shape):
        tensor = tensor[0]
    if shape is not None and tuple(tensor.shape) != shape:
        fail(f"your {name} has shape {tuple(tensor.shape)}; {shape} was expected")
    return tensor.to(torch.float64)


def parts(value: Value, names: tuple[str, ...]) -> tuple[Value, ...]:
    """The parts of a returned tuple or list. Raises AssertionError when it has not one part for each name."""
    if not isinstance(value, list | tuple) or len(value) != len(names):
        fail(f"your function returned {describe_kind(value)}; it should return ({', '.join(names)})")
    return tuple(value)


def as_dict(value: Value, name: str, keys: tuple[str, ...]) -> dict[str, Value]:
    """The value as a dict with at least these keys. Raises AssertionError when it is something else."""
    if not isinstance(value, dict):
        fail(f"your {name} is {describe_kind(value)}; a dictionary was expected")
    if missing := [key for key in keys if key not in value]:
        fail(f"your {name} has no {', '.join(map(repr, missing))}")
    return value


def close(yours: Tensor, target: Tensor, tolerance: float) -> Tensor:
    """Which entries agree, relatively or absolutely."""
    return torch.isclose(yours, target.to(torch.float64), rtol=tolerance, atol=tolerance, equal_nan=True)


def assert_close(
    value: Value,
    target: Tensor | float,
    name: str,
    *,
    mistakes: Mapping[str, Tensor | float] | None = None,
    tolerance: float = FLOAT64,
) -> None:
    """Assert that a value agrees with its target.

    mistakes: what known wrong formulas give, by a name that completes "your var matches ..."; the first that agrees
    with the value (and not with the target) stands in the message.
    """
    goal = torch.as_tensor(target).detach().to(torch.float64)
    if isinstance(value, Tensor) and tuple(value.shape) not in (tuple(goal.shape), (1, *goal.shape)):
        _name_mistake(value.to(torch.float64), goal, name, mistakes or {}, tolerance)
    yours = as_tensor(value, name, tuple(goal.shape))
    agrees = close(yours, goal, tolerance)
    if bool(agrees.all()):
        return
    _name_mistake(yours, goal, name, mistakes or {}, tolerance)
    if bool(yours.isnan().any()) and not bool(goal.isnan().any()):
        fail(f"your {name} holds NaN in {int(yours.isnan().sum())} of {yours.numel()} entries")
    if tolerance < FLOAT32 and bool(close(yours, goal, SINGLE).all()):
        fail(
            f"your {name} {'are' if _is_plural(name) else 'is'} right to single precision only; "
            "keep the dtype of the input (no .float(), torch.zeros_like for new tensors)"
        )
    if relation := _relation(yours, goal):
        fail(f"your {name} {'are' if _is_plural(name) else 'is'} {relation}")
    first = tuple(int(i) for i in (~agrees).nonzero()[0])
    largest = float((yours - goal).abs().nan_to_num(nan=math.inf).max())
    entry = f"[{', '.join(map(str, first))}]" if first else ""
    fail(
        f"your {name}{entry} is {yours[first].item():.6g} where {goal[first].item():.6g} was expected; "
        f"{int((~agrees).sum())} of {yours.numel()} entries differ, at most by {largest:.3g}"
    )


def _name_mistake(
    yours: Tensor, goal: Tensor, name: str, mistakes: Mapping[str, Tensor | float], tolerance: float
) -> None:
    """Fail with the first mistake that has as many entries as the value, and the same, and is not the target itself."""
    for mistake, wrong in mistakes.items():
        other = torch.as_tensor(wrong).detach().to(torch.float64)
        if other.shape == goal.shape and bool(close(other, goal, max(tolerance, 1e-7)).all()):
            continue
        if other.numel() == yours.numel() and bool(close(yours.flatten(), other.flatten(), max(tolerance, 1e-7)).all()):
            fail(f"your {name} {'match' if _is_plural(name) else 'matches'} {mistake}")


def _relation(yours: Tensor, goal: Tensor) -> str:
    """How a value as a whole differs from its target, where one word says it; empty elsewhere."""
    if goal.numel() < 3 or not bool(goal.any()) or not bool(yours.isfinite().all()):
        return ""
    if float(yours.abs().max()) <= 1e-12 * float(goal.abs().max()):
        return "zero in every entry"
    if goal.ndim == 2 and goal.shape[0] == goal.shape[1] and bool(close(yours.T, goal, 1e-7).all()):
        return "the transpose of what was expected; rows and columns are exchanged"
    if bool(close(yours.flip(0), goal, 1e-7).all()):
        return "in the reverse order of what was expected"
    factor = float((yours * goal).sum() / goal.square().sum())
    if bool(close(yours, factor * goal, 1e-7).all()):
        return (
            "right but for the sign" if abs(factor + 1) < 1e-6 else f"{factor:.6g} times what was expected, everywhere"
        )
    shift = float((yours - goal).mean())
    if bool(close(yours, goal + shift, 1e-7).all()):
        return f"{'larger' if shift > 0 else 'smaller'} by {abs(shift):.6g} than expected, in every entry"
    return ""


def _is_plural(name: str) -> bool:
    """Whether a name takes a verb in the plural, by the ending of its first word: losses, not bias."""
    first = name.partition(" ")[0]
    return first.endswith("s") and not first.endswith(("ss", "as", "is", "us"))


def assert_deviation(
    value: Value, target: float, name: str, *, mistakes: Mapping[str, float] | None = None, tolerance: float = 0.05
) -> None:
    """Assert that random numbers have mean 0 and, within a relative tolerance, this standard deviation.

    mistakes: the deviations that known wrong formulas give, by a name that completes "it is ...".
    """
    numbers = as_tensor(value, name)
    if numbers.numel() < 2:
        fail(f"your {name} is {describe_kind(value)}; many random numbers were expected")
    std, mean = float(numbers.std(correction=0)), float(numbers.mean())
    if not abs(std - target) <= tolerance * target:
        distance = {label: abs(std / other - 1) for label, other in (mistakes or {}).items()}
        known = min(distance, key=lambda label: distance[label], default="")
        it_is = f"; it is {known}" if known and distance[known] <= ALIKE else ""
        fail(f"your {name} has a standard deviation of {std:.4g} where {target:.4g} was expected{it_is}")
    if not abs(mean) <= 6 * target / math.sqrt(numbers.numel()):
        fail(f"your {name} has a mean of {mean:.3g}; it should be 0 but for chance")


def assert_unchanged(after: Value, before: Tensor, name: str) -> None:
    """Assert that an input has the same values after the call."""
    same = isinstance(after, Tensor) and after.shape == before.shape and torch.equal(after.to(before.dtype), before)
    if not same:
        fail(f"your code changed its input {name} in place; work on a new tensor (x = x - m, not x -= m)")


def assert_below(value: float, limit: float, name: str, reason: str) -> None:
    """Assert that a loss is finite and below its threshold."""
    if not math.isfinite(value):
        fail(f"{name} is {value}: the training diverged; {reason}")
    if value >= limit:
        fail(f"{name} is {value:.4g}, and should be below {limit:.4g}; {reason}")


def mapping(value: Value) -> dict[str, Value]:
    """The value when it is a table, an empty one otherwise."""
    return dict(value) if isinstance(value, Mapping) else {}


def sequence(value: Value) -> list[Value]:
    """The items of a list or tuple, none of anything else."""
    return list(value) if isinstance(value, list | tuple) else []


def tensors(value: Value) -> dict[str, Tensor]:
    """The entries of a table that are tensors; none when it is no table."""
    return {name: one for name, one in mapping(value).items() if isinstance(one, Tensor)}


def assert_same_tensors(after: Value, before: Value, whose: str) -> None:
    """Assert that named tensors are after a call what they were before, entry by entry."""
    now, was = tensors(after), tensors(before)
    if missing := sorted(set(was) - set(now)):
        fail(f"{whose} {missing[0]} is gone after the call")
    if extra := sorted(set(now) - set(was)):
        fail(f"{whose} {extra[0]} was not there before the call")
    for name, value in was.items():
        if now[name].shape != value.shape or not torch.equal(now[name].double(), value.double()):
            fail(f"your code changed {whose} {name}")


def truth(value: Value, name: str) -> bool:
    """The value as True or False; a tensor with one truth value stands for it."""
    if isinstance(value, Tensor) and value.numel() == 1 and value.dtype is torch.bool:
        return bool(value)
    if not isinstance(value, bool):
        fail(f"your {name} returned {describe_kind(value)}; True or False was expected")
    return value
