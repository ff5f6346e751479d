"""Hidden tests of the batch normalization notebook, part 5: new names."""

import math

import pytest
import torch
from autograder.testing import Observation, Observe, describe_kind, fail, question
from torch import Tensor

from .batchnorm_reference import assert_asked_in_evaluation, observations
from .inputs import VOCAB

LETTERS = ".abcdefghijklmnopqrstuvwxyz"


def certain(letter: str) -> Tensor:
    """Float32 logits (27,) that leave one letter only."""
    logits = torch.full((VOCAB,), -1e4)
    logits[LETTERS.index(letter)] = 0.0
    return logits


def speller(word: str, context_size: int) -> tuple[Tensor, Tensor]:
    """Contexts (K, C) and logits (K, 27) of a model that knows one word, letter by letter, and the dot at its end."""
    tokens = [0] * context_size + [LETTERS.index(letter) for letter in word] + [0]
    count = len(word) + 1
    contexts = torch.tensor([tokens[i : i + context_size] for i in range(count)])
    return contexts, torch.stack([certain(LETTERS[tokens[i + context_size]]) for i in range(count)])


def spelled(observe: Observe, word: str, context_size: int) -> str:
    """The name that a model says which knows one word, and the dot in a context that it does not know."""
    contexts, logits = speller(word, context_size)
    seen = observe("spelled", contexts=contexts, logits=logits, otherwise=certain("."), options={})
    return as_text(seen["name"])


def as_text(name: object) -> str:
    if not isinstance(name, str):
        fail(f"your name is {describe_kind(name)}; a string was expected")
    return name


WORDS = [("ada", 3), ("quentin", 3), ("", 3), ("jo", 3), ("lemuel", 2), ("maximilian", 5)]


@question(
    "B10", points=1, hint="The new context is the old one without its first token and with the new one at its end."
)
@pytest.mark.parametrize("case", WORDS, ids=[f"{len(w)} letters, context of {c}" for w, c in WORDS])
def test_spells_what_the_model_knows(observe: Observe, case: tuple[str, int]) -> None:
    word, context_size = case
    name = spelled(observe, word, context_size)
    if name == word:
        return
    known = {
        f"{word}.": "the dot at the end belongs to the name no more; leave it out",
        "." * context_size + word: "the dots of the first context do not belong to the name",
        "." * context_size + word + ".": "the dots do not belong to the name",
        word[:1] * 50: "the first letter was said again and again: the context does not move on",
        word[:1]: "it stopped after the first letter: each new context drops its first token and ends with the new one",
        word[::-1]: "it is written backwards",
    }
    why = known.get(name, "check the softmax, the context of each step, and what is joined to the name")
    if word and name.startswith(word):
        why = known.get(name, "it went on; a name ends at a dot or at max_len")
    fail(f"a model that knows one word of {len(word)} letters said another of length {len(name)}; {why}")


@question("B10", points=0.5, hint="max_len is the largest number of letters; the model need not say the dot.")
@pytest.mark.parametrize("length", [4, 1, None], ids=["max_len 4", "max_len 1", "default"])
def test_stops_at_max_len(observe: Observe, length: int | None) -> None:
    start, word = torch.zeros(1, 3, dtype=torch.int64), certain("z")
    options = {} if length is None else {"max_len": length}
    name = as_text(observe("spelled", contexts=start, logits=word[None], otherwise=word, options=options)["name"])
    letters = len(name.rstrip("."))
    if letters != (length or 50):
        given = "by default" if length is None else f"with max_len={length}"
        fail(f"{given} a name of length {letters} came out; {length or 50} was expected")


RUN = 200
"""Letters in one name. A right answer may be a recursion, and Python allows no depth of 1000."""

CASES = ((0.25, 0.75), (25.0, 37.0))
"""Temperatures, each with the logit of b over that of a; no other letter is possible. The right share of b is far from
those that the temperature's root, its square, or no temperature would give."""

ALARM = math.log(1e10)
"""A right answer may draw in any way, so nobody knows its letters beforehand. By Hoeffding's bound at most one in 5e9
right ones has a share so far from the expected one that it fails."""


def runs_of(
    observe: Observe, seeds: list[int | None], temperature: float = 1.0, ratio: float = 0.0, length: int = 20
) -> list[Observation]:
    """What came of `generate` with a model that can only say a and b, once for each seed."""
    logits = torch.full((VOCAB,), -1e4)
    logits[1], logits[2] = 0.0, ratio
    seen = observe("sampled", logits=logits, seeds=seeds, temperature=temperature, length=length)
    runs = observations(seen["runs"])
    if len(runs) != len(seeds):
        fail("a name is missing")
    return runs


