"""The residual network as plain functions of named weights, and assertions that several questions share."""

import contextlib
import functools
import itertools
import math
from collections.abc import Iterator, Mapping

import torch
from autograder.testing import (
    Observation,
    Value,
    as_tensor,
    assert_close,
    fail,
    mapping,
    sequence,
    tensors,
)
from torch import Tensor

from .drawn import assert_normal
from .inputs import MODES, VOCAB, Examples, names, normal
from .left_alone import alike, names_in

EPS = 1e-5
SCALE = 0.4
"""The `scale` that tests pass to a block: far from 1, and its square root far from other known wrong factors."""
SMALL = [VOCAB, 3, 4, 8, 12, 3]
"""Sizes of a small network: vocab_size, context_size, d_embed, d_model, d_ff, n_layers."""
OPTIONS = {"eps": EPS, "momentum": 0.1, "padding_idx": None, "max_norm": None}
"""The default options of the norms and the embedding in the tables of the questions."""
COLLECTED = 1e-6
"""The tolerance where an answer may collect Python floats, which `torch.tensor` keeps as float32."""


@functools.cache
def look() -> Examples:
    """Return a few examples in random order."""
    contexts, targets = names().batches(1, 100, seed=1100)
    return Examples(contexts=contexts[0], targets=targets[0])


def block_weights(d_model: int, d_ff: int, seed: int, prefix: str = "") -> dict[str, Tensor]:
    return {
        f"{prefix}norm.weight": 1.0 + normal(d_model, seed=seed, std=0.3),
        f"{prefix}norm.bias": normal(d_model, seed=seed + 1),
        f"{prefix}norm.running_mean": normal(d_model, seed=seed + 2),
        f"{prefix}norm.running_var": 0.5 + normal(d_model, seed=seed + 3) ** 2,
        f"{prefix}fc1.weight": normal(d_ff, d_model, seed=seed + 4, std=0.5),
        f"{prefix}fc2.weight": normal(d_model, d_ff, seed=seed + 5, std=0.5),
    }


def norm(w: dict[str, Tensor], x: Tensor, training: bool, prefix: str = "norm.", eps: float = EPS) -> Tensor:
    """Return nn.BatchNorm1d as a function, without an update of its statistics.

    Where the weights have no statistics, those of the batch are used; without weight and bias, 1 and 0.
    """
    training = training or prefix + "running_mean" not in w
    mean = x.mean(0) if training else w[prefix + "running_mean"]
    var = x.var(0, correction=0) if training else w[prefix + "running_var"]
    return w.get(prefix + "weight", 1.0) * (x - mean) / torch.sqrt(var + eps) + w.get(prefix + "bias", 0.0)


def block_forward(w: dict[str, Tensor], x: Tensor, training: bool, prefix: str = "") -> Tensor:
    """x + fc2(tanh(fc1(norm(x)))). Source: He et al. (2016), the pre-activation residual unit."""
    hidden = torch.tanh(norm(w, x, training, prefix + "norm.") @ w[prefix + "fc1.weight"].T)
    return x + hidden @ w[prefix + "fc2.weight"].T


def post_norm_forward(w: dict[str, Tensor], x: Tensor, training: bool) -> Tensor:
    """norm(x + fc2(tanh(fc1(x)))). Source: He et al. (2015), without the activation after the sum."""
    return norm(w, x + torch.tanh(x @ w["fc1.weight"].T) @ w["fc2.weight"].T, training)


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
    """Return the stream before the first and after each block."""
    stream = [w["embedding.weight"][inputs].flatten(1) @ w["inp.weight"].T + w.get("inp.bias", 0.0)]
    for layer in range(layers):
        stream.append(block_forward(w, stream[-1], training, f"blocks.{layer}."))
    return stream


def in_one_tensor(value: Value) -> Value:
    """Return a list of numbers or of tensors of one shape as one tensor, and anything else as it is.

    One test of a question judges the type; for the others the numbers count.
    """
    if not isinstance(value, list | tuple) or not value:
        return value
    if any(isinstance(one, list | tuple | str | bool) or one is None for one in value):
        return value
    with contextlib.suppress(AssertionError):
        each = [as_tensor(one, "item") for one in value]
        if len({one.shape for one in each}) == 1:
            return torch.stack(each)
    return value


