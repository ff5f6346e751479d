"""Hidden tests of R7 and R8: the writes to the stream, the logit lens, the attribution."""

import functools

import pytest
import torch
from autograder.testing import (
    Band,
    Observation,
    Observe,
    Picture,
    Value,
    as_tensor,
    assert_close,
    assert_unchanged,
    band_of,
    bars,
    describe_kind,
    fail,
    picture,
    question,
    sequence,
)
from torch import Tensor

from .inputs import VOCAB, names
from .left_alone import assert_left_alone
from .residual_mistakes import wrong_sums, wrong_writes
from .residual_reference import (
    EPS,
    SMALL,
    in_one_tensor,
    mlp_head,
    mlp_stream,
    mlp_weights,
    mlp_writes,
)

LARGE_EPS = 0.02
"""An eps of the last norm that differs clearly from PyTorch's default."""
EVALUATION = "use evaluation mode, where norms use their running statistics and examples do not affect each other"


def settled(w: dict[str, Tensor], inputs: Tensor, layers: int) -> dict[str, Tensor]:
    """Return the weights with running statistics equal to those of this batch, so that both modes compute the same.

    A test then judges the formula whatever the mode; another test judges the mode.
    """
    w = dict(w)
    for layer, x in enumerate(mlp_stream(w, inputs, layers, True)):
        prefix = f"blocks.{layer}.norm." if layer < layers else "norm_f."
        w |= {f"{prefix}running_mean": x.mean(0), f"{prefix}running_var": x.var(0, correction=0)}
    return w


def reading(
    observe: Observe, name: str, seed: int, *, layers: int = 3, eps: float = EPS
) -> tuple[Observation, dict[str, Tensor], list[Tensor]]:
    """Return what `name` gave where both modes compute the same, the weights, and the stream."""
    sizes, inputs = [*SMALL[:-1], layers], names().train.contexts[300:312]
    weights = settled(mlp_weights(sizes, seed), inputs, layers)
    seen = observe("stream_reading", name=name, sizes=sizes, start=weights, inputs=inputs, eps=eps)
    return seen, weights, mlp_stream(weights, inputs, layers, False)


def in_order(value: Value, shape: tuple[int, int, int]) -> Value:
    """Return a list of items as one tensor, and one that is stacked along dim 1 stacked along dim 0.

    One test of each function judges how the items are stacked; for the others the numbers count.
    """
    value = in_one_tensor(value)
    if isinstance(value, Tensor) and tuple(value.shape) == (shape[1], shape[0], shape[2]):
        return value.transpose(0, 1)
    return value


def assert_uses_evaluation_mode(observe: Observe, name: str, seed: int, last: int) -> None:
    """Assert that neither the mode of the model nor the rest of the batch nor an earlier call changes the result.

    Another test asserts how many items there are.
    """
    weights, inputs = mlp_weights(SMALL, seed), names().train.contexts[300:312]

    def results(training: bool, *batches: Tensor) -> list[Tensor]:
        given = {"name": name, "sizes": SMALL, "start": weights, "training": training}
        found = sequence(observe("stream_readings", batches=list(batches), **given)["returned"])
        if len(found) != len(batches):
            fail(f"a result of {name} is missing")
        return [any_items(one, (4, len(batch), last), name) for one, batch in zip(found, batches, strict=True)]

    usual, turned, few = results(True, inputs, inputs.flip(0), inputs[:2])
    if bool((usual == usual[:, :1]).all()):
        fail(f"not checked: {name} gives the same for every example")
    if not same(results(False, inputs)[0], usual):
        fail(f"the result of {name} depends on the mode that the model is in; {EVALUATION}")
    if not same(few, usual[:, :2]):
        fail(f"{name} gives different results for two examples alone and within a batch of twelve; {EVALUATION}")
    if not same(turned, usual.flip(1)):
        fail(f"{name} gives different results for the same examples in another order; keep nothing between calls")
    if not same(results(False, inputs[:1])[0], usual[:, :1]):
        fail(f"{name} gives a different result for a single example than within a batch of twelve")


