"""Hidden tests of the batch normalization notebook, part 3: the layer with running statistics."""

import contextlib
import math
from collections.abc import Iterator

import pytest
import torch
from autograder.testing import (
    Observation,
    Observe,
    as_dict,
    as_tensor,
    assert_close,
    assert_unchanged,
    describe_kind,
    fail,
    question,
)
from torch import Tensor, nn

from .batchnorm_reference import (
    Named,
    agrees,
    assert_from_scratch,
    assert_gradients,
    inner,
    layer_state,
    normalise,
    normalised,
    wrong_outputs,
)
from .inputs import batch, normal, scale_and_shift

# --- B4 ---------------------------------------------------------------------------------------------------------------


def started(features: int, seed: int) -> Named:
    gamma, beta = scale_and_shift(features, seed)
    return {"gamma": gamma, "beta": beta}


def reference_layer(features: int, settings: dict[str, float], start: Named) -> nn.BatchNorm1d:
    layer = nn.BatchNorm1d(features, **settings).double()  # type: ignore[arg-type]
    values = {"weight": start["gamma"], "bias": start["beta"]}
    values |= {name: start[name] for name in ("running_mean", "running_var") if name in start}
    layer.load_state_dict(layer.state_dict() | values)
    return layer


def step(seen: Observation, index: int) -> Observation:
    """One step of what the probe `layer_steps` saw; a forged reply has none."""
    steps = seen["steps"]
    return inner(steps[index] if isinstance(steps, list) and index < len(steps) else None)


@contextlib.contextmanager
def made_with(settings: dict[str, float]) -> Iterator[None]:
    """Failures of a layer without settings point at the default values."""
    try:
        yield
    except AssertionError as error:
        if settings:
            raise
        fail(f"{error}; this layer is made without eps and momentum: check the default values")


SETTINGS = [{"eps": 0.01, "momentum": 0.3}, {}, {"eps": 1e-3, "momentum": 0.02}]


@question(
    "B4", points=2, hint="In training the layer normalises with the batch's own mean and biased variance, as in B3."
)
@pytest.mark.parametrize("settings", SETTINGS, ids=["momentum 0.3", "defaults", "momentum 0.02"])
def test_training_uses_batch_statistics(observe: Observe, settings: dict[str, float]) -> None:
    features, start = 6, started(6, seed=400)
    batches = [batch(n, features, seed=402 + n) for n in (8, 5, 16)]
    modes = ["train", "train", "train_no_grad"]
    seen = observe("layer_steps", features=features, settings=settings, start=start, batches=batches, modes=modes)
    assert_from_scratch(seen)
    eps = settings.get("eps", 1e-5)
    for index, x in enumerate(batches):
        gamma, beta = start["gamma"], start["beta"]
        mistakes = {
            "the output with the default eps; use the eps given to __init__": normalise(x, gamma, beta, 1e-5),
            "the output with the initial running statistics; training uses those of the batch": normalised(
                x, torch.ones_like(gamma), gamma, beta, eps
            ),
            "the output with the running statistics; training uses those of the batch": running_output(
                batches[: index + 1], gamma, beta, eps, settings.get("momentum", 0.1)
            ),
            "the output with the former running statistics; training uses those of the batch": running_output(
                batches[:index], gamma, beta, eps, settings.get("momentum", 0.1), x
            ),
            **wrong_outputs(x, gamma, beta, eps),
        }
        where = "training output under no_grad" if modes[index] == "train_no_grad" else "training output"
        with made_with(settings):
            assert_close(step(seen, index)["y"], normalise(x, gamma, beta, eps), where, mistakes=mistakes)
        assert_unchanged(step(seen, index)["x"], x, "x")


def running_output(
    batches: list[Tensor], gamma: Tensor, beta: Tensor, eps: float, momentum: float, x: Tensor | None = None
) -> Tensor:
    """The output on x, or else on the last batch, with the running statistics after these batches."""
    mean, var = torch.zeros_like(gamma), torch.ones_like(gamma)
    for one in batches:
        mean, var = mean.lerp(one.mean(0), momentum), var.lerp(one.var(0), momentum)
    return normalised((batches[-1] if x is None else x) - mean, var, gamma, beta, eps)