def mlp_writes(stream: list[Tensor]) -> Tensor:
    """Return what is added to the stream: its beginning, then the write of each block. (L+1, N, d_model)."""
    return torch.stack([stream[0], *(after - before for before, after in itertools.pairwise(stream))])


def mlp_head(w: dict[str, Tensor], x: Tensor, training: bool, eps: float = EPS) -> Tensor:
    return norm(w, x, training, "norm_f.", eps) @ w["head.weight"].T + w.get("head.bias", 0.0)


def mlp_logits(w: dict[str, Tensor], inputs: Tensor, layers: int, training: bool) -> Tensor:
    return mlp_head(w, mlp_stream(w, inputs, layers, training)[-1], training)


def plain_weights(layers: int, seed: int, d_embed: int = 4, d_model: int = 8) -> dict[str, Tensor]:
    """Return weights of the given PlainMLP that keep the gradients of all its layers at about the same size."""
    weights = {
        "embedding.weight": normal(VOCAB, d_embed, seed=seed),
        "inp.weight": normal(d_model, 3 * d_embed, seed=seed + 1, std=0.4),
        "inp.bias": normal(d_model, seed=seed + 2),
        "head.weight": normal(VOCAB, d_model, seed=seed + 3),
        "head.bias": normal(VOCAB, seed=seed + 4),
    }
    for layer in range(layers):
        weights[f"blocks.{layer}.fc1.weight"] = normal(d_model, d_model, seed=seed + 20 + 2 * layer, std=0.45)
        weights[f"blocks.{layer}.fc1.bias"] = normal(d_model, seed=seed + 21 + 2 * layer, std=0.2)
    return weights


def plain_logits(w: dict[str, Tensor], inputs: Tensor, layers: int) -> Tensor:
    h = w["embedding.weight"][inputs].flatten(1) @ w["inp.weight"].T + w["inp.bias"]
    for layer in range(layers):
        h = torch.tanh(h @ w[f"blocks.{layer}.fc1.weight"].T + w[f"blocks.{layer}.fc1.bias"])
    return h @ w["head.weight"].T + w["head.bias"]


def present(w: dict[str, Tensor], seen: Observation) -> dict[str, Tensor]:
    """Return the weights without those that the student's model has no place for.

    Raises AssertionError where the model could not be called without them.
    """
    absent = [name for name in names_in(seen["absent"]) if name in w]
    if any(name.endswith("weight") and "norm" not in name for name in absent):
        assert_layout(seen["layout"], {name: tuple(value.shape) for name, value in w.items()})
        fail(f"the model has no place for {absent[0]}")
    return {name: value for name, value in w.items() if name not in absent}


@contextlib.contextmanager
def layout_first(layout: Value, expected: dict[str, tuple[int, ...]]) -> Iterator[None]:
    """Where numbers are wrong, name what is wrong about the parts of the model first.

    Where they are right, the parts cost no points: one test of each question asserts them.
    """
    try:
        yield
    except AssertionError:
        assert_layout(layout, expected)
        raise


def assert_forward_state(seen: Observation, norms: dict[str, Tensor], w: dict[str, Tensor], training: bool) -> None:
    """Assert that one forward pass updated the running statistics of each norm once in training, and else never.

    norms: the input of each norm (N, d_model), by its prefix
    """
    buffers = tensors(seen["buffers"])
    for prefix, x in norms.items():
        name = prefix.rstrip(".")
        for kept, new in (("running_mean", x.mean(0)), ("running_var", x.var(0))):
            before = w[prefix + kept]
            if prefix + kept not in buffers:
                fail(f"{name} keeps no {kept}; create it as in the table: nn.BatchNorm1d(d_model)")
            once = before.lerp(new, 0.1) if training else before
            mistakes = {
                f"its value before the call; in training, call {name} itself in training mode": before,
                f"two updates; call {name} once in a forward pass": once.lerp(new, 0.1),
                "three updates; call each block once in a forward pass": once.lerp(new, 0.1).lerp(new, 0.1),
                "one update; evaluation must not update it": before.lerp(new, 0.1),
            }
            where = f"{name}.{kept} after a forward pass in {MODES[training]} mode"
            assert_close(buffers[prefix + kept], once, where, mistakes=mistakes)
    modes = sequence(seen["modes"])
    if any(mode is not training for mode in modes):
        fail(
            f"after a forward pass in {MODES[training]} mode a part is in the other mode; "
            "leave modes to train() and eval()"
        )


