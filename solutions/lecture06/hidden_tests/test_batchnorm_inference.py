"""Hidden tests of the batch normalization notebook, part 5: evaluation and folding."""

import functools
import math
from collections.abc import Callable

import pytest
import torch
from autograder.testing import (
    SINGLE,
    Observation,
    Observe,
    Value,
    agrees,
    as_tensor,
    assert_close,
    assert_unchanged,
    describe_kind,
    fail,
    mapping,
    part_in_order,
    parts,
    question,
    sequence,
)
from torch import Tensor
from torch.nn import functional as F

from .batchnorm_reference import (
    RECORDING_OFF,
    Named,
    assert_asked_in_evaluation,
    assert_full_precision,
    assert_mode_restored,
    assert_no_side_effects,
    inner,
    layer_state,
    normalise,
    observations,
    rounded,
)
from .inputs import VOCAB, normal, scale_and_shift

ROUNDING = 1e-6
"""An answer may add up the losses in single precision."""


# --- B8 ---------------------------------------------------------------------------------------------------------------

EXAMPLES = 103
CHUNKS = [25, EXAMPLES, 40, 34, 1, 0]
"""Batch sizes; 0 stands for the default. With 34 the last batch has one example."""


@functools.cache
def examples() -> tuple[Tensor, Tensor, Tensor]:
    """A table of logits (27, 27) by last token, contexts (N, 3) and targets (N,)."""
    generator = torch.Generator().manual_seed(80)
    inputs = torch.randint(VOCAB, (EXAMPLES, 3), generator=generator)
    return normal(VOCAB, VOCAB, seed=81, std=2.0), inputs, torch.randint(VOCAB, (EXAMPLES,), generator=generator)


def wrong_losses(losses: Tensor, size: int) -> dict[str, Tensor | float]:
    """Return what known wrong ways to average give for the losses (N,) of the examples."""
    chunks = losses.split(size)
    means = torch.stack([chunk.mean() for chunk in chunks])
    whole = [chunk for chunk in chunks if len(chunk) == size]
    dropped = torch.cat(whole) if whole else losses[:0]
    return {
        "the mean of the batch means; the last batch is smaller, so weight every example equally": means.mean(),
        "the perplexity; return the mean loss itself": losses.mean().exp(),
        "the loss in bits; use the natural logarithm": losses.mean() / math.log(2),
        "the sum of all losses; divide by the number of examples": losses.sum(),
        "the sum of the batch means; weight each by its batch size and divide by the number of examples": means.sum(),
        "the sum of the batch means divided by the number of examples; weight each mean by its batch size": means.sum()
        / len(losses),
        "the batch means weighted by batch_size; the last batch is smaller": size * means.sum() / len(losses),
        "the mean without the last, smaller batch; include every example": dropped.mean(),
        "the sum without the last, smaller batch, divided by N; include every example": dropped.sum() / len(losses),
        "the loss of the last batch only": means[-1],
        "the loss of the first batch only": means[0],
        "the summed losses divided by the number of batches; divide by the number of examples": losses.sum()
        / len(chunks),
        "the summed losses divided by batch_size times the number of batches; divide by the number of examples": (
            losses.sum() / (size * len(chunks))
        ),
    }


