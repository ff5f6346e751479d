"""Hidden tests of R4 and R5: how a residual network starts."""

import functools
import math

import pytest
import torch
from autograder.testing import (
    Band,
    Observation,
    Observe,
    Picture,
    Value,
    agrees,
    as_tensor,
    assert_close,
    band_of,
    curve,
    describe_kind,
    fail,
    mapping,
    picture,
    question,
    sequence,
    tensors,
)
from torch import Tensor
from torch.nn import functional as F

from .inputs import VOCAB, batch, names
from .left_alone import apart_from, assert_left_alone, condition_after
from .residual_reference import (
    COLLECTED,
    SMALL,
    in_one_tensor,
    mlp_stream,
    mlp_weights,
    mlp_writes,
    norm,
)

# --- R4 ---------------------------------------------------------------------------------------------------------------


def seen_zeroed(observe: Observe) -> tuple[Observation, Tensor]:
    stream = batch(10, 8, seed=1400)
    return observe("zero_start", sizes=SMALL, start=mlp_weights(SMALL, seed=1410), stream=stream), stream


def assert_not_a_copy(seen: Observation, function: str, changed: bool = False) -> None:
    """Assert that a function returned its model, None, or changed its model in place; one test judges what it returns.

    changed: whether the model that was passed in has been changed
    """
    kind = seen["returned"]
    if seen["same"] is not True and kind != "NoneType" and not changed:
        what = "a copy" if kind == "ResidualMLP" else f"another object, of type {kind}"
        fail(f"{function} returned {what}; change the model in place and return it")


def writes_changed(seen: Observation) -> bool:
    """Return whether the weight with which a block writes is another one after the call."""
    was, now = (tensors(one.get("parameters")) for one in (mapping(seen["before"]), condition_after(seen)))
    return any(name.endswith("fc2.weight") and not agrees(now.get(name), value) for name, value in was.items())


def assert_same_model(seen: Observation, function: str) -> None:
    assert_not_a_copy(seen, function)
    if seen["same"] is not True:
        fail(f"{function} returned None; return the model that is passed in")


@question("R4", points=1.5, hint="A block that writes exactly zero returns its input unchanged, in either mode.")
def test_every_block_starts_as_the_identity(observe: Observe) -> None:
    seen, stream = seen_zeroed(observe)
    assert_not_a_copy(seen, "zero_init_", writes_changed(seen))
    for mode in ("training", "evaluation"):
        outputs = mapping(seen["outputs"]).get(mode)
        if not isinstance(outputs, list) or len(outputs) != 3:
            fail("the model no longer has its three blocks")
        for layer, output in enumerate(outputs):
            if not torch.equal(as_tensor(output, "block's output", (10, 8)), stream):
                fail(f"block {layer} still changes the stream in {mode} mode, so it is not the identity")
    assert_same_model(seen, "zero_init_")


@question(
    "R4",
    points=1,
    hint="One weight per block is enough: that of the layer that writes to the stream. The layer that reads, and "
    "everything outside the blocks, keeps its initial values.",
)
def test_only_the_writing_layer_is_zeroed(observe: Observe) -> None:
    seen, _ = seen_zeroed(observe)
    assert_not_a_copy(seen, "zero_init_", writes_changed(seen))
    now = tensors(condition_after(seen).get("parameters"))
    was = tensors(mapping(seen["before"]).get("parameters"))
    writing = [f"blocks.{layer}.fc2.weight" for layer in range(3)]
    others = [name for name in was if name not in writing and name.endswith("weight")]
    if changed := [n for n in others if n in now and bool((now[n] == 0).all()) and not bool((was[n] == 0).all())]:
        too = " too" if all(name in now and not bool(now[name].any()) for name in writing) else ""
        fail(f"{changed[0]} is zero{too}; zero only fc2, the layer that writes to the stream")
    kept = [name for name in writing if name in now and bool(now[name].any())]
    if len(kept) == len(writing):  # another test asserts that it is zero in every block
        fail(f"{kept[0]} is not zero, but it is the layer that writes to the stream")
    if missing := [name for name in writing if name not in now]:
        fail(
            f"{missing[0]} is missing, or is the same parameter as that of another block; "
            "set its entries to zero, and keep the layer and its weight"
        )
    assert_left_alone(apart_from(seen, writing))


