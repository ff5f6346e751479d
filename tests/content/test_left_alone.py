"""What hidden tests say about a model before and after a call, where the reply is forged."""

from typing import Any

import pytest
import torch

from autograder.authored import load_module
from autograder.grading.observe import Observation
from autograder.sandbox.channel import Opaque
from tests import corpus

LEFT_ALONE: Any = load_module(corpus.assignment().hidden_tests_dir, "left_alone")


def condition(**changes: Any) -> dict[str, Any]:
    """Return the condition of a model with one weight and one running mean, with these changes."""
    whole = {
        "parameters": {"w": torch.ones(2)},
        "buffers": {"mean": torch.zeros(2)},
        "gradients": {"w": torch.ones(2)},
        "modes": [True, True],
        "settings": {"norm.eps": 1e-5},
        "frozen": [],
        "hooks": 0,
        "recording": True,
        "replaced": [],
        "patched": [],
    }
    return whole | changes


def unchanged(**changes: Any) -> dict[str, Any]:
    """Return what a probe tells of a model that is as before, with these changes."""
    same = {"parameters": ["w"], "buffers": ["mean"], "gradients": ["w"]}
    return condition(parameters={}, buffers={}, gradients={}, same=same) | changes


def seen(after: Any, before: Any = None) -> Observation:
    return Observation({"before": condition() if before is None else before, "after": after, "training": True})


def test_a_model_that_is_as_before_passes() -> None:
    LEFT_ALONE.assert_left_alone(seen(unchanged()))
    LEFT_ALONE.assert_left_alone(seen(condition(same={"parameters": [], "buffers": [], "gradients": []})))


ODD: list[Any] = [
    None,
    7,
    "w",
    [],
    ["other"],
    [["w"]],
    [{}],
    [None],
    {"w": "w"},
    torch.ones(2),
    [torch.ones(2)],
    Opaque("T"),
]


@pytest.mark.parametrize("kind", ["parameters", "buffers", "gradients"])
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_forged_table_of_what_is_the_same_is_a_plain_failure(kind: str, value: Any) -> None:
    same = unchanged()["same"]
    for table in (same | {kind: value}, {key: one for key, one in same.items() if key != kind}, value):
        with pytest.raises(AssertionError, match=r"is missing after|cannot be read|cleared the \.grad"):
            LEFT_ALONE.assert_left_alone(seen(unchanged(same=table)))


@pytest.mark.parametrize("key", [*condition(), "same"])
@pytest.mark.parametrize("value", [None, torch.ones(2), [torch.ones(2)], [[True]], {"w": 3}, Opaque("T")], ids=repr)
def test_a_forged_part_of_a_condition_is_a_plain_failure(key: str, value: Any) -> None:
    for after in (unchanged(**{key: value}), {name: one for name, one in unchanged().items() if name != key}, value):
        if key not in ("parameters", "buffers", "gradients") or after is value:
            with pytest.raises(AssertionError):
                LEFT_ALONE.assert_left_alone(seen(after))
            with pytest.raises(AssertionError):
                LEFT_ALONE.assert_left_alone(LEFT_ALONE.apart_from(seen(after), ["other"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": {"w": torch.ones(2).double()}}, "w is float64 after the call and was float32 before"),
        ({"buffers": {"mean": torch.zeros(2).half()}}, "mean is float16 after the call"),
        ({"parameters": {"w": torch.nextafter(torch.ones(2), torch.zeros(2))}}, "changed the model's w"),
        ({"replaced": ["w"]}, "w is a new parameter"),
        ({"patched": ["norm"]}, "another forward"),
        ({"hooks": 1}, "left hooks"),
        ({"gradients": {"w": torch.zeros(2)}}, "changed the .grad of w"),
        ({"settings": {"norm.eps": 0.0}}, "norm.eps is 0.0 after the call"),
        ({"modes": [True, False]}, "restore the original mode"),
    ],
)
def test_a_change_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        LEFT_ALONE.assert_left_alone(seen(unchanged(**change)))


def test_excepted_parameters_may_be_others() -> None:
    after = unchanged(parameters={"w": torch.zeros(2)}, replaced=["w"])
    before = condition(parameters={"w": torch.ones(2), "v": torch.ones(1)})
    after["same"]["parameters"] = ["v"]
    LEFT_ALONE.assert_left_alone(LEFT_ALONE.apart_from(seen(after, before), ["w"]))
