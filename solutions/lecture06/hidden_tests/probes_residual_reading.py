"""Probes of R7 and R8: the writes to the stream, the logit lens, the attribution.

They run beside the student's code, on given inputs, and return what they saw. No probe holds an expected value or gives
a verdict. `student` has the notebook's names as attributes; every other argument comes from a hidden test. Models and
tensors are float64.
"""

from typing import Any

from torch import Tensor

from .probe_tools import Seen, change_of, condition_of, residual_mlp


def reading_and_model(
    student: Any,
    name: str,
    sizes: list[int],
    start: dict[str, Tensor],
    inputs: Tensor,
    training: bool,
) -> Seen:
    """Call the function `name` with a ResidualMLP in training or evaluation mode: model and inputs before and after.

    The model is float32, as in the notebook.
    """
    model = residual_mlp(student, sizes, start, training).float()
    before, given = condition_of(model), inputs.clone()
    returned = getattr(student, name)(model, given)
    return {
        "returned": returned,
        "inputs": given,
        "training": training,
        "before": before,
        "after": change_of(model, before),
    }


def stream_reading(
    student: Any, name: str, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, eps: float
) -> Seen:
    """Call the function `name` with a ResidualMLP in training mode; eps: that of the model's last norm."""
    model = residual_mlp(student, sizes, start, training=True)
    model.norm_f.eps = eps
    return {"returned": getattr(student, name)(model, inputs.clone())}


def stream_readings(
    student: Any, name: str, sizes: list[int], start: dict[str, Tensor], batches: list[Tensor], training: bool
) -> Seen:
    """Call the function `name` with the same ResidualMLP and one batch of inputs after the other."""
    model = residual_mlp(student, sizes, start, training)
    return {"returned": [getattr(student, name)(model, inputs) for inputs in batches]}
