"""Hidden tests of R10: many names at once."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from autograder.testing import (
    Observation,
    Observe,
    Value,
    as_tensor,
    describe_kind,
    fail,
    mapping,
    question,
    sequence,
    tensors,
)
from torch import Tensor

from .inputs import VOCAB
from .left_alone import assert_left_alone, condition_after
from .residual_reference import mlp_logits, mlp_weights

NAMES_SEED = 2000
ADVANCE = 5
"""How many numbers the generator has given out before a call."""


@functools.cache
def speaker(context: int, ending: float) -> tuple[list[int], dict[str, Tensor]]:
    """Return sizes and weights of a network whose names end early or late, depending on the logit of the dot."""
    sizes = [VOCAB, context, 4, 8, 12, 2]
    weights = mlp_weights(sizes, seed=2010)
    weights["head.bias"][0] = ending
    return sizes, weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule10:
    """How names are written; every default is right."""

    finish: str = "all"
    pick: str = "first greater"
    draws: str = "all rows"
    shares: str = "of a row"
    start: int = 0
    shift: bool = True
    oldest: bool = False
    dot: bool = False
    past_dot: bool = False
    short: int = 0
    behind: bool = True
    advance: int = ADVANCE


RIGHT = Rule10()


@functools.cache
def write(
    n: int, context: int, ending: float, max_len: int, rule: Rule10 = RIGHT, seed: int = NAMES_SEED
) -> tuple[list[str], float, float]:
    """Return the names by the rule, the generator's next number, and the least distance of a number to a limit."""
    sizes, weights = speaker(context, ending)
    generator, near = torch.Generator().manual_seed(seed), 1.0
    torch.rand(rule.advance, generator=generator)
    in_advance = torch.rand(n, max_len, generator=generator) if rule.draws == "in advance" else torch.empty(n, 0)
    kept = torch.rand(n, generator=generator) if rule.draws == "once" else torch.empty(0)
    history = torch.full((n, context), rule.start)
    written: list[list[int]] = [[] for _ in range(n)]
    done = torch.zeros(n, dtype=torch.bool)
    for step in range(max_len - rule.short):
        logits = mlp_logits(weights, history[:, -context:], sizes[-1], False)
        shares = logits if rule.shares == "logits" else logits.softmax(0 if rule.shares == "of a column" else 1)
        if rule.draws == "unfinished rows":
            numbers = torch.zeros(n)
            numbers[~done] = torch.rand(int((~done).sum()), generator=generator)
        elif rule.draws == "one for all":
            numbers = torch.rand(1, generator=generator).expand(n)
        elif rule.draws == "in advance":
            numbers = in_advance[:, step]
        elif rule.draws == "once":
            numbers = kept
        elif rule.draws == "squeezed":
            numbers = torch.zeros(n).masked_scatter(~done, torch.rand(n, generator=generator))
        else:
            kind = torch.float64 if rule.draws == "float64" else torch.float32
            numbers = torch.rand(n, generator=generator, dtype=kind)
        limits = shares.cumsum(0 if rule.shares == "summed over rows" else 1)
        near = min(near, float((limits - numbers[:, None]).abs().min()))
        if rule.pick == "most likely":
            tokens = shares.argmax(1)
        elif rule.pick == "multinomial":
            tokens = torch.multinomial(shares, 1, generator=generator)[:, 0]
        elif rule.pick == "one before":
            tokens = ((limits <= numbers[:, None]).sum(1) - 1).clamp(min=0)
        elif rule.pick == "likeliest first":
            ordered, order = shares.sort(1, descending=True)
            place = (ordered.cumsum(1) <= numbers[:, None]).sum(1).clamp(max=VOCAB - 1)
            tokens = order.gather(1, place[:, None])[:, 0]
        else:
            tokens = (limits <= numbers[:, None]).sum(1).clamp(max=VOCAB - 1)
        for row, token in enumerate(tokens.tolist()):
            if (token or rule.dot) and (rule.past_dot or not done[row]):
                written[row].append(token)
        done |= tokens == 0
        if rule.shift:
            older = history[:, :-1] if rule.oldest or not rule.behind else history
            history = torch.cat([older, tokens[:, None]] if rule.behind else [tokens[:, None], older], 1)
        if done.any() if rule.finish == "any" else done.all():
            break
    texts = ["".join("." if token == 0 else chr(96 + token) for token in row) for row in written]
    return texts, float(torch.rand(1, generator=generator)), near


