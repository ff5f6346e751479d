"""Hidden tests of the batch normalization notebook, part 5: evaluation and folding."""

import functools
import math
from collections.abc import Callable

import pytest
import torch
from autograder.testing import (
    Observation,
    Observe,
    as_tensor,
    assert_close,
    assert_unchanged,
    describe_kind,
    fail,
    parts,
    question,
)
from torch import Tensor
from torch.nn import functional as F

from .batchnorm_reference import (
    Named,
    assert_asked_in_evaluation,
    inner,
    layer_state,
    normalise,
    observations,
)
from .inputs import VOCAB, normal, scale_and_shift

ROUNDING = 1e-6
"""A loss may be added up in single precision."""


# --- B8 ---------------------------------------------------------------------------------------------------------------

EXAMPLES = 103
CHUNKS = [25, EXAMPLES, 40, 1, 0]
"""Batch sizes; 0 stands for the default."""


@functools.cache
def examples() -> tuple[Tensor, Tensor, Tensor]:
    """A table of logits (27, 27) by last token, contexts (N, 3) and targets (N,)."""
    generator = torch.Generator().manual_seed(80)
    inputs = torch.randint(VOCAB, (EXAMPLES, 3), generator=generator)
    return normal(VOCAB, VOCAB, seed=81, std=2.0), inputs, torch.randint(VOCAB, (EXAMPLES,), generator=generator)


def wrong_losses(losses: Tensor, size: int) -> dict[str, Tensor | float]:
    """What known wrong ways to average give for the losses (N,) of the examples."""
    chunks = losses.split(size)
    means = torch.stack([chunk.mean() for chunk in chunks])
    whole = [chunk for chunk in chunks if len(chunk) == size]
    dropped = torch.cat(whole) if whole else losses[:0]
    return {
        "the mean of the batch means; the last batch is smaller, so weigh each example alike": means.mean(),
        "the perplexity; return its logarithm, the mean loss itself": losses.mean().exp(),
        "the loss in bits; the natural logarithm is meant": losses.mean() / math.log(2),
        "the sum of all losses; divide by the number of examples": losses.sum(),
        "the sum of the batch means; weigh each by its size and divide by the number of examples": means.sum(),
        "the sum of the batch means over the number of examples; weigh each mean by its size": means.sum()
        / len(losses),
        "the batch means times batch_size; the last batch is smaller": size * means.sum() / len(losses),
        "the mean without the last, smaller batch; no example may be left out": dropped.mean(),
        "the sum without the last, smaller batch; no example may be left out": dropped.sum() / len(losses),
        "the loss of the last batch alone": means[-1],
        "the loss of the first batch alone": means[0],
        "the summed losses over the number of batches; divide by the number of examples": losses.sum() / len(chunks),
    }


@question("B8", points=1.5, hint="Add up the losses of the examples, batch by batch, and divide once, at the end.")
@pytest.mark.parametrize("size", CHUNKS, ids=lambda size: f"batch size {size}" if size else "default batch size")
def test_weighs_each_example_alike(observe: Observe, size: int) -> None:
    table, inputs, targets = examples()
    seen = observe("evaluated", table=table, normed=False, start={}, inputs=inputs, targets=targets, sizes=CHUNKS)
    run = dict(zip(CHUNKS, observations(seen["runs"]), strict=False)).get(size, Observation({}))
    losses = F.cross_entropy(table[inputs[:, -1]], targets, reduction="none")
    limit = size or 1024
    assert_close(run["returned"], losses.mean(), "loss", mistakes=wrong_losses(losses, limit), tolerance=ROUNDING)
    rows = [call["rows"] for call in observations(run["calls"])]
    if any(not isinstance(row, int) or row > limit for row in rows):
        fail("the model got more than batch_size examples at once; go through them batch_size at a time")


@question("B8", points=1, hint="In training mode a norm uses the batch and moves its running statistics: model.eval().")
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
        fail("your loss is that of training mode; call model.eval() before")
    before, after = inner(seen["before"]), inner(seen["after"])
    for name, value in before.items():
        if not isinstance(value, Tensor) or not isinstance(after[name], Tensor) or not torch.equal(value, after[name]):
            fail(f"the model's {name} changed; evaluating must leave every parameter and buffer as it was")


