"""Hidden tests of the batch normalization notebook, part 5: new names."""

import math

import pytest
import torch
from autograder.testing import Observation, Observe, describe_kind, fail, question
from torch import Tensor

from .batchnorm_reference import RECORDING_OFF, assert_asked_in_evaluation, assert_mode_restored, observations
from .inputs import VOCAB

LETTERS = ".abcdefghijklmnopqrstuvwxyz"


def certain(letter: str) -> Tensor:
    """Return float32 logits (27,) with which only one letter is possible."""
    logits = torch.full((VOCAB,), -1e4)
    logits[LETTERS.index(letter)] = 0.0
    return logits


def speller(word: str, context_size: int) -> tuple[Tensor, Tensor]:
    """Return contexts (K, C) and logits (K, 27) of a model that spells one word, and then the dot."""
    tokens = [0] * context_size + [LETTERS.index(letter) for letter in word] + [0]
    count = len(word) + 1
    contexts = torch.tensor([tokens[i : i + context_size] for i in range(count)])
    return contexts, torch.stack([certain(LETTERS[tokens[i + context_size]]) for i in range(count)])


def spelled(observe: Observe, word: str, context_size: int) -> str:
    """Return the name that a model generates which spells one word, with a dot after any other context."""
    contexts, logits = speller(word, context_size)
    seen = observe("spelled", contexts=contexts, logits=logits, otherwise=certain("."), options={})
    return as_text(seen["name"])


def as_text(name: object) -> str:
    if not isinstance(name, str):
        fail(f"your name is {describe_kind(name)}; a string was expected")
    return name


def assert_only_letters(name: str) -> None:
    """Assert that every character of a name is one of `idx2str`."""
    if odd := sorted(set(name) - set(LETTERS)):
        fail(f"your name contains {odd[0]!r}, which is not in idx2str; join the characters idx2str[token] as they are")


WORDS = [("ada", 3), ("quentin", 3), ("", 3), ("jo", 3), ("lemuel", 2), ("maximilian", 5)]


@question(
    "B10", points=1, hint="The new context is the old one without its first token, with the new token at the end."
)
@pytest.mark.parametrize("case", WORDS, ids=[f"{len(w)} letters, context of {c}" for w, c in WORDS])
def test_spells_what_the_model_knows(observe: Observe, case: tuple[str, int]) -> None:
    word, context_size = case
    name = spelled(observe, word, context_size)
    if name == word:
        return
    known = {
        f"{word}.": "it ends with the dot, which is not part of the name; leave it out",
        "." * context_size + word: "it starts with the dots of the first context; leave them out",
        "." * context_size + word + ".": "it contains dots; leave them out",
        word[:1] * 50: "it repeats the first letter, so the context does not move on",
        word[:1]: "it stops after the first letter; each new context drops its first token and ends with the new one",
        word[::-1]: "it is written backwards",
    }
    if not word and name and not set(name) - set(LETTERS[1:]):
        known[name] = "a dot ends the name even if it is the first character drawn: do not refuse an empty name"
    assert_only_letters(name)
    why = known.get(name, "check the softmax, the context in each step, and how the name is put together")
    if word and name.startswith(word):
        why = known.get(name, "it continues after the dot; stop there")
    fail(f"a model that spells one word of {len(word)} letters gave a name of length {len(name)}; {why}")


@question(
    "B10",
    points=0.5,
    hint="max_len limits the number of letters, even if the model never gives a dot; a dot ends the name before that.",
)
@pytest.mark.parametrize("length", [4, 1, None], ids=["max_len 4", "max_len 1", "default"])
def test_stops_at_max_len(observe: Observe, length: int | None) -> None:
    start, word = torch.zeros(1, 3, dtype=torch.int64), certain("z")
    options = {} if length is None else {"max_len": length}
    name = as_text(observe("spelled", contexts=start, logits=word[None], otherwise=word, options=options)["name"])
    letters = len(name.rstrip("."))
    if letters != (length or 50):
        given = "by default" if length is None else f"with max_len={length}"
        fail(f"{given}, a name has length {letters}; {length or 50} was expected")
    if length is None:
        assert_stops_at_the_first_dot(observe)