@functools.cache
def wrong_names(n: int, context: int, ending: float, max_len: int) -> dict[str, list[str]]:
    """Return the names that known wrong rules give."""
    rules = {
        "names cut off when the first row finished; continue until all rows have": Rule10(finish="any"),
        "the most likely letters (argmax); draw them": Rule10(pick="most likely"),
        "letters from torch.multinomial; use torch.rand and the cumulative probabilities": Rule10(pick="multinomial"),
        "letters one place too early in the vocabulary": Rule10(pick="one before"),
        "letters from sorted probabilities; keep the order of the vocabulary": Rule10(pick="likeliest first"),
        "names from numbers drawn only for the unfinished rows; draw n in every step": Rule10(draws="unfinished rows"),
        "names from one number for all rows; each row needs its own": Rule10(draws="one for all"),
        "names from numbers that are drawn only once; draw n new ones in each step": Rule10(draws="once"),
        "names from numbers that shift when a row finishes; row i uses number i": Rule10(draws="squeezed"),
        "names from float64 numbers; torch.rand(n, generator=generator) gives float32": Rule10(draws="float64"),
        "names from a softmax over the rows (dim 0); take it over the vocabulary (dim 1)": Rule10(shares="of a column"),
        "names from a cumsum over the rows (dim 0); take it over the vocabulary (dim 1)": Rule10(
            shares="summed over rows"
        ),
        "names from cumulative logits; the softmax is missing": Rule10(shares="logits"),
        "names from a first context of ones; it should contain dots, which are token 0": Rule10(start=1),
        "names from a context that never changes; append the new token and drop the first one": Rule10(shift=False),
        "names from a context that loses its newest token; drop the oldest one, in the first column": Rule10(
            oldest=True
        ),
        "names from a context with the new token in front; append it at the end": Rule10(behind=False),
        "names from numbers that are all drawn in advance; draw n in each step": Rule10(draws="in advance"),
        "names from a generator that your code seeds again; use it in the state it is passed in": Rule10(advance=0),
        "names that include their dot; leave it out": Rule10(dot=True),
        "names that continue after the dot; discard what follows the first dot": Rule10(past_dot=True),
        "names that continue after the dot, dots included; keep the text before the first dot": Rule10(
            past_dot=True, dot=True
        ),
        "names that are one letter short; max_len steps can write max_len letters": Rule10(short=1),
    }
    wrong = {way: write(n, context, ending, max_len, rule)[0] for way, rule in rules.items()}
    wrong["names written one after the other; in each step draw one number for each row"] = one_by_one(
        n, context, ending, max_len
    )
    running = write(n, context, ending, max_len, Rule10(past_dot=True, dot=True))[0]
    wrong["the text after the last dot; keep the text before the first one"] = [
        text.rpartition(".")[2] for text in running
    ]
    wrong["names from the global random state; draw from `generator`"] = write(
        n, context, ending, max_len, RIGHT, NAMES_SEED + 1
    )[0]
    return wrong


def one_by_one(n: int, context: int, ending: float, max_len: int) -> list[str]:
    """Return the names when each row is finished before the next one begins."""
    found: list[str] = []
    taken = ADVANCE
    for _ in range(n):
        name = write(1, context, ending, max_len, Rule10(advance=taken))[0][0]
        found.append(name)
        taken += min(len(name) + 1, max_len)
    return found


def seen_names(
    observe: Observe,
    n: int,
    context: int,
    ending: float,
    options: Sequence[int],
    *,
    training: bool = False,
    watched: bool = False,
) -> Observation:
    sizes, weights = speaker(context, ending)
    return observe(
        "batch_of_names",
        sizes=sizes,
        start=weights,
        n=n,
        options=list(options),
        seed=NAMES_SEED,
        advance=ADVANCE,
        other_seed=NAMES_SEED + 1,
        training=training,
        watched=watched,
    )


def list_of_names(value: Value, n: int) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        strings = "one string" if n == 1 else f"{n} strings"
        fail(f"generate_batch returned {describe_kind(value)}; a list of {strings} was expected")
    if len(value) != n:
        empty = "; keep empty names too, and names that occur twice" if len(value) < n else ""
        fail(f"generate_batch returned {len(value)} {'name' if len(value) == 1 else 'names'} for n={n}{empty}")
    return list(value)


