"""Hidden tests of R2 and R3: the residual block, the network around the stream."""

import math

import pytest
import torch
from autograder.testing import Observe, Value, as_tensor, assert_close, assert_unchanged, fail, question, tensors
from torch import Tensor

from .inputs import VOCAB, batch, normal
from .residual_reference import (
    SCALE,
    SMALL,
    assert_block_initialisation,
    assert_block_layout,
    assert_layout,
    assert_own_parts,
    assert_shapes,
    block_forward,
    block_weights,
    look,
    mlp_head,
    mlp_logits,
    mlp_stream,
    mlp_weights,
    norm,
    wrong_blocks,
)

# --- R2 ---------------------------------------------------------------------------------------------------------------


@question(
    "R2", points=2, hint="The stream passes unchanged; the block reads a normalised copy and adds what it writes."
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_block_forward(observe: Observe, training: bool) -> None:
    weights, x, given = block_weights(6, 10, seed=1200), batch(12, 6, seed=1210), [6, 10, SCALE]
    seen = observe("block_output", name="ResidualBlock", arguments=given, start=weights, x=x, training=training)
    assert_block_layout(seen["layout"], 6, 10)
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
        arguments=[6, 10, SCALE],
        start=weights,
        x=x,
        cotangent=cotangent,
    )
    assert_block_layout(seen["layout"], 6, 10)
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
    seen = observe("block_output", name="ResidualBlock", arguments=[6, 10], start=weights, x=x, training=training)
    assert_block_layout(seen["layout"], 6, 10)
    y = as_tensor(seen["y"], "output", (9, 6))
    if not torch.equal(y, x):
        read = norm(weights, x, training)
        near = {"zero: the skip is missing": 0 * x, "the normalised x": read, "half of x": x / 2, "tanh of x": x.tanh()}
        known = next((name for name, value in near.items() if torch.allclose(y, value)), "")
        fail("with fc2 at zero the block does not return exactly x" + (f"; it returns {known}" if known else ""))


@question(
    "R2",
    points=1.5,
    hint="Weights are N(0, 1/fan_in), drawn separately for each block; fan_in is what goes in; `scale` belongs to fc2, "
    "because fc2 writes.",
)
@pytest.mark.parametrize("scale", [None, SCALE], ids=["default scale", "scale 0.4"])
def test_block_initialisation(observe: Observe, scale: float | None) -> None:
    arguments = [96, 384] if scale is None else [96, 384, scale]
    seen = observe("block_start", name="ResidualBlock", arguments=arguments)
    assert_block_initialisation(seen, 96, 384, 1.0 if scale is None else scale)
    x = batch(8, 96, seed=1230).float()
    y = observe("block_as_built", name="ResidualBlock", arguments=arguments, x=x)["y"]
    if not isinstance(y, Tensor) or y.dtype is not torch.float32:
        kind = str(y.dtype).removeprefix("torch.") if isinstance(y, Tensor) else type(y).__name__
        fail(f"for a float32 stream a new block returns {kind}; float32 was expected")


# --- R3 ---------------------------------------------------------------------------------------------------------------