@question(
    "R4",
    points=1.5,
    hint="fc1's gradient has fc2 as a factor, and fc2's gradient has tanh(fc1(...)) as a factor: if both are zero, "
    "both stay zero forever. With only fc2 at zero, the first step changes fc2, and the second one fc1 too.",
)
def test_every_block_can_still_learn(observe: Observe) -> None:
    contexts, targets = names().batches(2, 32, seed=1420)
    seen = observe(
        "zero_start_learning",
        sizes=SMALL,
        start=mlp_weights(SMALL, seed=1430),
        contexts=contexts,
        targets=targets,
        lr=0.5,
    )
    steps = [tensors(step) for step in sequence(seen["steps"])]
    zeroed = bool(steps) and any(n.endswith("fc2.weight") and not bool(one.any()) for n, one in steps[0].items())
    assert_not_a_copy(seen, "zero_init_", zeroed)
    frozen = seen["frozen"]
    if isinstance(frozen, list) and frozen:
        fail(f"{frozen[0]} is frozen after zero_init_ (requires_grad is False); leave requires_grad unchanged")
    names_ = [f"blocks.{layer}.{part}.weight" for layer in range(3) for part in ("fc2", "fc1")]
    if len(steps) != 3 or any(name not in step for step in steps for name in names_):
        fail("after zero_init_ the blocks no longer have an fc1 and an fc2 with trainable weights")
    for layer in range(3):
        write, read = f"blocks.{layer}.fc2.weight", f"blocks.{layer}.fc1.weight"
        if bool(steps[0][write].any()):
            fail(f"fc2 of block {layer} does not start at zero")
        if not bool(steps[1][write].any()):
            if "head.weight" in steps[0] and not bool(steps[0]["head.weight"].any()):
                fail("no block learns in the first step, because head.weight is zero; zero only fc2")
            fail(
                f"fc2 of block {layer} is still zero after a training step; "
                "fc1 must keep its values, since they are a factor of fc2's gradient"
            )
        if torch.equal(steps[2][read], steps[0][read]):
            fail(f"fc1 of block {layer} has not changed after two training steps")


# --- R5 ---------------------------------------------------------------------------------------------------------------


def variances(stream: list[Tensor]) -> Tensor:
    return torch.stack([x.var(0, correction=0).mean() for x in stream])


def wrong_variances(weights: dict[str, Tensor], inputs: Tensor) -> dict[str, Tensor]:
    """Return what known wrong measurements of the stream's variance give."""
    stream = mlp_stream(weights, inputs, 3, True)
    writes = mlp_writes(stream)
    still = mlp_stream(weights, inputs, 3, False)
    read = [norm(weights, x, True, f"blocks.{layer}.norm.") for layer, x in enumerate(stream[:-1])]
    beginning = weights["embedding.weight"][inputs].flatten(1)
    return {
        "the variances with that of the embedding vectors as item 0; the stream begins after inp": variances(
            [beginning, *stream[1:]]
        ),
        "the variances with the one after norm_f as item L; norm_f is not part of the stream": variances(
            [*stream[:-1], norm(weights, stream[-1], True, "norm_f.")]
        ),
        "the unbiased variances (N - 1); divide by N": torch.stack([x.var(0).mean() for x in stream]),
        "the variances of the stream in evaluation mode; measure in training mode": variances(still),
        "the unbiased variances in evaluation mode; measure in training mode, and divide by N": torch.stack(
            [x.var(0).mean() for x in still]
        ),
        "the variances over all entries at once; take them per feature over the batch, then average": torch.stack(
            [x.var(correction=0) for x in stream]
        ),
        "the unbiased variances over all entries at once; take them per feature, then average": torch.stack(
            [x.var() for x in stream]
        ),
        "the variances over the features (dim 1); take them over the batch (dim 0)": torch.stack(
            [x.var(1, correction=0).mean() for x in stream]
        ),
        "the unbiased variances over the features (dim 1); take them over the batch (dim 0), divided by N": torch.stack(
            [x.var(1).mean() for x in stream]
        ),
        "the sums over the features; average them": torch.stack([x.var(0, correction=0).sum() for x in stream]),
        "the medians over the features; average them": torch.stack([x.var(0, correction=0).median() for x in stream]),
        "the standard deviations; return variances": torch.stack([x.std(0, correction=0).mean() for x in stream]),
        "the square roots of the variances; return variances": variances(stream).sqrt(),
        "the mean squares; subtract each feature's mean first": torch.stack([x.square().mean() for x in stream]),
        "the variances of the writes; measure the stream itself": variances(list(writes)),
        "the variances of what the blocks read; measure the stream before the norm": variances([*read, stream[-1]]),
        "the initial variance and those of what the blocks read after their norm; measure the stream itself": variances(
            [stream[0], *read]
        ),
        "the variances relative to the first; do not divide": variances(stream) / variances(stream)[0],
        "the variances in reverse order; item 0 is the stream before the first block": variances(stream).flip(0),
        "the running sum of the variances; do not add them up": variances(stream).cumsum(0),
    }


