"""Hidden tests of the batch normalization notebook, part 3: the forward and the backward formula."""

import pytest
import torch
from autograder.testing import (
    SINGLE,
    Observation,
    Observe,
    Value,
    agrees,
    as_tensor,
    assert_close,
    assert_unchanged,
    fail,
    part_in_order,
    parts,
    question,
)
from torch import Tensor

from .batchnorm_reference import (
    Named,
    assert_from_scratch,
    assert_full_precision,
    assert_gradients,
    assert_no_side_effects,
    assert_statistics_keep_their_gradients,
    normalise,
    wrong_means,
    wrong_outputs,
    wrong_variances,
)
from .inputs import batch, normal, scale_and_shift

FEATURES = 5
BATCHES = [FEATURES, 2, 7, 32, 64]
"""The first equals the number of features: there a wrong axis gives a wrong result and no error."""

# --- B3 ---------------------------------------------------------------------------------------------------------------

Given = tuple[Tensor, Tensor, Tensor]


def seen_forward(observe: Observe, n: int, eps: float, seed: int, faint: bool = False) -> tuple[Observation, Given]:
    """Return what the probe saw, and the x, gamma and beta that it was given.

    faint: whether the first feature varies so little that its variance is below eps
    """
    given = (batch(n, FEATURES, seed), *scale_and_shift(FEATURES, seed + 1))
    if faint:
        given[0][:, 0] *= 0.3 * eps**0.5
    return observe("batchnorm_forward_plain", x=given[0], gamma=given[1], beta=given[2], eps=eps), given


