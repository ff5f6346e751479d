"""Assertions for hidden tests, with messages that name the mistake.

Observations are untrusted: they may be of any type and shape. Every assertion accepts any value and either passes
or raises AssertionError with a sentence for the student. A message shows at most one entry, never a whole input.

Numbers are compared as NumPy arrays in float64; tensors are accepted if torch is loaded. Assertions for tensors only
are in `tensors.py`.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np

from autograder.sandbox.channel import Opaque, Value, loaded_torch

FLOAT64 = 1e-9
FLOAT32 = 2e-4
SINGLE = 2e-6
"""Relative precision of a float32 computation with numbers around one."""
ALIKE = 0.02
"""Relative distance within which a measured standard deviation counts as that of a known mistake."""
MAX_SHOWN = 40
"""Characters of the longest text that a message shows in full."""

WHERE = re.compile(r"(.+?)( (?:after|at|in|over|under) .+)")
"""A name, followed by where or when it was observed: an index is inserted between the two."""

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Numbers: TypeAlias = Any
"""What is compared as numbers: a torch tensor, an array, or one number."""
Target: TypeAlias = "Numbers | str | Sequence[Target] | Mapping[str, Target] | None"
"""What a value can be compared with: numbers, a text, None, and lists, tuples and string-keyed dicts of these."""


def fail(message: str) -> NoReturn:
    raise AssertionError(message)


def describe_kind(value: Value, noun: str = "") -> str:
    """Return what a value is, in words: `None`, `a str`, `a tensor of shape (2, 3)`.

    noun: what to call an array; by default a tensor where torch is loaded, as arrays then arrive as tensors
    """
    noun = noun or ("tensor" if loaded_torch() else "array")
    if value is None:
        return "None"
    if isinstance(value, np.ndarray) or is_tensor(value):
        return f"{_with_article(noun)} of shape {tuple(value.shape)}"
    if isinstance(value, Opaque):
        return f"an object of type {value.type_name}"
    kind = _with_article(type(value).__name__)
    return f"{kind} of length {len(value)}" if isinstance(value, list | tuple) else kind


def _with_article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeio' else 'a'} {noun}"


def is_tensor(value: Value) -> bool:
    """Return whether a value is a torch tensor."""
    torch = loaded_torch()
    return torch is not None and isinstance(value, torch.Tensor)


def as_array(value: Value, name: str, shape: tuple[int, ...] | None = None, noun: str = "array") -> Array:
    """Return the value as a float64 array of this shape; a (1, D) value is accepted as (D,), a plain number as ().

    noun: what to call an array in messages
    Raises AssertionError if it is anything else.
    """
    array = _numeric(value)
    if array is None:
        wanted = "a number" if shape == () else _with_article(noun) + (f" of shape {shape}" if shape else "")
        fail(f"your {name} {_verb(name, 'is')} {describe_kind(value, noun)}; {wanted} was expected")
    if shape is not None and array.shape == (1, *shape):
        array = np.asarray(array[0])
    if shape is not None and array.shape != shape:
        wanted = "a single number" if shape == () else str(shape)
        fail(f"your {name} {_verb(name, 'has')} shape {array.shape}; {wanted} was expected")
    return array


def _numeric(value: Value) -> Array | None:
    """Return a tensor, an array or a number as a float64 array; None for anything else."""
    if isinstance(value, np.ndarray | np.generic):
        return np.array(value, dtype=np.float64) if value.dtype.kind in "biuf" else None
    if is_tensor(value):
        return None if value.is_complex() else np.asarray(value.detach().double().numpy(force=True))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        value = max(-(1 << 62), min(value, 1 << 62))
    return np.array(value, dtype=np.float64)


def parts(value: Value, names: tuple[str, ...]) -> tuple[Value, ...]:
    """Return the parts of a returned tuple or list.

    Raises AssertionError if it does not have one part for each name.
    """
    if not isinstance(value, list | tuple) or len(value) != len(names):
        fail(f"your function returned {describe_kind(value)}; it should return ({', '.join(names)})")
    return tuple(value)


def part_in_order(value: Value, name: str, targets: Mapping[str, Target], tolerance: float = FLOAT64) -> Value:
    """Return the part of a returned tuple or list at the position of this name among the targets.

    Raises AssertionError if there is not one part for each target, or if this part is wrong and the value contains all
    targets in another order.
    """
    names = tuple(targets)
    found = parts(value, names)
    part = found[names.index(name)]
    if not agrees(part, targets[name], tolerance):
        order = [next((other for other in names if agrees(one, targets[other], tolerance)), "") for one in found]
        if sorted(order) == sorted(names):
            fail(f"your function returned ({', '.join(order)}); it should return ({', '.join(names)})")
    return part


def as_dict(value: Value, name: str, keys: tuple[str, ...]) -> dict[str, Value]:
    """Return the value as a dict with at least these keys. Raises AssertionError if it is anything else."""
    if not isinstance(value, dict):
        fail(f"your {name} {_verb(name, 'is')} {describe_kind(value)}; a dictionary was expected")
    if missing := [key for key in keys if key not in value]:
        fail(f"your {name} {_verb(name, 'has')} no {_listed(map(repr, missing), 'and')}{_misspelt(value, keys)}")
    return value


def _misspelt(found: Mapping[str, Value], keys: Sequence[str]) -> str:
    """Return a remark on the unexpected keys of a dictionary, empty if there are none."""
    extra = [key for key in found if key not in keys]
    if not extra:
        return ""
    shown = [repr(str(key)[:MAX_SHOWN]) for key in extra[:4]]
    return f"; it has {_listed(shown, 'and')}, check the spelling"


def _listed(words: Any, last: str) -> str:
    """Return the words joined as in a sentence: `a`, `a and b`, `a, b and c`."""
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else str(end)


def _close(yours: Array, target: Array, tolerance: float) -> Any:
    """Return which entries agree, relatively or absolutely."""
    return np.isclose(yours, target, rtol=tolerance, atol=tolerance, equal_nan=True)


def agrees(value: Value, target: Target, tolerance: float = FLOAT64) -> bool:
    """Return whether a value passes `assert_close`."""
    try:
        assert_close(value, target, "value", tolerance=tolerance)
    except AssertionError:
        return False
    return True


def assert_close(
    value: Value,
    target: Target,
    name: str,
    *,
    mistakes: Mapping[str, Target] | None = None,
    tolerance: float = FLOAT64,
) -> None:
    """Assert that a value agrees with its target.

    Numbers are compared in float64 within the tolerance, relatively or absolutely; a float target is exact, and a
    tensor target keeps the precision of its dtype. Lists and tuples are interchangeable. Strings, None and booleans
    must be equal.
    mistakes: the results of known wrong formulas, by a name that completes "your var matches ..."; the message names
    the first that agrees with the value (and not with the target).
    """
    if (goal := _numeric(target)) is not None:
        noun = "array" if isinstance(target, np.ndarray) else "tensor"
        _assert_numbers(value, goal, name, mistakes or {}, tolerance, noun)
        return
    if mistakes and not agrees(value, target, tolerance):
        for label, wrong in mistakes.items():
            if agrees(value, wrong, tolerance):
                fail(f"your {name} {_verb(name, 'matches')} {label}")
    _explain(value, target, name, tolerance)


def _explain(value: Value, target: Target, name: str, tolerance: float) -> None:
    """Assert that a value agrees with a target that is not numeric, entry by entry.

    Raises TypeError for a target of a kind that cannot be compared.
    """
    if isinstance(target, Mapping):
        found = as_dict(value, name, tuple(target))
        if extra := [key for key in found if key not in target]:
            fail(f"your {name} {_verb(name, 'has')} a key {str(extra[0])[:MAX_SHOWN]!r} that was not expected")
        for key, goal in target.items():
            assert_close(found[key], goal, f"{name}[{key!r}]", tolerance=tolerance)
    elif isinstance(target, list | tuple):
        if not isinstance(value, list | tuple):
            wanted = f"{_with_article(type(target).__name__)} of length {len(target)}"
            fail(f"your {name} {_verb(name, 'is')} {describe_kind(value)}; {wanted} was expected")
        if len(value) != len(target):
            fail(f"your {name} {_verb(name, 'has')} length {len(value)}; {len(target)} was expected")
        for index, goal in enumerate(target):
            assert_close(value[index], goal, f"{name}[{index}]", tolerance=tolerance)
    elif isinstance(target, bool):
        if truth(value, name) is not target:
            fail(f"your {name} {_verb(name, 'is')} {not target}; {target} was expected")
    elif target is None:
        if value is not None:
            fail(f"your {name} {_verb(name, 'is')} {describe_kind(value)}; None was expected")
    elif isinstance(target, str):
        _assert_text(value, target, name)
    else:
        raise TypeError(f"{name}: a target of type {type(target).__name__} cannot be compared")


def _assert_text(value: Value, target: str, name: str) -> None:
    if not isinstance(value, str):
        fail(f"your {name} {_verb(name, 'is')} {describe_kind(value)}; a str was expected")
    if value == target:
        return
    if value.strip().casefold() == target.strip().casefold():
        fail(f"your {name} {_verb(name, 'differs')} from what was expected only in upper and lower case or white space")
    if max(len(value), len(target)) <= MAX_SHOWN:
        fail(f"your {name} {_verb(name, 'is')} {value!r} where {target!r} was expected")
    place = next((i for i, pair in enumerate(zip(value, target, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        fail(f"your {name} {_verb(name, 'has')} {len(value)} characters; {len(target)} were expected")
    shown = f"{value[place : place + 8]!r} where {target[place : place + 8]!r} was expected"
    fail(f"your {name} {_verb(name, 'differs')} from what was expected at character {place + 1}: {shown}")


def _assert_numbers(
    value: Value, goal: Array, name: str, mistakes: Mapping[str, Target], tolerance: float, noun: str
) -> None:
    found = _numeric(value)
    if found is not None and found.shape not in (goal.shape, (1, *goal.shape)):
        _name_mistake(found, goal, name, mistakes, tolerance)
    yours = as_array(value, name, goal.shape, noun)
    agree = _close(yours, goal, tolerance)
    if bool(agree.all()):
        return
    _name_mistake(yours, goal, name, mistakes, tolerance)
    if np.isnan(yours).any() and not np.isnan(goal).any():
        if yours.size == 1:
            fail(f"your {name} {_verb(name, 'is')} NaN")
        fail(f"your {name} {_verb(name, 'contains')} NaN in {int(np.isnan(yours).sum())} of {yours.size} entries")
    if tolerance < FLOAT32 and _close(yours, goal, SINGLE).all():
        fail(
            f"your {name} {_verb(name, 'is')} only accurate to float32 precision; "
            f"keep the dtype of the input (no .float(); use torch.zeros_like for new tensors)"
            if noun == "tensor"
            else f"your {name} {_verb(name, 'is')} only accurate to float32 precision; compute in float64"
        )
    if relation := _relation(yours, goal, name):
        fail(f"your {name} {relation}")
    fail(f"your {_first_difference(yours, goal, agree, name)}")


def _first_difference(yours: Array, goal: Array, agree: Any, name: str) -> str:
    """Return where two arrays differ first, and by how much at most: `mean[2] after the call is 4 where ...`."""
    first = tuple(int(i) for i in np.argwhere(~np.atleast_1d(agree))[0]) if goal.ndim else ()
    shown = f"{float(yours[first]):.6g} where {float(goal[first]):.6g} was expected"
    entry = f"[{', '.join(map(str, first))}]" if first else ""
    what, where = (found[1], found[2]) if (found := WHERE.fullmatch(name)) else (name, "")
    start = f"{what}{entry}{where} {'is' if entry else _verb(name, 'is')} {shown}"
    if goal.size == 1:
        return start
    count = int((~agree).sum())
    with np.errstate(invalid="ignore"):
        largest = float(np.nan_to_num(np.abs(yours - goal)[~agree], nan=math.inf, posinf=math.inf).max())
    how_many = f"{count} of {goal.size} entries {'differs' if count == 1 else 'differ'}"
    by = f"by {largest:.3g}" if count == 1 else f"by at most {largest:.3g}"
    return f"{start}; {how_many}, {by}"


def _name_mistake(yours: Array, goal: Array, name: str, mistakes: Mapping[str, Target], tolerance: float) -> None:
    """Fail with the first mistake that equals the value, entry by entry, and differs from the target."""
    for mistake, wrong in mistakes.items():
        other = _numeric(wrong)
        if other is None or (other.shape == goal.shape and _close(other, goal, max(tolerance, 1e-7)).all()):
            continue
        if other.size == yours.size and _close(yours.ravel(), other.ravel(), max(tolerance, 1e-7)).all():
            fail(f"your {name} {_verb(name, 'matches')} {mistake}")


def _relation(yours: Array, goal: Array, name: str) -> str:
    """Return how a value as a whole differs from its target, with a verb; empty if there is no simple relation."""
    if goal.size < 3 or not goal.any() or not (np.isfinite(yours) & np.isfinite(goal)).all():
        return ""
    verb = _verb(name, "is")
    if float(np.abs(yours).max()) <= 1e-12 * float(np.abs(goal).max()):
        return f"{verb} zero everywhere"
    if goal.ndim == 2 and goal.shape[0] == goal.shape[1] and _close(yours.T, goal, 1e-7).all():
        return f"{verb} the transpose of what was expected; rows and columns are swapped"
    if _close(np.flip(yours, 0), goal, 1e-7).all():
        return f"{verb} in reverse order"
    factor = float((yours * goal).sum() / np.square(goal).sum())
    if _close(yours, factor * goal, 1e-7).all():
        if abs(factor + 1) < 1e-6:
            return f"{_verb(name, 'has')} the wrong sign"
        return f"{verb} {factor:.6g} times what was expected, in every entry"
    shift = float((yours - goal).mean())
    if _close(yours, goal + shift, 1e-7).all():
        return f"{verb} too {'large' if shift > 0 else 'small'} by {abs(shift):.6g}, in every entry"
    return ""


PLURALS = {"is": "are", "has": "have", "matches": "match", "contains": "contain", "differs": "differ"}


def _verb(name: str, singular: str) -> str:
    """Return the verb in singular or plural, judged by the ending of the name's first word: losses, not bias."""
    words = name.split(" ")
    first = words[1] if words[0].endswith("'s") and len(words) > 1 else words[0]
    plural = first.endswith("s") and not first.endswith(("ss", "as", "is", "us"))
    return PLURALS[singular] if plural else singular