@question("B8", points=1, hint="try: ... finally: model.train(was_training), with was_training read at the start.")
@pytest.mark.parametrize("fail_at", [0, 3], ids=["normally", "after an exception"])
def test_restores_the_mode(observe: Observe, fail_at: int) -> None:
    table, inputs, targets = examples()
    seen = observe("evaluated_modes", table=table, inputs=inputs, targets=targets, batch_size=25, fail_at=fail_at)
    modes = observations(seen["modes"])
    if len(modes) != 2:
        fail("the model was not evaluated in both modes")
    for before, mode in zip((True, False), modes, strict=True):
        assert_asked_in_evaluation(observations(mode["calls"]))
        if mode["after"] is not before:
            when = "after an exception in the model" if fail_at else "afterwards"
            was, now = ("training", "evaluation") if before else ("evaluation", "training")
            fail(f"the model was in {was} mode before and is in {now} mode {when}; restore what it was")
        if fail_at and mode["raised"] is not True:
            fail("the model raised an error and your function swallowed it; restore the mode, and let the error go on")


@question("B8", points=0.5, hint="Under torch.no_grad() nothing is kept for a backward pass; .item() gives the float.")
def test_keeps_no_graph_and_returns_a_float(observe: Observe) -> None:
    table, inputs, targets = examples()
    seen = observe("evaluated", table=table, normed=False, start={}, inputs=inputs, targets=targets, sizes=[EXAMPLES])
    run = (observations(seen["runs"]) or [Observation({})])[0]
    calls = observations(run["calls"])
    if not calls:
        fail("the model was never asked for its logits")
    if any(call["graph"] is not False for call in calls):
        fail("autograd recorded the model's forward pass; evaluate under torch.no_grad()")
    if seen["gradient"] is not False:
        fail("the model's parameters got gradients; evaluating needs no backward pass")
    if seen["needs_grad"] is not True:
        fail("the model's parameters no longer require gradients; leave requires_grad unchanged")
    if seen["grad_enabled"] is not True:
        fail("autograd is still disabled after the call; use `with torch.no_grad():`, which enables it again")
    if run["plain"] is not True:
        fail(f"your loss is {describe_kind(run['returned'])}; return a Python float (.item())")
    if not float(run["returned"]) > 0:
        fail("your loss is not positive")


# --- B9 ---------------------------------------------------------------------------------------------------------------

FOLD_EPS = 0.1
LARGE = 1e5
FOLDS = [(5, 5), (4, 6), (7, 3)]
"""(in, out). The first is square: there rows for columns give a wrong result and no error."""

FoldCase = tuple[Observation, Tensor, Tensor | None, Named]


def folded(
    observe: Observe, sizes: tuple[int, int], with_bias: bool, large: bool = True, training: bool = False
) -> FoldCase:
    """A fold and what it was given. With large running statistics eps does not count: that is the weight's to show."""
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
    seen, weight, _, state = case
    gamma, var = state["gamma"], state["running_var"]
    root = torch.sqrt(var + FOLD_EPS)
    mistakes = {
        "the given weight; multiply each column by gamma / sqrt(running_var + eps)": weight,
        "the weight without gamma": weight / root,
        "the weight times gamma alone; divide by sqrt(running_var + eps)": weight * gamma,
        "the weight without eps": weight * gamma / var.sqrt(),
        "the weight with the default eps; use that of the layer": weight * gamma / torch.sqrt(var + 1e-5),
        "the weight with eps outside the square root": weight * gamma / (var.sqrt() + FOLD_EPS),
        "the weight divided by running_var; divide by its square root": weight * gamma / (var + FOLD_EPS),
        "the weight divided by running_var without eps; it is sqrt(running_var + eps)": weight * gamma / var,
        "the weight multiplied by the standard deviation; divide by it": weight * gamma * root,
        "the weight scaled twice": weight * (gamma / root) ** 2,
        "the transposed weight; keep the shape (in, out)": (weight * gamma / root).T,
    }
    if weight.shape[0] == weight.shape[1]:
        mistakes["the weight with its rows scaled; a column belongs to an output"] = weight * (gamma / root)[:, None]
    assert_close(parts(seen["returned"], ("weight", "bias"))[0], weight * gamma / root, "weight", mistakes=mistakes)