NAMES = 300
"""Names of a model that gives a dot with probability 1/2; together they have NAMES letters, give or take 24."""


def assert_stops_at_the_first_dot(observe: Observe) -> None:
    logits = torch.full((VOCAB,), -1e4)
    logits[:2] = 0.0
    seen = observe("sampled", logits=logits, seeds=[9, *[None] * (NAMES - 1)], temperature=1.0, length=40)
    drawn = [as_text(run["name"]) for run in observations(seen["runs"])]
    if len(drawn) == NAMES and len(set(drawn)) == 1:
        fail(
            f"{NAMES} names from one generator are all the same, although dot and a are equally likely: "
            "draw each character by its probability, from `generator` itself, which you neither seed, copy nor restore"
        )
    letters = sum(map(len, drawn))
    if all(drawn) and letters < 3 * NAMES:
        fail(
            f"none of {NAMES} names is empty, although the first character is a dot with probability 1/2; "
            "do not refuse an empty name"
        )
    if not NAMES / 2 < letters < NAMES * 3 / 2:
        fail(
            f"{NAMES} names have {letters} letters in all where about {NAMES} were expected from a model that gives a "
            "dot with probability 1/2; stop at the first dot"
        )


RUN, DRAWS = 200, 400
"""Letters in one name, and in the two that are judged together. A right answer may be recursive, 1000 deep at most."""

CASES = ((0.25, 0.75), (25.0, 37.0), (0.5, 0.49))
"""Temperatures, each with the logit of b minus that of a; no other letter is possible. The right share of b is far from
those that the square root of the temperature, its square, or no temperature would give."""

ALARM = math.log(1e10)
"""A right answer may draw in any way, so its letters are not known beforehand. By Hoeffding's bound at most one in 5e9
right answers has a share so far from the expected one that it fails."""


def runs_of(
    observe: Observe, seeds: list[int | None], temperature: float = 1.0, ratio: float = 0.0, length: int = 20
) -> list[Observation]:
    """Return runs of `generate` with a model for which only a and b are possible, one per seed."""
    logits = torch.full((VOCAB,), -1e4)
    logits[1], logits[2] = 0.0, ratio
    seen = observe("sampled", logits=logits, seeds=seeds, temperature=temperature, length=length)
    runs = observations(seen["runs"])
    if len(runs) != len(seeds):
        fail("a name is missing")
    return runs


