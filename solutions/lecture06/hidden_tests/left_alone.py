"""Assertions that a call left a model alone, from what a probe saw of it before and after."""

from collections.abc import Container

from autograder.testing import Observation, Value, assert_same_tensors, fail, mapping, sequence, tensors

TENSORS = ("parameters", "buffers", "gradients")
"""The kinds of tensors in the condition of a model."""


def condition_after(seen: Observation) -> dict[str, Value]:
    """Return the condition of a model after a call, with the tensors that the probe only named as unchanged."""
    before, after = mapping(seen["before"]), mapping(seen["after"])
    same = mapping(after.get("same"))
    for kind in TENSORS:
        was = mapping(before.get(kind))
        kept = {name: was[name] for name in names_in(same.get(kind)) if name in was}
        after[kind] = kept | mapping(after.get(kind))
    return after


def names_in(value: Value) -> list[str]:
    """Return a list of names. Raises AssertionError for anything else, which only a forged reply contains."""
    found = [one for one in sequence(value) if isinstance(one, str)]
    if not isinstance(value, list) or len(found) != len(value):
        fail("the names in the reply cannot be read")
    return found


def apart_from(seen: Observation, names: Container[str]) -> Observation:
    """Return a model before and after a call in training mode, without the parameters of these names."""
    conditions = {"before": mapping(seen["before"]), "after": condition_after(seen)}
    for one in conditions.values():
        one["parameters"] = {key: value for key, value in tensors(one.get("parameters")).items() if key not in names}
        one["replaced"] = [name for name in names_in(one.get("replaced")) if name not in names]
    return Observation({**conditions, "training": True})


def assert_left_alone(seen: Observation) -> None:
    """Assert that a model is the same after a call as before: weights, buffers, modes, settings, gradients, hooks."""
    before, after = mapping(seen["before"]), condition_after(seen)
    if not tensors(before.get("parameters")):
        fail("the model has no weights that can be compared")
    for kind in ("parameters", "buffers"):
        assert_same_tensors(after.get(kind), before.get(kind), "the model's")
        _assert_same_dtypes(tensors(after.get(kind)), tensors(before.get(kind)))
    if not alike(after.get("modes"), before.get("modes")):
        mode = "training" if seen["training"] is True else "evaluation"
        fail(f"the model was in {mode} mode before the call, but is not afterwards; restore the original mode")
    settings = mapping(after.get("settings"))
    for name, value in mapping(before.get("settings")).items():
        if not alike(settings.get(name), value):
            fail(
                f"the model's {name} is {settings.get(name)} after the call and was {value} before; leave it unchanged"
            )
    if after.get("recording") is not True:
        fail("autograd is still disabled after the call; use `with torch.no_grad():`, which enables it again")
    if not alike(after.get("frozen"), before.get("frozen")):
        fail("requires_grad of a parameter is not what it was before the call; leave it unchanged")
    was, now = tensors(before.get("gradients")), tensors(after.get("gradients"))
    if left := sorted(set(now) - set(was)):
        fail(f"your code left a gradient in the .grad of {left[0]}, where the next training step would find it")
    if lost := sorted(set(was) - set(now)):
        fail(f"your code cleared the .grad of {lost[0]}, which was there before the call")
    assert_same_tensors(now, was, "the .grad of")
    if not alike(after.get("hooks"), before.get("hooks")):
        fail("your code left hooks on the model; remove them at the end (handle.remove())")
    for name in names_in(after.get("replaced")):
        fail(f"{name} is a new parameter, unknown to an optimiser created before; change the old one in place")
    if not alike(after.get("patched"), before.get("patched")):
        fail("your code left another forward on a part of the model; delete it at the end, or use a copy")


def alike(value: Value, other: Value) -> bool:
    """Return whether two plain values, or lists of them, are equal; False for anything else, as in a forged reply."""
    return _plain(value) and _plain(other) and bool(value == other)


def _plain(value: Value) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(one is None or isinstance(one, bool | int | float | str) for one in items)


def _assert_same_dtypes(now: dict[str, Value], was: dict[str, Value]) -> None:
    for name in was:
        kinds = [str(one[name].dtype).removeprefix("torch.") for one in (now, was)]
        if kinds[0] != kinds[1]:
            fail(f"{name} is {kinds[0]} after the call and was {kinds[1]} before; leave its dtype unchanged")
