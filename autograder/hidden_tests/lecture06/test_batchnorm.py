"""Hidden tests of the first notebook: batch normalization."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autograder.diagnose import as_tensor, assert_below, assert_close, assert_unchanged, fail, parts
from autograder.hidden_tests.lecture06.inputs import VOCAB, batch, names, normal, scale_and_shift
from autograder.score import Observation, Observe, question

BUILT_IN = ("batch_norm", "layer_norm", "group_norm", "instance_norm")


def assert_from_scratch(seen: Observation) -> None:
    """B3 to B5 may not call a built-in norm, whatever name it was reached by."""
    operators = seen["operators"]
    used = [name for name in operators if isinstance(name, str) and any(norm in name for norm in BUILT_IN)]
    if used:
        fail(
            f"your code calls PyTorch's own normalisation ({used[0]}); write the formula yourself, from means and variances"
        )


def normalise(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    """gamma (x - mean) / sqrt(var + eps) + beta with the biased variance. Source: Ioffe and Szegedy (2015), algorithm 1."""
    return gamma * (x - x.mean(0)) / torch.sqrt(x.var(0, correction=0) + eps) + beta


def wrong_outputs(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> dict[str, Tensor]:
    """What known wrong formulas give for y."""
    mean, var = x.mean(0), x.var(0, correction=0)
    centred = x - mean
    hat = centred / torch.sqrt(var + eps)
    square = x.var(1, correction=0, keepdim=True) if x.shape[1] > 1 else torch.ones_like(x[:, :1])
    wrong = {
        "the output with the unbiased variance (N - 1); normalise with the biased one (N)": normalised(
            centred, x.var(0, correction=1), gamma, beta, eps
        ),
        "the output with std + eps; eps belongs under the square root": gamma * centred / (var.sqrt() + eps) + beta,
        "the output with the unbiased std and eps outside the square root": gamma
        * centred
        / (x.var(0, correction=1).sqrt() + eps)
        + beta,
        "the output without eps; add it to the variance under the square root": gamma * centred / var.sqrt() + beta,
        "the output with eps squared; it is sqrt(var + eps)": gamma * centred / torch.sqrt(var + eps**2) + beta,
        "the output divided by the variance; divide by its square root": gamma * centred / (var + eps) + beta,
        "the output with gamma and beta swapped": beta * hat + gamma,
        "the output shifted before it is scaled; it is gamma * x_hat + beta": gamma * (hat + beta),
        "the normalised input without gamma and beta": hat,
        "the output without beta": gamma * hat,
        "the output without gamma": hat + beta,
        "the input that is not centred, only scaled": gamma * x / torch.sqrt(var + eps) + beta,
        "the input that is centred, but not divided by its deviation": gamma * centred + beta,
        "the output with statistics over the features (dim 1); take them over the batch (dim 0)": gamma
        * (x - x.mean(1, keepdim=True))
        / torch.sqrt(square + eps)
        + beta,
        "the output with one mean and variance for all features; each feature has its own": gamma
        * (x - x.mean())
        / torch.sqrt(x.var(correction=0) + eps)
        + beta,
    }
    return wrong


def normalised(centred: Tensor, var: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    return gamma * centred / torch.sqrt(var + eps) + beta


def wrong_variances(x: Tensor, eps: float) -> dict[str, Tensor | float]:
    var = x.var(0, correction=0)
    return {
        "the unbiased variance (N - 1); return the biased one, over N": x.var(0, correction=1),
        "the standard deviation; return the variance": var.sqrt(),
        "the unbiased standard deviation; return the biased variance": x.std(0, correction=1),
        "sqrt(var + eps); return the variance itself": torch.sqrt(var + eps),
        "var + eps; return the variance itself": var + eps,
        "1 / sqrt(var + eps); return the variance itself": torch.rsqrt(var + eps),
        "the mean of the squares; subtract the mean first": (x**2).mean(0),
        "the variance of all numbers at once; take it for each feature": x.var(correction=0).expand_as(var),
        "the variance over the features (dim 1); take it over the batch (dim 0)": x.var(1, correction=0),
    }


def seen_forward(
    observe: Observe, n: int, eps: float, seed: int, features: int = 5
) -> tuple[Observation, tuple[Tensor, ...]]:
    x = batch(n, features, seed)
    gamma, beta = scale_and_shift(features, seed + 1)
    cotangent = normal(n, features, seed=seed + 2)
    seen = observe("batchnorm_forward", x=x, gamma=gamma, beta=beta, eps=eps, cotangent=cotangent)
    return seen, (x, gamma, beta, cotangent)


# --- B3 ---------------------------------------------------------------------------------------------------------------


@question("B3", points=1.5, hint="Which axis is the batch? The mean of each feature is one number over all N examples.")
@pytest.mark.parametrize("n", [2, 7, 32, 64])
def test_returns_mean_and_biased_variance(observe: Observe, n: int) -> None:
    seen, (x, *_) = seen_forward(observe, n, 1e-5, seed=300 + n)
    _, mean, var = parts(seen["returned"], ("y", "mean", "var"))
    wrong_means = {
        "the mean over the features (dim 1); take it over the batch (dim 0)": x.mean(1),
        "one mean of all numbers; each feature has its own": x.mean().expand(x.shape[1]),
    }
    assert_close(mean, x.mean(0), "mean", mistakes=wrong_means)
    assert_close(var, x.var(0, correction=0), "var", mistakes=wrong_variances(x, 1e-5))


@question(
    "B3",
    points=2,
    hint="y = gamma (x - mean) / sqrt(var + eps) + beta. Where does eps stand, and which variance is it?",
)
@pytest.mark.parametrize("eps", [1e-5, 1e-3, 0.1])
@pytest.mark.parametrize("n", [2, 7, 32, 64])
def test_normalises_scales_and_shifts(observe: Observe, n: int, eps: float) -> None:
    seen, (x, gamma, beta, _) = seen_forward(observe, n, eps, seed=320 + n)
    assert_from_scratch(seen)
    y = parts(seen["returned"], ("y", "mean", "var"))[0]
    assert_close(y, normalise(x, gamma, beta, eps), "y", mistakes=wrong_outputs(x, gamma, beta, eps))


@question("B3", points=1, hint="Only gamma, beta and eps keep the output from mean 0 and variance 1 in each feature.")
def test_output_has_mean_0_and_variance_1(observe: Observe) -> None:
    x, eps = batch(64, 8, seed=341), 1e-5
    seen = observe("batchnorm_forward_plain", x=x, gamma=torch.ones(8).double(), beta=torch.zeros(8).double())
    y = as_tensor(parts(seen["returned"], ("y", "mean", "var"))[0], "y", (64, 8))
    var = x.var(0, correction=0)
    assert_close(y.mean(0), torch.zeros(8), "y's mean over the batch")
    unbiased = {"what the unbiased variance (N - 1) gives": (var / (x.var(0) + eps))}
    assert_close(y.var(0, correction=0), var / (var + eps), "y's variance over the batch", mistakes=unbiased)


@question(
    "B3",
    points=0.5,
    hint="A feature that is the same in every example has variance 0: only eps keeps the division finite.",
)
def test_constant_feature_stays_finite(observe: Observe) -> None:
    x = batch(16, 5, seed=351)
    x[:, 2] = 1.5
    gamma, beta = scale_and_shift(5, seed=352)
    seen = observe("batchnorm_forward_plain", x=x, gamma=gamma, beta=beta)
    y = as_tensor(parts(seen["returned"], ("y", "mean", "var"))[0], "y", (16, 5))
    assert_close(y[:, 2], beta[2].expand(16), "y of a constant feature (it should be beta there)")
    assert_close(y, normalise(x, gamma, beta, 1e-5), "y")


@question(
    "B3", points=1, hint="Mean and variance depend on x too, so gradients must flow through them: no detach, no .data."
)
@pytest.mark.parametrize("n", [2, 7, 32])
def test_gradients_flow_through_the_statistics(observe: Observe, n: int) -> None:
    seen, (x, gamma, beta, cotangent) = seen_forward(observe, n, 1e-3, seed=360 + n)
    assert_from_scratch(seen)
    assert_gradients(seen, x, gamma, beta, cotangent, 1e-3)
    for name, before in (("x", x), ("gamma", gamma), ("beta", beta)):
        assert_unchanged(seen[name], before, name)


def assert_gradients(seen: Observation, x: Tensor, gamma: Tensor, beta: Tensor, cotangent: Tensor, eps: float) -> None:
    """The three gradients agree with autograd through the formula."""
    leaves = [t.clone().requires_grad_() for t in (x, gamma, beta)]
    target = torch.autograd.grad(normalise(*leaves, eps), leaves, cotangent)
    detached = detached_gradients(x, gamma, cotangent, eps)
    for name, goal in zip(("dx", "dgamma", "dbeta"), target, strict=True):
        if seen[name] is None:
            fail(f"no gradient reaches {name[1:]}: the result is cut off from it (detach, .data, .item or no_grad)")
        assert_close(seen[name], goal, f"gradient {name}", mistakes=detached if name == "dx" else None)


def detached_gradients(x: Tensor, gamma: Tensor, cotangent: Tensor, eps: float) -> dict[str, Tensor]:
    """The gradient for x when the mean, the variance or both count as constants."""
    found = {}
    for which, label in (("mean", "a mean"), ("var", "a variance"), ("both", "a mean and a variance")):
        leaf = x.clone().requires_grad_()
        mean, var = leaf.mean(0), leaf.var(0, correction=0)
        mean = mean.detach() if which != "var" else mean
        var = var.detach() if which != "mean" else var
        y = gamma * (leaf - mean) / torch.sqrt(var + eps)
        found[f"the gradient with {label} that is cut off from x (detach, .data or no_grad)"] = torch.autograd.grad(
            y, leaf, cotangent
        )[0]
    return found


# --- B4 ---------------------------------------------------------------------------------------------------------------


def started(features: int, seed: int) -> dict[str, Tensor]:
    gamma, beta = scale_and_shift(features, seed)
    return {"gamma": gamma, "beta": beta}


def reference_layer(features: int, settings: dict[str, float], start: dict[str, Tensor]) -> nn.BatchNorm1d:
    layer = nn.BatchNorm1d(features, **settings).double()  # type: ignore[arg-type]
    values = {"weight": start["gamma"], "bias": start["beta"]}
    values |= {name: start[name] for name in ("running_mean", "running_var") if name in start}
    layer.load_state_dict(layer.state_dict() | values)
    return layer


def step(seen: Observation, index: int) -> Observation:
    """One step of what the probe `layer_steps` saw; a forged reply has none."""
    steps = seen["steps"]
    found = steps[index] if isinstance(steps, list) and index < len(steps) else None
    return Observation(found if isinstance(found, dict) else {})


SETTINGS = [{}, {"eps": 0.01, "momentum": 0.3}, {"eps": 1e-3, "momentum": 0.02}]


@question(
    "B4", points=2, hint="In training the layer normalises with the batch's own mean and biased variance, as in B3."
)
@pytest.mark.parametrize("settings", SETTINGS, ids=["defaults", "momentum 0.3", "momentum 0.02"])
def test_training_uses_batch_statistics(observe: Observe, settings: dict[str, float]) -> None:
    features, start = 6, started(6, seed=400)
    batches = [batch(n, features, seed=402 + n) for n in (8, 5, 16)]
    modes = ["train", "train", "train_no_grad"]
    seen = observe("layer_steps", features=features, settings=settings, start=start, batches=batches, modes=modes)
    assert_from_scratch(seen)
    eps = settings.get("eps", 1e-5)
    for index, x in enumerate(batches):
        gamma, beta = start["gamma"], start["beta"]
        mistakes = wrong_outputs(x, gamma, beta, eps)
        mistakes["the output with the default eps; use the eps given to __init__"] = normalise(x, gamma, beta, 1e-5)
        where = "training output under no_grad" if modes[index] == "train_no_grad" else "training output"
        assert_close(step(seen, index)["y"], normalise(x, gamma, beta, eps), where, mistakes=mistakes)
        assert_unchanged(step(seen, index)["x"], x, "x")


@question(
    "B4", points=2, hint="running = (1 - momentum) running + momentum new; running_var takes the unbiased variance."
)
@pytest.mark.parametrize("settings", SETTINGS, ids=["defaults", "momentum 0.3", "momentum 0.02"])
def test_running_statistics(observe: Observe, settings: dict[str, float]) -> None:
    features, start = 6, started(6, seed=420)
    batches = [batch(n, features, seed=422 + n) for n in (8, 5, 16)]
    seen = observe(
        "layer_steps", features=features, settings=settings, start=start, batches=batches, modes=["train"] * 3
    )
    momentum = settings.get("momentum", 0.1)
    reference = reference_layer(features, settings, start)
    wrong = wrong_running(batches, momentum)
    for index, x in enumerate(batches):
        reference(x)
        now = step(seen, index)
        for name in ("running_mean", "running_var"):
            mistakes = {label: values[name][index] for label, values in wrong.items()}
            assert_close(now[name], getattr(reference, name), name, mistakes=mistakes)
        assert_close(now["num_batches_tracked"], float(index + 1), "num_batches_tracked")


def wrong_running(batches: list[Tensor], momentum: float) -> dict[str, dict[str, list[Tensor]]]:
    """The running statistics after each batch under known wrong rules."""
    rules: dict[str, tuple[float, int, bool, float]] = {
        "what the biased variance gives; running_var takes the unbiased one (N - 1)": (momentum, 0, False, 1.0),
        "what momentum on the wrong term gives; it weighs the new value": (1.0 - momentum, 1, False, 1.0),
        "what momentum on the wrong term and the biased variance give": (1.0 - momentum, 0, False, 1.0),
        "what momentum 0.1 gives; use the momentum given to __init__": (0.1, 1, False, 1.0),
        "what the standard deviation gives; keep the variance": (momentum, 1, True, 1.0),
        "what a start at 0 gives; running_var starts at 1": (momentum, 1, False, 0.0),
        "its initial value: it is never updated in training": (0.0, 1, False, 1.0),
        "the last batch's statistics; keep a running average": (1.0, 1, False, 1.0),
    }
    found: dict[str, dict[str, list[Tensor]]] = {}
    for label, (weight, correction, root, first) in rules.items():
        mean, var = torch.zeros_like(batches[0][0]), torch.full_like(batches[0][0], first)
        kept: dict[str, list[Tensor]] = {"running_mean": [], "running_var": []}
        for x in batches:
            new = x.var(0, correction=correction)
            mean = (1 - weight) * mean + weight * x.mean(0)
            var = (1 - weight) * var + weight * (new.sqrt() if root else new)
            kept["running_mean"].append(mean)
            kept["running_var"].append(var)
        found[label] = kept
    return found


@question(
    "B4", points=1.5, hint="In evaluation nothing depends on the batch: use the running statistics, and update nothing."
)
@pytest.mark.parametrize("n", [9, 1])
def test_evaluation_uses_running_statistics(observe: Observe, n: int) -> None:
    features = 6
    start = started(features, seed=440)
    start |= {"running_mean": normal(features, seed=442), "running_var": 0.5 + normal(features, seed=443) ** 2}
    x = batch(n, features, seed=444)
    seen = observe(
        "layer_steps", features=features, settings={"eps": 0.02}, start=start, batches=[x, x], modes=["eval"] * 2
    )
    gamma, beta, mean, var = (start[name] for name in ("gamma", "beta", "running_mean", "running_var"))
    target = normalised(x - mean, var, gamma, beta, 0.02)
    mistakes = {
        "the output with running_var unrooted; divide by sqrt(running_var + eps)": gamma * (x - mean) / (var + 0.02)
        + beta,
        "the output with eps outside the square root": gamma * (x - mean) / (var.sqrt() + 0.02) + beta,
        "the output with the default eps; use the eps given to __init__": normalised(x - mean, var, gamma, beta, 1e-5),
        "the output without gamma and beta": (x - mean) / torch.sqrt(var + 0.02),
    }
    if n > 1:
        mistakes["the batch's own statistics; evaluation uses the running ones"] = normalise(x, gamma, beta, 0.02)
    assert_close(step(seen, 0)["y"], target, "evaluation output", mistakes=mistakes)
    assert_close(step(seen, 1)["y"], target, "evaluation output the second time")
    for name, before in (("running_mean", mean), ("running_var", var)):
        assert_close(step(seen, 1)[name], before, f"{name} after evaluation (it must not change)")
    first = Observation(seen["first"] if isinstance(seen["first"], dict) else {})["num_batches_tracked"]
    if as_tensor(first, "num_batches_tracked", ()) != as_tensor(
        step(seen, 1)["num_batches_tracked"], "num_batches_tracked", ()
    ):
        fail("num_batches_tracked changed in evaluation; count training batches only")


@question(
    "B4",
    points=1.5,
    hint="The batch's mean and variance are functions of x: let gradients through them, but not into the buffers.",
)
@pytest.mark.parametrize("n", [2, 8])
def test_gradients(observe: Observe, n: int) -> None:
    features, start = 5, started(5, seed=460)
    x, cotangent = batch(n, features, seed=462), normal(n, features, seed=463)
    seen = observe("layer_gradients", settings={"eps": 1e-3}, start=start, x=x, cotangent=cotangent)
    assert_from_scratch(seen)
    assert_gradients(seen, x, start["gamma"], start["beta"], cotangent, 1e-3)
    if seen["needs_grad"]:
        fail("the running statistics hold on to the graph; update them under torch.no_grad() or from detached values")


@question("B4", points=0.5, hint="One example has no variance over the batch.")
def test_a_single_example_raises_in_training(observe: Observe) -> None:
    seen = observe("layer_single", features=4)
    if seen["raised"] is None:
        fail(
            "training on a batch of one went through; raise an error, because its variance is 0 over N and undefined over N - 1"
        )


@question("B4", points=1.5, hint="nn.Parameter for gamma and beta, register_buffer for the three statistics.")
def test_parameters_and_buffers(observe: Observe) -> None:
    features = 5
    seen = observe("layer_state", features=features, x=batch(12, features, seed=480))
    parameters, buffers = seen["parameters"], seen["buffers"]
    if not isinstance(parameters, dict) or set(parameters) != {"gamma", "beta"}:
        fail(f"the parameters should be gamma and beta, and are {', '.join(sorted(parameters)) or 'none'}")
    assert_close(parameters["gamma"], torch.ones(features), "initial gamma")
    assert_close(parameters["beta"], torch.zeros(features), "initial beta")
    statistics = Observation(seen["statistics"] if isinstance(seen["statistics"], dict) else {})
    assert_close(statistics["running_mean"], torch.zeros(features), "initial running_mean")
    assert_close(statistics["running_var"], torch.ones(features), "initial running_var")
    assert_close(statistics["num_batches_tracked"], 0.0, "initial num_batches_tracked")
    missing = [name for name in ("running_mean", "running_var") if name not in buffers]
    if missing:
        fail(
            f"{' and '.join(missing)} should be a buffer (register_buffer), so that it is saved and moves with the model"
        )
    restored = as_tensor(seen["restored"], "output after load_state_dict")
    assert_close(restored, as_tensor(seen["original"], "evaluation output"), "output of a copy made through state_dict")


# --- B6 ---------------------------------------------------------------------------------------------------------------

SIZES = [VOCAB, 3, 16, 256]
B6_LIMIT = 5.5


def mlp_weights(sizes: list[int], seed: int) -> dict[str, Tensor]:
    vocab, context, embed, hidden = sizes
    gamma, beta = scale_and_shift(hidden, seed)
    return {
        "C": normal(vocab, embed, seed=seed + 2),
        "W1": normal(context * embed, hidden, seed=seed + 3, std=0.3),
        "b1": normal(hidden, seed=seed + 4),
        "W2": normal(hidden, vocab, seed=seed + 5, std=0.2),
        "b2": normal(vocab, seed=seed + 6),
        "bn.gamma": gamma,
        "bn.beta": beta,
        "bn.running_mean": normal(hidden, seed=seed + 7),
        "bn.running_var": 0.5 + normal(hidden, seed=seed + 8) ** 2,
    }


Norm = Callable[[Tensor], Tensor]


def mlp_forward(w: dict[str, Tensor], inputs: Tensor, norm: Norm) -> dict[str, Tensor]:
    """The right logits first, then those of known wrong forward passes."""
    flat = w["C"][inputs].flatten(1)
    pre = flat @ w["W1"] + w["b1"]
    return {
        "": torch.tanh(norm(pre)) @ w["W2"] + w["b2"],
        "logits with the norm after tanh; it belongs before it": norm(torch.tanh(pre)) @ w["W2"] + w["b2"],
        "logits without the norm": torch.tanh(pre) @ w["W2"] + w["b2"],
        "logits without tanh": norm(pre) @ w["W2"] + w["b2"],
        "logits without b1": torch.tanh(norm(flat @ w["W1"])) @ w["W2"] + w["b2"],
        "logits without b2": torch.tanh(norm(pre)) @ w["W2"],
        "logits with relu in the place of tanh": F.relu(norm(pre)) @ w["W2"] + w["b2"],
        "probabilities; return the logits, without softmax": torch.softmax(
            torch.tanh(norm(pre)) @ w["W2"] + w["b2"], 1
        ),
        "log probabilities; return the logits": torch.log_softmax(torch.tanh(norm(pre)) @ w["W2"] + w["b2"], 1),
    }


@question(
    "B6", points=3, hint="Embed and flatten, linear, norm, tanh, linear: where between the layers does the norm stand?"
)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_forward_pass(observe: Observe, mode: str) -> None:
    sizes = [VOCAB, 3, 4, 10]
    weights = mlp_weights(sizes, seed=600)
    inputs = names().train.contexts[:48]
    seen = observe("mlp_outputs", name="MLPv2", sizes=sizes, options={}, start=weights, inputs=inputs)
    gamma, beta = weights["bn.gamma"], weights["bn.beta"]

    def norm(pre: Tensor) -> Tensor:
        if pre.shape[1:] != gamma.shape:
            return pre
        if mode == "train":
            return normalise(pre, gamma, beta, 1e-5)
        return normalised(pre - weights["bn.running_mean"], weights["bn.running_var"], gamma, beta, 1e-5)

    if mode == "eval":
        # The probe trained on the batch once before it evaluated, so the statistics moved by one step.
        pre = weights["C"][inputs].flatten(1) @ weights["W1"] + weights["b1"]
        weights["bn.running_mean"] = weights["bn.running_mean"].lerp(pre.mean(0), 0.1)
        weights["bn.running_var"] = weights["bn.running_var"].lerp(pre.var(0), 0.1)
    known = mlp_forward(weights, inputs, norm)
    target = known.pop("")
    assert_close(seen[mode], target, f"logits in {'training' if mode == 'train' else 'evaluation'}", mistakes=known)


@question(
    "B6",
    points=2,
    hint="300 steps at learning rate 0.1 reach about 3.7 with the norm in its place, and stay near 8 without it.",
)
def test_trains_at_a_large_learning_rate(observe: Observe) -> None:
    data = names()
    contexts, targets = data.batches(300, 32, seed=620)
    seen = observe(
        "trained_logits",
        name="MLPv2",
        sizes=SIZES,
        options={},
        contexts=contexts,
        targets=targets,
        lr=0.1,
        held_out=data.held_out.contexts,
    )
    logits = as_tensor(seen["logits"], "logits", (len(data.held_out.targets), VOCAB))
    assert_below(data.loss(logits), B6_LIMIT, "the held-out loss after 300 steps", "is the norm before tanh, and used?")
