"""Probes of R1 to R3: gradient norms, the residual block, the network around the stream.

They run beside the student's code, on given inputs, and return what they saw. No probe holds an expected value or gives
a verdict. `student` has the notebook's names as attributes; every other argument comes from a hidden test. Models and
tensors are float64 unless a docstring says otherwise.
"""

from typing import Any

import torch
from torch import Tensor

from .probe_tools import (
    Seen,
    buffers_of,
    can_run,
    condition_of,
    fill,
    gradients,
    modes_of,
    named_parameters,
    parameters_of,
    set_values,
)

# --- R1 ---------------------------------------------------------------------------------------------------------------


def gradient_norms(
    student: Any,
    name: str,
    sizes: list[int],
    start: dict[str, Tensor],
    inputs: Tensor,
    targets: Tensor,
    training: bool,
    stored: dict[str, Tensor],
) -> Seen:
    """Call `grad_norms` with a model `name` of the weights `start`, whose `.grad` holds `stored` before the call."""
    model = getattr(student, name)(*sizes).double()
    set_values(model, start)
    model.train(training)
    for key, parameter in named_parameters(model).items():
        parameter.grad = stored[key].clone() if key in stored else None
    before = condition_of(model)
    returned = student.grad_norms(model, inputs, targets)
    return {"returned": returned, "training": training, "before": before, "after": condition_of(model)}


# --- R2 ---------------------------------------------------------------------------------------------------------------


def _layout(model: Any) -> Seen:
    """Return the parts of a model by name: types, options, shapes of parameters and buffers, and what they share.

    shared: groups of names that stand for the same parameter
    """
    parts, options = dict(model.named_modules(remove_duplicate=False)), ("eps", "momentum", "padding_idx", "max_norm")
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {
        "types": {name: type(part).__name__ for name, part in parts.items()},
        "options": {
            name: {key: getattr(part, key) for key in options if hasattr(part, key)} for name, part in parts.items()
        },
        "shapes": {name: list(value.shape) for name, value in model.state_dict().items()},
        "shared": [several for several in names.values() if len(several) > 1],
    }


def block_output(
    student: Any, name: str, arguments: list[float], start: dict[str, Tensor], x: Tensor, training: bool
) -> Seen:
    """Call a block `name` with the weights `start` on x (N, d_model): its output; x, buffers and modes afterwards.

    again: its output when it is called once more
    absent: the names in `start` that the block has no place for; it has zero in any other bias
    """
    model, x = getattr(student, name)(*arguments).double(), x.clone()
    absent = fill(model, start)
    with torch.no_grad():
        y = model.train(training)(x) if can_run(absent) else None
    after = {"buffers": buffers_of(model), "modes": modes_of(model), "x": x.clone()}
    with torch.no_grad():
        again = model.train(training)(x) if can_run(absent) else None
    return {"layout": _layout(model), "absent": absent, "y": y, "again": again, **after}


def block_gradients(
    student: Any, name: str, arguments: list[float], start: dict[str, Tensor], x: Tensor, cotangent: Tensor
) -> Seen:
    """Return the gradients of a block's output for x and its parameters by name, None where nothing flows."""
    model = getattr(student, name)(*arguments).double()
    absent = fill(model, start)
    x = x.clone().requires_grad_()
    named = named_parameters(model)
    y = model.train()(x) if can_run(absent) else None
    dx, *rest = gradients(y, (x, *named.values()), cotangent)
    found = dict(zip(named, rest, strict=True))
    return {"layout": _layout(model), "absent": absent, "dx": dx, "gradients": found}


def block_start(student: Any, name: str, arguments: list[float]) -> Seen:
    """Return the parameters of two new blocks `name`, in their own dtype."""
    one, other = (getattr(student, name)(*arguments) for _ in range(2))
    return {"layout": _layout(one), "parameters": parameters_of(one), "others": parameters_of(other)}


def block_as_built(student: Any, name: str, arguments: list[float], x: Tensor) -> Seen:
    """Return the output of a new block `name` for x, both in their own dtype."""
    with torch.no_grad():
        return {"y": getattr(student, name)(*arguments)(x)}


# --- R3 ---------------------------------------------------------------------------------------------------------------


def _blocks(model: Any) -> Seen:
    """Return the layout of a model, how many blocks it has, how many are different objects, and what holds them."""
    blocks = list(model.blocks)
    return _layout(model) | {
        "blocks": len(blocks),
        "distinct": len({id(one) for one in blocks}),
        "container": type(model.blocks).__name__,
    }


def network_logits(student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, training: bool) -> Seen:
    """Call `ResidualMLP` with the weights `start`: its logits; buffers and modes afterwards.

    absent: the names in `start` that the model has no place for; it has zero in any other bias
    """
    model = student.ResidualMLP(*sizes).double()
    absent = fill(model, start)
    logits = model.train(training)(inputs) if can_run(absent) else None
    after = {"buffers": buffers_of(model), "modes": modes_of(model)}
    return {"layout": _blocks(model), "absent": absent, "logits": logits, **after}


def network_parts(student: Any, sizes: list[int]) -> Seen:
    """Return the parameters of two new `ResidualMLP`s, and the layout of the first."""
    model, other = (student.ResidualMLP(*sizes) for _ in range(2))
    return {"layout": _blocks(model), "parameters": parameters_of(model), "others": parameters_of(other)}


def network_gradients(
    student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, cotangent: Tensor
) -> Seen:
    """Return the gradients of the logits of `ResidualMLP` in training mode for its parameters, by name."""
    model = student.ResidualMLP(*sizes).double()
    absent = fill(model, start)
    named = named_parameters(model)
    logits = model.train()(inputs) if can_run(absent) else None
    found = gradients(logits, list(named.values()), cotangent)
    return {"layout": _blocks(model), "absent": absent, "gradients": dict(zip(named, found, strict=True))}