def assert_keeps_batch(value: Value, target: Tensor, name: str, mistakes: Mapping[str, Tensor]) -> None:
    """Assert that a result in evaluation mode agrees, and keeps the batch dimension also of a single example."""
    if isinstance(value, Tensor) and len(target) == 1 and tuple(value.shape) == tuple(target.shape[1:]):
        fail(f"a single example gives shape {tuple(value.shape)}; keep the batch dimension (no squeeze)")
    assert_close(value, target, name, mistakes=mistakes)


def assert_layout(layout: Value, expected: dict[str, tuple[int, ...]]) -> None:
    """Assert that a model has separate blocks, norms with statistics, and parameters and buffers of these shapes."""
    found, count = mapping(layout), len({name.split(".")[1] for name in expected if name.startswith("blocks.")})
    types, shapes = mapping(found.get("types")), mapping(found.get("shapes"))
    if count and not alike(found.get("blocks"), count):
        have = found.get("blocks")
        fail(f"a model with n_layers={count} has {have} {'block' if alike(have, 1) else 'blocks'}")
    if count and not alike(found.get("distinct"), count):
        fail(f"the {count} blocks share weights; create a new ResidualBlock for each layer")
    for name in expected:
        part, _, last = name.rpartition(".")
        kind = types.get(part)
        if last == "running_mean" and name not in shapes and kind is not None:
            if kind == "BatchNorm1d":
                fail(f"{part} keeps no running statistics; create it as in the table: nn.BatchNorm1d(d_model)")
            fail(f"{part} is a {kind}; use nn.BatchNorm1d, as in the table")
    assert_shapes({name: shapes[name] for name in expected if name in shapes}, expected)


def assert_own_parts(layout: Value, expected: dict[str, tuple[int, ...]]) -> None:
    """Assert that these parameters are all different, and that the norms and the embedding have default options.

    Only one test of a question asserts this, so that a wrong option does not cost all points.
    """
    found = mapping(layout)
    for group in sequence(found.get("shared")):
        if len(same := [str(name) for name in sequence(group) if name in expected]) > 1:
            fail(f"{same[0]} and {same[1]} are the same parameter; create each layer separately")
    options = mapping(found.get("options"))
    for part in sorted({name.rpartition(".")[0] for name in expected}):
        for key, value in mapping(options.get(part)).items():
            if key in OPTIONS and (value is None or isinstance(value, int | float)) and value != OPTIONS[key]:
                fail(f"{part} has {key}={value}; create it as in the table, with the default {key}={OPTIONS[key]}")


def block_shapes(d_model: int, d_ff: int) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in block_weights(d_model, d_ff, seed=1).items()}