@question("B8", points=1.5, hint="Add up the losses of the examples, batch by batch, and divide once at the end.")
@pytest.mark.parametrize("size", CHUNKS, ids=lambda size: f"batch size {size}" if size else "default batch size")
def test_weighs_each_example_alike(observe: Observe, size: int) -> None:
    table, inputs, targets = examples()
    seen = observe("evaluated", table=table, normed=False, start={}, inputs=inputs, targets=targets, sizes=CHUNKS)
    run = dict(zip(CHUNKS, observations(seen["runs"]), strict=False)).get(size, Observation({}))
    logits = table[inputs[:, -1]]
    losses = F.cross_entropy(logits, targets, reduction="none")
    limit = size or 1024
    rows = [row for call in observations(run["calls"]) if isinstance(row := call["rows"], int)]
    mistakes = (
        wrong_losses(losses, limit)
        | rounded(losses.mean(), "the mean")
        | {
            "the loss with softmax before cross_entropy, which expects logits": F.cross_entropy(
                logits.softmax(1), targets
            ),
            "the accuracy; return the mean cross-entropy": (logits.argmax(1) == targets).double().mean(),
        }
    )
    if not agrees(run["returned"], losses.mean(), ROUNDING) and sum(rows) > EXAMPLES:
        fail(
            f"the model got {sum(rows)} examples where {EXAMPLES} were passed in; "
            "use inputs and targets, not data of the notebook, and each example once"
        )
    assert_close(run["returned"], losses.mean(), "loss", mistakes=mistakes, tolerance=ROUNDING)
    if any(row > limit for row in rows):
        fail("the model got more than batch_size examples at once; pass them in batches of batch_size")
    if len(rows) > math.ceil(EXAMPLES / limit):
        fail(
            f"the model was called {len(rows)} times for {EXAMPLES} examples and batch_size {limit}; "
            "pass batches of batch_size examples, of which only the last may be smaller"
        )
    stale = F.cross_entropy(-logits, targets)
    if agrees(seen["later"], losses.mean(), ROUNDING) and not agrees(stale, losses.mean(), ROUNDING):
        fail("after the model's weights changed, your loss is that of before; call the model anew in each evaluation")


@question(
    "B8", points=1, hint="In training mode a norm uses the batch and updates its running statistics: call model.eval()."
)
def test_evaluation_mode_and_an_unchanged_model(observe: Observe) -> None:
    table, inputs, targets = examples()
    gamma, beta = scale_and_shift(VOCAB, seed=82)
    start = {
        "norm.weight": gamma,
        "norm.bias": beta,
        "norm.running_mean": normal(VOCAB, seed=84),
        "norm.running_var": 0.5 + normal(VOCAB, seed=85) ** 2,
    }
    seen = observe("evaluated", table=table, normed=True, start=start, inputs=inputs, targets=targets, sizes=[EXAMPLES])
    run = (observations(seen["runs"]) or [Observation({})])[0]
    logits = table[inputs[:, -1]]
    in_training = F.cross_entropy(normalise(logits, gamma, beta, 1e-5), targets)
    assert_asked_in_evaluation(observations(run["calls"]))
    loss = as_tensor(run["returned"], "loss")
    if loss.numel() == 1 and abs(float(loss) - float(in_training)) < ROUNDING:
        fail("your loss is that of training mode; call model.eval() first")
    before, after = inner(seen["before"]), inner(seen["after"])
    for name, value in before.items():
        if not isinstance(value, Tensor) or not isinstance(after[name], Tensor) or not torch.equal(value, after[name]):
            fail(f"the model's {name} changed; evaluation must leave every parameter and buffer unchanged")
    assert_same_settings(seen, "the model's")


def assert_same_settings(seen: Observation, whose: str) -> None:
    """Assert that the attributes of a norm (eps, momentum) are the same after a call as before."""
    before, after = mapping(seen["settings"]), mapping(seen["settings after"])
    for name, value in before.items():
        if after.get(name) != value:
            fail(f"{whose} {name} is {after.get(name)} after the call and was {value} before; leave it unchanged")


