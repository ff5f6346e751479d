"""Running statistics right and wrong: what the hidden tests of the layer compare with."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from autograder.testing import Value, agrees, as_tensor, describe_kind, fail
from torch import Tensor

from .batchnorm_reference import Named, normalise, normalised


@contextlib.contextmanager
def made_with(settings: dict[str, float]) -> Iterator[None]:
    """Point at the default values where a layer made without settings fails."""
    try:
        yield
    except AssertionError as error:
        if settings:
            raise
        fail(f"{error}; this layer was created without eps and momentum, so check the default values")


def counted(value: object) -> float:
    """Return the number of batches, as an int or a tensor of one element. Raises AssertionError for anything else."""
    count = as_tensor(value, "num_batches_tracked")
    if count.numel() != 1:
        fail(f"your num_batches_tracked is {describe_kind(value)}; a single number was expected")
    return float(count)


def running_output(
    batches: list[Tensor], gamma: Tensor, beta: Tensor, eps: float, momentum: float, x: Tensor | None = None
) -> Tensor:
    """Return the output on x, or else on the last batch, with the running statistics after these batches."""
    mean, var = torch.zeros_like(gamma), torch.ones_like(gamma)
    for one in batches:
        mean, var = mean.lerp(one.mean(0), momentum), var.lerp(one.var(0), momentum)
    return normalised((batches[-1] if x is None else x) - mean, var, gamma, beta, eps)


def wrong_running(batches: list[Tensor], momentum: float) -> dict[str, dict[str, list[Tensor]]]:
    """Return the running statistics after each batch under known wrong rules."""
    rules: dict[str, tuple[float, int, bool, float]] = {
        "the result of the biased variance; running_var uses the unbiased one (N - 1)": (momentum, 0, False, 1.0),
        "the result of momentum on the wrong term; it is the weight of the new value": (1.0 - momentum, 1, False, 1.0),
        "the result of momentum on the wrong term and the biased variance": (1.0 - momentum, 0, False, 1.0),
        "the result of momentum 0.1; use the momentum passed to __init__": (0.1, 1, False, 1.0),
        "the result of momentum 0.1 and the biased variance; use the momentum passed to __init__, and N - 1": (
            0.1,
            0,
            False,
            1.0,
        ),
        "the result of the standard deviation; keep the variance": (momentum, 1, True, 1.0),
        "the result of the biased standard deviation; keep the variance, with N - 1": (momentum, 0, True, 1.0),
        "the result of a start at 0; running_var starts at 1": (momentum, 1, False, 0.0),
        "the result of a start at 0 and the biased variance; running_var starts at 1": (momentum, 0, False, 0.0),
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
    zero, places = torch.zeros_like(batches[0][0]), range(1, len(batches) + 1)
    means, variances = [x.mean(0) for x in batches], [x.var(0) for x in batches]
    found["the sum of all updates; the old value has the weight 1 - momentum"] = {
        "running_mean": [sum((momentum * one for one in means[:i]), zero) for i in places],
        "running_var": [sum((momentum * one for one in variances[:i]), zero + 1) for i in places],
    }
    found["the average over all batches; keep a running average with the given momentum"] = {
        "running_mean": [torch.stack(means[:i]).mean(0) for i in places],
        "running_var": [torch.stack(variances[:i]).mean(0) for i in places],
    }
    return found | averages_of_other_starts(batches, momentum) | averages_with_other_factors(batches, momentum)


def averages_with_other_factors(batches: list[Tensor], momentum: float) -> dict[str, dict[str, list[Tensor]]]:
    """Return running averages of the biased variance times something else than N / (N - 1)."""
    factors: dict[str, Callable[[int, int], float]] = {
        "the result of the factor (N - 1) / N; it is N / (N - 1)": lambda n, _: (n - 1) / n,
        "the result of the factor N / (N - 1) applied twice; torch's var contains it": lambda n, _: (n / (n - 1)) ** 2,
        "the result of a factor with the number of all entries; N is the number of examples": lambda n, d: (
            n * d / (n * d - 1)
        ),
    }
    found: dict[str, dict[str, list[Tensor]]] = {}
    for label, factor in factors.items():
        mean, var = torch.zeros_like(batches[0][0]), torch.ones_like(batches[0][0])
        kept: dict[str, list[Tensor]] = {"running_mean": [], "running_var": []}
        for x in batches:
            mean = mean.lerp(x.mean(0), momentum)
            var = var.lerp(x.var(0, correction=0) * factor(*x.shape), momentum)
            kept["running_mean"].append(mean)
            kept["running_var"].append(var)
        found[label] = kept
    return found


def averages_of_other_starts(batches: list[Tensor], momentum: float) -> dict[str, dict[str, list[Tensor]]]:
    """Return running averages that begin with the first batch, and ones corrected for their start at 0."""
    copied: dict[str, list[Tensor]] = {"running_mean": [], "running_var": []}
    corrected: dict[str, list[Tensor]] = {"running_mean": [], "running_var": []}
    updates = {"running_mean": [x.mean(0) for x in batches], "running_var": [x.var(0) for x in batches]}
    for name, new in updates.items():
        average, sum_of_updates = new[0], torch.zeros_like(new[0])
        for index, update in enumerate(new):
            average = average.lerp(update, momentum)
            sum_of_updates = sum_of_updates.lerp(update, momentum)
            copied[name].append(average)
            corrected[name].append(sum_of_updates / (1 - (1 - momentum) ** (index + 1)))
    return {
        "an average that starts with the first batch copied in; start from 0 and 1 and update for every batch": copied,
        "a bias-corrected average, as in Adam; keep the plain running average": corrected,
    }


def wrong_evaluations(x: Tensor, state: Named, eps: float) -> Named:
    """Return what known wrong formulas give for the output in evaluation mode."""
    gamma, beta, mean, var = (state[name] for name in ("gamma", "beta", "running_mean", "running_var"))
    n = len(x)
    hat = (x - mean) / torch.sqrt(var + eps)
    wrong = {
        "the output divided by running_var + eps; divide by its square root": gamma * (x - mean) / (var + eps) + beta,
        "the output with eps outside the square root": gamma * (x - mean) / (var.sqrt() + eps) + beta,
        "the output with the default eps; use the eps passed to __init__": normalised(x - mean, var, gamma, beta, 1e-5),
        "the output without eps; divide by sqrt(running_var + eps)": gamma * (x - mean) / var.sqrt() + beta,
        "the output without gamma and beta": hat,
        "the output without gamma": hat + beta,
        "the output without beta": gamma * hat,
        "the output with the absolute value of gamma; keep its sign": gamma.abs() * hat + beta,
        "the output shifted before it is scaled; it is gamma * x_hat + beta": gamma * (hat + beta),
        "the output with gamma and beta swapped": beta * hat + gamma,
        "the output without the running mean subtracted": normalised(x, var, gamma, beta, eps),
        "the output with running_var multiplied by N / (N - 1); it is unbiased already": normalised(
            x - mean, var * n / max(n - 1, 1), gamma, beta, eps
        ),
        "the output with running_var multiplied by (N - 1) / N; use it as it is": normalised(
            x - mean, var * (n - 1) / n, gamma, beta, eps
        ),
        "the output multiplied by the standard deviation; divide by it": gamma * (x - mean) * torch.sqrt(var + eps)
        + beta,
        "the input itself": x,
    }
    if n > 1:
        wrong["the output with the batch's statistics; in evaluation use the running ones"] = normalise(
            x, gamma, beta, eps
        )
    return wrong


def assert_uses_its_attributes(late: Mapping[str, Value], x: Tensor, settings: dict[str, float]) -> None:
    """Assert that a layer whose attributes eps and momentum change later does not go on with the default values."""
    one, zero = torch.ones(x.shape[1], dtype=torch.float64), torch.zeros(x.shape[1], dtype=torch.float64)
    if agrees(late.get("running_mean"), 0.1 * x.mean(0)):
        fail(
            f"a change of the attribute momentum to {settings['momentum']} has no effect; use self.momentum in forward"
        )
    if agrees(late.get("y"), normalise(x, one, zero, 1e-5)):
        fail(f"a change of the attribute eps to {settings['eps']} has no effect; use self.eps in forward")
