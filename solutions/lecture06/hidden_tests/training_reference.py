"""Training as plain functions, right and in known wrong ways: what the hidden tests of R9 compare with."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .inputs import VOCAB, names, normal
from .residual_reference import SMALL, mlp_logits, mlp_weights

EXAMPLES = 150
STEPS = 3
USUAL_SEEDS = (0, 1, 42, 101, 123, 1337, 2147483647)
"""Seeds that wrong answers set, among them that of the notebook."""
SEED = 1900
STORED = 0.05
"""What every `.grad` holds before a call."""
ADVANCE = 3
"""How many numbers the generator has given out before a call."""


def small_weights() -> dict[str, Tensor]:
    return mlp_weights(SMALL, seed=1910)


def draw_fresh(generator: torch.Generator, size: int) -> Tensor:
    return torch.randint(EXAMPLES, (size,), generator=generator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a way to train gives: the loss of each step, and the final weights."""

    losses: Tensor
    weights: dict[str, Tensor]


Rule = Callable[[Tensor, Tensor, dict[str, Tensor]], Tensor]
"""The new value of a weight, from the weight, its gradient, and its own memory."""


def sgd(lr: float, *, momentum: float = 0.0, decay: float = 0.0, sign: float = -1.0) -> Rule:
    def step(weight: Tensor, gradient: Tensor, memory: dict[str, Tensor]) -> Tensor:
        gradient = gradient + decay * weight
        memory["speed"] = momentum * memory["speed"] + gradient if "speed" in memory else gradient
        return weight + sign * lr * memory["speed"]

    return step


def adam(lr: float) -> Rule:
    def step(weight: Tensor, gradient: Tensor, memory: dict[str, Tensor]) -> Tensor:
        zero = torch.zeros_like(weight)
        count = memory.get("count", torch.tensor(0.0, dtype=torch.float64)) + 1
        first = 0.9 * memory.get("first", zero) + 0.1 * gradient
        second = 0.999 * memory.get("second", zero) + 0.001 * gradient**2
        memory |= {"count": count, "first": first, "second": second}
        return weight - lr * (first / (1 - 0.9**count)) / ((second / (1 - 0.999**count)).sqrt() + 1e-8)

    return step


Forward = Callable[[dict[str, Tensor], Tensor, bool], Tensor]
"""The logits, from the weights, the contexts and whether in training mode."""


def small_logits(weights: dict[str, Tensor], contexts: Tensor, training: bool) -> Tensor:
    return mlp_logits(weights, contexts, SMALL[-1], training)


def number_after(size: int) -> Tensor:
    """Return the next number (1,) of the generator after the batches of all steps."""
    generator = torch.Generator().manual_seed(SEED)
    torch.rand(ADVANCE, generator=generator)
    for _ in range(STEPS):
        draw_fresh(generator, size)
    return torch.rand(1, generator=generator)


def simulate(
    rule: Rule,
    *,
    size: int,
    seed: int,
    start: dict[str, Tensor] | None = None,
    forward: Forward = small_logits,
    steps: int = STEPS,
    draw: Callable[[torch.Generator, int], Tensor] = draw_fresh,
    once: bool = False,
    training: bool = True,
    reduction: str = "mean",
    after: bool = False,
    apart: bool = False,
    stored: float = 0.0,
    clip: float = math.inf,
    limit: float = math.inf,
    advance: int = ADVANCE,
    softmax: bool = False,
    smoothing: float = 0.0,
    share: Callable[[int], float] = lambda step: 1.0,
) -> Training:
    """Train a network, by default the small one from its given weights, as `train` does or in a known wrong way.

    clip, limit: the largest norm of all gradients together, and the largest entry; share: of each step's update
    """
    contexts, targets = names().train.contexts[:EXAMPLES], names().train.targets[:EXAMPLES]
    given = start or small_weights()
    weights = {name: value for name, value in given.items() if "running" not in name}
    memories: dict[str, dict[str, Tensor]] = {name: {} for name in weights}
    generator, rows = torch.Generator().manual_seed(seed), None
    torch.rand(advance, generator=generator)
    losses: list[Tensor] = []
    for step in range(steps):
        rows = rows if once and rows is not None else draw(generator, size)
        others = draw(generator, size) if apart else rows
        leaves = {name: value.clone().requires_grad_() for name, value in weights.items()}
        logits = forward(given | leaves, contexts[rows], training)
        logits = logits.softmax(1) if softmax else logits
        loss = F.cross_entropy(logits, targets[others], reduction=reduction, label_smoothing=smoothing)
        gradients = [one + stored * (not losses) for one in torch.autograd.grad(loss, list(leaves.values()))]
        size_of_all = float(torch.stack([one.norm() for one in gradients]).norm())
        gradients = [(one * min(1.0, clip / (size_of_all + 1e-6))).clamp(-limit, limit) for one in gradients]
        for (name, value), gradient in zip(weights.items(), gradients, strict=True):
            weights[name] = value + share(step) * (rule(value, gradient, memories[name]) - value)
        if after:
            loss = F.cross_entropy(forward(given | weights, contexts[rows], training), targets[rows])
        losses.append(loss.detach())
    return Training(losses=torch.stack(losses), weights=weights)


