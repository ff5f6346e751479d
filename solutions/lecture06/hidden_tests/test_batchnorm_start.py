"""Hidden tests of the batch normalization notebook, part 2 (a look inside): activations and starting weights."""

import math
from collections.abc import Mapping

import pytest
import torch
from autograder.testing import (
    Observe,
    agrees,
    as_dict,
    as_tensor,
    assert_close,
    assert_deviation,
    assert_unchanged,
    fail,
    parts,
    question,
)
from torch import Tensor

from .batchnorm_reference import RECORDING_OFF, inner, rounded
from .drawn import assert_different_numbers, assert_drawn_independently
from .inputs import normal

# --- B1 ---------------------------------------------------------------------------------------------------------------

KEYS = ("mean", "std", "saturated")
ROUNDING = 1e-6
"""An answer may compute in single precision."""
COARSE = 5e-3
"""How close a number must be to count as the right one, rounded or not, where its kind is tested."""

AT_THE_LIMIT = (2.0922957200349384, 2.092295720034939, 2.0922957200349392)
"""In double precision tanh of these is exactly 0.97, in torch and in NumPy. Another formula may give slightly more."""


def stats_of(observe: Observe, pre: Tensor, *keys: str, graph: bool = False) -> Mapping[str, object]:
    """Return the dictionary for pre. It needs these keys only, so that a misspelt one costs no other points."""
    seen = observe("activation_stats", pre=pre, graph=graph)
    return as_dict(seen["returned"], "result", keys)


@question(
    "B1", points=1, hint="Apply tanh first; then take one mean and one standard deviation over all N x D entries."
)
@pytest.mark.parametrize("shape", [(6, 6), (3, 11), (64, 5), (1500, 3)], ids=str)
def test_mean_and_deviation_of_the_activations(observe: Observe, shape: tuple[int, int]) -> None:
    pre = normal(*shape, seed=100, mean=0.4, std=1.5)
    h = torch.tanh(pre)
    stats = stats_of(observe, pre, "mean", "std")
    wrong = {
        "the mean of pre; apply tanh first": pre.mean(),
        "the mean of the absolute values": h.abs().mean(),
        "tanh of the mean; apply tanh first": torch.tanh(pre.mean()),
        "the mean of sigmoid(pre); apply tanh": torch.sigmoid(pre).mean(),
        "the sum; take the mean": h.sum(),
        "the standard deviation: mean and std are swapped": h.std(),
        "the median; take the mean": h.median(),
        "the mean of relu(pre); apply tanh": pre.relu().mean(),
        "one mean for each feature; take one over all entries": h.mean(0),
        "one mean for each example; take one over all entries": h.mean(1),
        **rounded(h.mean(), "the mean"),
    }
    assert_close(stats["mean"], h.mean(), "mean", mistakes=wrong, tolerance=ROUNDING)
    wrong = {
        "the standard deviation of pre; apply tanh first": pre.std(),
        "the standard deviation of sigmoid(pre); apply tanh": torch.sigmoid(pre).std(),
        "the standard error of the mean; do not divide by the square root of the number of entries": h.std()
        / math.sqrt(h.numel()),
        "the variance; take its square root": h.var(),
        "the mean: mean and std are swapped": h.mean(),
        "the variance over N; take its square root": h.var(correction=0),
        "the root mean square; subtract the mean first": h.square().mean().sqrt(),
        "the mean of the features' standard deviations; take one over all entries": h.std(0).mean(),
        "the mean of the examples' standard deviations; take one over all entries": h.std(1).mean(),
        "one standard deviation for each feature; take one over all entries": h.std(0),
        "one standard deviation for each example; take one over all entries": h.std(1),
        **rounded(h.std(), "the standard deviation"),
    }
    # torch's std divides by N - 1 and NumPy's by N. The difference does not matter here, so both are accepted.
    std = as_tensor(stats["std"], "std")
    over_n = h.std(correction=0)
    if std.numel() != 1 or abs(float(std) - float(over_n)) > ROUNDING:
        assert_close(stats["std"], h.std(), "std", mistakes=wrong, tolerance=ROUNDING)
    if agrees(stats_of(observe, pre - 1.0, "mean")["mean"], h.mean(), ROUNDING):
        fail("for other values of the same shape your mean is that of the call before; compute it in each call")


