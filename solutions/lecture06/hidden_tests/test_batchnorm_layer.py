"""Hidden tests of the batch normalization notebook, part 3: the layer with running statistics."""

import functools
import math

import pytest
import torch
from autograder.testing import (
    SINGLE,
    Band,
    Observation,
    Observe,
    Picture,
    agrees,
    as_dict,
    as_tensor,
    assert_close,
    assert_unchanged,
    band_of,
    curve,
    fail,
    mapping,
    picture,
    question,
)
from torch import Tensor, nn

from .batchnorm_reference import (
    Named,
    assert_from_scratch,
    assert_full_precision,
    assert_gradients,
    inner,
    layer_state,
    normalise,
    normalised,
    wrong_outputs,
)
from .inputs import batch, normal, population, scale_and_shift, steady_batch
from .running_reference import (
    assert_uses_its_attributes,
    counted,
    made_with,
    running_output,
    wrong_evaluations,
    wrong_running,
)

# --- B4 ---------------------------------------------------------------------------------------------------------------


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


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
    """Return one step of what the probe `layer_steps` saw; a forged reply has none."""
    steps = seen["steps"]
    return inner(steps[index] if isinstance(steps, list) and index < len(steps) else None)


def assert_fitting(seen: Observation, features: int) -> None:
    """Assert that the layer has a place for every value that the test sets."""
    for name, shape in mapping(seen["misfits"]).items():
        if not isinstance(shape, list):
            fail(f"the layer has no tensor {name}; store it on self in __init__, under this name")
        fail(f"{name} has shape {tuple(shape)} in a layer made with num_features={features}; use num_features")


TRAINED = {
    "train": "training output",
    "train_no_grad": "training output under no_grad",
    "train_frozen": "training output where nothing requires a gradient",
}
"""What the outputs in a mode of the probe are called in messages."""

SETTINGS = [{"eps": 0.01, "momentum": 0.3}, {}, {"eps": 1e-8, "momentum": 0.02}]


@question(
    "B4", points=2, hint="In training the layer normalises with the batch's own mean and biased variance, as in B3."
)
@pytest.mark.parametrize("settings", SETTINGS, ids=["momentum 0.3", "defaults", "momentum 0.02"])
def test_training_uses_batch_statistics(observe: Observe, settings: dict[str, float]) -> None:
    features, start = 6, started(6, seed=400)
    batches = [batch(n, features, seed=402 + n) for n in (8, 5, 16, 7)]
    modes = ["train", "train", "train_no_grad", "train_frozen"]
    seen = observe("layer_steps", features=features, settings=settings, start=start, batches=batches, modes=modes)
    assert_fitting(seen, features)
    assert_from_scratch(seen)
    eps = settings.get("eps", 1e-5)
    for index, x in enumerate(batches):
        gamma, beta = start["gamma"], start["beta"]
        mistakes = {
            "the output with the default eps; use the eps passed to __init__": normalise(x, gamma, beta, 1e-5),
            "the output with the initial running statistics; in training use those of the batch": normalised(
                x, torch.ones_like(gamma), gamma, beta, eps
            ),
            "the output with the running statistics; in training use those of the batch": running_output(
                batches[: index + 1], gamma, beta, eps, settings.get("momentum", 0.1)
            ),
            "the output with the previous running statistics; in training use those of the batch": running_output(
                batches[:index], gamma, beta, eps, settings.get("momentum", 0.1), x
            ),
            **wrong_outputs(x, gamma, beta, eps),
        }
        with made_with(settings):
            y = step(seen, index)["y"]
            target = normalise(x, gamma, beta, eps)
            assert_close(y, target, TRAINED[modes[index]], mistakes=mistakes, tolerance=SINGLE)
        assert_unchanged(step(seen, index)["x"], x, "x")


WITHOUT_AUTOGRAD = 1
"""Index of the training batch that the layer gets under no_grad, which counts like the others."""
STEADY = 13
"""Batches after the first three, in the test case that most wrong rules fail at: its picture shows where they lead."""


def training_batches(settings: dict[str, float], seed: int) -> list[Tensor]:
    batches = [batch(n, 6, seed=seed + n) for n in (8, 5, 16)]
    steady = range(STEADY if settings == SETTINGS[0] else 0)
    return batches + [steady_batch(4, 6, seed=seed + 100 + 3 * index) for index in steady]


