"""Hidden tests of the batch normalization notebook, part 4: networks with batch normalization."""

import math
from collections.abc import Callable

import pytest
import torch
from autograder.testing import (
    FLOAT32,
    FLOAT64,
    Observation,
    Observe,
    Value,
    as_dict,
    as_tensor,
    assert_below,
    assert_close,
    fail,
    mapping,
    question,
    sequence,
)
from torch import Tensor

from .batchnorm_reference import Named, inner, layer_state, sizes_passed_in
from .drawn import assert_drawn
from .inputs import MODES, VOCAB, names, normal
from .left_alone import names_in
from .network_reference import (
    Norm,
    deep_forward,
    norm_in,
    within,
    wrong_deep,
    wrong_mlps,
)

SIZES = [VOCAB, 3, 16, 64]
SMALL = [VOCAB, 3, 4, 10]
ODD = [11, 4, 5, 10]
STEPS, BATCH_SIZE = 100, 32
B6_RATE, B7_RATE = 0.1, 0.3
B6_LIMIT = 5.5
B7_MARGIN = 0.06
"""How far below the unigram cross-entropy the held-out loss must come."""


def assert_complete(seen: Observation) -> None:
    """Assert that the model has a place for every weight that the test sets."""
    unfit = mapping(seen["misfits"])
    if not unfit:
        return
    first, shape = next(iter(unfit.items()))
    part, _, last = first.rpartition(".")
    if isinstance(shape, list):
        fail(f"{first} has shape {tuple(shape)} in a small model; use the sizes passed to __init__")
    if not part:
        fail(f"the model has no {first}; store each parameter of the table as an nn.Parameter on self")
    ready_made = seen["ready_made"]
    if isinstance(ready_made, list) and part in ready_made:
        fail(f"{part} is a PyTorch layer, which has no {last}; use your own BatchNorm1d(d_hidden)")
    fail(
        f"the model has no {first}: store a BatchNorm1d(d_hidden) on self as {part}, not inside a list or a dictionary"
    )


def assert_mode_kept(seen: Observation) -> None:
    """Assert that calling the model leaves the mode of the model and of its layers alone."""
    for key, training in (("resting", False), ("modes", True)):
        modes = sequence(seen[key])
        if any(mode is not training for mode in modes):
            fail(
                f"after a forward pass in {MODES[training]} mode a layer is in the other mode; "
                "leave modes to train() and eval()"
            )


def assert_single_example(seen: Observation, target: Tensor, tolerance: float) -> None:
    """Assert that one example alone, in evaluation mode, gives the logits that it has within a batch."""
    value, error = seen["single"], seen["single_error"]
    if isinstance(error, str) and error:
        fail(f"a single example in evaluation mode raised {error[:200]}")
    if isinstance(value, Tensor) and tuple(value.shape) == tuple(target.shape[1:]):
        fail(f"for a single example the logits have shape {tuple(value.shape)}; keep the batch dimension (no squeeze)")
    assert_close(value, target[:1], "logits for a single example in evaluation", tolerance=tolerance)


def precision(seen: Observation) -> float:
    """Return the tolerance for what the model computed, in float64 or float32."""
    return FLOAT32 if any(isinstance(v, Tensor) and v.dtype is torch.float32 for v in seen.values()) else FLOAT64


def assert_same_again(seen: Observation, mode: str) -> None:
    """Assert that two calls of the same model on the same input agree, in evaluation and in the mode."""
    if _differ(seen["eval"], seen["again"]):
        fail(
            "the same input gives different logits the second time; "
            "create all weights and layers in __init__, none in forward"
        )
    value, flipped = seen["eval"], seen["flipped"]
    if isinstance(value, Tensor) and not _differ(value, flipped) and _differ(value, value.flip(0)):
        fail("other contexts give the logits of the call before; compute them from the input in each call")
    if mode == "train" and _differ(seen["train"], seen["train_again"]):
        fail("two calls in training on the same input differ: forward draws random numbers (dropout or noise)")