@question(
    "B10", points=0.5, hint="Divide the logits by the temperature, take the softmax, then draw from it: no argmax."
)
def test_draws_at_the_given_temperature(observe: Observe) -> None:
    shares = [share_of_b(observe, temperature, ratio) for temperature, ratio in CASES]
    known = {
        "": [_share(ratio / t) for t, ratio in CASES],
        "the temperature is not used; divide the logits by it": [_share(ratio) for _, ratio in CASES],
        "the logits are multiplied by the temperature; divide them": [_share(ratio * t) for t, ratio in CASES],
        "the most likely letter is taken; sample one by its probability": [1.0] * 3,
        "the letters are drawn regardless of their probabilities": [0.5] * 3,
        "the quotient of logits and temperature is rounded down (//); use /": [
            _share(ratio // t) for t, ratio in CASES
        ],
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


RARE = 0.001
"""The probability of each rare letter. Of 20 such letters 1280 draws contain none with probability 6e-12."""


@question("B10", points=0.5, hint="Every character with a probability above 0 can be drawn: keep all of them.")
@pytest.mark.parametrize("rare", [False, True], ids=["equally likely letters", "rare letters"])
def test_leaves_no_letter_out(observe: Observe, rare: bool) -> None:
    # Of 26 letters that are equally likely, 640 draws miss one with probability 3e-10.
    logits, runs = torch.zeros(VOCAB), 8 if rare else 4
    logits[0] = -1e4
    if rare:
        logits[1:7], logits[7:] = math.log((1 - 20 * RARE) / 6), math.log(RARE)
    seeds = [5, *[None] * (runs - 1)]
    seen = observe("sampled", logits=logits, seeds=seeds, temperature=1.0, length=160)
    drawn = {letter for run in observations(seen["runs"]) for letter in as_text(run["name"])} - {"."}
    if rare and not drawn - set(LETTERS[:7]):
        fail(
            f"none of 20 letters with probability {RARE:g} each was drawn in {160 * runs} draws; "
            "draw from the softmax as it is, without top-k, top-p or a minimum probability"
        )
    if not rare and len(drawn) < VOCAB - 1:
        fail(
            f"only {len(drawn)} of {VOCAB - 1} equally likely letters were ever drawn; "
            "draw from all letters, not only from the most likely"
        )


def share_of_b(observe: Observe, temperature: float, ratio: float) -> float:
    """Return the share of b among DRAWS letters of a model for which only a and b are possible."""
    first, second = runs_of(observe, [3, None], temperature, ratio, RUN)
    name = as_text(first["name"]) + as_text(second["name"])
    assert_only_letters(name)
    if set(name) - set("ab"):
        fail("a letter with probability 0 was drawn; apply softmax to the logits once, over the characters (dim=-1)")
    if len(name) < DRAWS // 2:
        fail(
            f"with max_len={RUN} two names have {len(name)} letters in all although a dot has probability 0; "
            " is max_len used, and softmax applied to the logits once, over the characters (dim=-1)?"
        )
    return name.count("b") / len(name)


def _share(difference: float) -> float:
    """Return the probability of b when its logit is greater by this."""
    return 1 / (1 + math.exp(-difference))


def surprise(seen: float, expected: float) -> float:
    """Return DRAWS times the relative entropy of two shares; its values v or more have a probability <= 2 exp(-v).

    Source: Hoeffding (1963), theorem 1. The expected share is kept away from 0 and 1, so that the result is finite.
    """
    expected = min(max(expected, 1e-9), 1 - 1e-9)
    pairs = ((seen, expected), (1 - seen, 1 - expected))
    return DRAWS * sum(share * math.log(share / goal) for share, goal in pairs if share > 0)


@question(
    "B10",
    points=0.75,
    hint="torch.multinomial(..., generator=generator): draw all random numbers from the given generator.",
)
def test_all_chance_comes_from_the_generator(observe: Observe) -> None:
    runs = runs_of(observe, [7, 7, None, 8])
    first, again, later, other = (as_text(run["name"]) for run in runs)
    if any(run["outside_moved"] is not False for run in runs):
        fail("torch's global random generator was used; draw with generator=generator")
    if first != again:
        fail("the same state of the generator gave two different names; draw only from the generator")
    if runs[0]["moved"] is not True:
        fail("the state of the generator did not change: nothing was drawn from it, or its state was put back")
    if first == other:
        fail("two different states of the generator gave the same name; do not seed it, that is up to the caller")
    if later == again:
        fail("a second name from the same generator equals the first; draw from the generator itself, not from a copy")


@question("B10", points=0.75, hint="Remember model.training, call model.eval(), and restore the mode at the end.")
def test_evaluation_mode_that_is_restored_and_no_graph(observe: Observe) -> None:
    for run in runs_of(observe, [11, 12, 13, 14]):
        calls = observations(run["calls"])
        assert_asked_in_evaluation(calls)
        if any(call["graph"] is not False for call in calls):
            fail("autograd recorded the model's forward pass; call it under torch.no_grad()")
        assert_mode_restored(run["after"], run["before"] is True)
        if run["recording"] is not True:
            fail(RECORDING_OFF)
