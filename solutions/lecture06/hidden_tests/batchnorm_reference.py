"""Batch normalization as functions, right and wrong: what the hidden tests of the first notebook compare with."""

import contextlib
import re
from collections.abc import Iterator, Sequence

import torch
from autograder.testing import (
    FLOAT64,
    SINGLE,
    NoObservation,
    Observation,
    Value,
    agrees,
    assert_close,
    fail,
    mapping,
    sequence,
)
from torch import Tensor

from .inputs import normal, scale_and_shift

DIGITS = range(1, 6)
"""To how many digits after the point an answer may have rounded its result."""

BUILT_IN = ("batch_norm", "layer_norm", "group_norm", "instance_norm")

Named = dict[str, Tensor]


def inner(value: object) -> Observation:
    """Return a dict inside an observation as an observation; a forged reply may hold something else."""
    return Observation(value if isinstance(value, dict) else {})


def observations(value: object) -> list[Observation]:
    """Return a list of dicts inside an observation as observations."""
    return [inner(one) for one in value] if isinstance(value, list) else []


def assert_asked_in_evaluation(calls: list[Observation]) -> None:
    """Assert that a model was called, and each time in evaluation mode; `calls` is its log."""
    if not calls:
        fail("the model was never called")
    if any(call["training"] is not False for call in calls):
        fail("the model was called in training mode; call model.eval() first")


def assert_mode_restored(after: object, training: bool, when: str = "afterwards") -> None:
    """Assert that a model and its parts, whose modes after a call these are, are in the mode that it was called in."""
    modes = list(after) if isinstance(after, list) and after else [None]
    was, now = ("training", "evaluation") if training else ("evaluation", "training")
    if modes[0] is not training:
        fail(f"the model was in {was} mode before and is in {now} mode {when}; restore the original mode")
    if any(mode is not training for mode in modes):
        fail(
            f"the model is in {was} mode as before, but its layers are in {now} mode {when}; "
            "model.train(was_training) sets them too, model.training = was_training does not"
        )


def assert_from_scratch(seen: Observation) -> None:
    """Assert that no built-in norm ran, by whatever name it was called: B3 to B5 do without."""
    operators = seen["operators"]
    names = [name for name in operators if isinstance(name, str)] if isinstance(operators, list) else []
    if used := [name for name in names if any(norm in name for norm in BUILT_IN)]:
        fail(
            f"your code calls PyTorch's own normalisation ({used[0]}); "
            f"implement the formula yourself, from means and variances"
        )


RECORDING_OFF = "autograd is still disabled after the call; use `with torch.no_grad():`, which enables it again"


def assert_no_side_effects(seen: Observation) -> None:
    """Assert that a call left alone whether its inputs need a gradient, and that autograd is on after it."""
    if named := [str(name) for name in sequence(seen["need_grad"])]:
        fail(f"{named[0]} requires a gradient after the call; leave requires_grad of the inputs unchanged")
    if seen["recording"] is not True:
        fail(RECORDING_OFF)


def assert_full_precision(value: Value, target: Tensor, name: str) -> None:
    """Assert that a value that is right to float32 precision is right to float64 precision.

    Tests of formulas accept both, so that a single `.float()` costs the points of one test.
    """
    size = float(target.abs().max())
    if isinstance(value, Tensor) and size > 0 and agrees(value / size, target / size, SINGLE):
        assert_close(value / size, target / size, name)


def rounded(target: Tensor, name: str) -> dict[str, float]:
    """Return a number rounded to so many digits, as mistakes."""
    return {f"{name} rounded to {n} digits; do not round": round(float(target), n) for n in DIGITS}


SHAPE_ERROR = re.compile(r"shape|size|dimension|mat1|must match|out of (range|bounds)")
"""What an error says that comes of a size that does not fit."""


@contextlib.contextmanager
def sizes_passed_in(sizes: Sequence[int]) -> Iterator[None]:
    """Point at the sizes where an error of the student's code comes of one that does not fit."""
    try:
        yield
    except NoObservation as nothing:
        failure = nothing.failure
        if failure.status != "error" or not SHAPE_ERROR.search(failure.message):
            raise
        made = ", ".join(f"{name} {size}" for name, size in zip(SIZES, sizes, strict=False))
        fail(f"{failure.message}; the model was created with {made}: is a size hard-coded?")


SIZES = ("vocab_size", "context_size", "d_embed")


