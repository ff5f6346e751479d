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
    empty_is_nan,
    gradients,
    misfits,
    parameters_of,
    set_values,
    side_effects,
    slope,
    tracked_by_autograd,
)

# --- B3 ---------------------------------------------------------------------------------------------------------------


def batchnorm_gradients(student: Any, x: Tensor, gamma: Tensor, beta: Tensor, eps: float, cotangent: Tensor) -> Seen:
    """Return the three gradients of `batchnorm_forward` on x (N, D), and its slope without autograd.

    statistics: the gradients that the returned mean and variance have on x, None where nothing flows
    """

    def output(x: Tensor) -> Any:
        returned = student.batchnorm_forward(x, gamma, beta, eps)
        return returned[0] if isinstance(returned, tuple | list) and returned else returned

    along = slope(output, x, cotangent)
    x, gamma, beta = (t.clone().requires_grad_() for t in (x, gamma, beta))
    with Operators() as operators:
        y = output(x)
    dx, dgamma, dbeta = gradients(y, (x, gamma, beta), cotangent)
    found = {"dx": dx, "dgamma": dgamma, "dbeta": dbeta, "slope": along}
    return {**found, "operators": sorted(operators.names), "statistics": _statistics_gradients(student, x, gamma, beta)}


def _statistics_gradients(student: Any, x: Tensor, gamma: Tensor, beta: Tensor) -> dict[str, Tensor | None]:
    """Return the gradients on x of the sums of the mean and of the variance that `batchnorm_forward` returns."""
    found: dict[str, Tensor | None] = {}
    for index, name in enumerate(("mean", "var"), start=1):
        returned = student.batchnorm_forward(x, gamma, beta)
        part = returned[index] if isinstance(returned, tuple | list) and len(returned) == 3 else None
        if isinstance(part, Tensor):
            found[name] = gradients(part, (x,), torch.ones_like(part))[0]
    return found


def batchnorm_forward_plain(student: Any, x: Tensor, gamma: Tensor, beta: Tensor, eps: float | None) -> Seen:
    """Call `batchnorm_forward` on tensors that need no gradient; eps None stands for its default."""
    given = {"x": x.clone(), "gamma": gamma.clone(), "beta": beta.clone()}
    options = {} if eps is None else {"eps": eps}
    with Operators() as operators:
        returned = student.batchnorm_forward(*given.values(), **options)
    return {"returned": returned, "operators": sorted(operators.names), **given, **side_effects(given)}


# --- B4 ---------------------------------------------------------------------------------------------------------------

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def _layer(student: Any, features: int, settings: dict[str, float]) -> Any:
    """Return a float64 BatchNorm1d, even where its tensors are neither parameters nor buffers."""
    layer = student.BatchNorm1d(features, **settings).double()
    for name in ("gamma", "beta", "running_mean", "running_var"):
        kept = getattr(layer, name, None)
        if isinstance(kept, Tensor) and kept.is_floating_point() and kept.dtype is not torch.float64:
            setattr(layer, name, kept.detach().double().requires_grad_(kept.requires_grad))
    return layer


def _statistics(layer: Any) -> Seen:
    """Return copies of the running statistics, None for a missing one."""
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
    """Call `BatchNorm1d` with the values `start` on each batch in its mode: train, eval, train_no_grad or train_frozen.

    For each step: the output, the batch afterwards, and the statistics afterwards.
    misfits: what of `start` the layer has no place for; then it is not called
    """
    layer = _layer(student, features, settings)
    if unfit := misfits(layer, start):
        return {"misfits": unfit}
    set_values(layer, start)
    first = _statistics(layer)
    steps = []
    with Operators() as operators:
        for x, mode in zip(batches, modes, strict=True):
            layer.train(mode != "eval")
            frozen = [one for one in layer.parameters() if one.requires_grad and mode == "train_frozen"]
            for parameter in frozen:
                parameter.requires_grad_(False)
            with torch.set_grad_enabled(mode != "train_no_grad"):
                y = layer(x)
            for parameter in frozen:
                parameter.requires_grad_()
            steps.append({"y": y, "x": x, **_statistics(layer)})
    return {"misfits": {}, "first": first, "steps": steps, "operators": sorted(operators.names)}