@question("R3", points=2, hint="embedding, flatten, inp, every block in turn, norm_f, head.")
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_network_forward(observe: Observe, training: bool) -> None:
    weights, inputs = mlp_weights(SMALL, seed=1300), look().contexts
    seen = observe("network_logits", sizes=SMALL, start=weights, inputs=inputs, training=training)
    assert_network_layout(seen["layout"], SMALL)
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
    early, squashed = norm(weights, stream[0], training, "norm_f."), torch.tanh(stream[0])
    for layer in range(3):
        early = block_forward(weights, early, training, f"blocks.{layer}.")
        squashed = block_forward(weights, squashed, training, f"blocks.{layer}.")
    mistakes = {
        "logits with norm_f before the blocks; it reads the end of the stream": early @ head + weights["head.bias"],
        "logits of a stream that begins with tanh of inp's output; it begins with that output itself": mlp_head(
            weights, squashed, training
        ),
        "logits without norm_f": stream[-1] @ head + weights["head.bias"],
        "logits of a stream without its blocks": mlp_head(weights, stream[0], training),
        "logits of a stream that is one block short": mlp_head(weights, stream[-2], training),
        "logits of a stream without its first block": mlp_head(
            weights, skipped(weights, stream[0], training), training
        ),
        "logits of a stream through tanh": mlp_head(weights, torch.tanh(stream[-1]), training),
        "logits with tanh after norm_f; the head reads norm_f's output directly": torch.tanh(
            norm(weights, stream[-1], training, "norm_f.")
        )
        @ head
        + weights["head.bias"],
        "logits of a stream through relu between the blocks; nothing acts on the stream": mlp_head(
            weights, through_relu(weights, stream[0], training), training
        ),
        "logits with norm_f applied twice": norm(
            weights, norm(weights, stream[-1], training, "norm_f."), training, "norm_f."
        )
        @ head
        + weights["head.bias"],
        "logits of a norm_f in the other mode; leave the mode to train() and eval()": norm(
            weights, stream[-1], not training, "norm_f."
        )
        @ head
        + weights["head.bias"],
        "logits of a norm without the weight and bias of norm_f": norm(
            weights | {"norm_f.weight": torch.tensor(1.0), "norm_f.bias": torch.tensor(0.0)},
            stream[-1],
            training,
            "norm_f.",
        )
        @ head
        + weights["head.bias"],
        "logits of the last block alone, which reads the beginning of the stream": mlp_head(
            weights, block_forward(weights, stream[0], training, "blocks.2."), training
        ),
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


def through_relu(weights: dict[str, Tensor], x: Tensor, training: bool) -> Tensor:
    for layer in range(3):
        x = torch.relu(block_forward(weights, x, training, f"blocks.{layer}."))
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
    assert_network_layout(seen["layout"], SMALL)
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
    sizes = [VOCAB, 2 if layers == 4 else 3, 4, 8, 12, layers]
    seen = observe("network_parts", sizes=sizes)
    assert_network_layout(seen["layout"], sizes)
    assert_own_parts(seen["layout"], network_shapes(sizes))
    found = {name: list(value.shape) for name, value in tensors(seen["parameters"]).items()}
    reference = mlp_weights(sizes, seed=1)
    assert_shapes(found, {name: tuple(value.shape) for name, value in reference.items() if "running" not in name})


def assert_network_layout(layout: Value, sizes: list[int]) -> None:
    assert_layout(layout, network_shapes(sizes))


def network_shapes(sizes: list[int]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in mlp_weights(sizes, seed=1).items()}


@question(
    "R3", points=1, hint="Every block adds to the stream: with scale 1 / sqrt(2 L) the sum of L writes stays small."
)
@pytest.mark.parametrize("layers", [2, 8])
def test_network_scales_its_blocks(observe: Observe, layers: int) -> None:
    sizes = [VOCAB, 3, 4, 64, 192, layers]
    seen = observe("network_parts", sizes=sizes)
    assert_network_layout(seen["layout"], sizes)
    found = tensors(seen["parameters"])
    target = 1 / math.sqrt(2 * layers)
    ways = {
        "no scale": 1.0,
        "1 / sqrt(L); there is a 2 inside the square root": 1 / math.sqrt(layers),
        "1 / (2 L); take the square root": 1 / (2 * layers),
        "1 / L; it is the square root of 2 L": 1 / layers,
        "sqrt(2 L); divide by it": math.sqrt(2 * layers),
        "1 / sqrt(2) * L; put 2 * L into brackets": layers / math.sqrt(2),
        "1 / sqrt(2 d_model); L is the number of layers": 1 / math.sqrt(2 * 64),
        "1 / sqrt(2 d_ff); L is the number of layers": 1 / math.sqrt(2 * 192),
        "sqrt(2) * L; it is 1 / sqrt(2 * L)": layers * math.sqrt(2),
        "1 / (sqrt(2) * L); L stands inside the square root, too": 1 / (math.sqrt(2) * layers),
    }
    writes = {name: value for name, value in found.items() if name.endswith("fc2.weight")}
    if not writes:
        fail("no fc2.weight is among the parameters of the network")
    ratios = {name: float(value.double().std(correction=0)) * math.sqrt(192) for name, value in writes.items()}
    if max(ratios.values()) > 1.12 * min(ratios.values()):
        each = ", ".join(f"{ratio:.3f}" for ratio in ratios.values())
        fail(f"the blocks are scaled by {each}: each by another number, where all have 1 / sqrt(2 L)")
    for name, ratio in ratios.items():
        if ratio == 0:
            fail(f"{name} starts at zero; 1 / sqrt(2 * {layers}) = {target:.3f} is not a whole number")
        if not abs(ratio / target - 1) < 0.06:
            known = next((label for label, other in ways.items() if abs(ratio / other - 1) < 0.06), "")
            fail(
                f"{name} is scaled by {ratio:.3f} where 1 / sqrt(2 * {layers}) = {target:.3f} was expected"
                + (f"; this is {known}" if known else "")
            )


@question(
    "R3",
    points=0.5,
    hint="Leave the starting values of embedding, inp, norm_f and head to PyTorch, and those inside the blocks to "
    "ResidualBlock.",
)
def test_the_rest_starts_as_pytorch_makes_it(observe: Observe) -> None:
    sizes = [VOCAB, 3, 48, 64, 192, 2]
    seen = observe("network_parts", sizes=sizes)
    assert_network_layout(seen["layout"], sizes)
    found = tensors(seen["parameters"])
    deviations = {
        "embedding.weight": (1.0, 0.1),
        "inp.weight": ((3 * 144) ** -0.5, 0.1),
        "head.weight": ((3 * 64) ** -0.5, 0.1),
        "inp.bias": ((3 * 144) ** -0.5, 0.4),
        "head.bias": ((3 * 64) ** -0.5, 0.5),
    } | {f"blocks.{layer}.fc1.weight": (64**-0.5, 0.05) for layer in range(2)}
    if missing := [name for name in [*deviations, "norm_f.weight", "norm_f.bias"] if name not in found]:
        fail(f"{missing[0]} is not among the parameters, or stands there under another name")
    for name, (std, tolerance) in deviations.items():
        value = found[name].double()
        if not bool(value.any()):
            fail(f"{name} starts at zero; leave it as PyTorch makes it")
        if abs(float(value.std(correction=0)) / std - 1) > tolerance:
            whose = "as ResidualBlock makes it" if "blocks" in name else "as PyTorch makes it"
            fail(
                f"{name} starts with standard deviation {float(value.std(correction=0)):.4f}, not {std:.4f}; leave it {whose}"
            )
    for name, wanted in (("norm_f.weight", 1.0), ("norm_f.bias", 0.0)):
        if bool((found[name] != wanted).any()):
            fail(f"{name} does not start at {wanted:g}, as nn.BatchNorm1d makes it")
