"""Hidden tests of the second notebook: the residual stream."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from autograder.diagnose import assert_close, assert_unchanged, fail
from autograder.hidden_tests.lecture06.inputs import VOCAB, batch, names, normal
from autograder.score import Observation, Observe, question


def block_weights(d_model: int, d_ff: int, seed: int, prefix: str = "") -> dict[str, Tensor]:
    return {
        f"{prefix}norm.weight": 1.0 + normal(d_model, seed=seed, std=0.3),
        f"{prefix}norm.bias": normal(d_model, seed=seed + 1),
        f"{prefix}norm.running_mean": normal(d_model, seed=seed + 2),
        f"{prefix}norm.running_var": 0.5 + normal(d_model, seed=seed + 3) ** 2,
        f"{prefix}fc1.weight": normal(d_ff, d_model, seed=seed + 4, std=0.5),
        f"{prefix}fc2.weight": normal(d_model, d_ff, seed=seed + 5, std=0.5),
    }


def norm(w: dict[str, Tensor], x: Tensor, training: bool, prefix: str = "norm.") -> Tensor:
    """nn.BatchNorm1d as a function, without a change of its statistics."""
    mean = x.mean(0) if training else w[prefix + "running_mean"]
    var = x.var(0, correction=0) if training else w[prefix + "running_var"]
    return w[prefix + "weight"] * (x - mean) / torch.sqrt(var + 1e-5) + w[prefix + "bias"]


def block_forward(w: dict[str, Tensor], x: Tensor, training: bool, prefix: str = "") -> Tensor:
    """x + fc2(tanh(fc1(norm(x)))). Source: He et al. (2016), the pre-activation residual unit."""
    hidden = torch.tanh(norm(w, x, training, prefix + "norm.") @ w[prefix + "fc1.weight"].T)
    return x + hidden @ w[prefix + "fc2.weight"].T


def wrong_blocks(w: dict[str, Tensor], x: Tensor, training: bool) -> dict[str, Tensor]:
    """What known wrong blocks give."""
    read = norm(w, x, training)
    fc1, fc2 = w["fc1.weight"].T, w["fc2.weight"].T
    write = torch.tanh(read @ fc1) @ fc2
    return {
        "the branch without the skip; add x to it": write,
        "a skip from the normalised value; add x itself": read + write,
        "the average of x and the branch; add them": (x + write) / 2,
        "tanh of the sum; nothing acts on the stream after the addition": torch.tanh(x + write),
        "a block without its norm": x + torch.tanh(x @ fc1) @ fc2,
        "a block with the norm after the addition; read from a normalised copy instead": norm(
            w, x + torch.tanh(x @ fc1) @ fc2, training
        ),
        "a block without tanh": x + (read @ fc1) @ fc2,
        "a block with relu in the place of tanh": x + F.relu(read @ fc1) @ fc2,
        "a block with tanh after fc2 too": x + torch.tanh(write),
        "a block with tanh after fc2; it belongs between fc1 and fc2": x + torch.tanh(read @ fc1 @ fc2),
        "x minus the branch; add it": x - write,
    }


# --- R2 ---------------------------------------------------------------------------------------------------------------


def seen_block(observe: Observe, training: bool, n: int = 12) -> tuple[Observation, dict[str, Tensor], Tensor, Tensor]:
    weights = block_weights(6, 10, seed=1200)
    x, cotangent = batch(n, 6, seed=1210), normal(n, 6, seed=1211)
    seen = observe(
        "block", name="ResidualBlock", sizes=[6, 10], start=weights, x=x, cotangent=cotangent, training=training
    )
    return seen, weights, x, cotangent


@question(
    "R2", points=2, hint="The stream passes unchanged; the block reads a normalised copy and adds what it writes."
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_block_forward(observe: Observe, training: bool) -> None:
    seen, weights, x, _ = seen_block(observe, training)
    assert_close(seen["y"], block_forward(weights, x, training), "output", mistakes=wrong_blocks(weights, x, training))
    assert_unchanged(seen["x"], x, "x")


@question(
    "R2",
    points=1.5,
    hint="The gradient reaches x on two ways, and both count: straight through the skip, and through the branch.",
)
def test_block_gradients(observe: Observe) -> None:
    seen, weights, x, cotangent = seen_block(observe, True)
    leaves = {name: weights[name].clone().requires_grad_() for name in ("fc1.weight", "fc2.weight", "norm.weight")}
    leaf = x.clone().requires_grad_()
    y = block_forward(weights | leaves, leaf, True)
    dx, *rest = torch.autograd.grad(y, [leaf, *leaves.values()], cotangent)
    if seen["dx"] is None:
        fail("no gradient reaches the stream x; neither skip nor branch may be detached")
    mistakes = {"the gradient of the branch alone: the skip is detached": dx - cotangent}
    mistakes["the gradient of the skip alone: the branch is detached"] = cotangent
    assert_close(seen["dx"], dx, "gradient for x", mistakes=mistakes)
    gradients = Observation(seen["gradients"] if isinstance(seen["gradients"], dict) else {})
    for name, goal in zip(leaves, rest, strict=True):
        if gradients[name] is None:
            fail(f"no gradient reaches {name}")
        assert_close(gradients[name], goal, f"gradient for {name}")


@question("R2", points=1, hint="With fc2 at zero nothing is written, so that what comes out is x itself.")
def test_block_is_the_identity_without_fc2(observe: Observe) -> None:
    weights = block_weights(6, 10, seed=1220)
    weights["fc2.weight"] = torch.zeros(6, 10, dtype=torch.float64)
    x = batch(9, 6, seed=1221)
    seen = observe(
        "block", name="ResidualBlock", sizes=[6, 10], start=weights, x=x, cotangent=torch.ones_like(x), training=True
    )
    if not isinstance(seen["y"], Tensor) or seen["y"].shape != x.shape or not torch.equal(seen["y"].double(), x):
        fail("with fc2 at zero the block does not return its input exactly: something acts on the skip")


@question(
    "R2",
    points=1.5,
    hint="Weights are N(0, 1/fan_in); fan_in is what goes in; `scale` belongs to fc2, because fc2 writes.",
)
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_block_initialisation(observe: Observe, scale: float) -> None:
    d_model, d_ff = 96, 384
    seen = observe("block_weights", name="ResidualBlock", d_model=d_model, d_ff=d_ff, scale=scale)
    assert_block_initialisation(seen["parameters"], d_model, d_ff, scale)


def assert_block_initialisation(parameters: object, d_model: int, d_ff: int, scale: float) -> None:
    """Names, shapes and deviations (within 4 %) of a block's initial weights."""
    expected = {
        "norm.weight": (d_model,),
        "norm.bias": (d_model,),
        "fc1.weight": (d_ff, d_model),
        "fc2.weight": (d_model, d_ff),
    }
    found = parameters if isinstance(parameters, dict) else {}
    shapes = {name: tuple(value.shape) for name, value in found.items() if isinstance(value, Tensor)}
    if shapes != expected:
        extra, missing = sorted(set(shapes) - set(expected)), sorted(set(expected) - set(shapes))
        wrong = [
            f"{name} has shape {shapes[name]}, not {expected[name]}"
            for name in expected
            if name in shapes and shapes[name] != expected[name]
        ]
        notes = (
            [f"missing {', '.join(missing)}"] * bool(missing) + [f"too many {', '.join(extra)}"] * bool(extra) + wrong
        )
        fail(f"the parameters are not those of the contract: {'; '.join(notes)}")
    for name, std, other in (("fc1.weight", d_model**-0.5, 1.0), ("fc2.weight", scale * d_ff**-0.5, d_ff**-0.5)):
        seen = float(found[name].double().std(correction=0))
        if abs(seen / std - 1) < 0.04:
            continue
        ways = {
            "the deviation without scale": other,
            "the deviation of nn.Linear's own initialisation": (3 * (d_model if name == "fc1.weight" else d_ff))
            ** -0.5,
            "the variance in the place of the deviation": std**2,
            "the deviation for fan_out": (d_ff if name == "fc1.weight" else d_model) ** -0.5,
            "the deviation with scale on fc1 too": scale * d_model**-0.5,
            "the deviation with scale twice": scale * std,
        }
        known = next((label for label, value in ways.items() if abs(seen / value - 1) < 0.04), "")
        fail(f"{name} has deviation {seen:.4f}; {std:.4f} was expected" + (f"; it is {known}" if known else ""))