@question("B8", points=1, hint="try: ... finally: model.train(was_training), with was_training read at the start.")
@pytest.mark.parametrize("fail_at", [0, 1, 3], ids=["normally", "error in the first batch", "error in the third batch"])
def test_restores_the_mode(observe: Observe, fail_at: int) -> None:
    table, inputs, targets = examples()
    seen = observe("evaluated_modes", table=table, inputs=inputs, targets=targets, batch_size=25, fail_at=fail_at)
    modes = observations(seen["modes"])
    if len(modes) != 2:
        fail("the model was not evaluated in both modes")
    for before, mode in zip((True, False), modes, strict=True):
        assert_asked_in_evaluation(observations(mode["calls"]))
        assert_mode_restored(mode["after"], before, "after an exception in the model" if fail_at else "afterwards")
        # A function that calls the model once only, whatever the batch size, fails another test.
        if not fail_at or len(observations(mode["calls"])) < fail_at:
            continue
        if not mode["raised"]:
            fail("the model raised an error, but your function did not; restore the mode and let the error propagate")
        if mode["same"] is not True:
            fail(
                f"the model raised an error, but your function raised another one ({str(mode['raised'])[:80]}); "
                "let the error itself propagate (try and finally, or a bare raise)"
            )


@question("B8", points=0.5, hint="Under torch.no_grad() nothing is saved for a backward pass; .item() returns a float.")
def test_keeps_no_graph_and_returns_a_float(observe: Observe) -> None:
    table, inputs, targets = examples()
    table = table.float()
    seen = observe("evaluated", table=table, normed=False, start={}, inputs=inputs, targets=targets, sizes=[EXAMPLES])
    run = (observations(seen["runs"]) or [Observation({})])[0]
    calls = observations(run["calls"])
    if not calls:
        fail("the model was never called")
    if any(call["graph"] is not False for call in calls):
        fail("autograd recorded the model's forward pass; evaluate under torch.no_grad()")
    if seen["gradient"] is None:
        fail("the gradients that the model's parameters had are gone; leave .grad unchanged (no zero_grad)")
    if not agrees(seen["gradient"], as_tensor(seen["held"], "gradient")):
        fail("the gradients of the model's parameters changed; evaluation needs no backward pass and no zero_grad")
    if seen["frozen"] == [True, True]:
        fail("the model's parameters no longer require gradients; leave requires_grad unchanged")
    if seen["frozen"] != [False, True]:
        fail("a parameter that was frozen before now requires a gradient; leave requires_grad unchanged")
    if seen["grad_enabled"] is not True:
        fail(RECORDING_OFF)
    if isinstance(kept := inner(seen["after"])["table"], Tensor) and kept.dtype is not torch.float32:
        fail(f"the model's float32 parameters are {str(kept.dtype)[6:]} after the call; leave their dtype unchanged")
    if run["plain"] is not True:
        fail(f"your loss is {describe_kind(run['returned'])}; return a Python float (.item())")
    if not float(run["returned"]) > 0:
        fail("your loss is not positive")


# --- B9 ---------------------------------------------------------------------------------------------------------------

FOLD_EPS = 0.07
"""The eps of a layer; different from any usual momentum."""
LARGE = 1e5
FOLDS = [(5, 5), (4, 6), (7, 3)]
"""(in, out). The first is square: there, swapping rows and columns gives a wrong result and no error."""

FoldCase = tuple[Observation, Tensor, Tensor | None, Named]


def folded(
    observe: Observe, sizes: tuple[int, int], with_bias: bool, large: bool = True, training: bool = False
) -> FoldCase:
    """Return a fold and its inputs. Large running statistics make eps irrelevant, which only the weight shows."""
    fan_in, fan_out = sizes
    weight = normal(fan_in, fan_out, seed=900 + fan_in)
    bias = normal(fan_out, seed=920 + fan_in) if with_bias else None
    state = layer_state(fan_out, seed=940 + fan_in)
    if large:
        state["running_mean"], state["running_var"] = LARGE * state["running_mean"], LARGE**2 * state["running_var"]
        bias = None if bias is None else LARGE * bias
    eps = 1e-5 if large else FOLD_EPS
    seen = observe("fold_batchnorm", weight=weight, bias=bias, start=state, eps=eps, training=training)
    return seen, weight, bias, state


