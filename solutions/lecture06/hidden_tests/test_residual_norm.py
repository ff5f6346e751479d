"""Hidden tests of R6: the norm on the stream, and the test for the identity path."""

import pytest
import torch
from autograder.testing import (
    Observation,
    Observe,
    Value,
    assert_close,
    assert_same_tensors,
    assert_unchanged,
    fail,
    mapping,
    question,
    sequence,
    tensors,
    truth,
)
from torch import Tensor

from .inputs import batch, normal
from .left_alone import alike, assert_left_alone, condition_after
from .network_reference import OTHER_ACTIVATIONS
from .residual_reference import (
    SCALE,
    assert_block_initialisation,
    assert_forward_state,
    assert_keeps_batch,
    block_forward,
    block_shapes,
    block_weights,
    layout_first,
    norm,
    post_norm_forward,
    present,
)


def wrong_post_norms(w: dict[str, Tensor], x: Tensor, training: bool) -> dict[str, Tensor]:
    """Return what known wrong forms of PostNormBlock give."""
    fc1, fc2 = w["fc1.weight"].T, w["fc2.weight"].T
    write, read = torch.tanh(x @ fc1) @ fc2, norm(w, x, training)
    right = norm(w, x + write, training)
    return {
        "a block that multiplies by `scale` in forward; `scale` only affects the initial fc2": norm(
            w, x + SCALE * write, training
        ),
        "the norm of tanh of the whole sum; tanh belongs between fc1 and fc2 only": norm(
            w, torch.tanh(x + write), training
        ),
        "the pre-norm block of R2; here the norm comes after the addition": block_forward(w, x, training),
        "the sum without the norm": x + write,
        "the branch without the skip; add x before the norm": norm(w, write, training),
        "x plus the normalised branch; normalise the sum": x + norm(w, write, training),
        "x added after the norm too; the norm comes last": x + right,
        "a block that normalises twice, before the branch and after the addition": norm(
            w, block_forward(w, x, training), training
        ),
        "tanh of the norm's output; tanh belongs between fc1 and fc2": torch.tanh(right),
        "the norm of tanh of the sum; tanh belongs between fc1 and fc2": norm(
            w, torch.tanh(x + x @ fc1 @ fc2), training
        ),
        "a norm of the sum without tanh between fc1 and fc2": norm(w, x + x @ fc1 @ fc2, training),
        **{
            f"a block with {n} instead of tanh": norm(w, x + f(x @ fc1) @ fc2, training)
            for n, f in OTHER_ACTIVATIONS.items()
        },
        "the norm of the sum, with tanh after fc2 too": norm(w, x + torch.tanh(write), training),
        "the normalised x plus the branch; normalise the sum": read + write,
        "the norm of x plus the normalised branch; normalise once, the sum": norm(
            w, x + norm(w, write, training), training
        ),
        "the norm of x minus the branch; add it": norm(w, x - write, training),
        "the norm of half the sum; do not divide": norm(w, (x + write) / 2, training),
        "a branch and a skip that both read the normalised x; normalise the sum instead": read
        + torch.tanh(read @ fc1) @ fc2,
        "a block whose norm is in the other mode; leave the mode to train() and eval()": norm(
            w, x + write, not training
        ),
    }


@question("R6", points=1.25, hint="First the sum of x and the branch, which reads x itself; then the norm of that sum.")
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_post_norm_forward(observe: Observe, training: bool) -> None:
    weights, x = block_weights(6, 10, seed=1600), batch(12, 6, seed=1610)
    given = [6, 10, SCALE]
    seen = observe("block_output", name="PostNormBlock", arguments=given, start=weights, x=x, training=training)
    w = present(weights, seen)
    with layout_first(seen["layout"], block_shapes(6, 10)):
        assert_unchanged(seen["x"], x, "x")
        wrong = wrong_post_norms(w, x, training)
        assert_close(seen["y"], post_norm_forward(w, x, training), "output", mistakes=wrong)


