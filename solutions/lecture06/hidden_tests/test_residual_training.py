"""Hidden tests of R9: training."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from autograder.testing import (
    Observation,
    Observe,
    Picture,
    Value,
    as_tensor,
    assert_below,
    assert_close,
    curve,
    describe_kind,
    fail,
    measured_band,
    picture,
    question,
    tensors,
)
from torch import Tensor
from torch.nn import functional as F

from .inputs import VOCAB, names
from .residual_reference import (
    SMALL,
    mlp_logits,
    mlp_weights,
)

R9_RATE, R9_STEPS = 0.3, 100
R9_MARGIN = 0.08
"""How far below the unigram cross-entropy the held-out loss must come; calibration.csv has what answers reach."""
DEEP = [VOCAB, 3, 16, 32, 64, 12]
EXAMPLES = 150
STEPS = 3
SEED_OF_NETWORK = 1950
AVERAGED = 10
"""Steps that one point of the loss curve stands for."""
USUAL_SEEDS = (0, 1, 42, 101, 123, 1337, 2147483647)
"""Seeds that wrong answers set, among them that of the notebook."""
SEED = 1900
STORED = 0.05
"""What every `.grad` holds before a call."""
ADVANCE = 3
"""How many numbers the generator has given out before a call."""


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


def simulate(
    rule: Rule,
    *,
    size: int,
    seed: int,
    draw: Callable[[torch.Generator, int], Tensor] = draw_fresh,
    once: bool = False,
    training: bool = True,
    reduction: str = "mean",
    after: bool = False,
    apart: bool = False,
    stored: float = 0.0,
    clip: float = math.inf,
    advance: int = ADVANCE,
    softmax: bool = False,
) -> Training:
    """Train the small network from its given weights, as `train` does, or in a known wrong way."""
    contexts, targets = names().train.contexts[:EXAMPLES], names().train.targets[:EXAMPLES]
    given = mlp_weights(SMALL, seed=1910)
    weights = {name: value for name, value in given.items() if "running" not in name}
    memories: dict[str, dict[str, Tensor]] = {name: {} for name in weights}
    generator, rows = torch.Generator().manual_seed(seed), None
    torch.rand(advance, generator=generator)
    losses: list[Tensor] = []
    for _ in range(STEPS):
        rows = rows if once and rows is not None else draw(generator, size)
        others = draw(generator, size) if apart else rows
        leaves = {name: value.clone().requires_grad_() for name, value in weights.items()}
        logits = mlp_logits(given | leaves, contexts[rows], 3, training)
        loss = F.cross_entropy(logits.softmax(1) if softmax else logits, targets[others], reduction=reduction)
        gradients = [one + stored * (not losses) for one in torch.autograd.grad(loss, list(leaves.values()))]
        size_of_all = float(torch.stack([one.norm() for one in gradients]).norm())
        gradients = [one * min(1.0, clip / (size_of_all + 1e-6)) for one in gradients]
        for (name, value), gradient in zip(weights.items(), gradients, strict=True):
            weights[name] = rule(value, gradient, memories[name])
        if after:
            loss = F.cross_entropy(mlp_logits(given | weights, contexts[rows], 3, training), targets[rows])
        losses.append(loss.detach())
    return Training(losses=torch.stack(losses), weights=weights)


def without_replacement(generator: torch.Generator, size: int) -> Tensor:
    return torch.randperm(EXAMPLES, generator=generator)[:size]


def sixty_four(generator: torch.Generator, size: int) -> Tensor:
    return torch.randint(EXAMPLES, (64,), generator=generator)


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
        "the result of batches of 64; use batch_size": losses(draw=sixty_four),
        "the result of all examples together; draw a batch": losses(draw=everything),
        "the result of the first examples; draw a batch": losses(draw=first_rows),
        "the summed losses; average them, as cross_entropy does by default": losses(reduction="sum"),
        "the result of inputs and targets drawn separately; draw one batch of indices for both": losses(apart=True),
    }


RATE = 0.2


@functools.cache
def wrong_updates() -> dict[str, Training]:
    """Return known wrong ways to update."""

    def train(rule: Rule, **way: object) -> Training:
        return simulate(rule, **({"size": 16, "seed": SEED} | way))  # type: ignore[arg-type]

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
        "the result of inputs and targets drawn separately; draw one batch of indices for both": train(
            sgd(RATE), apart=True
        ),
        "the result of momentum; use plain SGD": train(sgd(RATE, momentum=0.9)),
        "the result of weight decay; use plain SGD": train(sgd(RATE, decay=0.01)),
        "the result of Adam; use plain SGD": train(adam(RATE)),
        "the result of steps uphill; subtract the gradient": train(sgd(RATE, sign=1.0)),
        "the result of the summed loss; average it, as cross_entropy does by default": train(
            sgd(RATE), reduction="sum"
        ),
        "the result of evaluation mode; train in training mode": train(sgd(RATE), training=False),
        "the result of no update at all; are gradients cleared between backward() and step(), is this weight left "
        "out, or a copy trained?": train(sgd(0.0)),
        "the result of softmax before cross_entropy, which expects logits": train(sgd(RATE), softmax=True),
        "the result of a learning rate of 0.1; use lr": train(sgd(0.1)),
        "the result of a learning rate of 0.01; use lr": train(sgd(0.01)),
        "the losses after each update; record them before it": train(sgd(RATE), after=True),
    }


def seen_training(observe: Observe, lr: float, size: int, other_seed: int, training: bool = True) -> Observation:
    return observe(
        "training_steps",
        sizes=SMALL,
        start=mlp_weights(SMALL, seed=1910),
        examples=[names().train.contexts[:EXAMPLES], names().train.targets[:EXAMPLES]],
        settings=[STEPS, lr, size],
        seed=SEED,
        other_seed=other_seed,
        training=training,
        stored=STORED,
        advance=ADVANCE,
    )


def losses_of(value: Value, steps: int) -> Tensor:
    """Return the losses as one tensor, whatever kind of numbers they are."""
    if isinstance(value, Tensor):
        return as_tensor(value, "list of losses", (steps,))
    if not isinstance(value, list | tuple):
        fail(f"train returned {describe_kind(value)}; a list of the losses was expected")
    if len(value) != steps:
        fail(f"train returned {len(value)} {'loss' if len(value) == 1 else 'losses'} for {steps} steps")
    return torch.stack([as_tensor(one, "loss", ()) for one in value])


@question(
    "R9",
    points=1,
    hint="One call of torch.randint per step, with the generator that is passed in, draws batch_size of all examples; "
    "the loss is the mean over this batch.",
)
@pytest.mark.parametrize("size", [5, 16])
def test_batches_come_from_the_generator(observe: Observe, size: int) -> None:
    seen = seen_training(observe, 0.0, size, SEED + 1)
    target = simulate(sgd(0.0), size=size, seed=SEED).losses
    assert_close(losses_of(seen["losses"], STEPS), target, "losses at learning rate 0", mistakes=wrong_batches(size))


@question(
    "R9",
    points=1,
    hint="In each step: the gradient of this batch's loss alone, then every weight minus lr times its gradient. Clear "
    "what .grad holds from the step before, or from before the call.",
)
def test_updates_by_plain_sgd(observe: Observe) -> None:
    seen = seen_training(observe, RATE, 16, SEED)
    right, wrong = simulate(sgd(RATE), size=16, seed=SEED), wrong_updates()
    found = tensors(seen["parameters"])
    for name, goal in right.weights.items():
        if name not in found:
            fail(f"{name} is missing after training")
        mistakes = {way: one.weights[name] for way, one in wrong.items() if "losses after" not in way}
        assert_close(found[name], goal, f"{name} after {STEPS} steps", mistakes=mistakes)
    mistakes = {way: one.losses for way, one in wrong.items()}
    assert_close(losses_of(seen["losses"], STEPS), right.losses, "losses", mistakes=mistakes)


@question(
    "R9",
    points=0.75,
    hint="The model may be in evaluation mode. Put it into training mode, where the norms update their running "
    "statistics, and leave it there. The losses are Python floats: a tensor would keep its whole graph alive.",
)
@pytest.mark.parametrize("training", [True, False], ids=["from training", "from evaluation"])
def test_trains_in_training_mode_and_returns_floats(observe: Observe, training: bool) -> None:
    seen = seen_training(observe, RATE, 16, SEED, training)
    losses_of(seen["losses"], STEPS)
    before, after = tensors(seen["before"]), tensors(seen["buffers"])
    for name, value in before.items():
        if "running" in name and name in after and torch.equal(after[name], value):
            fail(f"{name} has not changed: the model was not in training mode during training, or a copy was trained")
    if not isinstance(seen["modes"], list) or not all(mode is True for mode in seen["modes"]):
        fail("the model is not in training mode after training")
    if seen["list"] is not True:
        fail(f"train returned {describe_kind(seen['losses'])}; a list was expected")
    if seen["floats"] is not True:
        fail("the losses are not Python floats; a tensor would keep its graph alive")


@question("R9", points=0.25, hint="Take all `steps` steps, however small the loss becomes.")
def test_takes_every_step(observe: Observe) -> None:
    # A large bias for the only target makes every loss smaller than 1e-9.
    start = mlp_weights(SMALL, seed=1910)
    start["head.bias"][5] += 200.0
    inputs = names().train.contexts[:EXAMPLES]
    seen = observe(
        "training_steps",
        sizes=SMALL,
        start=start,
        examples=[inputs, torch.full((EXAMPLES,), 5)],
        settings=[2 * STEPS, 1e-3, 16],
        seed=SEED,
        other_seed=SEED,
        training=True,
        stored=STORED,
        advance=ADVANCE,
    )
    found = losses_of(seen["losses"], 2 * STEPS)
    if not bool((found < 1.0).all()):
        fail("not checked: the losses are not right yet")


def trained(observe: Observe, seed: int) -> Observation:
    """Train a new twelve-block network."""
    data = names()
    return observe(
        "trained_network",
        sizes=DEEP,
        examples=[data.train.contexts[:8000], data.train.targets[:8000]],
        steps=R9_STEPS,
        lr=R9_RATE,
        seed=seed,
        held_out=data.held_out.contexts,
    )


def trained_loss(observe: Observe, seed: int) -> float:
    """Return the held-out loss of a new twelve-block network after training."""
    data = names()
    seen = trained(observe, seed)
    logits = as_tensor(seen["logits"], "logits", (len(data.held_out.targets), VOCAB))
    return data.loss(logits)


def mean_losses(observe: Observe, seed: int) -> Tensor:
    """Return the training loss averaged over every AVERAGED steps, which a picture shows without the noise."""
    losses = losses_of(trained(observe, seed)["losses"], R9_STEPS)
    return losses.reshape(-1, AVERAGED).mean(1)


def loss_curve(observe: Observe) -> Picture:
    return curve(
        f"Training loss of a network of {DEEP[-1]} blocks at learning rate {R9_RATE}",
        x=f"step (each point is the mean of {AVERAGED})",
        y="loss",
        at=range(AVERAGED, R9_STEPS + 1, AVERAGED),
        yours=mean_losses(observe, SEED_OF_NETWORK),
        band=measured_band(__file__, "R9", "a_deep_network_learns"),
    )


@picture(loss_curve)
@question(
    "R9",
    points=1,
    hint="Twelve blocks learn within 100 steps at a learning rate of 0.3: the loss is far below that of guessing by "
    "letter frequency.",
)
def test_a_deep_network_learns(observe: Observe) -> None:
    data, loss = names(), trained_loss(observe, SEED_OF_NETWORK)
    what = f"the held-out loss after {R9_STEPS} steps at learning rate {R9_RATE}"
    assert_below(
        loss, data.unigram - R9_MARGIN, what, "does every step update every weight of the model, in training mode?"
    )
