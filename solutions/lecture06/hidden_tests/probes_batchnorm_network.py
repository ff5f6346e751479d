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
    gradients,
    missing_from,
    parameters_of,
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
    """A model `name` with the weights `start`: its logits twice in evaluation, then once from there in training.

    In float32 where the code makes float32 numbers of its own, as it may in the notebook.
    missing: which of these weights it has no place for; then it is not called. ready_made: its parts of PyTorch's own.
    gradients: of the logits in training, by parameter, None where nothing flows; buffers: those after that one call.
    """
    try:
        return _outputs(getattr(student, name)(*sizes, **options).double(), start, inputs, cotangent)
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        single = {key: value.float() for key, value in start.items()}
        return _outputs(getattr(student, name)(*sizes, **options), single, inputs, cotangent.float())


def _outputs(model: nn.Module, start: dict[str, Tensor], inputs: Tensor, cotangent: Tensor) -> Seen:
    missing = missing_from(model, start)
    ready_made = [part for part, one in model.named_modules() if type(one).__module__.startswith("torch.")]
    if missing:
        return {"missing": missing, "ready_made": ready_made}
    set_values(model, start)
    model.eval()
    first, again = model(inputs), model(inputs)
    model.train()
    set_values(model, start)
    logits = model(inputs)
    seen = {"missing": missing, "eval": first, "again": again, "train": logits, "buffers": buffers_of(model)}
    if not isinstance(logits, Tensor) or logits.shape != cotangent.shape:
        return {**seen, "gradients": {}}
    parameters = dict(model.named_parameters())
    found = gradients(logits, list(parameters.values()), cotangent)
    return {**seen, "gradients": dict(zip(parameters, found, strict=True))}


def mlp_parameters(student: Any, name: str, sizes: list[int], options: dict[str, bool]) -> Seen:
    """The parameters of a fresh float32 model `name`."""
    return {"parameters": parameters_of(getattr(student, name)(*sizes, **options))}


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
    """A fresh float32 model after SGD on these batches: its logits for the held-out contexts, in evaluation mode."""
    model = getattr(student, name)(*sizes, **options)
    train_sgd(model, contexts, targets, lr)
    model.eval()
    with torch.no_grad():
        return {"logits": model(held_out)}
