"""Probes of the residual stream notebook: they run beside the student's code, on given inputs, and return what they saw.

No probe holds an expected value or gives a verdict. `student` has the notebook's names as attributes; every other
argument comes from a hidden test. Tensors are float64 unless a docstring says otherwise.
"""

from typing import Any

from torch import Tensor

from autograder.hidden_tests.lecture06.probe_tools import Seen, gradients, parameters_of, set_values

# --- R2 ---------------------------------------------------------------------------------------------------------------


def block(
    student: Any, name: str, sizes: list[int], start: dict[str, Tensor], x: Tensor, cotangent: Tensor, training: bool
) -> Seen:
    """A block `name` with the weights `start` on x (N, d_model): output, x afterwards, and gradients."""
    model = getattr(student, name)(*sizes).double()
    parameters = parameters_of(model)
    set_values(model, start)
    model.train(training)
    x = x.clone().requires_grad_()
    y = model(x)
    named = dict(model.named_parameters())
    dx, *rest = gradients(y, (x, *named.values()), cotangent)
    return {
        "parameters": parameters,
        "y": y,
        "x": x,
        "dx": dx,
        "gradients": dict(zip(named, rest, strict=True)),
    }


def block_weights(student: Any, name: str, d_model: int, d_ff: int, scale: float) -> Seen:
    """The initial weights of a block `name`."""
    return {"parameters": parameters_of(getattr(student, name)(d_model, d_ff, scale))}


# --- R3 ---------------------------------------------------------------------------------------------------------------


def residual_mlp(student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, training: bool) -> Seen:
    """`ResidualMLP` with the weights `start`: initial parameters, logits, and which blocks are the same object."""
    model = student.ResidualMLP(*sizes)
    parameters = parameters_of(model)
    model = model.double()
    set_values(model, start)
    model.train(training)
    blocks = list(model.blocks)
    return {
        "parameters": parameters,
        "logits": model(inputs),
        "blocks": len(blocks),
        "distinct": len({id(one) for one in blocks}),
        "kind": type(model.blocks).__name__,
    }