@question(
    "R6",
    points=0.25,
    hint="Call self.norm once, in the mode of the block: in training it updates its statistics itself. In "
    "evaluation mode a batch may hold a single example.",
)
@pytest.mark.parametrize(("n", "training"), [(12, True), (12, False), (1, False)])
def test_post_norm_state_and_a_single_example(observe: Observe, n: int, training: bool) -> None:
    weights, x = block_weights(6, 10, seed=1620), batch(n, 6, seed=1630)
    given = [6, 10, SCALE]
    seen = observe("block_output", name="PostNormBlock", arguments=given, start=weights, x=x, training=training)
    with layout_first(seen["layout"], block_shapes(6, 10)):
        w = present(weights, seen)
        target = post_norm_forward(w, x, training)
        assert_keeps_batch(seen["y"], target, "output", wrong_post_norms(w, x, training))
        summed = x + torch.tanh(x @ w["fc1.weight"].T) @ w["fc2.weight"].T
        assert_forward_state(seen, {"norm.": summed} if n > 1 else {}, weights, training)


@question(
    "R6",
    points=1,
    hint="Initialise the layers as in R2: N(0, 1/fan_in), `scale` on fc2 only. The gradient flows through the norm "
    "into the skip and the branch; detach nothing.",
)
def test_post_norm_initialisation_and_gradients(observe: Observe) -> None:
    for scale in (SCALE, 1.0):
        seen = observe("block_start", name="PostNormBlock", arguments=[48, 192, *[scale] * (scale != 1)])
        assert_block_initialisation(seen, 48, 192, scale)
    weights, x, cotangent = block_weights(6, 10, seed=1600), batch(12, 6, seed=1610), normal(12, 6, seed=1611)
    seen = observe(
        "block_gradients",
        name="PostNormBlock",
        arguments=[6, 10, SCALE],
        start=weights,
        x=x,
        cotangent=cotangent,
    )
    weights = present(weights, seen)
    leaves = {name: value.clone().requires_grad_() for name, value in weights.items() if "running" not in name}
    leaf = x.clone().requires_grad_()
    y = post_norm_forward(weights | leaves, leaf, True)
    dx, *goals = torch.autograd.grad(y, [leaf, *leaves.values()], cotangent)
    write, alone = torch.tanh(leaf @ weights["fc1.weight"].T) @ weights["fc2.weight"].T, leaf.detach()
    mistakes = {
        f"the gradient with a detached {what}; detach nothing": torch.autograd.grad(
            norm(weights, total, True), leaf, cotangent
        )[0]
        for what, total in (("branch", leaf + write.detach()), ("skip", alone + write))
    }
    found = tensors(seen["gradients"]) | tensors({"x": seen["dx"]})
    for name, goal in zip(["x", *leaves], [dx, *goals], strict=True):
        if name not in found:
            fail(f"no gradient reaches {name}; detach nothing")
        assert_close(found[name], goal, f"gradient for {name}", mistakes=mistakes if name == "x" else None)