def layer_gradients(
    student: Any, settings: dict[str, float], start: dict[str, Tensor], x: Tensor, cotangent: Tensor
) -> Seen:
    """Return the gradients of a training step of `BatchNorm1d`, and whether the statistics keep a graph.

    evaluation: output and gradients of a call in evaluation mode, from the values `start` again; plain: the output for
        an input that needs no gradient
    misfits: as in `layer_steps`
    """
    layer = _layer(student, x.shape[1], settings)
    if unfit := misfits(layer, start):
        return {"misfits": unfit}
    set_values(layer, start)
    along = slope(layer, x, cotangent)
    x = x.clone().requires_grad_()
    with Operators() as operators:
        y = layer(x)
    dx, dgamma, dbeta = gradients(y, (x, layer.gamma, layer.beta), cotangent)
    held = [name for name in STATISTICS if getattr(getattr(layer, name, None), "requires_grad", False)]
    found: Seen = {"misfits": {}, "dx": dx, "dgamma": dgamma, "dbeta": dbeta, "slope": along}
    set_values(layer, start)
    plain = layer.eval()(x.detach().clone())
    set_values(layer, start)
    y = layer(x)
    later = gradients(y, (x, layer.gamma, layer.beta), cotangent)
    evaluation = dict(zip(("dx", "dgamma", "dbeta"), later, strict=True)) | {"y": y, "plain": plain}
    return {**found, "evaluation": evaluation, "needs_grad": held, "operators": sorted(operators.names)}


def layer_single(student: Any, x: Tensor) -> Seen:
    """Call `BatchNorm1d` in training on examples x, then on one: the first output, and what the second raised.

    before, after: the statistics before and after the second call
    """
    layer = _layer(student, x.shape[1], {})
    layer.train()
    y = layer(x.clone())
    seen: Seen = {"y": y, "raised": None, "before": _statistics(layer)}
    try:
        layer(x[:1].clone())
    except Exception as error:
        seen["raised"] = type(error).__name__
    return {**seen, "after": _statistics(layer)}


def layer_repeated(student: Any, settings: dict[str, float], x: Tensor, count: int) -> Seen:
    """Return the statistics of a `BatchNorm1d` after `count` training batches, each of them x."""
    layer = _layer(student, x.shape[1], settings)
    layer.train()
    for _ in range(count):
        layer(x.clone())
    return _statistics(layer)


def _number(value: Any) -> float | None:
    """Return the value as a float, None for what cannot be read as one."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def layer_state(student: Any, features: int, settings: dict[str, float], x: Tensor) -> Seen:
    """Return parameters, buffers and state dict of a new `BatchNorm1d`, and a copy's output after a round trip.

    trained: the parameters after a forward pass in training
    attributes: those of a layer made with `settings`; late: a step of one that got them as attributes later
    single: the dtype of what the layer gives for a float32 batch
    second: the values of a layer made after the first has changed
    """
    with empty_is_nan():
        layer = student.BatchNorm1d(features)
    fresh: Seen = {"parameters": parameters_of(layer), "buffers": buffers_of(layer), "statistics": _statistics(layer)}
    layer.train()
    fresh["single"] = str(getattr(layer(x.float()), "dtype", None))
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
    layer(x.clone())
    layer(2.0 * x + 1.0)
    state = copy.deepcopy(layer.state_dict())
    other = _layer(student, features, {})
    other.load_state_dict(state)
    return {
        **fresh,
        "state": {name: value for name, value in state.items() if isinstance(value, Tensor)},
        "original": layer.eval()(x.clone()),
        "restored": other.eval()(x.clone()),
        "late": _configured_later(student, features, settings, x),
    }


def _configured_later(student: Any, features: int, settings: dict[str, float], x: Tensor) -> Seen:
    """Return output and statistics of a training step of a layer that gets its settings after it was made."""
    layer = _layer(student, features, {})
    try:
        for name, value in settings.items():
            setattr(layer, name, value)
    except AttributeError:
        return {}
    return {"y": layer.train()(x.clone()), **_statistics(layer)}


# --- B5 ---------------------------------------------------------------------------------------------------------------


def batchnorm_backward(student: Any, dout: Tensor, x_hat: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Seen:
    """Call `batchnorm_backward` on tensors that need no gradient: what it returned, its inputs afterwards.

    autograd: whether something was saved for a backward pass, so that autograd was used
    """
    given = {"dout": dout.clone(), "x_hat": x_hat.clone(), "gamma": gamma.clone(), "var": var.clone()}
    with Operators() as operators:
        try:
            with tracked_by_autograd() as kept:
                returned = student.batchnorm_backward(*given.values(), eps)
        except RuntimeError as error:
            if "saved tensor hooks" not in str(error):
                raise
            # The gradients of torch.func refuse such hooks.
            kept = [True]
            returned = student.batchnorm_backward(*given.values(), eps)
    seen = {"returned": returned, "autograd": bool(kept), "operators": sorted(operators.names)}
    return {**seen, **given, **side_effects(given)}
