"""Hidden tests of the batch normalization notebook, part 5: new names."""

import math

import pytest
import torch
from torch import Tensor

from autograder.collect import question
from autograder.diagnose import describe_kind, fail
from autograder.hidden_tests.lecture06.batchnorm_reference import assert_asked_in_evaluation, observations
from autograder.hidden_tests.lecture06.inputs import VOCAB
from autograder.observe import Observation, Observe

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
    fail(f"a model that knows one word of {len(word)} letters by heart said another of length {len(name)}; {why}")


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


TEMPERATURES = (0.5, 4.0)
DRAWS = 200
RATIO = 3.0
"""The logit of b over that of a; no other letter is possible."""


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
    "B10", points=1, hint="Divide the logits by the temperature, take the softmax, then draw: do not take the best."
)
def test_draws_at_the_given_temperature(observe: Observe) -> None:
    shares = []
    for temperature in TEMPERATURES:
        (run,) = runs_of(observe, [3], temperature, RATIO, DRAWS)
        name = as_text(run["name"])
        if len(name) < DRAWS // 2 or set(name) - set("ab"):
            fail("a model that can only say a and b, and no dot, was not heard: the name is too short or has others")
        shares.append(name.count("b") / len(name))
    known = {
        "": tuple(_share(RATIO / temperature) for temperature in TEMPERATURES),
        "the temperature is not used; divide the logits by it": (_share(RATIO),) * 2,
        "the logits are multiplied by the temperature; divide them": tuple(_share(RATIO * t) for t in TEMPERATURES),
        "the likeliest letter is taken; draw one by its probability": (1.0, 1.0),
        "the letters are drawn without regard to their probabilities": (0.5, 0.5),
        "the temperature's square is used": tuple(_share(RATIO / t**2) for t in TEMPERATURES),
        "the temperature's square root is used": tuple(_share(RATIO / t**0.5) for t in TEMPERATURES),
    }
    distance = {label: max(abs(a - b) for a, b in zip(shares, goal, strict=True)) for label, goal in known.items()}
    fits = [label for label in sorted(known, key=lambda label: distance[label]) if _fits(shares, known[label])]
    if "" not in fits:
        share = f"{shares[1]:.0%} of the letters were b at temperature 4, where {known[''][1]:.0%} were expected"
        if _by_chance(shares[1], known[""][1]):
            share = f"{shares[0]:.1%} of the letters were b at temperature 0.5, where {known[''][0]:.1%} were expected"
        fail("; ".join([share, *fits[:1]]))


def _share(difference: float) -> float:
    """The probability of b when its logit is greater by this."""
    return 1 / (1 + math.exp(-difference))


def _fits(shares: list[float], expected: tuple[float, ...]) -> bool:
    return all(map(_by_chance, shares, expected))


def _by_chance(seen: float, expected: float) -> bool:
    """Within five standard deviations, for DRAWS draws; one odd letter is always possible."""
    return abs(seen - expected) <= 5 * math.sqrt(expected * (1 - expected) / DRAWS) + 1 / DRAWS


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