@question(
    "B4", points=2, hint="running = (1 - momentum) running + momentum new; running_var takes the unbiased variance."
)
@pytest.mark.parametrize("settings", SETTINGS, ids=["momentum 0.3", "defaults", "momentum 0.02"])
def test_running_statistics(observe: Observe, settings: dict[str, float]) -> None:
    features, start = 6, started(6, seed=420)
    batches = [batch(n, features, seed=422 + n) for n in (8, 5, 16)]
    seen = observe(
        "layer_steps", features=features, settings=settings, start=start, batches=batches, modes=["train"] * 3
    )
    momentum = settings.get("momentum", 0.1)
    reference = reference_layer(features, settings, start)
    wrong = wrong_running(batches, momentum)
    expected = []
    for x in batches:
        reference(x)
        expected.append({name: getattr(reference, name).clone() for name in ("running_mean", "running_var")})
    # The last step first: there the wrong rules differ most.
    for index in reversed(range(len(batches))):
        now = step(seen, index)
        for name in ("running_mean", "running_var"):
            mistakes = {label: values[name][index] for label, values in wrong.items()}
            with made_with(settings):
                assert_close(now[name], expected[index][name], name, mistakes=mistakes)
        if counted(now["num_batches_tracked"]) != index + 1:
            fail(
                f"num_batches_tracked is {counted(now['num_batches_tracked']):g} "
                f"after {index + 1} training batches; it counts them"
            )


def counted(value: object) -> float:
    """The number of batches, as an int or a tensor of one element. Raises AssertionError when it is none."""
    count = as_tensor(value, "num_batches_tracked")
    if count.numel() != 1:
        fail(f"your num_batches_tracked is {describe_kind(value)}; a single number was expected")
    return float(count)


def wrong_running(batches: list[Tensor], momentum: float) -> dict[str, dict[str, list[Tensor]]]:
    """The running statistics after each batch under known wrong rules."""
    rules: dict[str, tuple[float, int, bool, float]] = {
        "what the biased variance gives; running_var takes the unbiased one (N - 1)": (momentum, 0, False, 1.0),
        "what momentum on the wrong term gives; it weighs the new value": (1.0 - momentum, 1, False, 1.0),
        "what momentum on the wrong term and the biased variance give": (1.0 - momentum, 0, False, 1.0),
        "what momentum 0.1 gives; use the momentum given to __init__": (0.1, 1, False, 1.0),
        "what momentum 0.1 and the biased variance give; use the momentum given, and N - 1": (0.1, 0, False, 1.0),
        "what the standard deviation gives; keep the variance": (momentum, 1, True, 1.0),
        "what the biased standard deviation gives; keep the variance, over N - 1": (momentum, 0, True, 1.0),
        "what a start at 0 gives; running_var starts at 1": (momentum, 1, False, 0.0),
        "what a start at 0 and the biased variance give; running_var starts at 1": (momentum, 0, False, 0.0),
        "its initial value: it is never updated in training": (0.0, 1, False, 1.0),
        "the last batch's statistics; keep a running average": (1.0, 1, False, 1.0),
        "the last batch's statistics, and the biased variance; keep a running average": (1.0, 0, False, 1.0),
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
    found["the sum of all updates; the old value has the weight 1 - momentum"] = {
        "running_mean": [
            sum((momentum * x.mean(0) for x in batches[: i + 1]), torch.zeros_like(mean)) for i in range(3)
        ],
        "running_var": [sum((momentum * x.var(0) for x in batches[: i + 1]), torch.ones_like(mean)) for i in range(3)],
    }
    found["the average over all batches; keep a running average with the given momentum"] = {
        "running_mean": [torch.stack([x.mean(0) for x in batches[: i + 1]]).mean(0) for i in range(3)],
        "running_var": [torch.stack([x.var(0) for x in batches[: i + 1]]).mean(0) for i in range(3)],
    }
    return found


@question(
    "B4", points=1.5, hint="In evaluation nothing depends on the batch: use the running statistics, and update nothing."
)
@pytest.mark.parametrize("n", [9, 1])
def test_evaluation_uses_running_statistics(observe: Observe, n: int) -> None:
    features = 6
    start = layer_state(features, seed=440)
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
        "the output without eps; divide by sqrt(running_var + eps)": gamma * (x - mean) / var.sqrt() + beta,
        "the output without gamma and beta": (x - mean) / torch.sqrt(var + 0.02),
        "the output without gamma": (x - mean) / torch.sqrt(var + 0.02) + beta,
        "the output without beta": gamma * (x - mean) / torch.sqrt(var + 0.02),
        "the output shifted before it is scaled; it is gamma * x_hat + beta": gamma
        * ((x - mean) / torch.sqrt(var + 0.02) + beta),
        "the output with gamma and beta swapped": normalised(x - mean, var, beta, gamma, 0.02),
        "the output with running_mean not subtracted": normalised(x, var, gamma, beta, 0.02),
        "the output with running_var over N - 1 once more; it is unbiased already": normalised(
            x - mean, var * n / max(n - 1, 1), gamma, beta, 0.02
        ),
        "the output multiplied by the standard deviation; divide by it": gamma * (x - mean) * torch.sqrt(var + 0.02)
        + beta,
        "the input itself": x,
    }
    if n > 1:
        mistakes["the batch's own statistics; evaluation uses the running ones"] = normalise(x, gamma, beta, 0.02)
    for name, before in (("running_mean", mean), ("running_var", var)):
        assert_close(step(seen, 1)[name], before, f"{name} after evaluation (it must not change)")
    assert_close(step(seen, 0)["y"], target, "evaluation output", mistakes=mistakes)
    assert_close(step(seen, 1)["y"], target, "evaluation output the second time")
    first = inner(seen["first"])["num_batches_tracked"]
    if counted(first) != counted(step(seen, 1)["num_batches_tracked"]):
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
        fail(
            "the running statistics need a gradient: they hold on to the graph or are parameters; "
            "make them buffers and update them under torch.no_grad() or from detached values"
        )
    if isinstance(cut_off := seen["evaluation"], list) and cut_off:
        fail(
            f"in evaluation mode no gradient reaches {cut_off[0]} (detach, .data or no_grad); "
            "the running statistics alone are constants there"
        )