EXPECTED_PATHS: dict[str, tuple[str, bool, dict[str, Value]]] = {
    "ResidualBlock": ("ResidualBlock", True, {}),
    "float64 ResidualBlock": ("ResidualBlock", True, {"double": True}),
    "block without a norm": ("sum", True, {}),
    "block with the norm on the stream": ("normed", False, {}),
    "block with the norm on the stream that is in evaluation mode": ("normed", False, {"training": False}),
    "block whose norm on the stream has no effect in evaluation mode": (
        "normed",
        False,
        {"training": False, "double": True, "statistics": {"running_var": 1 - 1e-5}},
    ),
    "block with a skip from the normalised value": ("normed skip", False, {}),
    "block that halves the sum": ("halved", False, {}),
    "block with tanh of the sum": ("squashed", False, {}),
    "block that halves one feature": ("halfway", False, {}),
    "block whose skip is multiplied by 1.000002": ("nearly", False, {"double": True}),
    "block that returns the rows in another order": ("rows flipped", False, {}),
    "block that returns the features in another order": ("features flipped", False, {}),
    "block that changes one entry by its last digit": ("last digit", False, {}),
    "block that also writes its norm": ("two branches", False, {}),
    "block without a skip": ("broken", False, {}),
}
NEVER_RUN = "the block was never called: find out by experiment, not from its type or source"
ANY_BATCH = (
    "does the batch have a mean other than 0 and a standard deviation other than 1, and is every entry compared?"
)
EVERY_ENTRY = "compare each entry with that at its place, exactly; no means and no sorted values"
LEAST_BATCH = 8
ADVICE = {
    "ResidualBlock": "is fc2 set to zero, and does the function return True for an identity?",
    "float64 ResidualBlock": "is fc2 set to zero?",
    "block without a norm": "is fc2 set to zero, not fc1?",
    "block that halves one feature": "compare every entry; a single difference means False",
    "block that also writes its norm": "set only fc2 to zero",
    "block with the norm on the stream": ANY_BATCH,
    "block with the norm on the stream that is in evaluation mode": "run the copy in training mode",
    "block whose norm on the stream has no effect in evaluation mode": "run the copy in training mode",
    "block with tanh of the sum": ANY_BATCH,
    "block that halves the sum": ANY_BATCH,
    "block whose skip is multiplied by 1.000002": "compare every entry exactly, without a tolerance",
    "block that returns the rows in another order": EVERY_ENTRY,
    "block that returns the features in another order": EVERY_ENTRY,
    "block that changes one entry by its last digit": EVERY_ENTRY,
}


def seen_path(observe: Observe, kind: str, changes: dict[str, Value]) -> Observation:
    settings: dict[str, Value] = {"sizes": [5, 7], "double": False, "training": True, "statistics": {}}
    return observe("identity_path", kind=kind, **(settings | changes))


def path_verdict(seen: Observation) -> bool:
    return truth(seen["returned"], "is_identity_path's result")


@question(
    "R6",
    points=1.5,
    hint="Zero the fc2 of a copy, put the copy into training mode, pass it a batch with a mean other than 0 and a "
    "standard deviation other than 1, and compare output and input: every entry, exactly.",
)
@pytest.mark.parametrize("what", EXPECTED_PATHS)
def test_identity_path(observe: Observe, what: str) -> None:
    kind, target, changes = EXPECTED_PATHS[what]
    seen = seen_path(observe, kind, changes)
    if path_verdict(seen) is not target:
        if kind != "ResidualBlock" and not seen["experiments"]:
            fail(NEVER_RUN)
        advice = f"; {ADVICE[what]}" if what in ADVICE else ""
        fail(f"is_identity_path returned {not target} for a {what}; {target} was expected{advice}")
    batches = [one for one in sequence(seen["batches"]) if isinstance(one, int)]
    if batches and max(batches) < LEAST_BATCH:
        fail(f"your experiment uses a batch of {max(batches)}; use at least {LEAST_BATCH} examples")


@question(
    "R6",
    points=1,
    hint="The caller goes on using the block: its fc2, running statistics and mode must stay as they are. What does "
    "copy.deepcopy return?",
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("kind", ["normed", "normed skip", "sum"])
def test_the_experiment_leaves_the_block_alone(observe: Observe, kind: str, training: bool) -> None:
    seen = seen_path(observe, kind, {"training": training})
    path_verdict(seen)
    calls = seen["experiments"]
    if not isinstance(calls, list) or not calls:
        fail(NEVER_RUN)
    now, was = condition_after(seen), mapping(seen["before"])
    assert_same_tensors(now.get("parameters"), was.get("parameters"), "the block's")
    assert_same_tensors(now.get("buffers"), was.get("buffers"), "the block's")
    if not alike(now.get("modes"), was.get("modes")):
        fail("the block is in another mode than before the call; experiment on a copy")
    assert_left_alone(seen)
