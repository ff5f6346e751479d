"""Probes of the batch normalization notebook, part 4: the networks.

They run beside the student's code on given inputs and return what they saw; none holds an expected value. `student`
has the notebook's names as attributes; every other argument comes from a hidden test. Tensors are float64 unless a
docstring says otherwise.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .probe_tools import (
    Seen,
    buffers_of,
    empty_is_nan,
    gradients,
    in_half,
    misfits,
    modes_of,
    named_parameters,
    parameters_of,
    repeated,
    set_values,
    train_sgd,
)

# --- B6, B7 -----------------------------------------------------------------------------------------------------------


def mlp_outputs(
    student: Any,
    name: str,
    sizes: list[int],
    options: dict[str, bool],
    start: dict[str, Tensor],
    inputs: Tensor,
    cotangent: Tensor,
) -> Seen:
    """Call a model `name` with the weights `start`: twice in evaluation, then once from the same start in training.

    In float32 where the code creates float32 tensors itself, as it may in the notebook.
    misfits: which of these weights it has no place for; then it is not called
    ready_made: its parts that are PyTorch's own
    flipped: the logits in evaluation for the contexts in reverse order
    single: the logits of the first context alone, in evaluation; single_error: what that raised
    train_again: the logits of another call in training from the same start
    gradients: of the logits in training, by parameter, None where nothing flows
    buffers, modes: those after the call in training; resting: the modes after the calls in evaluation
    """
    try:
        return _outputs(getattr(student, name)(*sizes, **options).double(), start, inputs, cotangent)
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        single = {key: value.float() for key, value in start.items()}
        return _outputs(getattr(student, name)(*sizes, **options), single, inputs, cotangent.float())


def _outputs(model: nn.Module, start: dict[str, Tensor], inputs: Tensor, cotangent: Tensor) -> Seen:
    unfit = misfits(model, start)
    parts = model.named_modules(remove_duplicate=False)
    ready_made = [part for part, one in parts if type(one).__module__.startswith("torch.")]
    if unfit:
        return {"misfits": unfit, "ready_made": ready_made}
    set_values(model, start)
    model.eval()
    seen: Seen = {"misfits": {}, "eval": model(inputs), "again": model(inputs), "resting": modes_of(model)}
    seen["flipped"] = model.eval()(inputs.flip(0))
    seen["single"], seen["single_error"] = _on_one(model.eval(), inputs[:1])
    model.train()
    set_values(model, start)
    seen["train_again"] = model(inputs)
    model.train()
    set_values(model, start)
    logits = model(inputs)
    seen |= {"train": logits, "buffers": buffers_of(model), "modes": modes_of(model)}
    if not isinstance(logits, Tensor) or logits.shape != cotangent.shape:
        return {**seen, "gradients": {}}
    parameters = named_parameters(model)
    found = gradients(logits, list(parameters.values()), cotangent)
    return {**seen, "gradients": dict(zip(parameters, found, strict=True))}


def _on_one(model: nn.Module, inputs: Tensor) -> tuple[Any, str]:
    """Return what a model gives for one example, or the error that it raised."""
    try:
        return model(inputs), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def mlp_parameters(student: Any, name: str, sizes: list[int], options: dict[str, bool]) -> Seen:
    """Return the parameters of a new float32 model `name`.

    repeated: the names of those that are equal in two more models made after it
    """
    with empty_is_nan():
        first, second, third = (parameters_of(getattr(student, name)(*sizes, **options)) for _ in range(3))
    return {"parameters": first, "repeated": repeated(second, third)}


def trained_logits(
    student: Any,
    name: str,
    sizes: list[int],
    options: dict[str, bool],
    contexts: Tensor,
    targets: Tensor,
    lr: float,
    held_out: Tensor,
) -> Seen:
    """Train a new float32 model with SGD on these batches; return its logits for the held-out contexts in float16."""
    model = getattr(student, name)(*sizes, **options)
    train_sgd(model, contexts, targets, lr)
    model.eval()
    with torch.no_grad():
        return {"logits": in_half(model(held_out))}
