"""Probes of the batch normalization notebook, part 3: the formulas and the layer.

They run beside the student's code on given inputs and return what they saw; none holds an expected value. `student`
has the notebook's names as attributes; every other argument comes from a hidden test. Tensors are float64 unless a
docstring says otherwise.
"""

import copy
from typing import Any

import torch
from torch import Tensor

from .probe_tools import (
    Operators,
    Seen,
    buffers_of,
    gradients,
    parameters_of,
    set_values,
    slope,
    tracked_by_autograd,
)

# --- B3 ---------------------------------------------------------------------------------------------------------------


def batchnorm_gradients(student: Any, x: Tensor, gamma: Tensor, beta: Tensor, eps: float, cotangent: Tensor) -> Seen:
    """The three gradients of `batchnorm_forward` on x (N, D), and the slope of its output without autograd."""

    def output(x: Tensor) -> Any:
        returned = student.batchnorm_forward(x, gamma, beta, eps)
        return returned[0] if isinstance(returned, tuple | list) and returned else returned

    along = slope(output, x, cotangent)
    x, gamma, beta = (t.clone().requires_grad_() for t in (x, gamma, beta))
    with Operators() as operators:
        y = output(x)
    dx, dgamma, dbeta = gradients(y, (x, gamma, beta), cotangent)
    return {"operators": sorted(operators.names), "dx": dx, "dgamma": dgamma, "dbeta": dbeta, "slope": along}


def batchnorm_forward_plain(student: Any, x: Tensor, gamma: Tensor, beta: Tensor, eps: float | None) -> Seen:
    """`batchnorm_forward` on tensors that need no gradient; with its default eps for None."""
    x, gamma, beta = x.clone(), gamma.clone(), beta.clone()
    options = {} if eps is None else {"eps": eps}
    with Operators() as operators:
        returned = student.batchnorm_forward(x, gamma, beta, **options)
    return {"returned": returned, "operators": sorted(operators.names), "x": x, "gamma": gamma, "beta": beta}


# --- B4 ---------------------------------------------------------------------------------------------------------------

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def _layer(student: Any, features: int, settings: dict[str, float]) -> Any:
    """A float64 BatchNorm1d, also where its tensors are neither parameters nor buffers."""
    layer = student.BatchNorm1d(features, **settings).double()
    for name in ("gamma", "beta", "running_mean", "running_var"):
        kept = getattr(layer, name, None)
        if isinstance(kept, Tensor) and kept.is_floating_point() and name not in dict(layer.named_parameters()):
            setattr(layer, name, kept.detach().double().requires_grad_(kept.requires_grad))
    return layer


def _statistics(layer: Any) -> Seen:
    """Copies of the running statistics, None for one that is not there."""
    kept = {name: getattr(layer, name, None) for name in STATISTICS}
    return {name: value.detach().clone() if isinstance(value, Tensor) else value for name, value in kept.items()}


def layer_steps(
    student: Any,
    features: int,
    settings: dict[str, float],
    start: dict[str, Tensor],
    batches: list[Tensor],
    modes: list[str],
) -> Seen:
    """`BatchNorm1d` from the values `start`, called on each batch in its mode: train, eval or train_no_grad.

    For each step the output, the batch afterwards, and the statistics afterwards.
    """
    layer = _layer(student, features, settings)
    set_values(layer, start)
    first = _statistics(layer)
    steps = []
    with Operators() as operators:
        for x, mode in zip(batches, modes, strict=True):
            layer.train(mode != "eval")
            with torch.set_grad_enabled(mode != "train_no_grad"):
                y = layer(x)
            steps.append({"y": y, "x": x, **_statistics(layer)})
    return {"first": first, "steps": steps, "operators": sorted(operators.names)}


def layer_gradients(
    student: Any, settings: dict[str, float], start: dict[str, Tensor], x: Tensor, cotangent: Tensor
) -> Seen:
    """The gradients of a training step of `BatchNorm1d`, and whether the statistics hold on to a graph.

    evaluation: the names of those that no gradient reaches in evaluation mode.
    """
    layer = _layer(student, x.shape[1], settings)
    set_values(layer, start)
    along = slope(layer, x, cotangent)
    x = x.clone().requires_grad_()
    with Operators() as operators:
        y = layer(x)
    dx, dgamma, dbeta = gradients(y, (x, layer.gamma, layer.beta), cotangent)
    held = [name for name in STATISTICS if getattr(getattr(layer, name, None), "requires_grad", False)]
    later = gradients(layer.eval()(x), (x, layer.gamma, layer.beta), cotangent)
    cut_off = [name for name, found in zip(("x", "gamma", "beta"), later, strict=True) if found is None]
    found = {"dx": dx, "dgamma": dgamma, "dbeta": dbeta, "slope": along, "evaluation": cut_off}
    return {**found, "needs_grad": held, "operators": sorted(operators.names)}


def layer_single(student: Any, features: int) -> Seen:
    """`BatchNorm1d` in training on a batch of four, then of one: the first output, what the second raised or None."""
    layer = _layer(student, features, {})
    layer.train()
    y = layer(torch.randn(4, features, dtype=torch.float64))
    try:
        layer(torch.randn(1, features, dtype=torch.float64))
    except Exception as error:
        return {"y": y, "raised": type(error).__name__}
    return {"y": y, "raised": None}


def _number(value: Any) -> float | None:
    """The value as a float, None for what cannot be read as one."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def layer_state(student: Any, features: int, settings: dict[str, float], x: Tensor) -> Seen:
    """The parameters, buffers and state dict of a fresh `BatchNorm1d`, and a copy's output after a round trip.

    trained: the parameters after a forward pass in training. attributes: those of a layer made with `settings`;
    second: the values of a layer made after the first has changed.
    """
    layer = student.BatchNorm1d(features)
    fresh = {"parameters": parameters_of(layer), "buffers": buffers_of(layer), "statistics": _statistics(layer)}
    layer.train()
    layer(x.float())
    fresh["trained"] = parameters_of(layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(1.0)
    second = student.BatchNorm1d(features)
    fresh["second"] = {**parameters_of(second), **_statistics(second)}
    configured = student.BatchNorm1d(features, **settings)
    fresh["attributes"] = {name: _number(getattr(configured, name, None)) for name in settings}
    layer = _layer(student, features, {})
    layer.train()
    layer(x)
    layer(2.0 * x + 1.0)
    state = copy.deepcopy(layer.state_dict())
    other = _layer(student, features, {})
    other.load_state_dict(state)
    return {
        **fresh,
        "state": {name: value for name, value in state.items() if isinstance(value, Tensor)},
        "original": layer.eval()(x),
        "restored": other.eval()(x),
    }


# --- B5 ---------------------------------------------------------------------------------------------------------------


def batchnorm_backward(student: Any, dout: Tensor, x_hat: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Seen:
    """`batchnorm_backward` on tensors that need no gradient: what it returned, its inputs afterwards, how it got there.

    autograd: whether something was kept for a backward pass, so that autograd was at work.
    """
    given = {"dout": dout.clone(), "x_hat": x_hat.clone(), "gamma": gamma.clone(), "var": var.clone()}
    with Operators() as operators:
        try:
            with tracked_by_autograd() as kept:
                returned = student.batchnorm_backward(*given.values(), eps)
        except RuntimeError as error:
            if "saved tensor hooks" not in str(error):
                raise
            # torch.func's gradients refuse to be watched.
            kept = [True]
            returned = student.batchnorm_backward(*given.values(), eps)
    return {"returned": returned, "autograd": bool(kept), "operators": sorted(operators.names), **given}