def without_replacement(generator: torch.Generator, size: int) -> Tensor:
    return torch.randperm(EXAMPLES, generator=generator)[:size]


def sixty_four(generator: torch.Generator, size: int) -> Tensor:
    return torch.randint(EXAMPLES, (64,), generator=generator)


def every_second(generator: torch.Generator, size: int) -> Tensor:
    draw_fresh(generator, size)
    return draw_fresh(generator, size)


def one_too_many() -> Callable[[torch.Generator, int], Tensor]:
    """Return a way to draw that draws once too often before the first batch."""
    first = [every_second]
    return lambda generator, size: (first.pop() if first else draw_fresh)(generator, size)


def all_but_the_last(generator: torch.Generator, size: int) -> Tensor:
    return torch.randint(EXAMPLES - 1, (size,), generator=generator)


def everything(generator: torch.Generator, size: int) -> Tensor:
    return torch.arange(EXAMPLES)


def first_rows(generator: torch.Generator, size: int) -> Tensor:
    return torch.arange(size)


@functools.cache
def wrong_batches(size: int) -> dict[str, Tensor]:
    """Return the losses of known wrong ways to draw a batch, where nothing is updated."""

    def losses(**way: object) -> Tensor:
        return simulate(sgd(0.0), **({"size": size, "seed": SEED} | way)).losses  # type: ignore[arg-type]

    return {
        "the result of batches from the global random state; pass generator=generator": losses(
            seed=SEED + 1, advance=0
        ),
        "the result of a generator that your code seeds again; use it in the state it is in": losses(advance=0),
        **{
            f"the result of a generator that your code seeds with {seed}; use the one passed in": losses(
                seed=seed, advance=0
            )
            for seed in USUAL_SEEDS
        },
        "the result of softmax before cross_entropy, which expects logits": losses(softmax=True),
        "the result of the same batch in every step; draw a new one in each step": losses(once=True),
        "the result of evaluation mode; train in training mode": losses(training=False),
        "the result of batches without replacement (randperm); use torch.randint as the question says": losses(
            draw=without_replacement
        ),
        "the result of the same numbers in every step; do not seed the generator": losses(once=True, advance=0),
        "the result of a number drawn before the first step; draw only the batches": losses(advance=ADVANCE + 1),
        "the result of batches that leave out the last example": losses(draw=all_but_the_last),
        "the result of one draw too many before the first step; draw only the batches": losses(draw=one_too_many()),
        "the result of two draws in each step; draw only the batch": losses(draw=every_second),
        "the result of batches of 64; use batch_size": losses(draw=sixty_four),
        "the result of all examples together; draw a batch": losses(draw=everything),
        "the result of the first examples; draw a batch": losses(draw=first_rows),
        "the summed losses; average them, as cross_entropy does by default": losses(reduction="sum"),
        "the result of inputs and targets drawn separately; draw one batch of indices for both": losses(apart=True),
    }


@functools.cache
def own_generators(size: int) -> dict[str, Tensor]:
    """Return the losses of answers that seed a generator where none is passed, where nothing is updated."""
    seeds = {f"with {seed}": seed for seed in USUAL_SEEDS} | {"by default": torch.Generator().initial_seed()}
    return {
        f"the result of a generator that your code seeds {how}; without one, use the global random state": simulate(
            sgd(0.0), size=size, seed=seed, advance=0
        ).losses
        for how, seed in seeds.items()
    }


RATE = 0.2


@functools.cache
def right_updates() -> Training:
    return simulate(sgd(RATE), size=16, seed=SEED)


