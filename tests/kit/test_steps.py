"""What counts as a change of names that other code relies on."""

import builtins

import pytest

from autograder.sandbox.steps import hides_builtin, is_rebound

THEN = {"helper": 1, "Layer": 2, "Layer.forward": 3}


@pytest.mark.parametrize(
    ("now", "rebound", "hides"),
    [
        (THEN, False, False),
        (THEN | {"new": 1}, False, False),
        (THEN | {"helper": 2}, True, False),
        ({"helper": 1}, True, False),
        (THEN | {"Layer.extra": 1}, True, False),
        (THEN | {"sum": 0}, False, True),
        (THEN | {"Layer.sum": 0}, True, False),
        (THEN | {"Other": 0, "Other.format": 0}, False, False),
        (THEN | {"_": 0}, False, False),
    ],
)
def test_which_names_count(monkeypatch: pytest.MonkeyPatch, now: dict[str, int], rebound: bool, hides: bool) -> None:
    monkeypatch.setattr(builtins, "_", "", raising=False)  # as in a child
    assert (is_rebound(THEN, now), hides_builtin(THEN, now)) == (rebound, hides)


def test_a_builtin_that_was_hidden_before_counts_no_more() -> None:
    assert not hides_builtin({"sum": 0}, {"sum": 0, "x": 1})