def _differ(first: Value, again: Value) -> bool:
    """Return whether two results are tensors of the same shape with different entries."""
    if not isinstance(first, Tensor) or not isinstance(again, Tensor) or first.shape != again.shape:
        return False
    return not torch.allclose(first.double(), again.double(), rtol=1e-9, atol=1e-9, equal_nan=True)


def random_contexts(sizes: list[int], seed: int) -> Tensor:
    """Return 48 contexts of any tokens, rare ones included."""
    return torch.randint(sizes[0], (48, sizes[1]), generator=torch.Generator().manual_seed(seed))


def assert_learns(
    seen: Observation, forward: Callable[[Named], Tensor], weights: Named, cotangent: Tensor, optional: str = ""
) -> None:
    """Assert that the gradients in training agree with those of the reference; for `optional` None will do."""
    leaves = {name: value.clone().requires_grad_() for name, value in weights.items() if "running" not in name}
    goals = torch.autograd.grad(forward(weights | leaves), list(leaves.values()), cotangent)
    found = inner(seen["gradients"])
    for name, goal in zip(leaves, goals, strict=True):
        if found.get(name) is not None:
            tolerance = max(precision(seen), 1e-7)
            assert_close(found[name], goal, f"gradient of {name} in training", tolerance=tolerance)
        elif name != optional:
            fail(
                f"no gradient reaches {name} in training: it is not an nn.Parameter, forward does not use it, "
                "or the result is detached from it (detach, .data or no_grad)"
            )


def assert_updated_once(
    seen: Observation, state: Named, pre: Tensor, name: str, unbiased: Tensor | None = None
) -> None:
    """Assert that one call of the model in training updated the running statistics of the layer `name` once.

    pre: the input of the layer, (N, D); unbiased: the same without the bias that belongs to it
    """
    found = inner(seen["buffers"])
    for kept, new in (("running_mean", pre.mean(0)), ("running_var", pre.var(0))):
        goal, unchanged = state[kept].lerp(new, 0.1), state[kept]
        wrong = {
            f"two updates; call self.{name} once in a forward pass": goal.lerp(new, 0.1),
            f"its value before the call; call self.{name} itself, in the mode of the model": unchanged,
            **{
                f"the result of momentum {other:g}; leave momentum at its default": unchanged.lerp(new, other)
                for other in (0.01, 0.05, 0.2, 0.3, 0.5, 0.9, 1.0)
            },
        }
        if unbiased is not None and kept == "running_mean":
            wrong["the mean without the bias; add the bias before the norm"] = state[kept].lerp(unbiased.mean(0), 0.1)
        assert_close(
            found.get(f"{name}.{kept}"),
            goal,
            f"{name}.{kept} after one training batch",
            mistakes=wrong,
            tolerance=precision(seen),
        )


def trained_loss(observe: Observe, name: str, options: dict[str, bool], lr: float, seed: int) -> float:
    """Return the held-out loss of a new model after training."""
    data = names()
    contexts, targets = data.batches(STEPS, BATCH_SIZE, seed)
    run = {"contexts": contexts, "targets": targets, "lr": lr, "held_out": data.held_out.contexts}
    seen = observe("trained_logits", name=name, sizes=SIZES, options=options, **run)
    return data.loss(as_tensor(seen["logits"], "logits", (len(data.held_out.targets), VOCAB)))


# --- B6 ---------------------------------------------------------------------------------------------------------------


def mlp_weights(sizes: list[int], seed: int) -> Named:
    vocab, context, embed, hidden = sizes
    return {
        "C": normal(vocab, embed, seed=seed + 4),
        "W1": normal(context * embed, hidden, seed=seed + 5, std=0.3),
        "b1": normal(hidden, seed=seed + 6),
        "W2": normal(hidden, vocab, seed=seed + 7, std=0.2),
        "b2": normal(vocab, seed=seed + 8),
        **layer_state(hidden, seed, "bn."),
    }