def forward_part(name: str, returned: Value, x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Value:
    """Return y, mean or var of what `batchnorm_forward` returned."""
    targets = {"y": normalise(x, gamma, beta, eps), "mean": x.mean(0), "var": x.var(0, correction=0)}
    return part_in_order(returned, name, targets, SINGLE)


@question("B3", points=1.5, hint="Which axis is the batch? The mean of each feature is one number over all N examples.")
@pytest.mark.parametrize("n", BATCHES)
def test_returns_mean_and_biased_variance(observe: Observe, n: int) -> None:
    seen, given = seen_forward(observe, n, 0.1, seed=300 + n)
    x = given[0]
    mean, var = (forward_part(name, seen["returned"], *given, 0.1) for name in ("mean", "var"))
    assert_close(mean, x.mean(0), "mean", mistakes=wrong_means(x), tolerance=SINGLE)
    assert_close(var, x.var(0, correction=0), "var", mistakes=wrong_variances(x, 0.1), tolerance=SINGLE)


@question(
    "B3",
    points=2,
    hint="y = gamma (x - mean) / sqrt(var + eps) + beta. Where does eps belong, and which variance is it?",
)
@pytest.mark.parametrize("eps", [0.1, 1e-3, 1e-5, 1e-8])
@pytest.mark.parametrize("n", BATCHES)
def test_normalises_scales_and_shifts(observe: Observe, n: int, eps: float) -> None:
    seen, (x, gamma, beta) = seen_forward(observe, n, eps, seed=320 + n, faint=True)
    assert_from_scratch(seen)
    y = forward_part("y", seen["returned"], x, gamma, beta, eps)
    target = normalise(x, gamma, beta, eps)
    assert_close(y, target, "y", mistakes=wrong_outputs(x, gamma, beta, eps), tolerance=SINGLE)


@question("B3", points=0.5, hint="With gamma 1 and beta 0, each feature of y has mean 0 and, up to eps, variance 1.")
def test_output_has_mean_0_and_variance_1(observe: Observe) -> None:
    x, eps = batch(64, 8, seed=341), 1e-5
    ones, zeros = torch.ones(8).double(), torch.zeros(8).double()
    seen = observe("batchnorm_forward_plain", x=x, gamma=ones, beta=zeros, eps=None)
    y = as_tensor(forward_part("y", seen["returned"], x, ones, zeros, eps), "y", (64, 8))
    var = x.var(0, correction=0)
    assert_close(y.mean(0), torch.zeros(8), "y's mean over the batch", tolerance=SINGLE)
    unbiased = {"the result of the unbiased variance (N - 1); normalise with the biased one": (var / (x.var(0) + eps))}
    target = var / (var + eps)
    assert_close(y.var(0, correction=0), target, "y's variance over the batch", mistakes=unbiased, tolerance=SINGLE)


@question(
    "B3",
    points=0.5,
    hint="A feature that is constant over the batch has variance 0: only eps keeps the division finite.",
)
def test_constant_feature_stays_finite(observe: Observe) -> None:
    x = batch(16, FEATURES, seed=351)
    x[:, 2] = 1.5
    gamma, beta = scale_and_shift(FEATURES, seed=352)
    seen = observe("batchnorm_forward_plain", x=x, gamma=gamma, beta=beta, eps=None)
    y = as_tensor(forward_part("y", seen["returned"], x, gamma, beta, 1e-5), "y", (16, FEATURES))
    if not bool(y[:, 2].isfinite().all()):
        fail("your y is NaN or infinite in a feature that is constant over the batch; add eps inside the square root")
    if float((y[:, 0] - y[0, 0]).abs().max()) < 1e-6:
        fail("your y is constant over the batch in features that vary")


@question(
    "B3", points=1, hint="Mean and variance depend on x too, so gradients must flow through them: no detach, no .data."
)
@pytest.mark.parametrize("n", [2, 7, 32])
def test_gradients_flow_through_the_statistics(observe: Observe, n: int) -> None:
    x, cotangent = batch(n, FEATURES, seed=360 + n), normal(n, FEATURES, seed=362 + n)
    gamma, beta = scale_and_shift(FEATURES, seed=361 + n)
    seen = observe("batchnorm_gradients", x=x, gamma=gamma, beta=beta, eps=1e-3, cotangent=cotangent)
    assert_from_scratch(seen)
    assert_gradients(seen, x, gamma, beta, cotangent, 1e-3, tolerance=SINGLE)
    assert_statistics_keep_their_gradients(seen)


@question("B3", points=0.5, hint="`x -= mean` writes into the caller's tensor; `x = x - mean` creates a new one.")
def test_inputs_stay_as_they_were(observe: Observe) -> None:
    x = batch(9, FEATURES, seed=370)
    gamma, beta = scale_and_shift(FEATURES, seed=371)
    seen = observe("batchnorm_forward_plain", x=x, gamma=gamma, beta=beta, eps=None)
    for name, before in (("x", x), ("gamma", gamma), ("beta", beta)):
        assert_unchanged(seen[name], before, name)
    assert_no_side_effects(seen)
    y = as_tensor(forward_part("y", seen["returned"], x, gamma, beta, 1e-5), "y", (9, FEATURES))
    if torch.equal(y, x) or float(y.std()) < 1e-6:
        fail("not checked: your y is x itself or a constant")
    assert_full_precision(y, normalise(x, gamma, beta, 1e-5), "y")
    single = {"x": x.float(), "gamma": gamma.float(), "beta": beta.float()}
    returned = parts(observe("batchnorm_forward_plain", **single, eps=None)["returned"], ("y", "mean", "var"))
    if isinstance(returned[0], Tensor) and returned[0].dtype is torch.float64:
        fail("for a float32 x your y is float64, which no float32 layer accepts; keep the dtype of the input")


# --- B5 ---------------------------------------------------------------------------------------------------------------

GRADIENTS = ("dx", "dgamma", "dbeta")


def backward_inputs(n: int, features: int, eps: float, seed: int) -> Named:
    """Return dout, x_hat, gamma and var of a batch (n, features)."""
    x = batch(n, features, seed)
    var = x.var(0, correction=0)
    return {
        "dout": normal(n, features, seed=seed + 1, mean=0.3),
        "x_hat": (x - x.mean(0)) / torch.sqrt(var + eps),
        "gamma": scale_and_shift(features, seed + 2)[0],
        "var": var,
    }


def backward(dout: Tensor, x_hat: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Named:
    """Return the gradients by autograd through the forward formula, with x_hat sqrt(var + eps) for x."""
    x = (x_hat * torch.sqrt(var + eps)).requires_grad_()
    scale, shift = gamma.clone().requires_grad_(), torch.zeros_like(gamma).requires_grad_()
    found = torch.autograd.grad(normalise(x, scale, shift, eps), (x, scale, shift), dout)
    return dict(zip(GRADIENTS, found, strict=True))


def wrong_dx(dout: Tensor, x_hat: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Named:
    g, root, n = gamma * dout, torch.sqrt(var + eps), len(dout)
    by_mean, by_var = g.mean(0), x_hat * (g * x_hat).mean(0)
    bare_mean, bare_var = dout.mean(0), x_hat * (dout * x_hat).mean(0)
    right = (g - by_mean - by_var) / root
    return {
        "only the direct path; x also acts through the mean and the variance": g / root,
        "dx without the path through the variance": (g - by_mean) / root,
        "dx without the path through the mean": (g - by_var) / root,
        "dx without gamma; the gradient at x_hat is gamma * dout": (dout - bare_mean - bare_var) / root,
        "dx with gamma in the direct path only; it belongs in all three terms": (g - bare_mean - bare_var) / root,
        "dx without gamma in the path through the mean": (g - bare_mean - by_var) / root,
        "dx without gamma in the path through the variance": (g - by_mean - bare_var) / root,
        "dx with gamma twice; the gradient at x_hat is gamma * dout": gamma * right,
        "dx divided by the unbiased standard deviation; use var as it is passed in": right
        * root
        / torch.sqrt(var * n / (n - 1) + eps),
        "dx with means over all entries; take them per feature, over the batch": (
            g - g.mean() - x_hat * (g * x_hat).mean()
        )
        / root,
        "dx with sums over the batch instead of means": (g - g.sum(0) - x_hat * (g * x_hat).sum(0)) / root,
        "dx with a sum in the path through the mean; divide it by N": (g - g.sum(0) - by_var) / root,
        "dx with a sum in the path through the variance; divide it by N": (g - by_mean - n * by_var) / root,
        "dx with N - 1 in the path through the variance; var is biased, so divide by N": (
            g - by_mean - by_var * n / (n - 1)
        )
        / root,
        "dx with N - 1 instead of N": (g - (by_mean + by_var) * n / (n - 1)) / root,
        "dx without eps; the forward pass divided by sqrt(var + eps)": (g - by_mean - by_var) / var.sqrt(),
        "dx with the default eps; use the eps that is passed in": (g - by_mean - by_var) / torch.sqrt(var + 1e-5),
        "dx with eps outside the square root": (g - by_mean - by_var) / (var.sqrt() + eps),
        "dx divided by the variance; divide by its square root": (g - by_mean - by_var) / (var + eps),
        "dx multiplied by the standard deviation; divide by it": (g - by_mean - by_var) * root,
        "dx without the division by the standard deviation": g - by_mean - by_var,
        "dx with the path through the variance added; subtract it": (g - by_mean + by_var) / root,
        "dx with the path through the mean added; subtract it": (g + by_mean - by_var) / root,
        "dx with both indirect terms added; subtract them": (g + by_mean + by_var) / root,
        "dx without x_hat in the path through the variance": (g - by_mean - (g * x_hat).mean(0)) / root,
        "dx with the mean of g in the path through the variance; use the mean of g * x_hat": (
            g - by_mean - x_hat * by_mean
        )
        / root,
        "dx with x_hat squared in the path through the variance": (g - by_mean - x_hat * by_var) / root,
        "dx with twice the path through the variance; the 2 from the square and the 1/2 from the square root cancel": (
            g - by_mean - 2 * by_var
        )
        / root,
        "dx with half the path through the variance; the 2 from the square and the 1/2 from the square root cancel": (
            g - by_mean - by_var / 2
        )
        / root,
        "dx with means over the features (dim 1); take them over the batch": (
            g - g.mean(1, keepdim=True) - x_hat * (g * x_hat).mean(1, keepdim=True)
        )
        / root,
        "N times dx; divide the sums over the batch by N": n * right,
        "dx divided by N one time too many": right / n,
        "dx with the wrong sign": -right,
        "dx with the absolute value of gamma; keep its sign": gamma.sign() * right,
        "dx divided by gamma; the gradient at x_hat is gamma * dout": right / gamma**2,
        "dx with g minus its projection on x_hat; x_hat * mean(g * x_hat) is not divided by the mean of x_hat^2, which "
        "is below 1": (g - by_mean - by_var / x_hat.square().mean(0)) / root,
        "dx with var / (var + eps) in the path through the variance; x_hat contains it already": (
            g - by_mean - by_var * var / (var + eps)
        )
        / root,
    }


def wrong_dgamma(dout: Tensor, x_hat: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Named:
    return {
        "the sum of dout; multiply it by x_hat": dout.sum(0),
        "the mean of dout * x_hat; take the sum": (dout * x_hat).mean(0),
        "the mean of dout; multiply by x_hat and take the sum": dout.mean(0),
        "dout * x_hat before the sum over the batch": dout * x_hat,
        "the sum over the features (dim 1); sum over the batch": (dout * x_hat).sum(1),
        "the sum over all entries; each feature needs its own": (dout * x_hat).sum(),
        "the sum of gamma * dout * x_hat; leave out gamma": (gamma * dout * x_hat).sum(0),
        "the sum of dout times the centred x; use the normalised x_hat": (dout * x_hat * torch.sqrt(var + eps)).sum(0),
        "the sum of dout times x_hat, divided by the standard deviation again": (
            dout * x_hat / torch.sqrt(var + eps)
        ).sum(0),
    }


def wrong_dbeta(dout: Tensor, x_hat: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Named:
    return {
        "the mean of dout; take the sum": dout.mean(0),
        "dout before the sum over the batch": dout,
        "the sum over the features (dim 1); sum over the batch": dout.sum(1),
        "the sum over all entries; each feature needs its own": dout.sum(),
        "the sum of gamma * dout; leave out gamma": (gamma * dout).sum(0),
        "the sum of dout * x_hat, which is dgamma; do not multiply by x_hat": (dout * x_hat).sum(0),
        "a constant 1; sum dout over the batch": torch.ones_like(gamma),
    }


def assert_backward(observe: Observe, n: int, eps: float, name: str, seed: int) -> Observation:
    """Assert that one of the three gradients agrees with autograd."""
    given = backward_inputs(n, FEATURES, eps, seed)
    seen = observe("batchnorm_backward", **given, eps=eps)
    assert_from_scratch(seen)
    if seen["autograd"] is not False:
        fail("your code uses autograd; compute the gradients with your own formula")
    goals = backward(**given, eps=eps)
    value = part_in_order(seen["returned"], name, goals, SINGLE)
    wrong = {"dx": wrong_dx, "dgamma": wrong_dgamma, "dbeta": wrong_dbeta}[name](**given, eps=eps)
    assert_close(value, goals[name], name, mistakes=wrong, tolerance=SINGLE)
    return seen


@question("B5", points=0.5, hint="beta is added to every example of the batch, so its gradient is the sum over them.")
@pytest.mark.parametrize("n", [FEATURES, 2, 32])
def test_gradient_for_beta(observe: Observe, n: int) -> None:
    assert_backward(observe, n, 0.05, "dbeta", seed=500 + n)


@question(
    "B5", points=1, hint="gamma multiplies x_hat in every example: what is the derivative of gamma * x_hat for gamma?"
)
@pytest.mark.parametrize("n", [FEATURES, 2, 32])
def test_gradient_for_gamma(observe: Observe, n: int) -> None:
    assert_backward(observe, n, 0.05, "dgamma", seed=500 + n)


@question(
    "B5",
    points=3,
    hint="x reaches the output along three paths: directly, through the mean, and through the variance. Add them.",
)
@pytest.mark.parametrize("eps", [0.05, 1e-5])
@pytest.mark.parametrize("n", [FEATURES, 2, 7, 32])
def test_gradient_for_x(observe: Observe, n: int, eps: float) -> None:
    assert_backward(observe, n, eps, "dx", seed=500 + n)


@question(
    "B5",
    points=1,
    hint="Adding a constant to a feature does not change the output, so its gradient sums to zero over the batch.",
)
@pytest.mark.parametrize("n", [7, 32])
def test_gradient_for_x_sums_to_zero_over_the_batch(observe: Observe, n: int) -> None:
    given = backward_inputs(n, FEATURES, 1e-3, seed=540 + n)
    seen = observe("batchnorm_backward", **given, eps=1e-3)
    if seen["autograd"] is not False:
        fail("your code uses autograd; compute the gradients with your own formula")
    assert_from_scratch(seen)
    dx = as_tensor(part_in_order(seen["returned"], "dx", backward(**given, eps=1e-3), SINGLE), "dx", (n, FEATURES))
    direct = (given["gamma"] * given["dout"], given["dout"])
    alike = [float(torch.corrcoef(torch.stack([dx.flatten(), one.flatten()]))[0, 1]) for one in direct]
    if not max(map(abs, alike)) > 0.3:
        fail("not checked: your dx is unrelated to gamma * dout, its direct part")
    # A right answer may compute in single precision, whose errors add up over the batch.
    assert_close(dx.sum(0), torch.zeros(FEATURES), "dx's sum over the batch", tolerance=n * SINGLE)


@question("B5", points=0.5, hint="Create new tensors: `g = gamma * dout` instead of `dout *= gamma`.")
def test_backward_inputs_stay_as_they_were(observe: Observe) -> None:
    given = backward_inputs(9, FEATURES, 1e-3, seed=560)
    seen = observe("batchnorm_backward", **given, eps=1e-3)
    goals = backward(**given, eps=1e-3)
    results = parts(seen["returned"], GRADIENTS)
    for name, before in given.items():
        assert_unchanged(seen[name], before, name)
    assert_no_side_effects(seen)
    if not any(agrees(value, goals[name], SINGLE) for name, value in zip(GRADIENTS, results, strict=True)):
        fail("not checked: none of the three gradients is right yet")
    for name, value in zip(GRADIENTS, results, strict=True):
        assert_full_precision(value, goals[name], name)