def assert_folded_bias(case: FoldCase) -> None:
    seen, _, given, state = case
    gamma, beta, mean, var = (state[name] for name in ("gamma", "beta", "running_mean", "running_var"))
    bias = torch.zeros_like(mean) if given is None else given
    root = torch.sqrt(var)
    scale = gamma / root
    mistakes = {
        "the given bias": bias,
        "beta alone; the running mean is still there without a bias": beta,
        "the bias without the running mean; subtract it first": bias * scale + beta,
        "the bias without beta": (bias - mean) * scale,
        "beta minus the scaled running mean; the given bias is missing": beta - mean * scale,
        "the bias that is not scaled; it passes through the norm as x W does": bias + beta - mean * scale,
        "the bias with the running mean unscaled; the norm subtracts it before it scales": bias * scale - mean + beta,
        "the bias with the running mean added; subtract it": (bias + mean) * scale + beta,
        "the bias with beta scaled too; beta comes last": (bias - mean + beta) * scale,
        "the bias without gamma": (bias - mean) / root + beta,
        "the bias divided by running_var; divide by its square root": (bias - mean) * gamma / var + beta,
        "the bias multiplied by the standard deviation; divide by it": (bias - mean) * gamma * root + beta,
        "the bias with beta subtracted; add it": (bias - mean) * scale - beta,
    }
    value = parts(seen["returned"], ("weight", "bias"))[1]
    assert_close(value, (bias - mean) * scale + beta, "bias", mistakes=mistakes)


@question("B9", points=1.5, hint="Everything that multiplies x: one factor for each output, and an output is a column.")
@pytest.mark.parametrize("sizes", FOLDS, ids=str)
def test_folded_weight(observe: Observe, sizes: tuple[int, int]) -> None:
    assert_folded_weight(folded(observe, sizes, True, large=False))


@question("B9", points=1.25, hint="What the norm makes of the old bias: minus the mean, times the factor, plus beta.")
@pytest.mark.parametrize("sizes", [(5, 5), (3, 3)], ids=str)
def test_folded_bias(observe: Observe, sizes: tuple[int, int]) -> None:
    assert_folded_bias(folded(observe, sizes, True))


@question("B9", points=0.75, hint="No bias is a bias of zero: the running mean and beta are still there.")
@pytest.mark.parametrize("sizes", FOLDS[:2], ids=str)
def test_folds_without_a_bias(observe: Observe, sizes: tuple[int, int]) -> None:
    case = folded(observe, sizes, False)
    value = parts(case[0]["returned"], ("weight", "bias"))[1]
    if value is None:
        fail("the new bias is None; even without a bias before, there is one afterwards")
    assert_folded_bias(case)


@question("B9", points=0.5, hint="Return new tensors: `weight * scale`, and not `weight *= scale`.")
@pytest.mark.parametrize("training", [False, True], ids=["in evaluation mode", "in training mode"])
@pytest.mark.parametrize("with_bias", [True, False], ids=["with a bias", "without a bias"])
def test_folding_changes_nothing_that_is_given(observe: Observe, with_bias: bool, training: bool) -> None:
    case = folded(observe, (5, 5), with_bias, training=training)
    seen, weight, bias, state = case
    parts(seen["returned"], ("weight", "bias"))
    assert_unchanged(seen["weight"], weight, "weight")
    if bias is not None:
        assert_unchanged(seen["bias"], bias, "bias")
    after = inner(seen["state"])
    for name, before in state.items():
        same = as_tensor(after[name], name).flatten()
        if same.shape != before.shape or not torch.equal(same, before):
            fail(f"{name} of the layer changed; leave the layer as it is")
    if seen["training"] is not training:
        was, now = ("training", "evaluation") if training else ("evaluation", "training")
        fail(f"the layer was in {was} mode before and is in {now} mode now; leave its mode as it is")
    if not (_holds(assert_folded_weight, case) or _holds(assert_folded_bias, case)):
        fail("neither the weight nor the bias is right yet")


def _holds(check: Callable[[FoldCase], None], case: FoldCase) -> bool:
    try:
        check(case)
    except AssertionError:
        return False
    return True
