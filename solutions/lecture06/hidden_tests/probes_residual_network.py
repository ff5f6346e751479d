"""Probes of R1 to R3: gradient norms, the residual block, the network around the stream.

They run beside the student's code, on given inputs, and return what they saw. No probe holds an expected value or gives
a verdict. `student` has the notebook's names as attributes; every other argument comes from a hidden test. Models and
tensors are float64 unless a docstring says otherwise.
"""

from typing import Any

import torch
from torch import Tensor

from .probe_tools import Seen, condition_of, gradients, parameters_of, set_values

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
    """`grad_norms` of a model `name` with the weights `start`, whose `.grad` holds `stored` before the call."""
    model = getattr(student, name)(*sizes).double()
    set_values(model, start)
    model.train(training)
    for key, parameter in model.named_parameters():
        parameter.grad = stored[key].clone() if key in stored else None
    before = condition_of(model)
    returned = student.grad_norms(model, inputs, targets)
    return {"returned": returned, "training": training, "before": before, "after": condition_of(model)}


# --- R2 ---------------------------------------------------------------------------------------------------------------


def _layout(model: Any) -> Seen:
    """The parts of a model by name: their types and options, the shapes of what they hold, and what they share.

    shared: the names of parameters that are one and the same object, where there is more than one name.
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


def _fits(model: Any, start: dict[str, Tensor]) -> bool:
    """Whether the model has a place for each of these values."""
    state = model.state_dict()
    return all(name in state and state[name].numel() == value.numel() for name, value in start.items())


def block_output(
    student: Any, name: str, arguments: list[float], start: dict[str, Tensor], x: Tensor, training: bool
) -> Seen:
    """A block `name` with the weights `start` on x (N, d_model): its output, and x afterwards."""
    model, x = getattr(student, name)(*arguments).double(), x.clone()
    if not _fits(model, start):
        return {"layout": _layout(model), "y": None, "x": x}
    set_values(model, start)
    with torch.no_grad():
        y = model.train(training)(x)
    return {"layout": _layout(model), "y": y, "x": x}


def block_gradients(
    student: Any, name: str, arguments: list[float], start: dict[str, Tensor], x: Tensor, cotangent: Tensor
) -> Seen:
    """The gradients of a block's output for x and for its parameters by name, None where nothing flows."""
    model = getattr(student, name)(*arguments).double()
    if not _fits(model, start):
        return {"layout": _layout(model), "dx": None, "gradients": {}}
    set_values(model, start)
    x = x.clone().requires_grad_()
    named = dict(model.named_parameters())
    dx, *rest = gradients(model.train()(x), (x, *named.values()), cotangent)
    return {"layout": _layout(model), "dx": dx, "gradients": dict(zip(named, rest, strict=True))}


def block_start(student: Any, name: str, arguments: list[float]) -> Seen:
    """The parameters of two new blocks `name`, in their own dtype."""
    one, other = (getattr(student, name)(*arguments) for _ in range(2))
    return {"layout": _layout(one), "parameters": parameters_of(one), "others": parameters_of(other)}


def block_as_built(student: Any, name: str, arguments: list[float], x: Tensor) -> Seen:
    """What a new block `name` makes of x, both in their own dtype."""
    with torch.no_grad():
        return {"y": getattr(student, name)(*arguments)(x)}


# --- R3 ---------------------------------------------------------------------------------------------------------------


def _blocks(model: Any) -> Seen:
    """The blocks of a model: how many there are, how many of them are different objects, and what holds them."""
    blocks = list(model.blocks)
    return _layout(model) | {
        "blocks": len(blocks),
        "distinct": len({id(one) for one in blocks}),
        "container": type(model.blocks).__name__,
    }


def network_logits(student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, training: bool) -> Seen:
    """The logits of `ResidualMLP` with the weights `start`."""
    model = student.ResidualMLP(*sizes).double()
    if not _fits(model, start):
        return {"layout": _blocks(model), "logits": None}
    set_values(model, start)
    return {"layout": _blocks(model), "logits": model.train(training)(inputs)}


def network_parts(student: Any, sizes: list[int]) -> Seen:
    """The parameters of a new `ResidualMLP`, and its blocks."""
    model = student.ResidualMLP(*sizes)
    return {"layout": _blocks(model), "parameters": parameters_of(model)}


def network_gradients(
    student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, cotangent: Tensor
) -> Seen:
    """The gradients of the logits of `ResidualMLP` in training mode for its parameters, by name."""
    model = student.ResidualMLP(*sizes).double()
    if not _fits(model, start):
        return {"layout": _blocks(model), "gradients": {}}
    set_values(model, start)
    named = dict(model.named_parameters())
    found = gradients(model.train()(inputs), list(named.values()), cotangent)
    return {"layout": _blocks(model), "gradients": dict(zip(named, found, strict=True))}