def any_items(value: Value, shape: tuple[int, int, int], name: str) -> Tensor:
    """Return a result as a tensor of this shape, but with any number of items."""
    value = in_order(value, shape)
    if isinstance(value, Tensor) and value.dim() == 2 and shape[1] == 1 and value.shape[1] == shape[2]:
        fail(f"{name} of a single example has shape {tuple(value.shape)}; keep the batch dimension (no squeeze)")
    items = len(value) if isinstance(value, Tensor) and value.dim() == 3 else shape[0]
    return as_tensor(value, name, (items, *shape[1:]))


def same(value: Tensor, other: Tensor) -> bool:
    return value.shape == other.shape and torch.allclose(value, other, rtol=1e-9, atol=1e-9)


def assert_reading_leaves_the_model_alone(observe: Observe, name: str, seed: int, training: bool) -> None:
    weights, inputs = mlp_weights(SMALL, seed), names().train.contexts[300:312]
    given = {"name": name, "sizes": SMALL, "start": weights}
    seen = observe("reading_and_model", inputs=inputs, training=training, **given)
    value = in_one_tensor(seen["returned"])
    if not isinstance(value, Tensor) or value.dim() != 3 or not bool((value != value.flatten()[:1]).any()):
        fail(f"not checked: {name} returned {describe_kind(value)} without three dimensions or with equal entries")
    assert_left_alone(seen)
    assert_unchanged(seen["inputs"], inputs, "inputs")


def assert_items(value: Value, target: Tensor, name: str, mistakes: dict[str, Tensor]) -> None:
    """Assert that a tensor agrees with its target; name a list, and a wrong number of items."""
    if isinstance(value, list | tuple) and value and all(isinstance(one, Tensor) for one in value):
        fail(f"{name} returned {describe_kind(value)}; stack the tensors along a new first dimension")
    if isinstance(value, Tensor) and value.dim() == target.dim() and value.shape[1:] == target.shape[1:]:
        if len(value) == len(target) - 1:
            fail(f"{name} returned L items; L + 1 were expected, with that of the embedding first")
        if len(value) == len(target) + 1:
            fail(f"{name} returned L + 2 items; L + 1 were expected")
    if isinstance(value, Tensor) and value.shape == target.transpose(0, 1).shape:
        fail(f"{name} has its items along dim 1; stack them along a new first dimension (dim 0)")
    assert_close(value, target, name, mistakes=mistakes)


# --- R7 ---------------------------------------------------------------------------------------------------------------


@question(
    "R7",
    points=1.5,
    hint="Nothing is lost and nothing counted twice: the writes of the embedding and all blocks add up to the stream "
    "that norm_f reads.",
)
@pytest.mark.parametrize("layers", [1, 4])
def test_writes_add_up_to_the_end_of_the_stream(observe: Observe, layers: int) -> None:
    seen, w, stream = reading(observe, "contributions", 1700, layers=layers)
    shape = (layers + 1, 12, 8)
    value = as_tensor(in_order(seen["returned"], shape), "contributions", shape)
    assert_close(value.sum(0), stream[-1], "sum of all contributions", mistakes=wrong_sums(w, stream))


def size_of_writes(writes: Tensor) -> Tensor:
    """Return the norm of each write, averaged over the examples."""
    return writes.square().sum(2).sqrt().mean(1)


@functools.cache
def right_writes() -> Band:
    """Return where the sizes of the writes of other networks lie."""
    inputs, found = names().train.contexts[300:312], []
    for index in range(20):
        weights = settled(mlp_weights(SMALL, 17000 + 100 * index), inputs, 3)
        found.append(size_of_writes(mlp_writes(mlp_stream(weights, inputs, 3, False))))
    return band_of(found)


def writes_as_bars(observe: Observe) -> Picture:
    yours = reading(observe, "contributions", 1720)[0]["returned"]
    return bars(
        "Size of each write to the stream",
        x="item of contributions (0: the embedding)",
        y="mean norm over the examples",
        at=range(4),
        yours=size_of_writes(as_tensor(yours, "contributions", (4, 12, 8))),
        band=right_writes(),
    )


