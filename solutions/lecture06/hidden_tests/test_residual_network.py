"""Hidden tests of R2 and R3: the residual block, the network around the stream."""

import math

import pytest
import torch
from autograder.testing import (
    Observe,
    Value,
    agrees,
    as_tensor,
    assert_close,
    assert_unchanged,
    fail,
    mapping,
    question,
    tensors,
)
from torch import Tensor

from .batchnorm_reference import sizes_passed_in
from .drawn import assert_normal, assert_within
from .inputs import VOCAB, batch, normal
from .left_alone import alike, names_in
from .residual_mistakes import wrong_blocks, wrong_networks
from .residual_reference import (
    SCALE,
    SMALL,
    assert_block_initialisation,
    assert_forward_state,
    assert_keeps_batch,
    assert_layout,
    assert_own_parts,
    assert_shapes,
    block_forward,
    block_shapes,
    block_weights,
    layout_first,
    look,
    mlp_logits,
    mlp_stream,
    mlp_weights,
    norm,
    present,
)

# --- R2 ---------------------------------------------------------------------------------------------------------------


@question(
    "R2", points=1.5, hint="The stream passes through unchanged; the block reads a normalised copy and adds its output."
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_block_forward(observe: Observe, training: bool) -> None:
    weights, x, given = block_weights(6, 10, seed=1200), batch(12, 6, seed=1210), [6, 10, SCALE]
    seen = observe("block_output", name="ResidualBlock", arguments=given, start=weights, x=x, training=training)
    w = present(weights, seen)
    with layout_first(seen["layout"], block_shapes(6, 10)):
        assert_unchanged(seen["x"], x, "x")
        right = block_forward(w, x, training)
        assert_repeats(seen["y"], seen["again"], right, "output")
        assert_close(seen["y"], right, "output", mistakes=wrong_blocks(w, x, training))


def assert_repeats(first: Value, again: Value, right: Tensor, what: str) -> None:
    """Assert that a wrong result is the same in a second call on the same input."""
    if not agrees(first, right) and not agrees(again, as_tensor(first, what, tuple(right.shape))):
        fail("two calls on the same input give different outputs; leave out dropout and everything else random")


@question(
    "R2",
    points=0.5,
    hint="Call self.norm once, in the mode of the block: in training it updates its statistics itself.",
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_norm_updates_its_statistics_in_training_only(observe: Observe, training: bool) -> None:
    weights, x, given = block_weights(6, 10, seed=1240), batch(12, 6, seed=1250), [6, 10, SCALE]
    seen = observe("block_output", name="ResidualBlock", arguments=given, start=weights, x=x, training=training)
    with layout_first(seen["layout"], block_shapes(6, 10)):
        w = present(weights, seen)
        if not agrees(seen["y"], block_forward(w, x, training)):
            fail("not checked: the output of the block is not right yet")
        assert_forward_state(seen, {"norm.": x}, weights, training)


@question(
    "R2", points=0.5, hint="In evaluation mode a batch may hold a single example: (1, d_model) in, (1, d_model) out."
)
def test_block_on_a_single_example(observe: Observe) -> None:
    weights, x, given = block_weights(6, 10, seed=1260), batch(1, 6, seed=1261), [6, 10, SCALE]
    seen = observe("block_output", name="ResidualBlock", arguments=given, start=weights, x=x, training=False)
    with layout_first(seen["layout"], block_shapes(6, 10)):
        w = present(weights, seen)
        mistakes = wrong_blocks(w, x, False)
        assert_keeps_batch(seen["y"], block_forward(w, x, False), "output", mistakes)


@question(
    "R2",
    points=1.5,
    hint="The gradient reaches x along two paths, and both count: through the skip, and through the branch.",
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
    weights = present(weights, seen)
    if seen["dx"] is None:
        assert_layout(seen["layout"], block_shapes(6, 10))
        fail("no gradient reaches the stream x; do not detach the skip or the branch")
    leaves = {name: value.clone().requires_grad_() for name, value in weights.items() if "running" not in name}
    leaf = x.clone().requires_grad_()
    dx, *rest = torch.autograd.grad(block_forward(weights | leaves, leaf, True), [leaf, *leaves.values()], cotangent)
    fixed = x.clone().requires_grad_()
    hidden = torch.tanh(frozen_norm(weights, fixed) @ weights["fc1.weight"].T) @ weights["fc2.weight"].T
    mistakes = {
        "the gradient of the branch only: the skip is detached or missing": dx - cotangent,
        "the gradient of the skip only: the branch is detached": cotangent,
        "the gradient with the batch statistics detached; let gradients flow through them": torch.autograd.grad(
            fixed + hidden, fixed, cotangent
        )[0],
    }
    found = tensors(seen["gradients"])
    with layout_first(seen["layout"], block_shapes(6, 10)):
        assert_close(seen["dx"], dx, "gradient for x", mistakes=mistakes)
        for name, goal in zip(leaves, rest, strict=True):
            if name not in found:
                fail(f"no gradient reaches {name}")
            assert_close(found[name], goal, f"gradient for {name}")


def frozen_norm(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return the training-mode norm with statistics that carry no gradient."""
    mean, var = x.detach().mean(0), x.detach().var(0, correction=0)
    return w.get("norm.weight", 1.0) * (x - mean) / torch.sqrt(var + 1e-5) + w.get("norm.bias", 0.0)


@question("R2", points=0.5, hint="With fc2 at zero nothing is written, so the output is x itself.")
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_block_is_the_identity_without_fc2(observe: Observe, training: bool) -> None:
    weights = block_weights(6, 10, seed=1220)
    weights["fc2.weight"] = torch.zeros(6, 10, dtype=torch.float64)
    x = batch(9, 6, seed=1221)
    seen = observe("block_output", name="ResidualBlock", arguments=[6, 10], start=weights, x=x, training=training)
    y = as_tensor(seen["y"], "output", (9, 6))
    if not torch.equal(y, x):
        assert_layout(seen["layout"], block_shapes(6, 10))
        read = norm(present(weights, seen), x, training)
        near = {"zero: the skip is missing": 0 * x, "the normalised x": read, "half of x": x / 2, "tanh of x": x.tanh()}
        known = next((name for name, value in near.items() if torch.allclose(y, value)), "")
        fail("with fc2 at zero, the block does not return exactly x" + (f"; it returns {known}" if known else ""))


@question(
    "R2",
    points=1.5,
    hint="Weights are N(0, 1/fan_in), drawn separately for each block; fan_in is the number of inputs; `scale` belongs "
    "to fc2, which writes to the stream.",
)
@pytest.mark.parametrize("scale", [None, SCALE], ids=["default scale", "scale 0.4"])
def test_block_initialisation(observe: Observe, scale: float | None) -> None:
    arguments = [48, 192] if scale is None else [48, 192, scale]
    seen = observe("block_start", name="ResidualBlock", arguments=arguments)
    assert_block_initialisation(seen, 48, 192, 1.0 if scale is None else scale)
    x = batch(8, 48, seed=1230).float()
    y = observe("block_as_built", name="ResidualBlock", arguments=arguments, x=x)["y"]
    if not isinstance(y, Tensor) or y.dtype is not torch.float32:
        kind = str(y.dtype).removeprefix("torch.") if isinstance(y, Tensor) else type(y).__name__
        fail(f"for a float32 input a new block returns {kind}; float32 was expected")


# --- R3 ---------------------------------------------------------------------------------------------------------------


@question("R3", points=1.5, hint="embedding, flatten, inp, every block in turn, norm_f, head.")
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_network_forward(observe: Observe, training: bool) -> None:
    weights, inputs = mlp_weights(SMALL, seed=1300), look().contexts
    with sizes_passed_in(SMALL):
        seen = observe("network_logits", sizes=SMALL, start=weights, inputs=inputs, training=training)
    weights = present(weights, seen)
    right = mlp_logits(weights, inputs, 3, training)
    with layout_first(seen["layout"], network_shapes(SMALL)):
        assert_repeats(seen["logits"], seen["again"], right, "logits")
        assert_close(seen["logits"], right, "logits", mistakes=wrong_networks(weights, inputs, training))


@question(
    "R3",
    points=0.5,
    hint="Every norm updates its statistics once in each forward pass in training, and never in evaluation.",
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_norms_update_their_statistics_in_training_only(observe: Observe, training: bool) -> None:
    weights, inputs = mlp_weights(SMALL, seed=1320), look().contexts
    seen = observe("network_logits", sizes=SMALL, start=weights, inputs=inputs, training=training)
    with layout_first(seen["layout"], network_shapes(SMALL)):
        w = present(weights, seen)
        if not agrees(seen["logits"], mlp_logits(w, inputs, 3, training)):
            fail("not checked: the logits are not right yet")
        stream = mlp_stream(w, inputs, 3, training)
        norms = {f"blocks.{layer}.norm.": x for layer, x in enumerate(stream[:-1])} | {"norm_f.": stream[-1]}
        assert_forward_state(seen, norms, weights, training)


OTHER_SIZES = [11, 2, 5, 6, 9, 3]
"""Sizes of another network: vocab_size, context_size, d_embed, d_model, d_ff, n_layers."""


@question("R3", points=0.5, hint="Use the sizes that are passed to __init__; a batch may hold a single context.")
@pytest.mark.parametrize("count", [7, 1], ids=["seven contexts", "one context"])
def test_network_of_other_sizes(observe: Observe, count: int) -> None:
    weights = mlp_weights(OTHER_SIZES, seed=1330)
    inputs = torch.randint(11, (count, 2), generator=torch.Generator().manual_seed(1331))
    with sizes_passed_in(OTHER_SIZES):
        seen = observe("network_logits", sizes=OTHER_SIZES, start=weights, inputs=inputs, training=False)
    with layout_first(seen["layout"], network_shapes(OTHER_SIZES)):
        weights = present(weights, seen)
        target, mistakes = mlp_logits(weights, inputs, 3, False), wrong_networks(weights, inputs, False)
        assert_keeps_batch(seen["logits"], target, "logits", mistakes)


@question(
    "R3", points=1, hint="Every parameter is used: the gradient flows from the head back through all blocks to inp."
)
def test_network_gradients_reach_every_part(observe: Observe) -> None:
    weights, inputs = mlp_weights(SMALL, seed=1310), look().contexts
    cotangent = normal(len(inputs), VOCAB, seed=1311)
    seen = observe("network_gradients", sizes=SMALL, start=weights, inputs=inputs, cotangent=cotangent)
    assert_blocks_listed(seen["layout"])
    weights = present(weights, seen)
    leaves = {name: value.clone().requires_grad_() for name, value in weights.items() if "running" not in name}
    goals = torch.autograd.grad(
        mlp_logits(weights | leaves, inputs, 3, True), list(leaves.values()), cotangent, allow_unused=True
    )
    found = tensors(seen["gradients"])
    with layout_first(seen["layout"], network_shapes(SMALL)):
        for name, goal in zip(leaves, goals, strict=True):
            if name not in found:
                fail(f"no gradient reaches {name}: it is not used, detached or not registered")
            assert_close(found[name], goal, f"gradient for {name}")


@question(
    "R3",
    points=1.25,
    hint="nn.ModuleList with a new ResidualBlock for each layer; a plain list hides them from the optimiser.",
)
@pytest.mark.parametrize("layers", [1, 4])
def test_network_parts(observe: Observe, layers: int) -> None:
    sizes = [VOCAB, 2 if layers == 4 else 3, 4, 8, 12, layers]
    seen = observe("network_parts", sizes=sizes, ending="")
    assert_network_layout(seen["layout"], sizes)
    assert_blocks_listed(seen["layout"])
    if not alike(container := mapping(seen["layout"]).get("container"), ""):
        fail(f"blocks is a {container}; use nn.ModuleList, so that model.blocks[i] = ... changes the network too")
    assert_own_parts(seen["layout"], network_shapes(sizes))
    found = {name: list(value.shape) for name, value in tensors(seen["parameters"]).items()}
    reference = mlp_weights(sizes, seed=1)
    assert_shapes(found, {name: tuple(value.shape) for name, value in reference.items() if "running" not in name})


def assert_network_layout(layout: Value, sizes: list[int]) -> None:
    assert_layout(layout, network_shapes(sizes))


def assert_blocks_listed(layout: Value) -> None:
    """Assert that the model itself lists the parameters of its blocks."""
    if not alike((found := mapping(layout)).get("hidden"), 0):
        fail(f"the blocks are stored in a {found.get('container')}, invisible to parameters(); use nn.ModuleList")


def network_shapes(sizes: list[int]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in mlp_weights(sizes, seed=1).items()}


@question(
    "R3", points=0.75, hint="Every block adds to the stream: with scale 1 / sqrt(2 L) the sum of L writes stays small."
)
@pytest.mark.parametrize("layers", [2, 8])
def test_network_scales_its_blocks(observe: Observe, layers: int) -> None:
    sizes = [VOCAB, 3, 4, 48, 160, layers]
    seen = observe("network_parts", sizes=sizes, ending="fc2.weight")
    found = tensors(seen["parameters"])
    target = 1 / math.sqrt(2 * layers)
    ways = {
        "no scale": 1.0,
        "1 / sqrt(L); the square root is of 2 L": 1 / math.sqrt(layers),
        "1 / (2 L); take the square root": 1 / (2 * layers),
        "1 / L; divide by the square root of 2 L": 1 / layers,
        "sqrt(2 L); divide by it": math.sqrt(2 * layers),
        "1 / sqrt(2) * L; put 2 * L in parentheses": layers / math.sqrt(2),
        "1 / sqrt(2 d_model); L is the number of layers": 1 / math.sqrt(2 * 48),
        "1 / sqrt(2 d_ff); L is the number of layers": 1 / math.sqrt(2 * 160),
        "sqrt(2) * L; use 1 / sqrt(2 * L)": layers * math.sqrt(2),
        "1 / (sqrt(2) * L); L belongs inside the square root too": 1 / (math.sqrt(2) * layers),
    }
    writes = {name: value for name, value in found.items() if name.endswith("fc2.weight")}
    if len(writes) != layers:
        assert_network_layout(seen["layout"], sizes)
        fail(f"the network has {len(writes)} parameters named fc2.weight; {layers} were expected")
    ratios = {name: float(value.double().std(correction=0)) * math.sqrt(160) for name, value in writes.items()}
    if max(ratios.values()) > 1.12 * min(ratios.values()):
        each = ", ".join(f"{ratio:.3f}" for ratio in ratios.values())
        fail(f"the blocks are scaled by different numbers ({each}); scale all of them by 1 / sqrt(2 L)")
    for name, ratio in ratios.items():
        if ratio == 0:
            fail(f"{name} starts at zero; scale it by 1 / sqrt(2 * {layers}) = {target:.3f}, without integer division")
        if not abs(ratio / target - 1) < 0.06:
            known = next((label for label, other in ways.items() if abs(ratio / other - 1) < 0.06), "")
            fail(
                f"{name} is scaled by {ratio:.3f} where 1 / sqrt(2 * {layers}) = {target:.3f} was expected"
                + (f"; this is {known}" if known else "")
            )
        assert_normal(writes[name], ratio / math.sqrt(160), name)


@question(
    "R3",
    points=0.5,
    hint="Leave the initialisation of embedding, inp, norm_f and head to PyTorch, and that of the blocks to "
    "ResidualBlock.",
)
def test_the_rest_starts_as_pytorch_makes_it(observe: Observe) -> None:
    sizes = [VOCAB, 3, 48, 64, 96, 2]
    seen = observe("network_parts", sizes=sizes, ending="")
    found = tensors(seen["parameters"])
    deviations = {
        "embedding.weight": (1.0, 0.1),
        "inp.weight": ((3 * 144) ** -0.5, 0.1),
        "head.weight": ((3 * 64) ** -0.5, 0.1),
        "inp.bias": ((3 * 144) ** -0.5, 0.4),
        "head.bias": ((3 * 64) ** -0.5, 0.5),
    } | {f"blocks.{layer}.fc1.weight": (64**-0.5, 0.05) for layer in range(2)}
    for name in names_in(seen["repeated"]):
        if name in found:
            fail(f"two new networks have the same {name}; draw new values in each network, and do not set a seed")
    # A missing bias costs the points of another test only.
    given = {name: found[name] for name in [*deviations, "norm_f.weight", "norm_f.bias"] if name in found}
    if missing := [name for name in ("embedding.weight", "inp.weight", "head.weight") if name not in given]:
        assert_network_layout(seen["layout"], sizes)
        fail(f"the network has no parameter {missing[0]}")
    for name, (std, tolerance) in deviations.items():
        if name not in given:
            continue
        value = given[name].double()
        if not bool(value.any()):
            fail(f"{name} starts at zero; leave it as PyTorch initialises it")
        if abs(float(value.std(correction=0)) / std - 1) > tolerance:
            whose = "ResidualBlock" if "blocks" in name else "PyTorch"
            seen_std = float(value.std(correction=0))
            fail(
                f"{name} starts with standard deviation {seen_std:.4f} where {std:.4f} was expected; "
                f"leave it as {whose} initialises it"
            )
        if "blocks" in name or "embedding" in name:
            assert_normal(value, float(value.std(correction=0)), name)
        else:  # nn.Linear draws weight and bias uniformly
            assert_within(value, math.sqrt(3) * std, name)
    for name, wanted in (("norm_f.weight", 1.0), ("norm_f.bias", 0.0)):
        if name in given and bool((given[name] != wanted).any()):
            fail(f"{name} does not start at {wanted:g}, the default of nn.BatchNorm1d")
