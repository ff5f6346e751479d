"""Probes of R9 and R10: training, and many names at once.

They run beside the student's code, on given inputs, and return what they saw. No probe holds an expected value or gives
a verdict. `student` has the notebook's names as attributes; every other argument comes from a hidden test. Models and
tensors are float64 unless a docstring says otherwise.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .probe_tools import Seen, buffers_of, change_of, condition_of, in_half, parameters_of, residual_mlp

# --- R9 ---------------------------------------------------------------------------------------------------------------


def training_steps(
    student: Any,
    sizes: list[int],
    start: dict[str, Tensor],
    examples: list[Tensor],
    settings: list[float],
    seed: int | None,
    other_seed: int,
    training: bool,
    stored: float,
    advance: int,
) -> Seen:
    """Call `train` with a ResidualMLP in training or evaluation mode, on examples [inputs (M, 3), targets (M,)].

    settings: steps, lr, batch_size
    seed: of the generator, which has given out `advance` numbers; without a seed, none is passed
    other_seed: of the global generator
    stored: the number that every `.grad` is filled with before the call
    """
    model = residual_mlp(student, sizes, start, training)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, stored)
    inputs, targets = (one.clone() for one in examples)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    torch.rand(advance, generator=generator)
    torch.manual_seed(other_seed)
    before = buffers_of(model)
    losses = student.train(model, inputs, targets, *settings, *[generator] * (generator is not None))
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


class _Bigrams(nn.Module):
    """A model with one weight and no blocks: the logits are a factor times the table's row of the last token.

    In evaluation mode they have the other sign, so that the losses show in which mode a step was made.
    """

    def __init__(self, table: Tensor, factor: float) -> None:
        super().__init__()
        self.table, self.factor, self.blocks = nn.Parameter(table.clone()), factor, nn.ModuleList()

    def forward(self, contexts: Tensor) -> Tensor:
        sign = 1 if self.training else -1
        return sign * self.factor * F.embedding(contexts[:, -1], self.table)


def bigram_losses(
    student: Any, table: Tensor, factor: float, examples: list[Tensor], settings: list[float], seed: int, advance: int
) -> Seen:
    """Call `train` with a model of one weight (V, V), whose steps are cheap: the losses.

    examples, settings, seed, advance: as in `training_steps`
    """
    generator = torch.Generator().manual_seed(seed)
    torch.rand(advance, generator=generator)
    inputs, targets = (one.clone() for one in examples)
    return {"losses": student.train(_Bigrams(table, factor), inputs, targets, *settings, generator)}


def trained_network(
    student: Any, sizes: list[int], examples: list[Tensor], steps: int, lr: float, seed: int, held_out: Tensor
) -> Seen:
    """Call `train` with a new float32 ResidualMLP: the losses, and its float16 logits for the held-out contexts.

    examples: [inputs (M, 3), targets (M,)]
    """
    model = student.ResidualMLP(*sizes)
    generator = torch.Generator().manual_seed(seed)
    losses = student.train(model, *examples, steps, lr, 64, generator)
    model.eval()
    with torch.no_grad():
        return {"losses": losses, "logits": in_half(model(held_out))}


# --- R10 --------------------------------------------------------------------------------------------------------------


def batch_of_names(
    student: Any,
    sizes: list[int],
    start: dict[str, Tensor],
    n: int,
    options: list[int],
    seed: int,
    advance: int,
    other_seed: int,
    training: bool,
    watched: bool,
) -> Seen:
    """Call `generate_batch` with a ResidualMLP in training or evaluation mode.

    options: nothing, or context_size and max_len
    advance: how many numbers the generator and the global one have given out before
    watched: whether the model before and after is returned too; it is float32 then, as in the notebook
    Returns the names, the generator's next number, and whether the global random state moved.
    """
    model = residual_mlp(student, sizes, start, training)
    model = model.float() if watched else model
    generator = torch.Generator().manual_seed(seed)
    torch.rand(advance, generator=generator)
    torch.manual_seed(other_seed)
    torch.rand(advance)
    before, outside = condition_of(model), torch.get_rng_state()
    seen = {
        "names": student.generate_batch(model, n, generator, *options),
        "next": torch.rand(1, generator=generator),
        "outside_moved": not torch.equal(outside, torch.get_rng_state()),
    }
    if not watched:
        return seen
    return {**seen, "training": training, "before": before, "after": change_of(model, before)}


class _Fixed(nn.Module):
    """A model that gives the same logits (V,) for every context."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, contexts: Tensor) -> Tensor:
        return torch.as_tensor(self.logits).expand(len(contexts), -1)


def first_letters(student: Any, logits: Tensor, n: int, seed: int) -> Seen:
    """Return the names of one letter that `generate_batch` writes with each row of logits (K, V), from this seed."""
    rows = [_Fixed(row) for row in logits.float()]
    return {"names": [student.generate_batch(one, n, torch.Generator().manual_seed(seed), 3, 1) for one in rows]}