@question("B4", points=0.5, hint="One example has no variance over the batch.")
def test_a_single_example_raises_in_training(observe: Observe) -> None:
    seen = observe("layer_single", features=4)
    as_tensor(seen["y"], "training output for four examples", (4, 4))
    if not isinstance(seen["raised"], str):
        fail(
            "training on a batch of one went through; raise an error, "
            "because its variance is 0 over N and undefined over N - 1"
        )


@question("B4", points=1.5, hint="nn.Parameter for gamma and beta, register_buffer for the three statistics.")
def test_parameters_and_buffers(observe: Observe) -> None:
    features, settings = 5, {"eps": 0.02, "momentum": 0.3}
    seen = observe("layer_state", features=features, settings=settings, x=batch(12, features, seed=480))
    parameters = as_dict(seen["parameters"], "table of parameters", ())
    buffers = as_dict(seen["buffers"], "table of buffers", ())
    if set(parameters) != {"gamma", "beta"}:
        fail(f"the parameters should be gamma and beta, and are {', '.join(sorted(parameters)) or 'none'}")
    assert_close(parameters["gamma"], torch.ones(features), "initial gamma")
    assert_close(parameters["beta"], torch.zeros(features), "initial beta")
    for name, value in inner(seen["trained"]).items():
        if not agrees(value, as_tensor(parameters[name], name)):
            fail(
                f"{name} changes in a forward pass, without any optimizer; does it share its memory with a buffer? "
                f"Make a new tensor for each parameter and each buffer"
            )
    statistics = inner(seen["statistics"])
    assert_close(statistics["running_mean"], torch.zeros(features), "initial running_mean")
    assert_close(statistics["running_var"], torch.ones(features), "initial running_var")
    if counted(statistics["num_batches_tracked"]) != 0:
        fail("num_batches_tracked should be 0 before the first batch")
    second = inner(seen["second"])
    for name, start in (("gamma", 1.0), ("beta", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
        if not agrees(second[name], torch.full((features,), start)):
            fail(
                f"a second new layer does not start afresh: its {name} is no longer {start:g} after another layer "
                f"has changed; each layer has tensors of its own, made in __init__"
            )
    attributes = inner(seen["attributes"])
    for name, default in (("eps", 1e-5), ("momentum", 0.1)):
        # An answer that ignores what is given has the default; other tests tell.
        value = attributes[name]
        if not isinstance(value, float):
            fail(f"{name} is not an attribute of the layer that can be read as a number; keep it as self.{name}")
        if not any(math.isclose(value, goal, rel_tol=1e-6) for goal in (settings[name], default)):
            fail(f"the attribute {name} is {value:g} for a layer made with {name}={settings[name]:g}")
    if missing := [name for name in ("running_mean", "running_var") if name not in buffers]:
        fail(
            f"{' and '.join(missing)} should be a buffer (register_buffer), "
            f"so that it is saved and moves with the model"
        )
    if unsaved := [
        name for name in ("running_mean", "running_var") if name not in as_dict(seen["state"], "state_dict", ())
    ]:
        fail(f"{' and '.join(unsaved)} should be in the state_dict, so that saving the model saves it")
    restored = as_tensor(seen["restored"], "output after load_state_dict")
    assert_close(restored, as_tensor(seen["original"], "evaluation output"), "output of a copy made through state_dict")