def assert_mlp_forward(observe: Observe, mode: str, sizes: list[int]) -> None:
    weights = mlp_weights(sizes, seed=600)
    inputs, cotangent = random_contexts(sizes, seed=610), normal(48, sizes[0], seed=611)
    with sizes_passed_in(sizes):
        seen = observe(
            "mlp_outputs", name="MLPv2", sizes=sizes, options={}, start=weights, inputs=inputs, cotangent=cotangent
        )
    assert_complete(seen)
    assert_same_again(seen, mode)

    def before(w: Named) -> Tensor:
        return w["C"][inputs].flatten(1) @ w["W1"] + w["b1"]

    def forward(w: Named) -> Tensor:
        return torch.tanh(norm_in(mode, within(w, "bn."))(before(w))) @ w["W2"] + w["b2"]

    name = "output in training" if mode == "train" else "output in evaluation"
    mistakes = wrong_mlps(weights, inputs, norm_in(mode, within(weights, "bn.")))
    assert_close(seen[mode], forward(weights), name, mistakes=mistakes, tolerance=precision(seen))
    if mode == "eval":
        assert_mode_kept(seen)
        assert_single_example(seen, forward(weights), precision(seen))
    if mode == "train":
        assert_learns(seen, forward, weights, cotangent, optional="b1")
        pre = before(weights)
        assert_updated_once(seen, within(weights, "bn."), pre, "bn", unbiased=pre - weights["b1"])


@question("B6", points=2, hint="Embed and flatten, linear, norm, tanh, linear: where does the norm belong?")
@pytest.mark.parametrize("sizes", [SMALL, ODD], ids=["vocab_size 27", "vocab_size 11"])
def test_forward_pass_in_training(observe: Observe, sizes: list[int]) -> None:
    assert_mlp_forward(observe, "train", sizes)


@question("B6", points=1, hint="self.bn knows whether the model is in training mode; forward does not need to check.")
def test_forward_pass_in_evaluation(observe: Observe) -> None:
    assert_mlp_forward(observe, "eval", SMALL)


@question(
    "B6",
    points=2,
    hint="100 steps at learning rate 0.1 reach about 3.7 with the norm in the right place; without it, about 7.",
)
def test_trains_at_a_large_learning_rate(observe: Observe) -> None:
    loss = trained_loss(observe, "MLPv2", {}, B6_RATE, seed=620)
    assert_below(loss, B6_LIMIT, "the held-out loss after 100 steps", "is the norm before tanh, and used?")


# --- B7 ---------------------------------------------------------------------------------------------------------------