def seen_training(observe: Observe, settings: dict[str, float], batches: list[Tensor]) -> Observation:
    modes = ["train"] * len(batches)
    modes[WITHOUT_AUTOGRAD] = "train_no_grad"
    # Without values for gamma and beta, which have no influence, so that a wrong shape of theirs costs no points here.
    return observe("layer_steps", features=6, settings=settings, start={}, batches=batches, modes=modes)


def reference_running(settings: dict[str, float], batches: list[Tensor]) -> list[Named]:
    """Return the running statistics of PyTorch's layer after each batch."""
    reference, found = reference_layer(6, settings, started(6, seed=420)), []
    for x in batches:
        reference(x)
        found.append({name: getattr(reference, name).clone() for name in ("running_mean", "running_var")})
    return found


@functools.cache
def right_variances(case: int) -> Band:
    """Return where the mean running variance lies after each of other batches, by the place of the settings."""
    settings = SETTINGS[case]
    others = [training_batches(settings, seed=4000 + 1000 * index) for index in range(60)]
    found = [reference_running(settings, batches) for batches in others]
    return band_of([torch.stack([now["running_var"].mean() for now in one]) for one in found])


def running_variances(observe: Observe, settings: dict[str, float]) -> Picture:
    batches = training_batches(settings, seed=422)
    seen = seen_training(observe, settings, batches)
    yours = [as_tensor(step(seen, index)["running_var"], "running_var", (6,)).mean() for index in range(len(batches))]
    variance = float((population(6)[0] ** 2).mean())
    return curve(
        "Running variance over training batches, mean of 6 features",
        x="training batches",
        y="running_var",
        yours=yours,
        band=right_variances(SETTINGS.index(settings)),
        line=("variance of the population", [variance] * len(batches)),
    )


@picture(running_variances)
@question(
    "B4", points=2, hint="running = (1 - momentum) * running + momentum * new; running_var uses the unbiased variance."
)
@pytest.mark.parametrize("settings", SETTINGS, ids=["momentum 0.3", "defaults", "momentum 0.02"])
def test_running_statistics(observe: Observe, settings: dict[str, float]) -> None:
    batches = training_batches(settings, seed=422)
    seen = seen_training(observe, settings, batches)
    wrong = wrong_running(batches, settings.get("momentum", 0.1))
    expected = reference_running(settings, batches)
    with_autograd = reference_running(settings, [x for at, x in enumerate(batches) if at != WITHOUT_AUTOGRAD])
    with_autograd.insert(WITHOUT_AUTOGRAD, with_autograd[WITHOUT_AUTOGRAD - 1])
    by_autograd = "the result of updates only while autograd is on; in training mode, update under no_grad, too"
    wrong[by_autograd] = {name: [one[name] for one in with_autograd] for name in ("running_mean", "running_var")}
    # Start with the last step, where the wrong rules differ most.
    for index in reversed(range(len(batches))):
        now = step(seen, index)
        for name in ("running_mean", "running_var"):
            mistakes = {label: values[name][index] for label, values in wrong.items()}
            with made_with(settings):
                assert_close(now[name], expected[index][name], name, mistakes=mistakes, tolerance=SINGLE)
        if counted(now["num_batches_tracked"]) != index + 1:
            fail(
                f"num_batches_tracked is {counted(now['num_batches_tracked']):g} "
                f"after {index + 1} training {'batch' if index == 0 else 'batches'}; add 1 for each"
            )
    if settings == SETTINGS[-1]:
        assert_updates_go_on(observe, settings)


MANY = 150
"""Batches after which the last one still counts, at a momentum of 0.02."""


def assert_updates_go_on(observe: Observe, settings: dict[str, float]) -> None:
    """Assert that the running statistics follow the batches for as long as training takes."""
    x = batch(8, 6, seed=438)
    seen = observe("layer_repeated", settings=settings, x=x, count=MANY)
    zero, one = torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    for name, start, new in (("running_mean", zero, x.mean(0)), ("running_var", one, x.var(0))):
        after = [start.lerp(new, 1 - (1 - settings["momentum"]) ** count) for count in range(MANY + 1)]
        mistakes = {f"the result of {count} batches; update it for every batch": after[count] for count in range(MANY)}
        where = f"{name} after {MANY} training batches"
        assert_close(seen[name], after[MANY], where, mistakes=mistakes, tolerance=SINGLE)


