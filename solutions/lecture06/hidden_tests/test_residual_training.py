"""Hidden tests of R9: training."""

import pytest
import torch
from autograder.testing import (
    Observation,
    Observe,
    Picture,
    Value,
    agrees,
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

from .inputs import VOCAB, names
from .residual_reference import SMALL, mlp_weights
from .training_reference import (
    ADVANCE,
    EXAMPLES,
    RATE,
    SEED,
    STEEP_FACTOR,
    STEEP_RATE,
    STEEP_SIZE,
    STEEP_STEPS,
    STEPS,
    STORED,
    clipped_losses,
    number_after,
    own_generators,
    right_updates,
    sgd,
    simulate,
    small_weights,
    steep_losses,
    steep_table,
    wrong_batches,
    wrong_losses,
    wrong_updates,
)

R9_RATE, R9_STEPS = 0.3, 100
R9_MARGIN = 0.08
"""How far below the unigram cross-entropy the held-out loss must come; calibration.csv has what answers reach."""
DEEP = [VOCAB, 3, 16, 32, 64, 12]
SEED_OF_NETWORK = 1950
STEEP_TOLERANCE = 1e-6
"""Many steps with large gradients let differences in rounding grow."""
AVERAGED = 10
"""Steps that one point of the loss curve stands for."""


def seen_training(
    observe: Observe, lr: float, size: int, other_seed: int, training: bool = True, seed: int | None = SEED
) -> Observation:
    return observe(
        "training_steps",
        sizes=SMALL,
        start=mlp_weights(SMALL, seed=1910),
        examples=[names().train.contexts[:EXAMPLES], names().train.targets[:EXAMPLES]],
        settings=[STEPS, lr, size],
        seed=seed,
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
@pytest.mark.parametrize(("size", "with_generator"), [(5, True), (16, False)])
def test_batches_come_from_the_generator(observe: Observe, size: int, with_generator: bool) -> None:
    seen = seen_training(observe, 0.0, size, SEED + 1, seed=SEED if with_generator else None)
    if with_generator:
        target, mistakes = simulate(sgd(0.0), size=size, seed=SEED).losses, wrong_batches(size)
    else:
        target, mistakes = simulate(sgd(0.0), size=size, seed=SEED + 1, advance=0).losses, own_generators(size)
    assert_close(losses_of(seen["losses"], STEPS), target, "losses at learning rate 0", mistakes=mistakes)
    if with_generator and not agrees(seen["next"], number_after(size)):
        fail("after the last step your code drew more from the generator; nothing else is drawn from it")


def assert_few_updates(observe: Observe) -> None:
    """Assert what a few steps from the usual start give: every weight, and the losses."""
    seen = seen_training(observe, RATE, 16, SEED)
    right, found = right_updates(), tensors(seen["parameters"])
    yours = losses_of(seen["losses"], STEPS)
    same = all(agrees(found.get(name), goal) for name, goal in right.weights.items())
    if same and agrees(yours, right.losses):
        return
    wrong = wrong_updates()
    start = small_weights()
    moved = [name for name, goal in right.weights.items() if name in found and not agrees(goal, start[name])]
    left_out = [name for name in moved if agrees(found[name], start[name])]
    if left_out and len(left_out) < len(moved):
        fail(f"{left_out[0]} has not changed after {STEPS} steps; update every parameter of the model")
    for name, goal in right.weights.items():
        if name not in found:
            fail(f"{name} is missing after training")
        mistakes = {way: one.weights[name] for way, one in wrong.items()}
        assert_close(found[name], goal, f"{name} after {STEPS} steps", mistakes=mistakes)
    mistakes = {way: one.losses for way, one in wrong.items()} | wrong_losses()
    assert_close(yours, right.losses, "losses", mistakes=mistakes)


def assert_many_steep_updates(observe: Observe) -> None:
    """Assert the losses of many steps with large gradients, where clipping and a change of the learning rate show."""
    seen = observe(
        "bigram_losses",
        table=steep_table(),
        factor=STEEP_FACTOR,
        examples=[names().train.contexts[:EXAMPLES], names().train.targets[:EXAMPLES]],
        settings=[STEEP_STEPS, STEEP_RATE, STEEP_SIZE],
        seed=SEED,
        advance=ADVANCE,
    )
    yours, right = losses_of(seen["losses"], STEEP_STEPS), steep_losses()
    if agrees(yours, right, STEEP_TOLERANCE):
        return
    right_until = int(torch.isclose(yours, right, rtol=STEEP_TOLERANCE).int().cumprod(0).sum())
    if right_until > STEPS:
        fail(
            f"your losses are right up to step {right_until} of {STEEP_STEPS} and differ afterwards; "
            "update in training mode, in the same way and with the same lr in every step"
        )
    for way, wrong in clipped_losses().items():
        if agrees(yours[:STEPS], wrong):
            fail(f"your losses from a start with large gradients match {way}")
    assert_close(yours, right, f"losses over {STEEP_STEPS} steps with large gradients", tolerance=STEEP_TOLERANCE)


@question(
    "R9",
    points=1,
    hint="In each step: the gradient of this batch's loss alone, then every weight minus lr times its gradient, "
    "large or small. Clear what .grad holds from the step before, or from before the call.",
)
@pytest.mark.parametrize("steps", ["a few", "many with large gradients"])
def test_updates_by_plain_sgd(observe: Observe, steps: str) -> None:
    if steps == "a few":
        assert_few_updates(observe)
    else:
        assert_many_steep_updates(observe)


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


@question("R9", points=0.25, hint="Take all `steps` steps, whatever the loss becomes: tiny, infinite or NaN.")
@pytest.mark.parametrize("lr", [1e-3, 1e200], ids=["a tiny loss", "a loss that is not finite"])
def test_takes_every_step(observe: Observe, lr: float) -> None:
    # A large bias for the only target makes every loss smaller than 1e-9, until the learning rate is huge.
    start = mlp_weights(SMALL, seed=1910)
    start["head.bias"][5] += 200.0 if lr < 1 else 0.0
    inputs = names().train.contexts[:EXAMPLES]
    seen = observe(
        "training_steps",
        sizes=SMALL,
        start=start,
        examples=[inputs, torch.full((EXAMPLES,), 5)],
        settings=[2 * STEPS, lr, 16],
        seed=SEED,
        other_seed=SEED,
        training=True,
        stored=STORED,
        advance=ADVANCE,
    )
    found = losses_of(seen["losses"], 2 * STEPS)
    if lr < 1 and not bool((found < 1.0).all()):
        fail("not checked: the losses are not right yet")
    if lr > 1 and bool(found.isfinite().all()):
        fail(f"at learning rate {lr:g} all losses are finite; leave losses, gradients and lr as they are")


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
