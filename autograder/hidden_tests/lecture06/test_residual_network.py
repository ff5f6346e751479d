"""Hidden tests of R1 to R3: gradient norms, the residual block, the network around the stream."""

import functools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from autograder.diagnose import as_tensor, assert_close, assert_unchanged, fail, tensors
from autograder.hidden_tests.lecture06.inputs import VOCAB, Examples, batch, names, normal
from autograder.hidden_tests.lecture06.residual_reference import (
    COLLECTED,
    SMALL,
    assert_block_initialisation,
    assert_left_alone,
    assert_shapes,
    block_forward,
    block_weights,
    mlp_head,
    mlp_logits,
    mlp_stream,
    mlp_weights,
    norm,
    plain_logits,
    plain_weights,
    wrong_blocks,
)
from autograder.score import Observation, Observe, question

# --- R1 ---------------------------------------------------------------------------------------------------------------

PLAIN = [VOCAB, 3, 4, 8, 5]
"""Sizes of a plain network: vocab_size, context_size, d_embed, d_model, n_layers."""


@functools.cache
def look() -> Examples:
    """A few examples that are not one name after the other."""
    contexts, targets = names().batches(1, 30, seed=1100)
    return Examples(contexts=contexts[0], targets=targets[0])


def weight_gradients(logits: Callable[[dict[str, Tensor]], Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of the cross-entropy for every weight by name."""
    leaves = {name: value.clone().requires_grad_() for name, value in weights.items() if "running" not in name}
    loss = F.cross_entropy(logits(weights | leaves), look().targets)
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return {n: g for n, g in zip(leaves, found, strict=True) if g is not None}


def sizes_of(gradients: dict[str, Tensor], layers: int, part: str = "fc1.weight") -> Tensor:
    return torch.stack([gradients[f"blocks.{layer}.{part}"].norm() for layer in range(layers)])


def wrong_norms(gradients: dict[str, Tensor], weights: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """What known wrong ways to measure give."""
    each = [gradients[f"blocks.{layer}.fc1.weight"] for layer in range(layers)]
    right = sizes_of(gradients, layers)
    wrong = {
        "the squared norms; take the square root": right**2,
        "the sums of absolute values; the norm is the root of the sum of squares": torch.stack(
            [g.abs().sum() for g in each]
        ),
        "the means of absolute values; the norm is the root of the sum of squares": torch.stack(
            [g.abs().mean() for g in each]
        ),
        "the largest absolute values; the norm is the root of the sum of squares": torch.stack(
            [g.abs().max() for g in each]
        ),
        "the root mean squares; the norm sums the squares": torch.stack([g.square().mean().sqrt() for g in each]),
        "the largest singular values; the norm is the root of the sum of squares": torch.stack(
            [torch.linalg.matrix_norm(g, 2) for g in each]
        ),
        "the norms of the summed loss; cross_entropy averages over the examples": right * len(look().targets),
        "the norms in reverse; item 0 belongs to the block next to the input": right.flip(0),
        "the norms of the weights; take those of their gradients": torch.stack(
            [weights[f"blocks.{layer}.fc1.weight"].norm() for layer in range(layers)]
        ),
        "the norms relative to those of the weights; do not divide": right
        / torch.stack([weights[f"blocks.{layer}.fc1.weight"].norm() for layer in range(layers)]),
    }
    for part in ("fc1.bias", "fc2.weight"):
        if f"blocks.0.{part}" in gradients:
            wrong[f"the norms at {part}; measure at fc1.weight"] = sizes_of(gradients, layers, part)
            both = (right**2 + sizes_of(gradients, layers, part) ** 2).sqrt()
            wrong[f"the norms over fc1.weight and {part} together; measure at fc1.weight alone"] = both
    return wrong


def seen_norms(observe: Observe, name: str, training: bool, stored: dict[str, Tensor]) -> Observation:
    sizes, weights = (PLAIN, plain_weights(5, seed=1110)) if name == "PlainMLP" else (SMALL, mlp_weights(SMALL, 1120))
    return observe(
        "gradient_norms",
        name=name,
        sizes=sizes,
        start=weights,
        inputs=look().contexts,
        targets=look().targets,
        training=training,
        stored=stored,
    )


@question(
    "R1",
    points=1.5,
    hint="One number for each block: the root of the sum of the squared entries of the gradient at its fc1.weight. "
    "cross_entropy takes the logits as they are.",
)
def test_norms_of_a_plain_network(observe: Observe) -> None:
    weights = plain_weights(5, seed=1110)
    gradients = weight_gradients(lambda w: plain_logits(w, look().contexts, 5), weights)
    wrong = wrong_norms(gradients, weights, 5)
    twice = weight_gradients(lambda w: torch.softmax(plain_logits(w, look().contexts, 5), 1), weights)
    wrong["the norms with softmax before cross_entropy, which takes logits"] = sizes_of(twice, 5)
    seen = seen_norms(observe, "PlainMLP", True, {})
    assert_close(seen["returned"], sizes_of(gradients, 5), "grad_norms", mistakes=wrong, tolerance=COLLECTED)


@question(
    "R1",
    points=1,
    hint="Any model with blocks that have an fc1 will do, and it is measured in the mode it is in: with batch norm in "
    "it, the two modes give different gradients.",
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_norms_of_a_residual_network_in_its_own_mode(observe: Observe, training: bool) -> None:
    weights = mlp_weights(SMALL, 1120)
    gradients = weight_gradients(lambda w: mlp_logits(w, look().contexts, 3, training), weights)
    other = weight_gradients(lambda w: mlp_logits(w, look().contexts, 3, not training), weights)
    mode = "evaluation" if training else "training"
    wrong = {f"the norms of the model in {mode} mode; leave it in the mode it is in": sizes_of(other, 3)}
    seen = seen_norms(observe, "ResidualMLP", training, {})
    assert_close(
        seen["returned"],
        sizes_of(gradients, 3),
        "grad_norms",
        mistakes=wrong | wrong_norms(gradients, weights, 3),
        tolerance=COLLECTED,
    )


@question(
    "R1",
    points=1.5,
    hint="Measuring must not disturb: gradients that were in .grad stay there, and none are added. Which function of "
    "torch.autograd hands the gradients out and stores nothing?",
)
@pytest.mark.parametrize("stored", ["none", "some", "all"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_measuring_leaves_no_trace(observe: Observe, training: bool, stored: str) -> None:
    weights = plain_weights(5, seed=1110)
    kept = {"none": [], "some": ["blocks.1.fc1.weight", "head.bias"], "all": list(weights)}[stored]
    grads = {name: normal(*weights[name].shape, seed=1130) for name in kept}
    clean, seen = seen_norms(observe, "PlainMLP", training, {}), seen_norms(observe, "PlainMLP", training, grads)
    first, second = (as_tensor(one["returned"], "grad_norms", (5,)) for one in (clean, seen))
    if not bool((first > 0).all()):
        fail("your grad_norms holds a norm that is not positive: was anything measured?")
    assert_left_alone(seen)
    mistake = "the norms of new gradients added to those that were in .grad"
    added = weight_gradients(lambda w: plain_logits(w, look().contexts, 5), weights)
    for name, value in grads.items():
        added[name] = added[name] + value
    assert_close(second, first, "grad_norms", mistakes={mistake: sizes_of(added, 5)}, tolerance=COLLECTED)


# --- R2 ---------------------------------------------------------------------------------------------------------------


@question(
    "R2", points=2, hint="The stream passes unchanged; the block reads a normalised copy and adds what it writes."
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_block_forward(observe: Observe, training: bool) -> None:
    weights, x = block_weights(6, 10, seed=1200), batch(12, 6, seed=1210)
    seen = observe("block_output", name="ResidualBlock", sizes=[6, 10], start=weights, x=x, training=training)
    assert_unchanged(seen["x"], x, "x")
    assert_close(seen["y"], block_forward(weights, x, training), "output", mistakes=wrong_blocks(weights, x, training))


@question(
    "R2",
    points=1.5,
    hint="The gradient reaches x on two ways, and both count: straight through the skip, and through the branch.",
)
def test_block_gradients(observe: Observe) -> None:
    weights, x, cotangent = block_weights(6, 10, seed=1200), batch(12, 6, seed=1210), normal(12, 6, seed=1211)
    seen = observe(
        "block_gradients",
        name="ResidualBlock",
        sizes=[6, 10],
        start=weights,
        x=x,
        cotangent=cotangent,
        training=True,
    )
    leaves = {name: value.clone().requires_grad_() for name, value in weights.items() if "running" not in name}
    leaf = x.clone().requires_grad_()
    dx, *rest = torch.autograd.grad(block_forward(weights | leaves, leaf, True), [leaf, *leaves.values()], cotangent)
    if seen["dx"] is None:
        fail("no gradient reaches the stream x; neither skip nor branch may be detached")
    fixed = x.clone().requires_grad_()
    hidden = torch.tanh(frozen_norm(weights, fixed) @ weights["fc1.weight"].T) @ weights["fc2.weight"].T
    mistakes = {
        "the gradient of the branch alone: the skip is detached, or missing": dx - cotangent,
        "the gradient of the skip alone: the branch is detached": cotangent,
        "the gradient with the batch statistics detached": torch.autograd.grad(fixed + hidden, fixed, cotangent)[0],
    }
    assert_close(seen["dx"], dx, "gradient for x", mistakes=mistakes)
    found = tensors(seen["gradients"])
    for name, goal in zip(leaves, rest, strict=True):
        if name not in found:
            fail(f"no gradient reaches {name}")
        assert_close(found[name], goal, f"gradient for {name}")


def frozen_norm(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """The training-mode norm with statistics that carry no gradient."""
    mean, var = x.detach().mean(0), x.detach().var(0, correction=0)
    return w["norm.weight"] * (x - mean) / torch.sqrt(var + 1e-5) + w["norm.bias"]


@question("R2", points=1, hint="With fc2 at zero nothing is written, so that what comes out is x itself.")
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_block_is_the_identity_without_fc2(observe: Observe, training: bool) -> None:
    weights = block_weights(6, 10, seed=1220)
    weights["fc2.weight"] = torch.zeros(6, 10, dtype=torch.float64)
    x = batch(9, 6, seed=1221)
    seen = observe("block_output", name="ResidualBlock", sizes=[6, 10], start=weights, x=x, training=training)
    y = as_tensor(seen["y"], "output", (9, 6))
    if not torch.equal(y, x):
        read = norm(weights, x, training)
        near = {"zero: the skip is missing": 0 * x, "the normalised x": read, "half of x": x / 2, "tanh of x": x.tanh()}
        known = next((name for name, value in near.items() if torch.allclose(y, value)), "")
        fail("with fc2 at zero the block does not return exactly x" + (f"; it returns {known}" if known else ""))


@question(
    "R2",
    points=1.5,
    hint="Weights are N(0, 1/fan_in); fan_in is what goes in; `scale` belongs to fc2, because fc2 writes.",
)
@pytest.mark.parametrize("scale", [None, 0.25], ids=["default scale", "scale 0.25"])
def test_block_initialisation(observe: Observe, scale: float | None) -> None:
    arguments = [96, 384] if scale is None else [96, 384, scale]
    seen = observe("block_start", name="ResidualBlock", arguments=arguments)
    assert_block_initialisation(seen["parameters"], 96, 384, 1.0 if scale is None else scale)


# --- R3 ---------------------------------------------------------------------------------------------------------------


@question("R3", points=2, hint="embedding, flatten, inp, every block in turn, norm_f, head.")
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_network_forward(observe: Observe, training: bool) -> None:
    weights, inputs = mlp_weights(SMALL, seed=1300), look().contexts
    seen = observe("network_logits", sizes=SMALL, start=weights, inputs=inputs, training=training)
    stream, head = mlp_stream(weights, inputs, 3, training), weights["head.weight"].T
    first = block_forward(weights, stream[0], training, "blocks.0.")
    same, reverse, apart = stream[0], stream[0], stream[0]
    for layer in range(3):
        same = block_forward(weights, same, training, "blocks.0.")
        reverse = block_forward(weights, reverse, training, f"blocks.{2 - layer}.")
        apart = apart + block_forward(weights, stream[0], training, f"blocks.{layer}.") - stream[0]
    backwards = weights["embedding.weight"][inputs].transpose(1, 2).flatten(1) @ weights["inp.weight"].T
    swapped = backwards + weights["inp.bias"]
    for layer in range(3):
        swapped = block_forward(weights, swapped, training, f"blocks.{layer}.")
    right = mlp_head(weights, stream[-1], training)
    mistakes = {
        "logits without norm_f": stream[-1] @ head + weights["head.bias"],
        "logits of a stream without its blocks": mlp_head(weights, stream[0], training),
        "logits of a stream that is one block short": mlp_head(weights, stream[-2], training),
        "logits of a stream without its first block": mlp_head(
            weights, skipped(weights, stream[0], training), training
        ),
        "logits of a stream through tanh": mlp_head(weights, torch.tanh(stream[-1]), training),
        "logits of tanh behind norm_f": torch.tanh(norm(weights, stream[-1], training, "norm_f.")) @ head
        + weights["head.bias"],
        "logits of the last block's input and output added": mlp_head(weights, stream[-1] + stream[-2], training),
        "logits of a stream to which every block adds its output; the block itself contains the skip": mlp_head(
            weights, doubled(weights, stream[0], training), training
        ),
        "logits of the first block applied again and again": mlp_head(weights, same, training),
        "logits of the first block alone": mlp_head(weights, first, training),
        "logits of the blocks in reverse": mlp_head(weights, reverse, training),
        "logits of blocks that all read the beginning of the stream": mlp_head(weights, apart, training),
        "logits of context vectors that are mixed up; flatten keeps each vector together": mlp_head(
            weights, swapped, training
        ),
        "probabilities; return the logits": torch.softmax(right, 1),
        "log-probabilities; return the logits": torch.log_softmax(right, 1),
    }
    assert_close(seen["logits"], right, "logits", mistakes=mistakes)


def skipped(weights: dict[str, Tensor], x: Tensor, training: bool) -> Tensor:
    for layer in (1, 2):
        x = block_forward(weights, x, training, f"blocks.{layer}.")
    return x


def doubled(weights: dict[str, Tensor], x: Tensor, training: bool) -> Tensor:
    for layer in range(3):
        x = x + block_forward(weights, x, training, f"blocks.{layer}.")
    return x


@question(
    "R3", points=1, hint="Every parameter takes part: the gradient flows back from the head through all blocks to inp."
)
def test_network_gradients_reach_every_part(observe: Observe) -> None:
    weights, inputs = mlp_weights(SMALL, seed=1310), look().contexts
    cotangent = normal(len(inputs), VOCAB, seed=1311)
    seen = observe("network_gradients", sizes=SMALL, start=weights, inputs=inputs, cotangent=cotangent)
    leaves = {name: value.clone().requires_grad_() for name, value in weights.items() if "running" not in name}
    goals = torch.autograd.grad(
        mlp_logits(weights | leaves, inputs, 3, True), list(leaves.values()), cotangent, allow_unused=True
    )
    found = tensors(seen["gradients"])
    for name, goal in zip(leaves, goals, strict=True):
        if name not in found:
            fail(f"no gradient reaches {name}: it takes no part, is detached or is not registered")
        assert goal is not None
        assert_close(found[name], goal, f"gradient for {name}")


@question(
    "R3",
    points=1.5,
    hint="nn.ModuleList with a new ResidualBlock for each layer; a plain list hides them from the optimiser.",
)
@pytest.mark.parametrize("layers", [1, 4])
def test_network_parts(observe: Observe, layers: int) -> None:
    sizes = [VOCAB, 3, 4, 8, 12, layers]
    seen = observe("network_parts", sizes=sizes)
    count, distinct = seen["blocks"], seen["distinct"]
    if not isinstance(count, int) or count != layers:
        fail(f"a model with n_layers={layers} has {count} blocks")
    found = tensors(seen["parameters"])
    if not any(name.startswith("blocks.") for name in found):
        fail(f"the blocks are hidden in a {seen['container']}: parameters() does not see them; use nn.ModuleList")
    if not isinstance(distinct, int) or distinct != layers:
        fail(f"{layers} blocks are {distinct} different objects: they share weights; build each one anew")
    reference = mlp_weights(sizes, seed=1)
    assert_shapes(found, {name: tuple(value.shape) for name, value in reference.items() if "running" not in name})


@question(
    "R3", points=1.5, hint="Every block adds to the stream: with scale 1 / sqrt(2 L) the sum of L writes stays small."
)
@pytest.mark.parametrize("layers", [2, 8])
def test_network_scales_its_blocks(observe: Observe, layers: int) -> None:
    seen = observe("network_parts", sizes=[VOCAB, 3, 4, 64, 192, layers])
    found = tensors(seen["parameters"])
    target = 1 / math.sqrt(2 * layers)
    ways = {
        "no scale": 1.0,
        "1 / sqrt(L); there is a 2 under the root": 1 / math.sqrt(layers),
        "1 / (2 L); take the square root": 1 / (2 * layers),
        "1 / L; it is the square root of 2 L": 1 / layers,
        "sqrt(2 L); divide by it": math.sqrt(2 * layers),
    }
    writes = {name: value for name, value in found.items() if name.endswith("fc2.weight")}
    if not writes:
        fail("no fc2.weight is among the parameters of the network")
    for name, value in writes.items():
        ratio = float(value.double().std(correction=0)) * math.sqrt(192)
        if not abs(ratio / target - 1) < 0.06:
            known = next((label for label, other in ways.items() if abs(ratio / other - 1) < 0.06), "")
            fail(
                f"{name} is scaled by {ratio:.3f} where 1 / sqrt(2 * {layers}) = {target:.3f} was expected"
                + (f"; this is {known}" if known else "")
            )