@functools.cache
def wrong_updates() -> dict[str, Training]:
    """Return known wrong ways to update."""

    def train(rule: Rule, **way: object) -> Training:
        return simulate(rule, **({"size": 16, "seed": SEED} | way))  # type: ignore[arg-type]

    def warm(length: int) -> Callable[[int], float]:
        return lambda step: min(1.0, (step + 1) / length)

    def falling(factor: float) -> Callable[[int], float]:
        return lambda step: factor**step

    return {
        "the result of gradients that add up from step to step; clear them (zero_grad)": train(
            sgd(RATE, momentum=1.0), stored=STORED
        ),
        "the result of gradients that add up from step to step; clear them (zero_grad) in every step": train(
            sgd(RATE, momentum=1.0)
        ),
        "the result of a first step with what .grad held before the call; clear it before backward()": train(
            sgd(RATE), stored=STORED
        ),
        "the result of gradient clipping; use plain SGD": train(sgd(RATE), clip=1.0),
        **{
            f"the result of gradients clipped to values of at most {limit:g}; use plain SGD": train(
                sgd(RATE), limit=limit
            )
            for limit in (0.1, 0.5, 1.0)
        },
        "the result of a learning rate that falls linearly; use lr in every step": train(
            sgd(RATE), share=lambda step: 1 - step / STEPS
        ),
        "the result of a learning rate that falls like a cosine; use lr in every step": train(
            sgd(RATE), share=lambda step: (1 + math.cos(math.pi * step / STEPS)) / 2
        ),
        **{
            f"the result of a learning rate times {factor:g} in each step; use lr in every step": train(
                sgd(RATE), share=falling(factor)
            )
            for factor in (0.9, 0.95, 0.99, 0.999)
        },
        "the result of lr divided by the batch size; the loss is a mean already": train(sgd(RATE / 16)),
        "the result of inputs and targets drawn separately; draw one batch of indices for both": train(
            sgd(RATE), apart=True
        ),
        **{
            f"the result of momentum {momentum:g}; use plain SGD": train(sgd(RATE, momentum=momentum))
            for momentum in (0.01, 0.1, 0.5, 0.8, 0.9, 0.95, 0.99)
        },
        **{
            f"the result of weight decay {decay:g}; use plain SGD": train(sgd(RATE, decay=decay))
            for decay in (1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 0.01, 0.1)
        },
        "the result of Adam; use plain SGD": train(adam(RATE)),
        "the result of steps uphill; subtract the gradient": train(sgd(RATE, sign=1.0)),
        "the result of the summed loss; average it, as cross_entropy does by default": train(
            sgd(RATE), reduction="sum"
        ),
        "the result of evaluation mode; train in training mode": train(sgd(RATE), training=False),
        "the result of no update at all; are gradients cleared between backward() and step(), is this weight left "
        "out, or a copy trained?": train(sgd(0.0)),
        "the result of softmax before cross_entropy, which expects logits": train(sgd(RATE), softmax=True),
        **{
            f"the result of label smoothing {smoothing:g}; use the plain cross-entropy": train(
                sgd(RATE), smoothing=smoothing
            )
            for smoothing in (0.01, 0.05, 0.1, 0.2)
        },
        **{
            f"the result of a learning rate that rises over {length} steps (warm-up); use lr in every step": train(
                sgd(RATE), share=warm(length)
            )
            for length in (2, 3, 5, 10, 20, 50, 100)
        },
        "the result of a learning rate of 0.1; use lr": train(sgd(0.1)),
        "the result of a learning rate of 0.01; use lr": train(sgd(0.01)),
    }


@functools.cache
def wrong_losses() -> dict[str, Tensor]:
    """Return what known wrong ways to record the losses of the right updates give."""
    right = right_updates().losses
    wrong = {
        "the losses after each update; record them before it": simulate(
            sgd(RATE), size=16, seed=SEED, after=True
        ).losses,
        "the means of all losses so far; record the loss of each batch": right.cumsum(0)
        / torch.arange(1, len(right) + 1),
    }
    for kept in (0.5, 0.9, 0.95, 0.98, 0.99):
        smooth = [right[0]]
        for loss in right[1:]:
            smooth.append(kept * smooth[-1] + (1 - kept) * loss)
        wrong[f"losses smoothed with factor {kept:g}; record the loss of each batch"] = torch.stack(smooth)
    return wrong


# A start with large gradients, and enough steps to see a learning rate that changes, of a model whose steps are cheap.

STEEP_FACTOR, STEEP_RATE, STEEP_SIZE, STEEP_STEPS = 300.0, 1e-5, 8, 120


@functools.cache
def steep_table() -> Tensor:
    """Return a table of bigrams that is sure of the wrong letters: its gradients are large."""
    return normal(VOCAB, VOCAB, seed=1930, std=20 / STEEP_FACTOR)


def steep_logits(weights: dict[str, Tensor], contexts: Tensor, training: bool) -> Tensor:
    return STEEP_FACTOR * weights["table"][contexts[:, -1]]


def steep(steps: int, **way: float) -> Tensor:
    """Return the losses from the start with large gradients, in the right or a known wrong way."""
    return simulate(
        sgd(STEEP_RATE),
        size=STEEP_SIZE,
        seed=SEED,
        start={"table": steep_table()},
        forward=steep_logits,
        steps=steps,
        **way,  # type: ignore[arg-type]
    ).losses


@functools.cache
def steep_losses() -> Tensor:
    return steep(STEEP_STEPS)


@functools.cache
def clipped_losses() -> dict[str, Tensor]:
    """Return the first losses from the start with large gradients where the gradients are clipped."""
    norms = {
        f"the result of gradients clipped to norm {clip:g}; use plain SGD": steep(STEPS, clip=clip)
        for clip in (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
    }
    return norms | {
        f"the result of gradients clipped to values of at most {limit:g}; use plain SGD": steep(STEPS, limit=limit)
        for limit in (0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
    }
