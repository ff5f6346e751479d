"""Probes of R1 to R3: gradient norms, the residual block, the network around the stream.

They run beside the student's code, on given inputs, and return what they saw. No probe holds an expected value or gives
a verdict. `student` has the notebook's names as attributes; every other argument comes from a hidden test. Models and
tensors are float64 unless a docstring says otherwise.
"""

from typing import Any

import torch
from torch import Tensor

from autograder.hidden_tests.lecture06.probe_tools import Seen, condition_of, gradients, parameters_of, set_values

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


def _block(student: Any, name: str, sizes: list[int], start: dict[str, Tensor], training: bool) -> Any:
    model = getattr(student, name)(*sizes).double()
    set_values(model, start)
    model.train(training)
    return model


def block_output(
    student: Any, name: str, sizes: list[int], start: dict[str, Tensor], x: Tensor, training: bool
) -> Seen:
    """A block `name` with the weights `start` on x (N, d_model): its output, and x afterwards."""
    x = x.clone()
    with torch.no_grad():
        y = _block(student, name, sizes, start, training)(x)
    return {"y": y, "x": x}


def block_gradients(
    student: Any, name: str, sizes: list[int], start: dict[str, Tensor], x: Tensor, cotangent: Tensor, training: bool
) -> Seen:
    """The gradients of a block's output for x and for its parameters by name, None where nothing flows."""
    model = _block(student, name, sizes, start, training)
    x = x.clone().requires_grad_()
    named = dict(model.named_parameters())
    dx, *rest = gradients(model(x), (x, *named.values()), cotangent)
    return {"dx": dx, "gradients": dict(zip(named, rest, strict=True))}


def block_start(student: Any, name: str, arguments: list[float]) -> Seen:
    """The parameters of a new block `name`, in its own dtype."""
    return {"parameters": parameters_of(getattr(student, name)(*arguments))}


# --- R3 ---------------------------------------------------------------------------------------------------------------


def network_logits(student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, training: bool) -> Seen:
    """The logits of `ResidualMLP` with the weights `start`."""
    model = student.ResidualMLP(*sizes).double()
    set_values(model, start)
    model.train(training)
    return {"logits": model(inputs)}


def network_parts(student: Any, sizes: list[int]) -> Seen:
    """A new `ResidualMLP`: its parameters, its blocks, and how many of them are different objects."""
    model = student.ResidualMLP(*sizes)
    blocks = list(model.blocks)
    return {
        "parameters": parameters_of(model),
        "blocks": len(blocks),
        "distinct": len({id(one) for one in blocks}),
        "container": type(model.blocks).__name__,
    }


def network_gradients(
    student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, cotangent: Tensor
) -> Seen:
    """The gradients of the logits of `ResidualMLP` in training mode for its parameters, by name."""
    model = student.ResidualMLP(*sizes).double()
    set_values(model, start)
    model.train()
    named = dict(model.named_parameters())
    return {"gradients": dict(zip(named, gradients(model(inputs), list(named.values()), cotangent), strict=True))}