# --- R3 ---------------------------------------------------------------------------------------------------------------


def mlp_weights(sizes: list[int], seed: int) -> dict[str, Tensor]:
    vocab, context, embed, model, ff, layers = sizes
    weights = {
        "embedding.weight": normal(vocab, embed, seed=seed),
        "inp.weight": normal(model, context * embed, seed=seed + 1, std=0.4),
        "inp.bias": normal(model, seed=seed + 2),
        "head.weight": normal(vocab, model, seed=seed + 3, std=0.4),
        "head.bias": normal(vocab, seed=seed + 4),
        "norm_f.weight": 1.0 + normal(model, seed=seed + 5, std=0.3),
        "norm_f.bias": normal(model, seed=seed + 6),
        "norm_f.running_mean": normal(model, seed=seed + 7),
        "norm_f.running_var": 0.5 + normal(model, seed=seed + 8) ** 2,
    }
    for layer in range(layers):
        weights |= block_weights(model, ff, seed + 20 + 10 * layer, f"blocks.{layer}.")
    return weights


def mlp_stream(w: dict[str, Tensor], inputs: Tensor, layers: int, training: bool) -> list[Tensor]:
    """The stream before the first and after each block."""
    stream = [w["embedding.weight"][inputs].flatten(1) @ w["inp.weight"].T + w["inp.bias"]]
    for layer in range(layers):
        stream.append(block_forward(w, stream[-1], training, f"blocks.{layer}."))
    return stream