def assert_no_dots(names: list[str]) -> None:
    for i, name in enumerate(names):
        if "." in name:
            fail(f"name {i} contains a dot; a name is the text before its dot")


def assert_names(value: Value, n: int, context: int, ending: float, max_len: int) -> None:
    yours = list_of_names(value, n)
    target, _, near = write(n, context, ending, max_len)
    if near <= 1e-5:
        raise ValueError("a number of this test is at a limit between two letters; use another seed")
    if yours == target:
        return
    for mistake, wrong in wrong_names(n, context, ending, max_len).items():
        if yours == wrong and any(wrong):
            fail(f"your names match {mistake}")
    assert_no_dots(yours)
    if sorted(yours) == sorted(target):
        fail("your names are right, but in another order; name i belongs to row i")
    if [name.lower() for name in yours] == target:
        fail("your names have capital letters; use the letters of idx2str")
    if [[ord(letter) - 1 for letter in name] for name in yours] == [[ord(letter) for letter in one] for one in target]:
        fail("your letters are one place too late in the alphabet; idx2str maps a token to its letter")
    row = next(i for i in range(n) if yours[i] != target[i])
    start = next((i for i, pair in enumerate(zip(yours[row], target[row], strict=False)) if pair[0] != pair[1]), None)
    if not yours[row] and len(target[row]) == max_len:
        fail(f"name {row} is empty; a row that does not finish keeps its max_len letters")
    if start is None:
        more = "longer" if len(yours[row]) > len(target[row]) else "shorter"
        fail(f"name {row} is {more} than expected: {len(yours[row])} letters instead of {len(target[row])}")
    fail(f"name {row} has {yours[row][start]!r} as letter {start + 1} where {target[row][start]!r} was expected")


@question(
    "R10",
    points=1,
    hint="One number per step; the next token is the first one whose cumulative probability is greater than the "
    "number; then append the token to the context and drop its first one.",
)
@pytest.mark.parametrize(("context", "max_len"), [(3, 50), (2, 9)])
def test_one_name(observe: Observe, context: int, max_len: int) -> None:
    options = [] if max_len == 50 else [context, max_len]
    seen = seen_names(observe, 1, context, 3.0, options)
    if isinstance(seen["names"], tuple):
        fail("generate_batch returned a tuple; return a list")
    assert_names(seen["names"], 1, context, 3.0, max_len)


@question(
    "R10",
    points=1,
    hint="Rows are independent: one that has finished keeps its name, which may be empty, still takes part in every "
    "draw, and does not stop the others.",
)
@pytest.mark.parametrize(("n", "ending"), [(6, 6.0), (9, 8.0)])
def test_rows_do_not_depend_on_each_other(observe: Observe, n: int, ending: float) -> None:
    seen = seen_names(observe, n, 3, ending, [])
    assert_names(seen["names"], n, 3, ending, 50)


@question(
    "R10",
    points=0.5,
    hint="Stop when every row has its dot, or after max_len steps; not earlier, not later. Each step draws n numbers "
    "at once.",
)
@pytest.mark.parametrize(("ending", "max_len"), [(8.0, 50), (-30.0, 7)], ids=["all finish", "none finishes"])
def test_stops_in_time(observe: Observe, ending: float, max_len: int) -> None:
    seen = seen_names(observe, 4, 3, ending, [3, max_len])
    # Another test asserts a list of names: here the draws count.
    found = [name for name in sequence(seen["names"]) if isinstance(name, str)]
    assert_no_dots(found)
    if any(len(name) > max_len for name in found):
        fail(f"a name has {max(map(len, found))} letters with max_len={max_len}")
    if max_len == 7 and any(len(name) != 7 for name in found):
        fail("a row that does not finish keeps its max_len letters")
    upcoming = float(as_tensor(seen["next"], "generator's next number", (1,)))
    if upcoming == write(4, 3, ending, max_len)[1]:
        return
    if upcoming == write(4, 3, ending, max_len, Rule10(advance=0))[1]:
        fail("your code seeds `generator` again; use it in the state it is passed in")
    generator = torch.Generator().manual_seed(NAMES_SEED)
    numbers = torch.rand(ADVANCE + 400, generator=generator).tolist()[ADVANCE:]
    drawn = next((count for count, number in enumerate(numbers) if number == upcoming), None)
    target = next(c for c, number in enumerate(numbers) if number == write(4, 3, ending, max_len)[1])
    if drawn is None:
        fail("your code did not draw with one torch.rand(n, generator=generator) in each step")
    if drawn == 0:
        fail("your code drew nothing from `generator`; draw from it, not from a copy or a new one")
    if drawn == target + 4:
        fail("your code drew n more numbers after all rows had finished; stop before the next draw")
    if drawn == 4 * max_len:
        fail(f"your code drew {drawn} numbers, as many as in max_len steps; stop once every row has had its dot")
    fail(
        f"your code drew {drawn} numbers from `generator`; {target} are needed: n in each step until all rows have "
        "finished"
    )


