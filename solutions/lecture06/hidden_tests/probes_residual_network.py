"""Probes of R1 to R3: gradient norms, the residual block, the network around the stream.

They run beside the student's code, on given inputs, and return what they saw. No probe holds an expected value or gives
a verdict. `student` has the notebook's names as attributes; every other argument comes from a hidden test. Models and
tensors are float64 unless a docstring says otherwise.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .probe_tools import (
    Seen,
    buffers_of,
    can_run,
    change_of,
    condition_of,
    fill,
    gradients,
    modes_of,
    named_parameters,
    parameters_of,
    repeated,
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
    before, seed = condition_of(model), torch.initial_seed()
    returned = student.grad_norms(model, inputs, targets)
    return {
        "returned": returned,
        "training": training,
        "before": before,
        "after": change_of(model, before),
        "seeded": torch.initial_seed() != seed,
    }


# --- R2 ---------------------------------------------------------------------------------------------------------------

_OPTIONS = {"eps": 1e-5, "momentum": 0.1, "padding_idx": None, "max_norm": None}
"""Options of the norms and the embedding, and their defaults in torch."""


def _with_defaults(model: Any) -> Any:
    """Return the model with the default options set, as its weights are: one test judges those of its own."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.Embedding):
            for name in _OPTIONS.keys() & vars(part).keys():
                setattr(part, name, _OPTIONS[name])
    return model


def _layout(model: Any) -> Seen:
    """Return the parts of a model by name: types, options, shapes of parameters and buffers, and what they share.

    shared: groups of names that stand for the same parameter
    """
    parts = dict(model.named_modules(remove_duplicate=False))
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {
        "types": {name: type(part).__name__ for name, part in parts.items()},
        "options": {
            name: {key: getattr(part, key) for key in _OPTIONS if hasattr(part, key)} for name, part in parts.items()
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
    layout, absent = _layout(model), fill(_with_defaults(model), start)
    with torch.no_grad():
        y = model.train(training)(x) if can_run(absent) else None
    after = {"buffers": buffers_of(model), "modes": modes_of(model), "x": x.clone()}
    with torch.no_grad():
        again = model.train(training)(x) if can_run(absent) else None
    return {"layout": layout, "absent": absent, "y": y, "again": again, **after}


def block_gradients(
    student: Any, name: str, arguments: list[float], start: dict[str, Tensor], x: Tensor, cotangent: Tensor
) -> Seen:
    """Return the gradients of a block's output for x and its parameters by name, None where nothing flows."""
    model = getattr(student, name)(*arguments).double()
    layout, absent = _layout(model), fill(_with_defaults(model), start)
    x = x.clone().requires_grad_()
    named = named_parameters(model)
    y = model.train()(x) if can_run(absent) else None
    dx, *rest = gradients(y, (x, *named.values()), cotangent)
    found = dict(zip(named, rest, strict=True))
    return {"layout": layout, "absent": absent, "dx": dx, "gradients": found}


def block_start(student: Any, name: str, arguments: list[float]) -> Seen:
    """Return the parameters and buffers of a new block `name`, in its own dtype.

    repeated: the names of those that are equal in two more blocks made after it
    """
    one, *others = (getattr(student, name)(*arguments) for _ in range(3))
    second, third = map(parameters_of, others)
    return {
        "layout": _layout(one),
        "parameters": parameters_of(one),
        "buffers": buffers_of(one),
        "repeated": repeated(second, third),
    }


def block_as_built(student: Any, name: str, arguments: list[float], x: Tensor) -> Seen:
    """Return the output of a new block `name` for x, both in their own dtype."""
    with torch.no_grad():
        return {"y": getattr(student, name)(*arguments)(x)}


# --- R3 ---------------------------------------------------------------------------------------------------------------


def _network(student: Any, sizes: list[int]) -> tuple[Any, Seen]:
    """Return a new `ResidualMLP` in float32, and its layout, how many blocks it has, how many are different objects.

    container: what holds the blocks; of a list, the model gets an nn.ModuleList, so that the rest can be looked at
    hidden: how many parameters of blocks the model itself did not list
    """
    model = student.ResidualMLP(*sizes)
    kept, listed = model.blocks, {id(one) for one in model.parameters()}
    blocks = list(kept)
    hidden = 0
    if not isinstance(kept, nn.Module) and all(isinstance(one, nn.Module) for one in blocks):
        hidden = sum(id(parameter) not in listed for one in blocks for parameter in one.parameters())
        model.blocks = nn.ModuleList(blocks)
    return model, _layout(model) | {
        "blocks": len(blocks),
        "distinct": len({id(one) for one in blocks}),
        "container": type(kept).__name__ if model.blocks is not kept else "",
        "hidden": hidden,
    }


def network_logits(student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, training: bool) -> Seen:
    """Call `ResidualMLP` with the weights `start`: its logits; buffers and modes afterwards.

    again: its logits when it is called once more
    absent: the names in `start` that the model has no place for; it has zero in any other bias
    """
    model, layout = _network(student, sizes)
    absent = fill(_with_defaults(model.double()), start)
    logits = model.train(training)(inputs) if can_run(absent) else None
    after = {"buffers": buffers_of(model), "modes": modes_of(model)}
    again = model.train(training)(inputs) if can_run(absent) else None
    return {"layout": layout, "absent": absent, "logits": logits, "again": again, **after}


def network_parts(student: Any, sizes: list[int], ending: str) -> Seen:
    """Return the layout of a new `ResidualMLP`, and its parameters with this ending of their names.

    repeated: the names of all parameters that are equal in two more networks made after it
    """
    (model, layout), *others = (_network(student, sizes) for _ in range(3))
    parameters = {name: value for name, value in parameters_of(model).items() if name.endswith(ending)}
    second, third = (parameters_of(other) for other, _ in others)
    return {"layout": layout, "parameters": parameters, "repeated": repeated(second, third)}


def network_gradients(
    student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, cotangent: Tensor
) -> Seen:
    """Return the gradients of the logits of `ResidualMLP` in training mode for its parameters, by name."""
    model, layout = _network(student, sizes)
    absent = fill(_with_defaults(model.double()), start)
    named = named_parameters(model)
    logits = model.train()(inputs) if can_run(absent) else None
    found = gradients(logits, list(named.values()), cotangent)
    return {"layout": layout, "absent": absent, "gradients": dict(zip(named, found, strict=True))}
