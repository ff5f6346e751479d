"""What hidden tests send to probes: random tensors from fixed seeds, and the names as contexts and targets."""

import functools
from dataclasses import dataclass

import torch
from autograder.testing import data_file
from torch import Tensor
from torch.nn import functional as F

CONTEXT = 3
VOCAB = 27
HELD_OUT = 2048
MODES = {True: "training", False: "evaluation"}
"""What the modes of a module are called in messages, by its attribute `training`."""


def normal(*shape: int, seed: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Return float64 normal numbers, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return mean + std * torch.randn(*shape, generator=generator, dtype=torch.float64)


def population(features: int) -> tuple[Tensor, Tensor]:
    """Return the standard deviations and means of the features that batches are drawn from, float64 (features,)."""
    spread = torch.linspace(0.5, 2.0, features, dtype=torch.float64)
    offset = torch.linspace(-2.0, 2.0, features, dtype=torch.float64)
    return spread, offset


def batch(n: int, features: int, seed: int) -> Tensor:
    """Return a float64 batch (n, features) with means up to 2 and standard deviations from 0.5 to 2."""
    spread, offset = population(features)
    return normal(n, features, seed=seed) * spread + offset


def steady_batch(n: int, features: int, seed: int) -> Tensor:
    """Return a batch like `batch`, whose own means and unbiased variances are close to those of the population."""
    z = normal(n, features, seed=seed)
    z = (z - z.mean(0)) / z.std(0)
    scale, shift = 0.1 * normal(features, seed=seed + 1), 0.1 * normal(features, seed=seed + 2)
    spread, offset = population(features)
    return spread * (z * (1.0 + scale) + shift) + offset


def scale_and_shift(features: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return a gamma around 1 and -1 in turn and a beta around 0, float64 (features,), both far from their start."""
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(features)[:features]
    return signs * (1.0 + normal(features, seed=seed, std=0.4)), normal(features, seed=seed + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Contexts (N, 3) and next characters (N,), int64."""

    contexts: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names file as examples, split by name; `unigram` is the cross-entropy of the training frequencies."""

    train: Examples
    held_out: Examples
    unigram: float

    def batches(self, steps: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return training batches: contexts (steps, size, 3) and targets (steps, size)."""
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randint(len(self.train.targets), (steps, size), generator=generator)
        return self.train.contexts[rows], self.train.targets[rows]

    def loss(self, logits: Tensor) -> float:
        """Return the cross-entropy of logits (HELD_OUT, 27) for the held-out contexts."""
        return float(F.cross_entropy(logits.to(torch.float64), self.held_out.targets))


@functools.cache
def names() -> Names:
    """Return the names of the assignment, or of the file in the environment variable NAMES."""
    lines = data_file(__file__, "names").read_text(encoding="utf-8").split()
    order = torch.randperm(len(lines), generator=torch.Generator().manual_seed(6)).tolist()
    held_out = _examples([lines[i] for i in order[: len(lines) // 10]])
    train = _examples([lines[i] for i in order[len(lines) // 10 :]])
    held_out = Examples(contexts=held_out.contexts[:HELD_OUT], targets=held_out.targets[:HELD_OUT])
    shares = torch.bincount(train.targets, minlength=VOCAB).double() / len(train.targets)
    unigram = float(-shares.clamp(min=1e-12).log()[held_out.targets].mean())
    return Names(train=train, held_out=held_out, unigram=unigram)


def _examples(lines: list[str]) -> Examples:
    """Return every character of every name, and its end, with the tokens before it; token 0 is `.`."""
    contexts, targets = [], []
    for line in lines:
        context = (0,) * CONTEXT
        for token in [*(ord(letter) - 96 for letter in line), 0]:
            contexts.append(context)
            targets.append(token)
            context = (*context[1:], token)
    return Examples(contexts=torch.tensor(contexts), targets=torch.tensor(targets))