@question(
    "B10", points=0.5, hint="Divide the logits by the temperature, take the softmax, then draw: do not take the best."
)
def test_draws_at_the_given_temperature(observe: Observe) -> None:
    shares = [share_of_b(observe, temperature, ratio) for temperature, ratio in CASES]
    known = {
        "": [_share(ratio / t) for t, ratio in CASES],
        "the temperature is not used; divide the logits by it": [_share(ratio) for _, ratio in CASES],
        "the logits are multiplied by the temperature; divide them": [_share(ratio * t) for t, ratio in CASES],
        "the most likely letter is taken; sample one by its probability": [1.0, 1.0],
        "the letters are drawn without regard to their probabilities": [0.5, 0.5],
        "the temperature's square is used": [_share(ratio / t**2) for t, ratio in CASES],
        "the temperature's square root is used": [_share(ratio / t**0.5) for t, ratio in CASES],
    }
    surprises = {label: [surprise(*pair) for pair in zip(shares, goal, strict=True)] for label, goal in known.items()}
    worst = max(range(len(CASES)), key=lambda case: surprises[""][case])
    if surprises[""][worst] > ALARM:
        likeliest = min(surprises, key=lambda label: sum(surprises[label]))
        it_is = f"; {likeliest}" if likeliest and max(surprises[likeliest]) <= ALARM else ""
        fail(
            f"{shares[worst]:.1%} of the letters were b at temperature {CASES[worst][0]:g}, "
            f"where {known[''][worst]:.1%} were expected{it_is}"
        )


@question("B10", points=0.5, hint="Every character that the model thinks possible can be drawn: keep all of them.")
def test_leaves_no_letter_out(observe: Observe) -> None:
    # Of 26 letters that are equally likely, 640 draws miss one with probability 3e-10.
    logits = torch.zeros(VOCAB)
    logits[0] = -1e4
    seen = observe("sampled", logits=logits, seeds=[5, None, None, None], temperature=1.0, length=160)
    drawn = {letter for run in observations(seen["runs"]) for letter in as_text(run["name"])} - {"."}
    if len(drawn) < VOCAB - 1:
        fail(
            f"only {len(drawn)} of {VOCAB - 1} equally likely letters were ever drawn; "
            "draw from all of them, and not only from the most likely"
        )


def share_of_b(observe: Observe, temperature: float, ratio: float) -> float:
    """How many of RUN letters were b, from a model that can only say a and b."""
    (run,) = runs_of(observe, [3], temperature, ratio, RUN)
    name = as_text(run["name"])
    if set(name) - set("ab"):
        fail(
            "a letter was drawn that the model makes impossible; "
            "take the softmax of the logits once, over the characters (dim=-1)"
        )
    if len(name) < RUN // 2:
        fail(
            f"a model that can only say a and b, and no dot, said {len(name)} letters with max_len={RUN}; "
            "is max_len used, and does the softmax of the logits run once, over the characters (dim=-1)?"
        )
    return name.count("b") / len(name)


def _share(difference: float) -> float:
    """The probability of b when its logit is greater by this."""
    return 1 / (1 + math.exp(-difference))


def surprise(seen: float, expected: float) -> float:
    """RUN times the relative entropy of two shares: so large a one or a larger has at most the probability 2 exp(-it).

    Source: Hoeffding (1963), theorem 1. The expected share keeps away from 0 and 1, so that no result is infinite.
    """
    expected = min(max(expected, 1e-9), 1 - 1e-9)
    pairs = ((seen, expected), (1 - seen, 1 - expected))
    return RUN * sum(share * math.log(share / goal) for share, goal in pairs if share > 0)


@question(
    "B10", points=0.75, hint="torch.multinomial(..., generator=generator): all chance comes from the given generator."
)
def test_all_chance_comes_from_the_generator(observe: Observe) -> None:
    runs = runs_of(observe, [7, 7, None, 8])
    first, again, later, other = (as_text(run["name"]) for run in runs)
    if any(run["outside_moved"] is not False for run in runs):
        fail("torch's global random numbers were used; draw with generator=generator")
    if first != again:
        fail("the same state of the generator gave two different names; draw from nothing but the generator")
    if runs[0]["moved"] is not True:
        fail("the state of the generator did not move: nothing was drawn from it")
    if first == other:
        fail("two different states of the generator gave the same name; do not seed it, that belongs to the caller")
    if later == again:
        fail("a second name from the same generator was the same as the first; draw from the generator itself")


@question("B10", points=0.75, hint="Remember model.training, call model.eval(), and hand it back at the end.")
def test_evaluation_mode_that_is_restored_and_no_graph(observe: Observe) -> None:
    for run in runs_of(observe, [11, 12, 13, 14]):
        calls = observations(run["calls"])
        assert_asked_in_evaluation(calls)
        if any(call["graph"] is not False for call in calls):
            fail("autograd recorded the model's forward pass; ask it under torch.no_grad()")
        if run["after"] is not run["before"]:
            was, now = ("training", "evaluation") if run["before"] else ("evaluation", "training")
            fail(f"the model was in {was} mode before and is in {now} mode afterwards; restore what it was")