@question(
    "B4",
    points=1.5,
    hint="In evaluation mode nothing depends on the batch: use the running statistics, and update nothing.",
)
@pytest.mark.parametrize("n", [9, 1])
def test_evaluation_uses_running_statistics(observe: Observe, n: int) -> None:
    features = 6
    start = layer_state(features, seed=440)
    x = batch(n, features, seed=444)
    seen = observe(
        "layer_steps", features=features, settings={"eps": 0.02}, start=start, batches=[x, x], modes=["eval"] * 2
    )
    assert_fitting(seen, features)
    assert_from_scratch(seen)
    gamma, beta, mean, var = (start[name] for name in ("gamma", "beta", "running_mean", "running_var"))
    target = normalised(x - mean, var, gamma, beta, 0.02)
    mistakes = wrong_evaluations(x, start, 0.02)
    for name, before in (("running_mean", mean), ("running_var", var)):
        assert_close(step(seen, 1)[name], before, f"{name} after evaluation, which must not change it,")
    assert_close(step(seen, 0)["y"], target, "evaluation output", mistakes=mistakes, tolerance=SINGLE)
    assert_close(step(seen, 1)["y"], target, "evaluation output of a second call", tolerance=SINGLE)
    first = inner(seen["first"])["num_batches_tracked"]
    if counted(first) != counted(step(seen, 1)["num_batches_tracked"]):
        fail("num_batches_tracked changed in evaluation; count training batches only")
    assert_evaluation_after_training(observe)


def assert_evaluation_after_training(observe: Observe) -> None:
    """Assert that evaluation uses the running statistics as training left them, whatever these are."""
    start = started(6, seed=446)
    batches = [batch(n, 6, seed=447 + n) for n in (8, 5, 16, 9)]
    batches.insert(0, batches[-1])
    settings, modes = {"eps": 0.02, "momentum": 0.3}, ["eval", "train", "train", "train", "eval"]
    seen = observe("layer_steps", features=6, settings=settings, start=start, batches=batches, modes=modes)
    kept = {name: as_tensor(step(seen, 3)[name], name, (6,)) for name in ("running_mean", "running_var")}
    correction = 1 - 0.7**3
    mistakes = {
        "the output with bias-corrected statistics; use the buffers as they are": normalised(
            batches[4] - kept["running_mean"] / correction,
            kept["running_var"] / correction,
            start["gamma"],
            start["beta"],
            0.02,
        ),
        "the output with the batch's statistics; in evaluation use the running ones": normalise(
            batches[4], start["gamma"], start["beta"], 0.02
        ),
        "the output of an evaluation before these batches; use the running statistics as they are now": step(seen, 0)[
            "y"
        ],
    }
    target = normalised(batches[4] - kept["running_mean"], kept["running_var"], start["gamma"], start["beta"], 0.02)
    where = "evaluation output after three training batches"
    assert_close(step(seen, 4)["y"], target, where, mistakes=mistakes, tolerance=SINGLE)


@question(
    "B4",
    points=1.5,
    hint="Gradients flow through the batch's mean and variance in training, but never into the running statistics.",
)
@pytest.mark.parametrize("n", [2, 8])
def test_gradients(observe: Observe, n: int) -> None:
    features, start = 5, layer_state(5, seed=460)
    x, cotangent = batch(n, features, seed=462), normal(n, features, seed=463)
    seen = observe("layer_gradients", settings={"eps": 1e-3}, start=start, x=x, cotangent=cotangent)
    assert_fitting(seen, features)
    assert_from_scratch(seen)
    assert_gradients(seen, x, start["gamma"], start["beta"], cotangent, 1e-3, tolerance=SINGLE)
    if seen["needs_grad"]:
        fail(
            "the running statistics require a gradient: they keep the graph alive or are parameters; "
            "make them buffers and update them under torch.no_grad() or from detached values"
        )
    assert_evaluation_gradients(inner(seen["evaluation"]), start, x, cotangent)


def assert_evaluation_gradients(seen: Observation, state: Named, x: Tensor, cotangent: Tensor) -> None:
    """Assert what a call in evaluation mode gives for an input that requires a gradient."""
    gamma, beta, mean, var = (state[name] for name in ("gamma", "beta", "running_mean", "running_var"))
    if isinstance(plain := seen["plain"], Tensor) and not agrees(seen["y"], plain):
        fail(
            "the evaluation output is another one for the same input if this requires a gradient; "
            "self.training decides the mode, not requires_grad"
        )
    leaf, scale, shift = (value.clone().requires_grad_() for value in (x, gamma, beta))
    goals = torch.autograd.grad(normalised(leaf - mean, var, scale, shift, 1e-3), (leaf, scale, shift), cotangent)
    in_training = torch.autograd.grad(normalise(leaf, scale, shift, 1e-3), (leaf, scale, shift), cotangent)
    for name, goal, other in zip(("dx", "dgamma", "dbeta"), goals, in_training, strict=True):
        if seen[name] is None:
            fail(
                f"in evaluation mode no gradient reaches {name[1:]} (detach, .data or no_grad); "
                "only the running statistics are constants there"
            )
        wrong = {"the gradient of training mode; in evaluation the running statistics are constants": other}
        # A wrong output, which another test finds, does not count again here.
        if agrees(seen["y"], normalised(x - mean, var, gamma, beta, 1e-3), SINGLE):
            assert_close(seen[name], goal, f"gradient {name} in evaluation mode", mistakes=wrong, tolerance=SINGLE)