@question(
    "R10",
    points=1,
    hint="Use evaluation mode, restore the mode afterwards, and draw random numbers only from `generator`.",
)
@pytest.mark.parametrize("training", [True, False], ids=["from training", "from evaluation"])
def test_writing_leaves_everything_alone(observe: Observe, training: bool) -> None:
    seen = seen_names(observe, 5, 3, 6.0, [], training=training, watched=True)
    before, after = (tensors(one.get("buffers")) for one in (mapping(seen["before"]), condition_after(seen)))
    if any(name in after and not torch.equal(after[name], value) for name, value in before.items()):
        fail("the running statistics of the norms changed; use evaluation mode")
    assert_left_alone(seen)
    # Other tests ask for these too; this one alone judges the global random state.
    for one in (seen, seen_names(observe, 1, 3, 3.0, []), seen_names(observe, 9, 3, 8.0, [])):
        if one["outside_moved"] is not False:
            fail("your code drew from the global random state or seeded it; draw only from `generator`")
    generator = torch.Generator().manual_seed(NAMES_SEED)
    untouched = torch.rand(ADVANCE + 1, generator=generator)[-1]
    if as_tensor(seen["next"], "generator's next number", (1,)) == untouched:
        fail("not checked: your code drew nothing from `generator`")
    found = seen["names"]
    if not (isinstance(found, str) and found) and not any(name for name in sequence(found) if isinstance(name, str)):
        fail("not checked: no name has a letter")


ROWS = 48
TIE_SEED, TOP_SEED = 339, 28086
"""Seeds with which `torch.rand(ROWS)` contains a multiple of 1/16, and the greatest float32 number below 1."""


def limits_of(logits: Tensor) -> Tensor:
    return logits.softmax(0).cumsum(0)


@functools.cache
def short_sums() -> Tensor:
    """Return logits (K, V) with a likely last token, whose probabilities sum to less than 1 by rounding."""
    drawn = 2 * torch.randn(80, VOCAB, generator=torch.Generator().manual_seed(2020))
    drawn[:, -1] = 1.0
    return torch.stack([row for row in drawn if limits_of(row)[-1] < 1][:6])


@question(
    "R10",
    points=0.5,
    hint="Strictly greater: a number that equals a cumulative probability belongs to the next token. If rounding "
    "leaves no cumulative probability greater than the number, the next token is the last one.",
)
def test_a_number_at_a_limit(observe: Observe) -> None:
    sixteen = torch.full((1, VOCAB), -1e4)
    sixteen[:, :16] = 0.0
    numbers = torch.rand(ROWS, generator=torch.Generator().manual_seed(TIE_SEED))
    seen = observe("first_letters", logits=sixteen, n=ROWS, seed=TIE_SEED)["names"]
    yours = list_of_names(seen[0] if isinstance(seen, list) and len(seen) == 1 else None, ROWS)
    for row, number in enumerate((16 * numbers).tolist()):
        target = chr(96 + int(number)) if number >= 1 else ""
        if yours[row] != target and number == int(number):
            fail("a number equal to a cumulative probability gave that token; it must be strictly greater (>)")
        if yours[row] != target:
            fail(f"with 16 tokens of probability 1/16, name {row} is {yours[row]!r} where {target!r} was expected")
    top = int(torch.rand(ROWS, generator=torch.Generator().manual_seed(TOP_SEED)).argmax())
    seen = observe("first_letters", logits=short_sums(), n=ROWS, seed=TOP_SEED)["names"]
    for found in seen if isinstance(seen, list) else []:
        if list_of_names(found, ROWS)[top] != "z":
            fail("where rounding leaves no cumulative probability greater than the number, use the last token")
    if not isinstance(seen, list) or len(seen) != len(short_sums()):
        fail("no names were returned")