@picture(writes_as_bars)
@question(
    "R7",
    points=2,
    hint="Item 0 is the stream before the first block. Item i is what block i - 1 of the list adds: the stream after "
    "it minus the stream before it.",
)
def test_each_write_is_that_of_its_block(observe: Observe) -> None:
    seen, w, stream = reading(observe, "contributions", 1720)
    assert_items(seen["returned"], mlp_writes(stream), "contributions", wrong_writes(w, stream))


@question(
    "R7",
    points=1.5,
    hint="In training mode the norms subtract this batch's mean. Whatever mode the model is in, measure in evaluation "
    "mode.",
)
def test_writes_are_those_of_evaluation_mode(observe: Observe) -> None:
    assert_uses_evaluation_mode(observe, "contributions", seed=1740, last=8)


@question(
    "R7",
    points=1,
    hint="Reading the stream changes nothing: restore the mode, and leave running statistics, weights and inputs as "
    "they are.",
)
@pytest.mark.parametrize("training", [True, False], ids=["from training", "from evaluation"])
def test_reading_the_writes_leaves_the_model_alone(observe: Observe, training: bool) -> None:
    assert_reading_leaves_the_model_alone(observe, "contributions", 1760, training)


# --- R8 ---------------------------------------------------------------------------------------------------------------


@question(
    "R8",
    points=1.5,
    hint="At every place, the head reads the stream through norm_f as if it ended there: head(norm_f(x_i)) for the "
    "stream after i blocks, from i = 0. The last item is the model's logits.",
)
def test_lens(observe: Observe) -> None:
    seen, w, stream = reading(observe, "logit_lens", 1800)
    target, writes, head = torch.stack([mlp_head(w, x, False) for x in stream]), mlp_writes(stream), w["head.weight"].T
    mistakes = {
        "the head applied to the writes; apply it to the streams, their running sum": torch.stack(
            [mlp_head(w, x, False) for x in writes]
        ),
        "the lens without norm_f": torch.stack([x @ head + w["head.bias"] for x in stream]),
        "the lens with norm_f in training mode; use evaluation mode": torch.stack(
            [mlp_head(w, x, True) for x in stream]
        ),
        "the lens without the head's bias": target - w["head.bias"],
        "probabilities; return logits": target.softmax(-1),
        "log-probabilities; return logits": target.log_softmax(-1),
        "the lens in reverse order": target.flip(0),
        "the attribution; the lens reads the streams": terms(w, writes, EPS),
        "the model's final logits in every item": target[-1:].expand_as(target),
        "the lens on a running sum over the examples; sum over the items (dim 0)": torch.stack(
            [mlp_head(w, x, False) for x in writes.cumsum(1)]
        ),
    }
    assert_items(seen["returned"], target, "logit_lens", mistakes)


def terms(w: dict[str, Tensor], writes: Tensor, eps: float) -> Tensor:
    """Return the attribution W (gamma * c / sqrt(var + eps)) of every write c. (L+1, N, V)."""
    gain = w["norm_f.weight"] / torch.sqrt(w["norm_f.running_var"] + eps)
    return (writes * gain) @ w["head.weight"].T