def assert_block_initialisation(seen: Observation, d_model: int, d_ff: int, scale: float) -> None:
    """Assert names, shapes and standard deviations (within 4 %) of initial weights, which differ between two blocks."""
    expected = {
        "norm.weight": (d_model,),
        "norm.bias": (d_model,),
        "fc1.weight": (d_ff, d_model),
        "fc2.weight": (d_model, d_ff),
    }
    found, repeated = tensors(seen["parameters"]), names_in(seen["repeated"])
    assert_shapes({name: list(value.shape) for name, value in found.items()}, expected)
    assert_layout(seen["layout"], block_shapes(d_model, d_ff))
    assert_own_parts(seen["layout"], block_shapes(d_model, d_ff))
    if len({value.dtype for value in found.values()}) > 1:
        kinds = ", ".join(f"{name} {str(found[name].dtype).removeprefix('torch.')}" for name in expected)
        fail(f"the weights have different dtypes, which cannot be combined: {kinds}; draw them with torch")
    starts = {"norm.weight": 1.0, "norm.bias": 0.0, "norm.running_mean": 0.0, "norm.running_var": 1.0}
    kept = tensors(seen["buffers"]) | found
    for name, wanted in starts.items():
        if name not in kept or bool((kept[name] != wanted).any()):
            fail(f"{name} does not start at {wanted:g}, the default of nn.BatchNorm1d")
    for name, std in (("fc1.weight", d_model**-0.5), ("fc2.weight", scale * d_ff**-0.5)):
        if name in repeated:
            fail(f"two new blocks have the same {name}; draw new values in each block, and do not set a seed")
        seen_std = float(found[name].double().std(correction=0))
        if abs(seen_std / std - 1) < 0.04:
            assert_normal(found[name], std, name)
            continue
        ways = wrong_deviations(d_model, d_ff, scale, name == "fc1.weight")
        known = min(ways, key=lambda label: abs(seen_std / ways[label] - 1))
        it_is = f"; it is {known}" if abs(seen_std / ways[known] - 1) < 0.03 else ""
        fail(f"{name} has standard deviation {seen_std:.4f}; {std:.4f} was expected{it_is}")


def wrong_deviations(d_model: int, d_ff: int, scale: float, first: bool) -> dict[str, float]:
    """Return the standard deviations of fc1 (`first`) or fc2 in known wrong initialisations."""
    fan_in, fan_out = (d_model, d_ff) if first else (d_ff, d_model)
    std = fan_in**-0.5
    plain = {
        "the standard deviation of the default initialisation of nn.Linear": (3 * fan_in) ** -0.5,
        "the variance 1/fan_in instead of the standard deviation": 1 / fan_in,
        "the standard deviation for fan_out": fan_out**-0.5,
        "the standard deviation for the mean of fan_in and fan_out (xavier_normal_)": (2 / (fan_in + fan_out)) ** 0.5,
        "kaiming_normal_ with its default gain sqrt(2); use gain 1": math.sqrt(2) * std,
        "the standard deviation with the gain 5/3 for tanh; use gain 1": 5 / 3 * std,
        "a normal distribution truncated at two standard deviations; use nn.init.normal_": 0.8796 * std,
        "the default std of normal_, which takes the mean first; write std=...": 1.0,
    }
    scaled = {f"{label}, times scale": scale * value for label, value in plain.items()} if scale != 1 else {}
    if scale == 1:
        return plain
    if first:
        return plain | scaled | {"the standard deviation with scale applied to fc1 too": scale * std}
    return (
        plain
        | scaled
        | {
            "the standard deviation without scale": std,
            "the standard deviation with scale applied twice": scale**2 * std,
            "the standard deviation with the square root of scale; multiply by scale itself": math.sqrt(scale) * std,
            "the square of the standard deviation": scale**2 / fan_in,
        }
    )


def assert_shapes(shapes: Mapping[str, Value], expected: dict[str, tuple[int, ...]]) -> None:
    """Assert that parameters have these names and shapes, whatever their order; a (1, D) one stands for (D,)."""
    missing, extra = [sorted(set(one) - set(other)) for one, other in ((expected, shapes), (shapes, expected))]
    notes = [f"missing: {_first(missing)}"] if missing else []
    notes += [f"unexpected: {_first(extra)}"] if extra else []
    for name, shape in expected.items():
        found = shapes.get(name, [])
        if name in shapes and not alike(found, list(shape)):
            notes.append(f"{name} has shape {tuple(found) if isinstance(found, list) else found} instead of {shape}")
    if notes:
        fail(f"the parameters differ from the table: {'; '.join(notes[:3])}")


def _first(names: list[str]) -> str:
    """Return the first of many names, and that there are more."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