def deep_shapes(sizes: list[int], batch_norm: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the parameters of MLPv3 by name."""
    vocab, context, embed, hidden = sizes
    extra = ("bn1.gamma", "bn1.beta", "bn2.gamma", "bn2.beta") if batch_norm else ("b1", "b2")
    return {
        "C": (vocab, embed),
        "W1": (context * embed, hidden),
        "W2": (hidden, hidden),
        "W3": (hidden, vocab),
        "b3": (vocab,),
        **dict.fromkeys(extra, (hidden,)),
    }


def flat(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a vector, with (1, D) as (D,)."""
    return shape[1:] if len(shape) == 2 and shape[0] == 1 else shape


SETTINGS = [
    (SMALL, {"batch_norm": True}, True),
    (SMALL, {"batch_norm": False}, False),
    (SMALL, {}, False),
    (ODD, {"batch_norm": True}, True),
]
SETTING_IDS = ["with BN", "without BN", "by default", "other sizes"]


@question(
    "B7",
    points=1,
    hint="Subtracting the mean removes any constant: a bias before a norm has no effect, and beta replaces it.",
)
@pytest.mark.parametrize(("sizes", "options", "batch_norm"), SETTINGS, ids=SETTING_IDS)
def test_parameters_with_and_without_norm(
    observe: Observe, sizes: list[int], options: dict[str, bool], batch_norm: bool
) -> None:
    seen = observe("mlp_parameters", name="MLPv3", sizes=sizes, options=options)
    parameters = as_dict(seen["parameters"], "model", ())
    found = {name: tuple(value.shape) for name, value in parameters.items() if isinstance(value, Tensor)}
    expected = deep_shapes(sizes, batch_norm)
    if batch_norm and (idle := sorted({"b1", "b2"} & set(found))):
        fail(f"with BN the model should not have {' and '.join(idle)}: subtracting the mean cancels a bias")
    if not batch_norm and (norms := sorted(name for name in found if name.startswith("bn"))):
        fail(f"without BN the model should not have {norms[0]}; create the norms only if batch_norm is true")
    if batch_norm and "bn1.gamma" in found and "bn2.gamma" not in found:
        fail("bn2.gamma is missing: do both layers share one norm? Each layer needs its own BatchNorm1d")
    missing = [name for name in expected if name not in found]
    if norms := [name for name in missing if name.startswith("bn")]:
        fail(f"store your BatchNorm1d layers on self as bn1 and bn2; missing: {', '.join(norms)}")
    if missing:
        fail(f"missing: {', '.join(missing)}; store each parameter of the table as an nn.Parameter on self")
    if extra := sorted(set(found) - set(expected)):
        fail(f"the model has parameters that are not in the table: {', '.join(extra)[:200]}")
    for name, shape in expected.items():
        if flat(found[name]) != flat(shape):
            given = " for vocab_size 11 and context_size 4; use the sizes passed to __init__" if sizes is ODD else ""
            fail(f"{name} has shape {found[name]}; {shape} was expected{given}")


@question(
    "B7", points=1, hint="kaiming_ with its default gain before a tanh, gain 1 for the output layer; biases start at 0."
)
@pytest.mark.parametrize("batch_norm", [True, False], ids=["with BN", "without BN"])
def test_starting_weights(observe: Observe, batch_norm: bool) -> None:
    vocab, context, embed, hidden = sizes = [VOCAB, 3, 32, 200]
    seen = observe("mlp_parameters", name="MLPv3", sizes=sizes, options={"batch_norm": batch_norm})
    parameters = as_dict(seen["parameters"], "model", ("C", "W1", "W2", "W3"))
    fans = {"W1": (context * embed, hidden, 5 / 3), "W2": (hidden, hidden, 5 / 3), "W3": (hidden, vocab, 1.0)}
    for name, (fan_in, fan_out, gain) in fans.items():
        wrong = {
            "that of the standard normal distribution; use kaiming_": 1.0,
            "that of gain 1; before tanh use the default gain 5/3": 1 / math.sqrt(fan_in),
            "that of gain 5/3; the output layer has no activation, so use gain 1": 5 / 3 / math.sqrt(fan_in),
            "that for fan_out; use fan_in": gain / math.sqrt(fan_out),
            "that of a uniform distribution": gain / math.sqrt(3 * fan_in),
        }
        assert_drawn(parameters[name], gain / math.sqrt(fan_in), f"initial {name}", mistakes=wrong)
    assert_drawn(parameters["C"], 1.0, "initial C", tolerance=0.15)
    starts = dict.fromkeys(("b1", "b2", "b3", "bn1.beta", "bn2.beta"), 0) | {"bn1.gamma": 1, "bn2.gamma": 1}
    for name in sorted(starts.keys() & set(parameters)):
        if bool((as_tensor(parameters[name], f"initial {name}") != starts[name]).any()):
            what = name if name.startswith("bn") else f"the bias {name}"
            fail(f"{what} does not start at {('zero', 'one')[starts[name]]}")
    repeated = names_in(seen["repeated"])
    if same := [name for name in ("C", *fans) if name in repeated]:
        fail(f"two new models have the same {same[0]}; do not set a seed in __init__, that is up to the caller")


def deep_weights(sizes: list[int], batch_norm: bool, seed: int) -> Named:
    weights = {
        name: normal(*shape, seed=seed + i, std=0.4)
        for i, (name, shape) in enumerate(deep_shapes(sizes, batch_norm).items())
        if not name.startswith("bn")
    }
    if batch_norm:
        weights |= layer_state(sizes[-1], seed + 20, "bn1.") | layer_state(sizes[-1], seed + 30, "bn2.")
    return weights


@question("B7", points=1.5, hint="Twice: product, then this layer's norm or bias, then tanh. Then the output layer.")
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("batch_norm", [True, False], ids=["with BN", "without BN"])
def test_deep_forward_pass(observe: Observe, batch_norm: bool, mode: str) -> None:
    weights = deep_weights(SMALL, batch_norm, seed=700)
    inputs, cotangent = random_contexts(SMALL, seed=710), normal(48, VOCAB, seed=711)
    options = {"batch_norm": batch_norm}
    with sizes_passed_in(SMALL):
        seen = observe(
            "mlp_outputs", name="MLPv3", sizes=SMALL, options=options, start=weights, inputs=inputs, cotangent=cotangent
        )
    assert_complete(seen)
    assert_same_again(seen, mode)

    def both(w: Named, mode: str = mode, eps: float = 1e-5) -> tuple[Norm, Norm]:
        if not batch_norm:
            return w["b1"].add, w["b2"].add
        return norm_in(mode, within(w, "bn1."), eps), norm_in(mode, within(w, "bn2."), eps)

    first, second = both(weights)
    name = f"output {'with' if batch_norm else 'without'} BN in {'training' if mode == 'train' else 'evaluation'}"
    target = deep_forward(weights, inputs, first, second)
    mistakes = wrong_deep(weights, inputs, first, second, batch_norm)
    if batch_norm:
        other = "eval" if mode == "train" else "train"
        used, right = ("running", "batch's") if mode == "train" else ("batch's", "running")
        others = both(weights, mode=other)
        for which, pair in {"": others, " in bn1": (others[0], second), " in bn2": (first, others[1])}.items():
            label = f"logits with the {used} statistics{which}; in this mode the norms use the {right} ones"
            mistakes[label] = deep_forward(weights, inputs, *pair)
        for eps in (1e-2, 1e-3, 1e-8):
            coarse = both(weights, eps=eps)
            norms = {"bn1": (coarse[0], second), "bn2": (first, coarse[1]), "bn1 and bn2": coarse}
            for which, pair in norms.items():
                label = f"logits with eps {eps:g} in {which}; leave eps at the default of BatchNorm1d"
                mistakes[label] = deep_forward(weights, inputs, *pair)
    assert_close(seen[mode], target, name, mistakes=mistakes, tolerance=precision(seen))
    assert_mode_kept(seen)
    if mode == "eval":
        assert_single_example(seen, target, precision(seen))
    if mode == "train":
        assert_learns(seen, lambda w: deep_forward(w, inputs, *both(w)), weights, cotangent)
    if mode == "train" and batch_norm:
        pre = weights["C"][inputs].flatten(1) @ weights["W1"]
        assert_updated_once(seen, within(weights, "bn1."), pre, "bn1")
        assert_updated_once(seen, within(weights, "bn2."), torch.tanh(first(pre)) @ weights["W2"], "bn2")


@question(
    "B7",
    points=1.5,
    hint="Every weight must be a parameter that forward uses: what forward redraws or detaches cannot learn.",
)
def test_learns_more_than_letter_frequencies(observe: Observe) -> None:
    loss = trained_loss(observe, "MLPv3", {"batch_norm": True}, B7_RATE, seed=720)
    limit = names().unigram - B7_MARGIN
    assert_below(loss, limit, "the held-out loss after 100 steps", "do all weights learn, and are both layers used?")