def seen_variances(observe: Observe, training: bool) -> tuple[Observation, dict[str, Tensor], Tensor]:
    weights, inputs = mlp_weights(SMALL, seed=1500), names().train.contexts[40:52]
    seen = observe("stream_variances", sizes=SMALL, start=weights, inputs=inputs, training=training)
    return seen, weights, inputs


def assert_no_list(value: Value) -> None:
    if not isinstance(value, Tensor):
        fail(f"stream_variance returned {describe_kind(value)}; one tensor of shape (L + 1,) was expected")


@question(
    "R5",
    points=1.5,
    hint="L + 1 places: before the first block and after each. At each: the variance of every feature over the batch, "
    "divided by N, then the mean over the features. The norms are in training mode.",
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_variance_of_the_stream(observe: Observe, training: bool) -> None:
    seen, weights, inputs = seen_variances(observe, training)
    value = seen["returned"]
    assert_no_list(value)
    if isinstance(value, Tensor) and tuple(value.shape) == (3,):
        fail("your stream_variance has L items; L + 1 were expected: one before the first block, one after each")
    if isinstance(value, Tensor) and tuple(value.shape) == (5,):
        fail("your stream_variance has L + 2 items; L + 1 were expected: the stream ends before norm_f")
    target = variances(mlp_stream(weights, inputs, 3, True))
    wrong = wrong_variances(weights, inputs)
    assert_close(value, target, "stream_variance", mistakes=wrong, tolerance=COLLECTED)


@question(
    "R5",
    points=1,
    hint="A forward pass in training mode changes the running statistics of every norm. Measure on a copy.",
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_measuring_the_variance_leaves_the_model_alone(observe: Observe, training: bool) -> None:
    seen, _, _ = seen_variances(observe, training)
    value = in_one_tensor(seen["returned"])
    if not isinstance(value, Tensor) or value.numel() < 3 or not bool((value > 0).all()):
        fail("not checked: your stream_variance contains no positive variances")
    assert_left_alone(seen)


@question(
    "R5",
    points=1.5,
    hint="Multiply every fc2, and nothing else, by 1 / sqrt(2 L); L is the number of blocks of this model.",
)
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("layers", [3, 5])
def test_scales_what_the_blocks_write(observe: Observe, layers: int, times: int) -> None:
    sizes = [*SMALL[:-1], layers]
    seen = observe("scaled_start", sizes=sizes, start=mlp_weights(sizes, seed=1510), times=times)
    assert_not_a_copy(seen, "scale_residual_init_", writes_changed(seen))
    now = tensors(condition_after(seen).get("parameters"))
    was = tensors(mapping(seen["before"]).get("parameters"))
    ways = {
        "1 / sqrt(2 * 12); L is the number of blocks of this model": 24**-0.5,
        "1 / sqrt(L); the square root is of 2 L": layers**-0.5,
        "1 / (2 L); take the square root": 1 / (2 * layers),
        "1 / L; divide by the square root of 2 L": 1 / layers,
        "sqrt(2 L); divide by it": (2 * layers) ** 0.5,
        "1 / (sqrt(2) L); L belongs inside the square root too": 1 / (2**0.5 * layers),
        "sqrt(2 / L); use 1 / sqrt(2 L)": (2 / layers) ** 0.5,
        "1 / (2 sqrt(L)); the 2 belongs inside the square root too": 0.5 * layers**-0.5,
        "1 / sqrt(2 (L + 1)); L is the number of blocks": (2 * (layers + 1)) ** -0.5,
        "1, so it is unchanged": 1.0,
        "1 / sqrt(2 L) applied twice": 1 / (2 * layers),
        "1 / sqrt(2 L) applied once for every block of the model": (2 * layers) ** (-0.5 * layers),
        "1 / sqrt(2)": 2**-0.5,
    }
    factor = (2 * layers) ** -0.5
    each = {f"blocks.{layer}.fc2.weight": (2 * (layer + 1)) ** -0.5 for layer in range(layers)}
    if all(name in now and agrees(now[name], was.get(name, 0) * own**times, COLLECTED) for name, own in each.items()):
        fail("the blocks are scaled by different factors, 1 / sqrt(2 i); L is the number of all blocks")
    for name in each:
        if name not in now or name not in was:
            fail(f"{name} is gone after the call")
        if times == 2 and agrees(now[name], was[name] * factor, COLLECTED):
            fail("called twice, it scales only once; each call must multiply the weights")
        wrong = {f"the weight times {way}": was[name] * value**times for way, value in ways.items()}
        if not bool(now[name].any()):
            fail(f"{name} is zero; multiply the existing weights by 1 / sqrt(2 L)")
        as_tensor(now[name], name, tuple(was[name].shape))
        if abs(float(F.cosine_similarity(now[name].flatten(), was[name].flatten(), dim=0))) < 0.9:
            fail(f"{name} was redrawn; multiply the existing weights")
        # A factor from torch.sqrt(torch.tensor(2 * L)) is a float32 number.
        assert_close(now[name], was[name] * factor**times, name, mistakes=wrong, tolerance=COLLECTED)
    writing = [f"blocks.{layer}.fc2.weight" for layer in range(layers)]
    for name, value in was.items():
        if name not in writing and name in now and agrees(now[name], value * factor**times, COLLECTED):
            fail(f"{name} was scaled too; scale only fc2")
    assert_left_alone(apart_from(seen, writing))
    assert_same_model(seen, "scale_residual_init_")


@functools.cache
def unscaled(layers: int, seed: int = 1520) -> dict[str, Tensor]:
    """Return weights as drawn with scale 1, for 24 features and 48 units."""
    weights = mlp_weights([VOCAB, 3, 8, 24, 48, layers], seed)
    for name, value in weights.items():
        if name.startswith("blocks.") and name.endswith(("fc1.weight", "fc2.weight")):
            weights[name] = value * 2 / math.sqrt(value.shape[1])
        elif name == "inp.weight":
            weights[name] = value * 1.5 / math.sqrt(value.shape[1])
        elif "norm" in name or name == "inp.bias":
            weights[name] = torch.ones_like(value) if name.endswith(("weight", "var")) else torch.zeros_like(value)
    return weights


GROWTH = (1.02, 2.5)
"""Limits of the stream's variance at the end, relative to its start; measured: 1.2 at every depth."""


def relative(stream: Tensor) -> Tensor:
    return stream[1:] / stream[0]


@functools.cache
def right_growth(layers: int) -> Band:
    """Return where the variance of the scaled stream lies after each block of other networks, relative to its start."""
    found, factor = [], (2 * layers) ** -0.5
    for index in range(20):
        weights = dict(unscaled(layers, 15200 + 1000 * index))
        weights |= {name: factor * value for name, value in weights.items() if name.endswith("fc2.weight")}
        found.append(relative(variances(mlp_stream(weights, names().train.contexts[:64], layers, True))))
    return band_of(found)


def seen_growth(observe: Observe, layers: int) -> Observation:
    inputs = names().train.contexts[:64]
    return observe("scaled_growth", sizes=[VOCAB, 3, 8, 24, 48, layers], start=unscaled(layers), inputs=inputs)


def growth_over_depth(observe: Observe, layers: int) -> Picture:
    return curve(
        f"Variance of the stream over {layers} blocks, after scale_residual_init_",
        x="block",
        y="stream_variance after it / at the start",
        yours=relative(
            as_tensor(in_one_tensor(seen_growth(observe, layers)["scaled"]), "stream_variance", (layers + 1,))
        ),
        band=right_growth(layers),
    )


@picture(growth_over_depth)
@question(
    "R5",
    points=1,
    hint="Without the factor, L independent writes make the variance grow with L. With it, their sum has half the "
    "variance of one write, at any depth. Do your two functions show this together?",
)
@pytest.mark.parametrize("layers", [4, 32])
def test_the_scaled_stream_does_not_grow_with_depth(observe: Observe, layers: int) -> None:
    seen = seen_growth(observe, layers)
    wild, tame = (
        as_tensor(in_one_tensor(seen[key]), "stream_variance", (layers + 1,)) for key in ("unscaled", "scaled")
    )
    assert_not_a_copy(seen, "scale_residual_init_", not agrees(tame, wild))
    growth, kept = float(wild[-1] / wild[0]), float(tame[-1] / tame[0])
    if not growth > 1 + 0.15 * layers:
        fail(
            f"without the factor, stream_variance grows only {growth:.2f}-fold over {layers} blocks; "
            "measure the stream itself"
        )
    if not GROWTH[0] < kept < GROWTH[1]:
        fail(
            f"after scale_residual_init_ the variance at the end is {kept:.2f} times that at the start over {layers} "
            f"blocks; between {GROWTH[0]} and {GROWTH[1]} was expected"
        )