def mlp_head(w: dict[str, Tensor], x: Tensor, training: bool) -> Tensor:
    return norm(w, x, training, "norm_f.") @ w["head.weight"].T + w["head.bias"]


SMALL = [VOCAB, 3, 4, 8, 12, 3]


@question("R3", points=3, hint="embedding, flatten, inp, every block in turn, norm_f, head.")
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_mlp_forward(observe: Observe, training: bool) -> None:
    weights, inputs = mlp_weights(SMALL, seed=1300), names().train.contexts[:40]
    seen = observe("residual_mlp", sizes=SMALL, start=weights, inputs=inputs, training=training)
    stream = mlp_stream(weights, inputs, 3, training)
    head = weights["head.weight"].T
    mistakes = {
        "logits without norm_f": stream[-1] @ head + weights["head.bias"],
        "logits of a stream without its blocks": mlp_head(weights, stream[0], training),
        "logits of a stream that is one block short": mlp_head(weights, stream[-2], training),
        "logits of a stream through tanh": mlp_head(weights, torch.tanh(stream[-1]), training),
        "logits of the last block's input and output added": mlp_head(weights, stream[-1] + stream[-2], training),
        "probabilities; return the logits": torch.softmax(mlp_head(weights, stream[-1], training), 1),
    }
    assert_close(seen["logits"], mlp_head(weights, stream[-1], training), "logits", mistakes=mistakes)


@question(
    "R3",
    points=1.5,
    hint="nn.ModuleList with a new ResidualBlock for each layer; a plain list hides them from the optimiser.",
)
@pytest.mark.parametrize("layers", [1, 4])
def test_mlp_blocks_and_parameters(observe: Observe, layers: int) -> None:
    sizes = [VOCAB, 3, 4, 8, 12, layers]
    inputs = names().train.contexts[:8]
    seen = observe("residual_mlp", sizes=sizes, start={}, inputs=inputs, training=True)
    if seen["blocks"] != layers:
        fail(f"a model with n_layers={layers} has {seen['blocks']} blocks")
    if seen["distinct"] != layers:
        fail(
            f"{layers} blocks are only {seen['distinct']} different objects: they share weights; build a new block for each layer"
        )
    expected = {name: tuple(value.shape) for name, value in mlp_weights(sizes, seed=1).items() if "running" not in name}
    found = seen["parameters"] if isinstance(seen["parameters"], dict) else {}
    shapes = {name: tuple(value.shape) for name, value in found.items() if isinstance(value, Tensor)}
    if missing := sorted(set(expected) - set(shapes)):
        fail(f"these parameters are not registered: {', '.join(missing[:4])}")
    if extra := sorted(set(shapes) - set(expected)):
        fail(f"these parameters do not belong there: {', '.join(extra[:4])}")
    if wrong := [name for name in expected if shapes[name] != expected[name]]:
        fail(f"{wrong[0]} has shape {shapes[wrong[0]]}; {expected[wrong[0]]} was expected")


@question(
    "R3", points=1.5, hint="Every block adds to the stream: with scale 1 / sqrt(2 L) the sum of L writes stays small."
)
@pytest.mark.parametrize("layers", [2, 8])
def test_mlp_scales_its_blocks(observe: Observe, layers: int) -> None:
    sizes = [VOCAB, 3, 4, 64, 192, layers]
    seen = observe("residual_mlp", sizes=sizes, start={}, inputs=names().train.contexts[:8], training=True)
    parameters = Observation(seen["parameters"] if isinstance(seen["parameters"], dict) else {})
    writes = [parameters[f"blocks.{layer}.fc2.weight"] for layer in range(layers)]
    ratios = [float(write.double().std(correction=0)) * math.sqrt(192) for write in writes if isinstance(write, Tensor)]
    target = 1 / math.sqrt(2 * layers)
    if all(abs(ratio / target - 1) < 0.06 for ratio in ratios):
        return
    ways = {
        "no scale": 1.0,
        "1 / sqrt(L); a block counts twice": 1 / math.sqrt(layers),
        "1 / (2 L); take the square root": 1 / (2 * layers),
        "1 / L; it is the square root of 2 L": 1 / layers,
    }
    known = next((label for label, value in ways.items() if abs(ratios[0] / value - 1) < 0.06), "")
    fail(
        f"fc2 of the first block is scaled by {ratios[0]:.3f} where 1 / sqrt(2 * {layers}) = {target:.3f} was expected"
        + (f"; this is {known}" if known else "")
    )