@question("B4", points=0.5, hint="A single example has no variance over the batch.")
def test_a_single_example_raises_in_training(observe: Observe) -> None:
    x = batch(4, 4, seed=470)
    seen = observe("layer_single", x=x)
    as_tensor(seen["y"], "training output for four examples", (4, 4))
    if not isinstance(seen["raised"], str):
        fail(
            "training on a batch of one example did not raise an error; raise ValueError, "
            "because one example has no variance"
        )
    before, after = inner(seen["before"]), inner(seen["after"])
    for name in ("running_mean", "running_var"):
        if isinstance(kept := before[name], Tensor) and not agrees(after[name], kept):
            fail(f"{name} changed although the layer raised an error; count the examples before you update anything")
    zero, one = (torch.full((4,), start, dtype=torch.float64) for start in (0.0, 1.0))
    assert_full_precision(seen["y"], normalise(x, one, zero, 1e-5), "training output")
    for name, goal in (("running_mean", zero.lerp(x.mean(0), 0.1)), ("running_var", one.lerp(x.var(0), 0.1))):
        assert_full_precision(before[name], goal, name)


@question("B4", points=1.5, hint="nn.Parameter for gamma and beta, register_buffer for the three statistics.")
def test_parameters_and_buffers(observe: Observe) -> None:
    features, settings = 5, {"eps": 0.02, "momentum": 0.3}
    x = batch(12, features, seed=480)
    seen = observe("layer_state", features=features, settings=settings, x=x)
    parameters = as_dict(seen["parameters"], "table of parameters", ())
    buffers = as_dict(seen["buffers"], "table of buffers", ())
    if set(parameters) != {"gamma", "beta"}:
        found = ", ".join(sorted(parameters)) or "none at all"
        fail(f"the parameters should be gamma and beta, each an nn.Parameter, but are {found}")
    assert_close(parameters["gamma"], torch.ones(features), "initial gamma")
    assert_close(parameters["beta"], torch.zeros(features), "initial beta")
    for name, value in inner(seen["trained"]).items():
        if not agrees(value, parameters.get(name)):
            fail(
                f"{name} changes in a forward pass, without any optimizer; does it share its memory with a buffer? "
                f"Create a new tensor for each parameter and each buffer"
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
                f"{name} of a second new layer is not {start:g} once another layer has changed; "
                f"create separate tensors for each layer, in __init__"
            )
    attributes = inner(seen["attributes"])
    for name, default in (("eps", 1e-5), ("momentum", 0.1)):
        # An answer that ignores the arguments has the default; other tests find that.
        value = attributes[name]
        if not isinstance(value, float):
            fail(f"the layer has no attribute {name} that is a number; store it as self.{name}")
        if not any(math.isclose(value, goal, rel_tol=1e-6) for goal in (settings[name], default)):
            fail(f"the attribute {name} is {value:g} for a layer created with {name}={settings[name]:g}")
    assert_uses_its_attributes(mapping(seen["late"]), x, settings)
    if isinstance(single := seen["single"], str) and single not in ("torch.float32", "None"):
        fail(f"for a float32 batch the output is {single[6:30]}; keep the dtype of the input")
    if missing := [name for name in ("running_mean", "running_var") if name not in buffers]:
        fail(
            f"{' and '.join(missing)} should be {'a buffer' if len(missing) == 1 else 'buffers'} (register_buffer), "
            f"which are saved and moved with the model"
        )
    state = as_dict(seen["state"], "state_dict", ())
    if unsaved := sorted((set(STATISTICS) & set(buffers)) - set(state)):
        fail(f"{' and '.join(unsaved)} should be in the state_dict, which is what is saved of a model")
    restored = as_tensor(seen["restored"], "output after load_state_dict")
    assert_close(
        restored, as_tensor(seen["original"], "evaluation output"), "output of a copy restored from the state_dict"
    )