def assert_deviation(
    value: Value, target: float, name: str, *, mistakes: Mapping[str, float] | None = None, tolerance: float = 0.05
) -> None:
    """Assert that random numbers have mean 0 and, within a relative tolerance, this standard deviation.

    mistakes: the standard deviations of known wrong formulas, by a name that completes "it is ...".
    """
    numbers = as_array(value, name, noun="tensor" if loaded_torch() else "array")
    if numbers.size < 2:
        fail(f"your {name} {_verb(name, 'is')} {describe_kind(value)}; many random numbers were expected")
    std, mean = float(numbers.std()), float(numbers.mean())
    has = _verb(name, "has")
    if not abs(std - target) <= tolerance * target:
        distance = {label: abs(std / other - 1) for label, other in (mistakes or {}).items()}
        known = min(distance, key=lambda label: distance[label], default="")
        it_is = f"; it is {known}" if known and distance[known] <= ALIKE else ""
        fail(f"your {name} {has} a standard deviation of {std:.4g} where {target:.4g} was expected{it_is}")
    if not abs(mean) <= 6 * target / math.sqrt(numbers.size):
        fail(f"your {name} {has} a mean of {mean:.3g}; it should be close to 0")


def assert_below(value: float, limit: float, name: str, reason: str) -> None:
    """Assert that a loss is finite and below its threshold."""
    if not math.isfinite(value):
        fail(f"{name} is {value}: training diverged; {reason}")
    if value >= limit:
        fail(f"{name} is {value:.4g}, but should be below {limit:.4g}; {reason}")


def mapping(value: Value) -> dict[str, Value]:
    """Return the value as a dict; an empty one if it is not a mapping."""
    return dict(value) if isinstance(value, Mapping) else {}


def sequence(value: Value) -> list[Value]:
    """Return the items of a list or tuple; none for anything else."""
    return list(value) if isinstance(value, list | tuple) else []


def truth(value: Value, name: str) -> bool:
    """Return the value as True or False; a tensor or array with one boolean counts as such."""
    if is_tensor(value) and value.numel() == 1 and str(value.dtype) == "torch.bool":
        return bool(value)
    if isinstance(value, np.bool_ | np.ndarray) and value.size == 1 and value.dtype.kind == "b":
        return bool(value)
    if not isinstance(value, bool):
        fail(f"your {name} {_verb(name, 'is')} {describe_kind(value)}; True or False was expected")
    return value