def assert_folded_weight(case: FoldCase) -> None:
    _, weight, _, state = case
    gamma, var = state["gamma"], state["running_var"]
    root = torch.sqrt(var + FOLD_EPS)
    mistakes = {
        "the given weight; multiply each column by gamma / sqrt(running_var + eps)": weight,
        "the weight without gamma": weight / root,
        "the weight times gamma; also divide by sqrt(running_var + eps)": weight * gamma,
        "the weight without eps": weight * gamma / var.sqrt(),
        "the weight with the default eps; use bn.eps": weight * gamma / torch.sqrt(var + 1e-5),
        "the weight with eps outside the square root": weight * gamma / (var.sqrt() + FOLD_EPS),
        "the weight divided by running_var; divide by its square root": weight * gamma / (var + FOLD_EPS),
        "the weight divided by running_var; divide by sqrt(running_var + eps)": weight * gamma / var,
        "the weight multiplied by the standard deviation; divide by it": weight * gamma * root,
        "the weight scaled twice": weight * (gamma / root) ** 2,
        "the weight with the absolute value of gamma; keep its sign": weight * gamma.abs() / root,
        "the weight with beta for gamma; are they swapped?": weight * state["beta"] / root,
        "the transposed weight; keep the shape (in, out)": (weight * gamma / root).T,
    }
    if weight.shape[0] == weight.shape[1]:
        mistakes["the weight with its rows scaled; scale the columns, one per output"] = (
            weight * (gamma / root)[:, None]
        )
    target = weight * gamma / root
    assert_close(folded_part(case, "weight"), target, "weight", mistakes=mistakes, tolerance=SINGLE)


def folded_part(case: FoldCase, name: str) -> Value:
    """Return the weight or the bias of what `fold_batchnorm` returned."""
    return part_in_order(case[0]["returned"], name, right_fold(case), SINGLE)


def right_fold(case: FoldCase) -> Named:
    """Return the weight and the bias that `fold_batchnorm` should return."""
    _, weight, bias, state = case
    eps = FOLD_EPS if float(state["running_var"].max()) < LARGE else 1e-5
    scale = state["gamma"] / torch.sqrt(state["running_var"] + eps)
    old = torch.zeros_like(scale) if bias is None else bias
    return {"weight": weight * scale, "bias": (old - state["running_mean"]) * scale + state["beta"]}


def assert_folded_bias(case: FoldCase) -> None:
    _, _, given, state = case
    gamma, beta, mean, var = (state[name] for name in ("gamma", "beta", "running_mean", "running_var"))
    bias = torch.zeros_like(mean) if given is None else given
    root = torch.sqrt(var)
    scale = gamma / root
    mistakes = {
        "the given bias": bias,
        "beta; even without a bias, the running mean has to be subtracted": beta,
        "the bias without the running mean; subtract it first": bias * scale + beta,
        "the bias without beta": (bias - mean) * scale,
        "beta minus the scaled running mean; the old bias is missing": beta - mean * scale,
        "the bias without scaling; it passes through the norm like x W": bias + beta - mean * scale,
        "the bias with the running mean unscaled; the norm subtracts it before scaling": bias * scale - mean + beta,
        "the bias with the running mean added; subtract it": (bias + mean) * scale + beta,
        "the bias with beta scaled too; add beta after scaling": (bias - mean + beta) * scale,
        "the bias without gamma": (bias - mean) / root + beta,
        "the bias divided by running_var; divide by its square root": (bias - mean) * gamma / var + beta,
        "the bias multiplied by the standard deviation; divide by it": (bias - mean) * gamma * root + beta,
        "the bias with beta subtracted; add it": (bias - mean) * scale - beta,
        "the bias with the absolute value of gamma; keep its sign": (bias - mean) * scale.abs() + beta,
        "the bias with gamma and beta swapped": (bias - mean) * beta / root + gamma,
        "the bias with the old bias added once more, unscaled": (bias - mean) * scale + beta + bias,
    }
    target = (bias - mean) * scale + beta
    assert_close(folded_part(case, "bias"), target, "bias", mistakes=mistakes, tolerance=SINGLE)