@question("B1", points=1, hint="The fraction of entries of |tanh(pre)| strictly above 0.97: a number between 0 and 1.")
def test_share_that_is_saturated(observe: Observe) -> None:
    pre = normal(32, 8, seed=110, mean=0.5, std=2.0)
    h = torch.tanh(pre)
    wrong = {
        "the fraction above 0.97 only; entries below -0.97 are saturated too": (h > 0.97).double().mean(),
        "the fraction below -0.97 only; entries above 0.97 are saturated too": (h < -0.97).double().mean(),
        "the fraction of |pre| above 0.97; compare |tanh(pre)|": (pre.abs() > 0.97).double().mean(),
        "the fraction of |pre| above 2; compare |tanh(pre)| with 0.97": (pre.abs() > 2).double().mean(),
        "the fraction of tanh(pre) squared above 0.97; compare |tanh(pre)|": (h**2 > 0.97).double().mean(),
        "the fraction of pre above 0.97; compare |tanh(pre)|": (pre > 0.97).double().mean(),
        "the fraction that is not saturated; return the saturated one": (h.abs() <= 0.97).double().mean(),
        "the number of saturated entries; divide it by the number of all entries": (h.abs() > 0.97).sum(),
        "the number of saturated entries divided by N; divide it by N x D": (h.abs() > 0.97).sum() / len(h),
        "a percentage; return a fraction between 0 and 1": 100 * (h.abs() > 0.97).double().mean(),
        "the fraction above 0.99; the limit is 0.97": (h.abs() > 0.99).double().mean(),
        "the fraction above 0.9; the limit is 0.97": (h.abs() > 0.9).double().mean(),
        "the fraction above 0.95; the limit is 0.97": (h.abs() > 0.95).double().mean(),
        "the fraction of features with a saturated entry; count entries": (h.abs() > 0.97).any(0).double().mean(),
        "the fraction of features whose entries are all saturated; count entries": (h.abs() > 0.97)
        .all(0)
        .double()
        .mean(),
        "the fraction of examples with a saturated entry; count entries": (h.abs() > 0.97).any(1).double().mean(),
        "one fraction for each feature; take one over all entries": (h.abs() > 0.97).double().mean(0),
        "one fraction for each example; take one over all entries": (h.abs() > 0.97).double().mean(1),
        **rounded((h.abs() > 0.97).double().mean(), "the fraction"),
    }
    saturated = stats_of(observe, pre, "saturated")["saturated"]
    assert_close(saturated, (h.abs() > 0.97).double().mean(), "saturated", mistakes=wrong, tolerance=ROUNDING)

    edges = torch.tensor(AT_THE_LIMIT, dtype=torch.float64)
    clear = torch.tensor([0.0, 3.0], dtype=torch.float64)
    pre = torch.cat([edges, -edges, clear]).reshape(4, 2)
    share = as_tensor(stats_of(observe, pre, "saturated")["saturated"], "saturated", ())
    operators = observe("activation_stats", pre=pre, graph=False)["operators"]
    greater = isinstance(operators, list) and any(str(name).startswith("aten::gt") for name in operators)
    if abs(float(share) - 7 / 8) <= ROUNDING:
        if greater:
            return
        fail("an entry of exactly 0.97 counts as saturated; the limit is strict (> instead of >=)")
    if not 1 / 8 - ROUNDING <= float(share) < 7 / 8:
        fail(f"your saturated is {float(share):.4g} for entries at the limit of 0.97 where 0.125 was expected")


