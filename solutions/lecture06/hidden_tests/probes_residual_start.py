"""Probes of R4 to R6: how a residual network starts, and where its norm stands.

They run beside the student's code, on given inputs, and return what they saw. No probe holds an expected value or gives
a verdict. `student` has the notebook's names as attributes; every other argument comes from a hidden test. Models and
tensors are float64 unless a docstring says otherwise.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .probe_tools import (
    Seen,
    change_of,
    condition_of,
    empty_is_nan,
    named_parameters,
    parameters_of,
    residual_mlp,
    train_sgd,
)

# --- R4 ---------------------------------------------------------------------------------------------------------------


def zero_start(student: Any, sizes: list[int], start: dict[str, Tensor], stream: Tensor) -> Seen:
    """Call `zero_init_`: the model before and after, and each block's output for a stream in both modes.

    All its parameters except fc2's, which may be created anew, have a gradient before the call.
    """
    model = residual_mlp(student, sizes, start, training=True)
    for name, parameter in named_parameters(model).items():
        parameter.grad = None if "fc2" in name else torch.ones_like(parameter)
    before = condition_of(model)
    returned = student.zero_init_(model)
    after = change_of(model, before)
    model.double()  # a weight created anew may be float32, as all are in the notebook
    with torch.no_grad():
        training = [one(stream.clone()) for one in model.train().blocks]
        evaluation = [one(stream.clone()) for one in model.eval().blocks]
    return {
        "same": returned is model,
        "returned": type(returned).__name__,
        "training": True,
        "before": before,
        "after": after,
        "outputs": {"training": training, "evaluation": evaluation},
    }


def zero_start_learning(
    student: Any, sizes: list[int], start: dict[str, Tensor], contexts: Tensor, targets: Tensor, lr: float
) -> Seen:
    """Return the parameters of a ResidualMLP after `zero_init_` and after each SGD step on batches (steps, N, 3)."""
    model = residual_mlp(student, sizes, start, training=True)
    returned = student.zero_init_(model)
    model.double()
    steps, frozen = [parameters_of(model)], condition_of(model)["frozen"]
    for step in range(len(contexts)):
        train_sgd(model, contexts[step : step + 1], targets[step : step + 1], lr)
        steps.append(parameters_of(model))
    return {"same": returned is model, "returned": type(returned).__name__, "frozen": frozen, "steps": steps}


# --- R5 ---------------------------------------------------------------------------------------------------------------


def stream_variances(student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor, training: bool) -> Seen:
    """Call `stream_variance` with a ResidualMLP in training or evaluation mode: the model before and after."""
    model = residual_mlp(student, sizes, start, training)
    before = condition_of(model)
    returned = student.stream_variance(model, inputs)
    return {"returned": returned, "training": training, "before": before, "after": change_of(model, before)}


def scaled_start(student: Any, sizes: list[int], start: dict[str, Tensor], times: int) -> Seen:
    """Call `scale_residual_init_` so many times on a ResidualMLP: the model before and after."""
    model = residual_mlp(student, sizes, start, training=True)
    before = condition_of(model)
    returned = None
    for _ in range(times):
        returned = student.scale_residual_init_(model)
    return {
        "same": returned is model,
        "returned": type(returned).__name__,
        "training": True,
        "before": before,
        "after": change_of(model, before),
    }


def scaled_growth(student: Any, sizes: list[int], start: dict[str, Tensor], inputs: Tensor) -> Seen:
    """Call `stream_variance` before and after `scale_residual_init_`."""
    model = residual_mlp(student, sizes, start, training=True)
    unscaled = student.stream_variance(model, inputs)
    returned = student.scale_residual_init_(model)
    return {
        "same": returned is model,
        "returned": type(returned).__name__,
        "unscaled": unscaled,
        "scaled": student.stream_variance(model, inputs),
    }


# --- R6 ---------------------------------------------------------------------------------------------------------------


class _Path(nn.Module):
    """A block with the parts of ResidualBlock; each subclass does something else to the stream.

    It writes to the stream even when fc1 is zero.
    """

    experiments: ClassVar[list[float]] = []
    """The largest weight of fc2 at each call of any block since the list was cleared."""
    batches: ClassVar[list[int]] = []
    """The number of examples at each of these calls."""

    def __init__(self, d_model: int, d_ff: int, scale: float = 1.0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(d_model)
        self.fc1 = nn.Linear(d_model, d_ff, bias=False)
        self.fc2 = nn.Linear(d_ff, d_model, bias=False)
        nn.init.normal_(self.fc2.weight, std=scale)

    def forward(self, x: Tensor) -> Tensor:
        self.experiments.append(self.fc2.weight.detach().abs().max().item())
        self.batches.append(len(x))
        return self.onto(x, self.fc2(torch.cos(self.fc1(x))))

    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return x + write


class _Normed(_Path):
    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return torch.as_tensor(self.norm(x + write))


class _NormedSkip(_Path):
    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return torch.as_tensor(self.norm(x)) + write


class _Halved(_Path):
    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return (x + write) / 2


class _Nearly(_Path):
    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return x * (1 + 2**-19) + write


class _Squashed(_Path):
    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return torch.tanh(x + write)


class _Halfway(_Path):
    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return torch.cat([x[:, :-1], x[:, -1:] / 2], 1) + write


class _TwoBranches(_Path):
    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return x + write + torch.as_tensor(self.norm(x))


class _Broken(_Path):
    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return write


class _RowsFlipped(_Path):
    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return x.flip(0) + write


class _FeaturesFlipped(_Path):
    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        return x.flip(-1) + write


class _LastDigit(_Path):
    """It changes one entry, that of the smallest size, by its last binary digit: a mean stays what it is."""

    def onto(self, x: Tensor, write: Tensor) -> Tensor:
        changed = x.detach().clone().flatten()
        place = changed.abs().argmin()
        changed[place] = torch.nextafter(changed[place], torch.zeros_like(changed[place]) + torch.inf)
        return changed.reshape(x.shape) + write


_PATHS = {
    "sum": _Path,
    "normed": _Normed,
    "normed skip": _NormedSkip,
    "halved": _Halved,
    "nearly": _Nearly,
    "squashed": _Squashed,
    "halfway": _Halfway,
    "two branches": _TwoBranches,
    "broken": _Broken,
    "rows flipped": _RowsFlipped,
    "features flipped": _FeaturesFlipped,
    "last digit": _LastDigit,
}


def identity_path(
    student: Any, kind: str, sizes: list[int], double: bool, training: bool, statistics: dict[str, float]
) -> Seen:
    """Call `is_identity_path` with a block: the block before and after.

    kind: one of the blocks above, or the student's ResidualBlock or PostNormBlock; float32 unless `double` is set
    statistics: numbers to fill its running statistics with
    """
    torch.manual_seed(0)
    block = _PATHS[kind](*sizes) if kind in _PATHS else getattr(student, kind)(*sizes)
    block = block.double() if double else block
    for name, value in statistics.items():
        getattr(block.norm, name).fill_(value)
    block.train(training)
    before = condition_of(block)
    _Path.experiments.clear()
    _Path.batches.clear()
    with empty_is_nan():
        returned = student.is_identity_path(block)
    return {
        "returned": returned,
        "experiments": list(_Path.experiments),
        "batches": list(_Path.batches),
        "training": training,
        "before": before,
        "after": change_of(block, before),
    }
