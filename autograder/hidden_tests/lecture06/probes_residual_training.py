"""Probes of R9 and R10: training, and many names at once.

They run beside the student's code, on given inputs, and return what they saw. No probe holds an expected value or gives
a verdict. `student` has the notebook's names as attributes; every other argument comes from a hidden test. Models and
tensors are float64 unless a docstring says otherwise.
"""

from typing import Any

import torch
from torch import Tensor

from autograder.hidden_tests.lecture06.probe_tools import Seen, buffers_of, condition_of, parameters_of, residual_mlp

# --- R9 ---------------------------------------------------------------------------------------------------------------


def training_steps(
    student: Any,
    sizes: list[int],
    start: dict[str, Tensor],
    examples: list[Tensor],
    settings: list[float],
    seed: int,
    other_seed: int,
    training: bool,
) -> Seen:
    """`train` of a ResidualMLP that comes in training or evaluation mode, on examples [inputs (M, 3), targets (M,)].

    settings: steps, lr, batch_size. The batches come from a generator of this seed; the global one starts from
    `other_seed`.
    """
    model = residual_mlp(student, sizes, start, training)
    inputs, targets = (one.clone() for one in examples)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(other_seed)
    before = buffers_of(model)
    losses = student.train(model, inputs, targets, *settings, generator)
    return {
        "losses": losses,
        "list": isinstance(losses, list),
        "floats": all(isinstance(one, float) for one in losses) if isinstance(losses, list) else False,
        "parameters": parameters_of(model),
        "before": before,
        "buffers": buffers_of(model),
        "modes": [one.training for one in model.modules()],
        "next": torch.rand(1, generator=generator),
    }


def trained_network(
    student: Any, sizes: list[int], examples: list[Tensor], steps: int, lr: float, seed: int, held_out: Tensor
) -> Seen:
    """A new float32 ResidualMLP after `train` on examples [inputs (M, 3), targets (M,)]: its losses, and its logits for
    the held-out contexts in evaluation mode."""
    model = student.ResidualMLP(*sizes)
    generator = torch.Generator().manual_seed(seed)
    losses = student.train(model, *examples, steps, lr, 64, generator)
    model.eval()
    with torch.no_grad():
        return {"losses": losses, "logits": model(held_out)}


# --- R10 --------------------------------------------------------------------------------------------------------------


def batch_of_names(
    student: Any,
    sizes: list[int],
    start: dict[str, Tensor],
    n: int,
    options: list[int],
    seed: int,
    other_seed: int,
    training: bool,
) -> Seen:
    """`generate_batch` of a ResidualMLP in training or evaluation mode: the names, the generator's next number, the
    model and the global random state before and after.

    options: nothing, or context_size and max_len
    """
    model = residual_mlp(student, sizes, start, training)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(other_seed)
    before, state = condition_of(model), torch.get_rng_state()
    names = student.generate_batch(model, n, generator, *options)
    return {
        "names": names,
        "next": torch.rand(1, generator=generator),
        "training": training,
        "before": before,
        "after": condition_of(model),
        "state": state,
        "state after": torch.get_rng_state(),
    }