@question("B1", points=1, hint="`.item()` turns a tensor with one element into a plain number, which keeps no graph.")
@pytest.mark.parametrize("graph", [False, True], ids=["a plain tensor", "a tensor with a graph"])
def test_plain_numbers_and_an_untouched_input(observe: Observe, graph: bool) -> None:
    pre = normal(7, 6, seed=120, std=1.2).float()
    h = torch.tanh(pre)
    stats = stats_of(observe, pre, graph=graph)
    targets = {
        "mean": [h.mean()],
        "std": [h.std(), h.std(correction=0)],
        "saturated": [(h.abs() > 0.97).double().mean()],
    }
    given = [name for name in KEYS if name in stats]
    right = [name for name in given if any(agrees(stats[name], goal, COARSE) for goal in targets[name])]
    if not right:
        fail("not checked: none of the three numbers is right yet")
    seen = observe("activation_stats", pre=pre, graph=graph)
    assert_unchanged(seen["pre"], pre, "pre")
    if seen["needs_grad"] is not graph:
        fail("requires_grad of pre is another after the call; leave it unchanged, and use pre.detach()")
    for name in given:
        if isinstance(seen["graph"], list) and name in seen["graph"]:
            fail(f"your {name} is a tensor that keeps the graph alive; return a plain number (.item())")
        if not isinstance(seen["plain"], list) or name not in seen["plain"]:
            fail(f"your {name} is a tensor or a NumPy number; return a Python float (.item())")
    if seen["grad_enabled"] is not True:
        fail(RECORDING_OFF)


# --- B2 ---------------------------------------------------------------------------------------------------------------

SHAPES = [((240, 60), {}), ((60, 240), {"gain": 1.0}), ((36, 400), {"gain": 2.5}), ((360, 40), {})]


@question(
    "B2", points=1.5, hint="The standard deviation is gain / sqrt(fan_in). In x @ W, fan_in is the number of rows of W."
)
@pytest.mark.parametrize(("shape", "options"), SHAPES, ids=[f"{s} {o}" for s, o in SHAPES])
def test_deviation_of_the_weights(observe: Observe, shape: tuple[int, int], options: dict[str, float]) -> None:
    weight = torch.full(shape, 7.0)
    seen = observe("kaiming", weight=weight, options=options, parameter=False)
    fan_in, fan_out = shape
    gain = options.get("gain", 5 / 3)
    target = gain / math.sqrt(fan_in)
    wrong = {
        "gain / sqrt(fan_out); count the inputs of a unit, which are the rows of weight": gain / math.sqrt(fan_out),
        "1 / sqrt(fan_in); multiply by the gain": 1 / math.sqrt(fan_in),
        "gain / fan_in; take the square root of fan_in": gain / fan_in,
        "the variance gain^2 / fan_in; the standard deviation is its square root": gain**2 / fan_in,
        "sqrt(gain / fan_in); the gain belongs outside the square root": math.sqrt(gain / fan_in),
        "gain * sqrt(2 / fan_in), the rule for relu": gain * math.sqrt(2 / fan_in),
        "sqrt(2 / fan_in), the rule for relu": math.sqrt(2 / fan_in),
        "gain * sqrt(2 / (fan_in + fan_out)), the Glorot rule": gain * math.sqrt(2 / (fan_in + fan_out)),
        "gain / sqrt(3 fan_in), that of a uniform distribution up to gain / sqrt(fan_in)": gain / math.sqrt(3 * fan_in),
        "5/3 / sqrt(fan_in); use the gain that is passed in": 5 / 3 / math.sqrt(fan_in),
        "gain; divide it by sqrt(fan_in)": gain,
        "gain * sqrt(fan_in); divide by the square root": gain * math.sqrt(fan_in),
        "sqrt(fan_in) / gain; invert the fraction": math.sqrt(fan_in) / gain,
        "1; multiply by gain / sqrt(fan_in)": 1.0,
        "that of a normal distribution truncated at two standard deviations; do not truncate it": 0.8796 * target,
        "that of a normal distribution truncated at one standard deviation; do not truncate it": 0.5396 * target,
        "gain / sqrt(fan_in * fan_out); only the inputs count": gain / math.sqrt(fan_in * fan_out),
    }
    drawn = as_tensor(_filled(seen, weight), "weight", shape)
    if bool((drawn == drawn.flatten()[0]).all()) or bool(drawn.isnan().all()):
        fail("all weights are equal or NaN; draw new random numbers, do not rescale the old values")
    if bool((drawn >= 0).all()) and float(drawn.mean()) < 2 * target:
        fail("no weight is negative; half of the numbers of a normal distribution around 0 are")
    assert_drawn_independently(drawn, "weight")
    assert_deviation(drawn, target, "weight", mistakes=wrong)
    assert_different_numbers(drawn, "weight")
    far = float((drawn.abs() > 2 * target).double().mean())
    if not 0.035 < far < 0.056:
        fail(
            f"{far:.1%} of the weights are more than two standard deviations from 0 where 4.6% were expected; "
            f"draw from a normal distribution"
        )
    # Of 14,400 normal numbers about 39 are this far out; the probability that none is is 1e-17.
    if float(drawn.abs().max()) < 3 * target:
        fail("no weight is more than three standard deviations from 0; do not truncate the normal distribution")