def wrong_terms(w: dict[str, Tensor], stream: list[Tensor], eps: float) -> dict[str, Tensor]:
    """Return what known wrong attributions give."""
    writes, head = mlp_writes(stream), w["head.weight"].T
    target = terms(w, writes, eps)
    mean, var, gamma, beta = (w[f"norm_f.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    gain = gamma / torch.sqrt(var + eps)
    constant = (beta - mean * gain) @ head + w["head.bias"]
    first = torch.zeros(len(stream), 1, 1, dtype=torch.float64)
    first[0] = 1
    last = first.flip(0)
    return {
        "the terms with the constant k in every item; leave m, beta and b out": target + constant,
        "the terms with the constant k split among the items; leave it out": target + constant / len(stream),
        "the terms with the constant k in item 0; leave it out": target + first * constant,
        "the terms with the constant k in the last item; leave it out": target + last * constant,
        "the terms with the head's bias in every item; leave it out": target + w["head.bias"],
        "the terms with the head's bias in item 0; leave it out": target + first * w["head.bias"],
        "the terms with norm_f's bias in every item; leave it out": target + beta @ head,
        "the terms with norm_f's beta and the head's bias in every item; leave both out": target
        + beta @ head
        + w["head.bias"],
        "the terms with the running mean subtracted from item 0; leave it out": target - first * ((mean * gain) @ head),
        "the terms with the running mean subtracted from every item; leave it out": target - (mean * gain) @ head,
        "the writes through the head without norm_f; multiply by gamma / sqrt(v + eps) first": writes @ head,
        "the writes through norm_f without its gamma": (writes / torch.sqrt(var + eps)) @ head,
        "the writes times gamma; also divide by the standard deviation": (writes * gamma) @ head,
        "the terms divided by the variance; take its square root": (writes * gamma / (var + eps)) @ head,
        "the terms times the standard deviation; divide by it": (writes * gamma * torch.sqrt(var + eps)) @ head,
        "the terms without eps; divide by sqrt(v + eps)": (writes * gamma / var.sqrt()) @ head,
        "the terms with eps outside the square root": (writes * gamma / (var.sqrt() + eps)) @ head,
        "the terms with eps = 1e-5; use norm_f.eps": (writes * gamma / torch.sqrt(var + EPS)) @ head,
        "the terms of the streams; use the writes": (torch.stack(stream) * gain) @ head,
        "the logit lens; use the writes, without the constant": torch.stack(
            [mlp_head(w, x, False, eps) for x in stream]
        ),
    }


@question(
    "R8",
    points=2,
    hint="An affine map without its constant is linear, so it can be applied to each write separately. Which numbers "
    "of norm_f and head multiply the stream, and which are only added?",
)
def test_attribution_of_each_write(observe: Observe) -> None:
    seen, w, stream = reading(observe, "attribution", 1820)
    assert_items(seen["returned"], terms(w, mlp_writes(stream), EPS), "attribution", wrong_terms(w, stream, EPS))


@question(
    "R8",
    points=1,
    hint="The attribution is exact for every norm_f, also for one with another eps. Sum over the items, add k = "
    "head(norm_f(0)), and compare with the logits.",
)
@pytest.mark.parametrize("layers", [1, 4])
def test_attribution_and_constant_make_the_logits(observe: Observe, layers: int) -> None:
    seen, w, stream = reading(observe, "attribution", 1840, layers=layers, eps=LARGE_EPS)
    shape = (layers + 1, 12, VOCAB)
    value = as_tensor(in_order(seen["returned"], shape), "attribution", shape)
    constant = mlp_head(w, torch.zeros(1, 8, dtype=torch.float64), False, LARGE_EPS)
    logits = mlp_head(w, stream[-1], False, LARGE_EPS)
    mistakes = {"the logits plus k: your items already contain k, which belongs to none of them": logits + constant}
    mistakes |= {name: wrong.sum(0) + constant for name, wrong in wrong_terms(w, stream, LARGE_EPS).items()}
    assert_close(value.sum(0) + constant, logits, "sum of the attributions, plus k", mistakes=mistakes)


@question(
    "R8",
    points=1,
    hint="With batch statistics the map from a write to the logits is not linear, and every example depends on the "
    "others. Whatever mode the model is in, both functions use evaluation mode.",
)
@pytest.mark.parametrize("name", ["logit_lens", "attribution"])
def test_both_use_evaluation_mode(observe: Observe, name: str) -> None:
    assert_uses_evaluation_mode(observe, name, seed=1860, last=VOCAB)


@question(
    "R8",
    points=0.5,
    hint="Both functions only read: restore the mode, and leave running statistics and weights as they are.",
)
@pytest.mark.parametrize("training", [True, False], ids=["from training", "from evaluation"])
@pytest.mark.parametrize("name", ["logit_lens", "attribution"])
def test_reading_the_logits_leaves_the_model_alone(observe: Observe, name: str, training: bool) -> None:
    assert_reading_leaves_the_model_alone(observe, name, 1880, training)
