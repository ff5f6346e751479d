"""Hidden tests of R1: gradient norms."""

import functools
from collections.abc import Callable

import pytest
import torch
from autograder.testing import (
    Band,
    Observation,
    Observe,
    Picture,
    as_tensor,
    assert_close,
    band_of,
    curve,
    fail,
    picture,
    question,
)
from torch import Tensor
from torch.nn import functional as F

from .inputs import VOCAB, normal
from .left_alone import assert_left_alone
from .residual_reference import (
    COLLECTED,
    SMALL,
    in_one_tensor,
    look,
    mlp_logits,
    mlp_weights,
    plain_logits,
    plain_weights,
)

PLAIN = [VOCAB, 3, 4, 8, 5]
"""Sizes of a plain network: vocab_size, context_size, d_embed, d_model, n_layers."""


def weight_gradients(logits: Callable[[dict[str, Tensor]], Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradient of the cross-entropy for every weight by name."""
    leaves = {name: value.clone().requires_grad_() for name, value in weights.items() if "running" not in name}
    found = logits(weights | leaves)
    loss = F.cross_entropy(found, look().targets[: len(found)])
    slopes = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return {n: g for n, g in zip(leaves, slopes, strict=True) if g is not None}


def sizes_of(gradients: dict[str, Tensor], layers: int, part: str = "fc1.weight") -> Tensor:
    return torch.stack([gradients[f"blocks.{layer}.{part}"].norm() for layer in range(layers)])


def wrong_norms(gradients: dict[str, Tensor], weights: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Return what known wrong ways to measure give."""
    each = [gradients[f"blocks.{layer}.fc1.weight"] for layer in range(layers)]
    right = sizes_of(gradients, layers)
    wrong = {
        "the squared norms; take the square root": right**2,
        "the sums of absolute values; the norm is the square root of the sum of squares": torch.stack(
            [g.abs().sum() for g in each]
        ),
        "the means of absolute values; the norm is the square root of the sum of squares": torch.stack(
            [g.abs().mean() for g in each]
        ),
        "the largest absolute values; the norm is the square root of the sum of squares": torch.stack(
            [g.abs().max() for g in each]
        ),
        "the root mean squares; sum the squares instead of averaging them": torch.stack(
            [g.square().mean().sqrt() for g in each]
        ),
        "the largest singular values; the norm is the square root of the sum of squares": torch.stack(
            [torch.linalg.matrix_norm(g, 2) for g in each]
        ),
        "the norms of the summed loss; cross_entropy averages over the examples": right * len(look().targets),
        "the norms in reverse order; item 0 belongs to the first block": right.flip(0),
        "the norms of the weights; take those of their gradients": torch.stack(
            [weights[f"blocks.{layer}.fc1.weight"].norm() for layer in range(layers)]
        ),
        "the norms relative to those of the weights; do not divide": right
        / torch.stack([weights[f"blocks.{layer}.fc1.weight"].norm() for layer in range(layers)]),
    }
    for part in ("fc1.bias", "fc2.weight"):
        if f"blocks.0.{part}" in gradients:
            wrong[f"the norms of the gradients at {part}; measure at fc1.weight"] = sizes_of(gradients, layers, part)
            both = (right**2 + sizes_of(gradients, layers, part) ** 2).sqrt()
            wrong[f"the norms over fc1.weight and {part} together; measure only fc1.weight"] = both
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


@functools.cache
def right_norms() -> Band:
    """Return where the norms of other plain networks lie."""
    others = [plain_weights(5, seed=11000 + 100 * index) for index in range(20)]
    gradients = [weight_gradients(lambda w: plain_logits(w, look().contexts, 5), weights) for weights in others]
    return band_of([sizes_of(one, 5) for one in gradients], log=True)


def norms_over_depth(observe: Observe) -> Picture:
    return curve(
        "Gradient norms over the depth of a plain network",
        x="block",
        y="grad_norms",
        yours=seen_norms(observe, "PlainMLP", True, {})["returned"],
        band=right_norms(),
        log=True,
    )


@picture(norms_over_depth)
@question(
    "R1",
    points=1.5,
    hint="One number for each block: the square root of the sum of the squared entries of the gradient at its "
    "fc1.weight. cross_entropy expects the logits, without softmax.",
)
def test_norms_of_a_plain_network(observe: Observe) -> None:
    weights = plain_weights(5, seed=1110)
    gradients = weight_gradients(lambda w: plain_logits(w, look().contexts, 5), weights)
    wrong = wrong_norms(gradients, weights, 5)
    twice = weight_gradients(lambda w: torch.softmax(plain_logits(w, look().contexts, 5), 1), weights)
    wrong["the norms with softmax before cross_entropy, which expects logits"] = sizes_of(twice, 5)
    for count in (32, 64):
        few = weight_gradients(lambda w, count=count: plain_logits(w, look().contexts[:count], 5), weights)  # type: ignore[misc]
        wrong[f"the norms for the first {count} examples; use all of the batch"] = sizes_of(few, 5)
    seen = seen_norms(observe, "PlainMLP", True, {})
    yours = in_one_tensor(seen["returned"])
    assert_close(yours, sizes_of(gradients, 5), "grad_norms", mistakes=wrong, tolerance=COLLECTED)


@question(
    "R1",
    points=1,
    hint="The function works for any model whose blocks have an fc1, in the mode that the model is in: with batch "
    "norm, the two modes give different gradients.",
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_norms_of_a_residual_network_in_its_own_mode(observe: Observe, training: bool) -> None:
    weights = mlp_weights(SMALL, 1120)
    gradients = weight_gradients(lambda w: mlp_logits(w, look().contexts, 3, training), weights)
    other = weight_gradients(lambda w: mlp_logits(w, look().contexts, 3, not training), weights)
    mode = "evaluation" if training else "training"
    wrong = {f"the norms in {mode} mode; use the model in the mode it is in": sizes_of(other, 3)}
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
    hint="Measuring must not change anything: what is in .grad stays there, and nothing is added. Which function of "
    "torch.autograd returns the gradients without storing them?",
)
@pytest.mark.parametrize("stored", ["none", "some", "all"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_measuring_leaves_no_trace(observe: Observe, training: bool, stored: str) -> None:
    weights = plain_weights(5, seed=1110)
    kept = {"none": [], "some": ["blocks.1.fc1.weight", "head.bias"], "all": list(weights)}[stored]
    grads = {name: normal(*weights[name].shape, seed=1130) for name in kept}
    clean, seen = seen_norms(observe, "PlainMLP", training, {}), seen_norms(observe, "PlainMLP", training, grads)
    first, second = (as_tensor(in_one_tensor(one["returned"]), "grad_norms", (5,)) for one in (clean, seen))
    if not bool((first > 0).all()):
        fail("not checked: your grad_norms contain a norm that is not positive")
    assert_left_alone(seen)
    if seen["seeded"] is True:
        fail("your code seeds the global random state; measuring must have no side effects")
    mistake = "the norms of the new gradients plus those already in .grad; do not use what .grad holds"
    added = weight_gradients(lambda w: plain_logits(w, look().contexts, 5), weights)
    for name, value in grads.items():
        added[name] = added[name] + value
    assert_close(second, first, "grad_norms", mistakes={mistake: sizes_of(added, 5)}, tolerance=COLLECTED)