def _filled(seen: Mapping[str, object], before: Tensor) -> object:
    """Return the tensor that was filled: the given one, or the returned one where only that was."""
    weight = seen["weight"]
    changed = isinstance(weight, Tensor) and weight.shape == before.shape and not torch.equal(weight, before)
    return weight if changed or seen["returned"] is None else seen["returned"]


@question(
    "B2", points=1, hint="The underscore means in place: fill the given tensor itself, and return that same tensor."
)
def test_fills_and_returns_the_given_tensor(observe: Observe) -> None:
    weight = torch.full((30, 20), 7.0)
    seen = observe("kaiming", weight=weight, options={}, parameter=False)
    after = as_tensor(seen["weight"], "weight", (30, 20))
    if bool((after == weight).all()):
        fail("the given tensor kept its values; fill it in place instead of creating a new one")
    if bool((after == weight).any()):
        fail("part of the given tensor kept its values; fill all of it")
    if seen["needs_grad"] is not False:
        fail("a plain tensor requires a gradient after the call; leave requires_grad unchanged")
    if seen["same"] is not True:
        what = "None" if seen["returned"] is None else "a different object"
        fail(f"your function returned {what}; return the tensor that is passed in")


@question(
    "B2",
    points=0.5,
    hint="Inside `with torch.no_grad():` you can write into a parameter without autograd recording it.",
)
def test_works_on_a_parameter_unseen_by_autograd(observe: Observe) -> None:
    weight = torch.full((30, 20), 7.0)
    seen = observe("kaiming", weight=weight, options={}, parameter=True)
    after = as_tensor(seen["weight"], "weight", (30, 20))
    if bool((after == weight).all()):
        fail("the parameter kept its values; fill the given tensor in place")
    if seen["needs_grad"] is not True:
        fail("the parameter no longer requires a gradient; leave requires_grad unchanged")
    if seen["leaf"] is not True:
        fail("autograd recorded the assignment; fill the tensor inside `with torch.no_grad():`")
    if seen["grad_enabled"] is not True:
        fail(RECORDING_OFF)


@question("B2", points=1, hint="Draw from torch's global random generator, and leave its seed to the caller.")
def test_the_seed_decides_the_numbers(observe: Observe) -> None:
    weight = torch.full((12, 9), 7.0)
    seen = observe("kaiming_seeded", weight=weight, seeds=[5, 5, 6])
    drawn = parts(seen["drawn"], ("first", "again", "other", "unseeded"))
    first, again, other, unseeded = (as_tensor(_filled(inner(one), weight), "weight", (12, 9)) for one in drawn)
    if float(first.std()) < 1e-9:
        fail("all weights are equal; draw random numbers")
    if not torch.equal(first, again):
        fail("after the same torch.manual_seed the numbers differ; draw from torch's global random generator")
    if torch.equal(first, other) or torch.equal(other, unseeded):
        fail("the numbers are the same in every call; do not set a seed in kaiming_, that is up to the caller")
