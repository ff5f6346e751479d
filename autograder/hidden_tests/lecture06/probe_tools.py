"""What probes share: recording operators, gradients, weights by name, training. Runs inside the sandbox."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

Seen = dict[str, Any]


class Operators(TorchDispatchMode):
    """Records the names of the operators that torch runs, by whatever name the code called them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def tracked_by_autograd() -> Iterator[list[bool]]:
    """A list that gets an entry for each tensor that autograd keeps for a backward pass meanwhile."""
    kept: list[bool] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(True)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def gradients(output: Any, inputs: Sequence[Tensor], cotangent: Tensor) -> list[Tensor | None]:
    """The gradient of sum(output * cotangent) with respect to each input; None where nothing flows."""
    if not isinstance(output, Tensor) or not output.requires_grad:
        return [None for _ in inputs]
    found = torch.autograd.grad(output, inputs, cotangent, allow_unused=True)
    return list(found)


def set_values(module: nn.Module, values: dict[str, Tensor]) -> None:
    """Give parameters and buffers new values by name, in the shape that the module keeps them in."""
    with torch.no_grad():
        for name, value in values.items():
            owner: Any = module
            *path, last = name.split(".")
            for part in path:
                owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
            kept = getattr(owner, last)
            kept.copy_(value.reshape(kept.shape))


def parameters_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def buffers_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.detach().clone() for name, buffer in module.named_buffers()}


def train_sgd(model: nn.Module, contexts: Tensor, targets: Tensor, lr: float) -> None:
    """Plain SGD, a step for each batch of contexts (steps, N, 3) and targets (steps, N)."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    model.train()
    for inputs, following in zip(contexts, targets, strict=True):
        loss = F.cross_entropy(model(inputs), following)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