def normalise(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    """gamma (x - mean) / sqrt(var + eps) + beta, var biased. Source: Ioffe and Szegedy (2015), algorithm 1."""
    return normalised(x - x.mean(0), x.var(0, correction=0), gamma, beta, eps)


def normalised(centred: Tensor, var: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    return gamma * centred / torch.sqrt(var + eps) + beta


def wrong_outputs(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Named:
    """Return what known wrong formulas give for y."""
    mean, var, unbiased = x.mean(0), x.var(0, correction=0), x.var(0, correction=1)
    centred = x - mean
    hat = centred / torch.sqrt(var + eps)
    over_features = x.var(1, correction=0, keepdim=True), x.var(1, keepdim=True)
    crossed = x - x.mean(1, keepdim=True)
    wrong = {
        "the output with the unbiased variance (N - 1); normalise with the biased one (N)": normalised(
            centred, unbiased, gamma, beta, eps
        ),
        "the output with std + eps; eps belongs inside the square root": gamma * centred / (var.sqrt() + eps) + beta,
        "the output with the unbiased std and eps outside the square root": gamma * centred / (unbiased.sqrt() + eps)
        + beta,
        "the output without eps; add eps to the variance inside the square root": gamma * centred / var.sqrt() + beta,
        **wrong_eps(centred, var, gamma, beta, eps),
        "the output divided by the variance; divide by its square root": gamma * centred / (var + eps) + beta,
        "the output divided by the square root of the sum of squares; the variance is their mean": gamma
        * centred
        / torch.sqrt(var * len(x) + eps)
        + beta,
        "the output divided by the square root of the sum of squares, without eps; divide by sqrt(var + eps)": gamma
        * centred
        / torch.sqrt(var * len(x))
        + beta,
        "the output with eps added twice; add it once": normalised(centred, var + eps, gamma, beta, eps),
        "the output with gamma applied twice": gamma * gamma * hat + beta,
        "the output with the mean absolute deviation instead of the variance": normalised(
            centred, centred.abs().mean(0), gamma, beta, eps
        ),
        "the output multiplied by the standard deviation; divide by it": gamma * centred * torch.sqrt(var + eps) + beta,
        "the output with gamma and beta swapped": beta * hat + gamma,
        "the output shifted before it is scaled; compute gamma * x_hat + beta": gamma * (hat + beta),
        "the normalised input without gamma and beta": hat,
        "the output without beta": gamma * hat,
        "the output without gamma": hat + beta,
        "the output with the absolute value of gamma; keep its sign": gamma.abs() * hat + beta,
        "the output scaled by 1 + gamma; scale by gamma": (1 + gamma) * hat + beta,
        "the output with the mean of the squares for the variance; subtract the mean first": normalised(
            centred, (x**2).mean(0), gamma, beta, eps
        ),
        "the output with a single variance for all features; each feature needs its own": normalised(
            centred, centred.square().mean(), gamma, beta, eps
        ),
        "the output with beta subtracted; add it": gamma * hat - beta,
        "the input scaled but not centred; subtract the mean first": gamma * x / torch.sqrt(var + eps) + beta,
        "the input centred but not divided by its standard deviation": gamma * centred + beta,
        "the output with a single mean and variance for all features; each feature needs its own": normalised(
            x - x.mean(), x.var(correction=0), gamma, beta, eps
        ),
        "the output with a single unbiased variance for all features; each feature needs its own": normalised(
            x - x.mean(), x.var(), gamma, beta, eps
        ),
    }
    for var_over_features, label in zip(over_features, ("statistics", "unbiased statistics"), strict=True):
        wrong[f"the output with {label} over the features (dim 1); compute them over the batch (dim 0)"] = normalised(
            crossed, var_over_features, gamma, beta, eps
        )
    if len(x) == x.shape[1]:
        # With N == D, statistics (N,) over the features broadcast along the wrong axis.
        wrong["the output with one mean and variance per example (dim 1); compute them per feature (dim 0)"] = (
            normalised(x - x.mean(1), x.var(1, correction=0), gamma, beta, eps)
        )
    return wrong


def wrong_eps(centred: Tensor, var: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Named:
    """Return what known wrong uses of eps inside the square root give for y."""
    clamped = normalised(centred, var.clamp(min=eps), gamma, beta, 0.0)
    limited = normalised(centred, var, gamma, beta, max(eps, 1e-5))
    return {
        "the output with the variance clamped at eps; add eps to the variance instead": clamped,
        "the output with at least the default eps; use the eps that is passed in": limited,
        "the output with eps squared; divide by sqrt(var + eps)": normalised(centred, var, gamma, beta, eps**2),
        "the output with the default eps; use the eps that is passed in": normalised(centred, var, gamma, beta, 1e-5),
    }


def wrong_means(x: Tensor) -> Named:
    return {
        "the mean over the features (dim 1); take it over the batch (dim 0)": x.mean(1),
        "a single mean over all entries; each feature needs its own": x.mean(),
        "the sum; divide by N": x.sum(0),
        "the mean of the normalised batch; return that of x": torch.zeros_like(x[0]),
        "the median; take the mean": x.median(0).values,
    }


def wrong_variances(x: Tensor, eps: float) -> Named:
    var = x.var(0, correction=0)
    return {
        "the unbiased variance (N - 1); return the biased one, divided by N": x.var(0, correction=1),
        "the standard deviation; return the variance": var.sqrt(),
        "the unbiased standard deviation; return the biased variance": x.std(0, correction=1),
        "sqrt(var + eps); return the variance itself": torch.sqrt(var + eps),
        "var + eps; return the variance itself": var + eps,
        "1 / sqrt(var + eps); return the variance itself": torch.rsqrt(var + eps),
        "the mean of the squares; subtract the mean first": (x**2).mean(0),
        "the mean absolute deviation; average the squares": (x - x.mean(0)).abs().mean(0),
        "the sum of squares; divide by N": var * len(x),
        "a single variance over all entries; each feature needs its own": x.var(correction=0),
        "a single unbiased variance over all entries; each feature needs its own, divided by N": x.var(),
        "a single variance for all features; each feature needs its own": (x - x.mean(0))
        .square()
        .mean()
        .expand(x.shape[1]),
        "the variance over the features (dim 1); take it over the batch (dim 0)": x.var(1, correction=0),
        "the unbiased variance over the features (dim 1); take the biased one over the batch (dim 0)": x.var(1),
    }


def assert_gradients(
    seen: Observation,
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    cotangent: Tensor,
    eps: float,
    tolerance: float = FLOAT64,
) -> None:
    """Assert that the gradients dx, dgamma and dbeta of an output agree with autograd through the formula."""
    leaf, scale, shift = x.clone().requires_grad_(), gamma.clone().requires_grad_(), beta.clone().requires_grad_()
    target = torch.autograd.grad(normalise(leaf, scale, shift, eps), (leaf, scale, shift), cotangent)
    detached = detached_gradients(x, gamma, cotangent, eps)
    if not agrees(seen["dx"], target[0], tolerance) and _flows_through_statistics(seen, cotangent):
        return
    for name, goal in zip(("dx", "dgamma", "dbeta"), target, strict=True):
        if seen[name] is None:
            fail(f"no gradient reaches {name[1:]}: the result is detached from it (detach, .data, .item or no_grad)")
        mistakes = detached if name == "dx" else None
        assert_close(seen[name], goal, f"gradient {name}", mistakes=mistakes, tolerance=tolerance)


def assert_statistics_keep_their_gradients(seen: Observation) -> None:
    """Assert that gradients flow to x from the mean and the variance that B3 returns."""
    for name, gradient in mapping(seen["statistics"]).items():
        if gradient is None:
            fail(f"the {name} that you return is detached from x; return it as computed (no detach, .data or no_grad)")


def _flows_through_statistics(seen: Observation, cotangent: Tensor) -> bool:
    """Return whether autograd differentiates the function as written, and that function subtracts a batch mean.

    An error in the formula, which other tests find, then does not count again as one in the gradient.
    """
    dx, along = seen["dx"], seen["slope"]
    if not isinstance(dx, Tensor) or dx.shape != cotangent.shape or not isinstance(along, Tensor) or along.numel() != 1:
        return False
    if any(seen[name] is None for name in ("dgamma", "dbeta")):
        return False
    dx = dx.double()
    size = float(dx.abs().max())
    consistent = abs(float((dx * cotangent).sum()) - float(along)) <= 1e-6 * (1 + abs(float(along)))
    # Without eps, two examples are normalised to plus and minus one, whatever they are: dx is zero.
    return (size > 1e-9 or len(dx) == 2) and consistent and float(dx.sum(0).abs().max()) <= 1e-9 * (1 + size)


def detached_gradients(x: Tensor, gamma: Tensor, cotangent: Tensor, eps: float) -> Named:
    """Return the gradient for x when the mean, the variance or both are treated as constants."""
    found = {}
    for which, label in (("mean", "a mean"), ("var", "a variance"), ("both", "mean and variance")):
        leaf = x.clone().requires_grad_()
        mean, var = leaf.mean(0), leaf.var(0, correction=0)
        mean = mean.detach() if which != "var" else mean
        var = var.detach() if which != "mean" else var
        y = gamma * (leaf - mean) / torch.sqrt(var + eps)
        found[f"the gradient with {label} detached from x; let gradients flow (no detach, .data or no_grad)"] = (
            torch.autograd.grad(y, leaf, cotangent)[0]
        )
    return found


def layer_state(features: int, seed: int, prefix: str = "") -> Named:
    """Return random parameters and running statistics of a layer, by name."""
    gamma, beta = scale_and_shift(features, seed)
    return {
        f"{prefix}gamma": gamma,
        f"{prefix}beta": beta,
        f"{prefix}running_mean": normal(features, seed=seed + 2),
        f"{prefix}running_var": 0.5 + normal(features, seed=seed + 3) ** 2,
    }