@question(
    "B9", points=1.5, hint="The factor that multiplies x: one per output, and each output is a column of the weight."
)
@pytest.mark.parametrize("sizes", FOLDS, ids=str)
def test_folded_weight(observe: Observe, sizes: tuple[int, int]) -> None:
    assert_folded_weight(folded(observe, sizes, True, large=False))


@question("B9", points=1.25, hint="Apply the norm to the old bias: minus the mean, times the factor, plus beta.")
@pytest.mark.parametrize("sizes", [(5, 5), (3, 3)], ids=str)
def test_folded_bias(observe: Observe, sizes: tuple[int, int]) -> None:
    assert_folded_bias(folded(observe, sizes, True))


@question("B9", points=0.75, hint="No bias means a bias of zero: the running mean and beta still count.")
@pytest.mark.parametrize("sizes", FOLDS[:2], ids=str)
def test_folds_without_a_bias(observe: Observe, sizes: tuple[int, int]) -> None:
    case = folded(observe, sizes, False)
    if parts(case[0]["returned"], ("weight", "bias"))[1] is None:
        fail("the new bias is None; even if the old layer has no bias, the folded one needs one")
    assert_folded_bias(case)


@question("B9", points=0.5, hint="Return new tensors: `weight * scale` instead of `weight *= scale`.")
@pytest.mark.parametrize("training", [False, True], ids=["in evaluation mode", "in training mode"])
@pytest.mark.parametrize("with_bias", [True, False], ids=["with a bias", "without a bias"])
def test_folding_changes_nothing_that_is_given(observe: Observe, with_bias: bool, training: bool) -> None:
    case = folded(observe, (5, 5), with_bias, training=training)
    seen, weight, bias, state = case
    returned = parts(seen["returned"], ("weight", "bias"))
    assert_unchanged(seen["weight"], weight, "weight")
    if bias is not None:
        assert_unchanged(seen["bias"], bias, "bias")
    after = inner(seen["state"])
    for name, before in state.items():
        same = as_tensor(after[name], name).flatten()
        if same.shape != before.shape or not torch.equal(same, before):
            fail(f"{name} of the layer changed; leave the layer unchanged")
    if not _equal(*(sequence(seen["counts"]) or [None, None])):
        fail("num_batches_tracked of the layer changed; leave the layer unchanged")
    if isinstance(frozen := seen["frozen"], list) and frozen[:1] != frozen[1:]:
        fail("requires_grad of the layer's parameters changed; leave the layer unchanged")
    assert_no_side_effects(seen)
    if seen["training"] is not training:
        was, now = ("training", "evaluation") if training else ("evaluation", "training")
        fail(f"the layer was in {was} mode before and is in {now} mode afterwards; leave its mode unchanged")
    assert_same_settings(seen, "the layer's")
    if not (_holds(assert_folded_weight, case) or _holds(assert_folded_bias, case) or _scales_columns(case)):
        fail("not checked: neither the weight nor the bias is right yet")
    for (name, target), value in zip(right_fold(case).items(), returned, strict=True):
        assert_full_precision(value, target, name)


def _equal(count: Value, before: Value) -> bool:
    """Return whether two counts, as numbers or tensors, are the same."""
    return count is before or agrees(count, before if isinstance(before, Tensor | int | float) else torch.zeros(()))


def _scales_columns(case: FoldCase) -> bool:
    """Return whether the new weight is the old one with a factor of its own for each column, right or wrong."""
    weight = parts(case[0]["returned"], ("weight", "bias"))[0]
    if not isinstance(weight, Tensor) or weight.shape != case[1].shape or not bool(weight.isfinite().all()):
        return False
    factors = weight.detach().double() / case[1]
    return bool(((factors / factors[0] - 1).abs() < 1e-6).all()) and bool((factors[0].diff().abs() > 0).all())


def _holds(check: Callable[[FoldCase], None], case: FoldCase) -> bool:
    try:
        check(case)
    except AssertionError:
        return False
    return True
