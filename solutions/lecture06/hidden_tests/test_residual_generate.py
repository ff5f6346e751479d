"""Hidden tests of R10: many names at once."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from autograder.testing import Observation, Observe, Value, as_tensor, describe_kind, fail, mapping, question, tensors
from torch import Tensor

from .inputs import VOCAB
from .residual_reference import assert_left_alone, mlp_logits, mlp_weights

NAMES_SEED = 2000
ADVANCE = 5
"""How many numbers the generator has given out before a call."""


@functools.cache
def speaker(context: int, ending: float) -> tuple[list[int], dict[str, Tensor]]:
    """Sizes and weights of a network whose names end early or late, as the logit of the dot says."""
    sizes = [VOCAB, context, 4, 8, 12, 2]
    weights = mlp_weights(sizes, seed=2010)
    weights["head.bias"][0] = ending
    return sizes, weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule10:
    """How names are written; every default is the right one."""

    finish: str = "all"
    pick: str = "first greater"
    draws: str = "all rows"
    shares: str = "of a row"
    start: int = 0
    shift: bool = True
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
    """The names by the rule, the generator's next number, and how near a number came to a limit between two letters."""
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
            history = torch.cat([history, tokens[:, None]] if rule.behind else [tokens[:, None], history[:, :-1]], 1)
        if done.any() if rule.finish == "any" else done.all():
            break
    texts = ["".join("." if token == 0 else chr(96 + token) for token in row) for row in written]
    return texts, float(torch.rand(1, generator=generator)), near


@functools.cache
def wrong_names(n: int, context: int, ending: float, max_len: int) -> dict[str, list[str]]:
    """The names that known wrong ways to write give."""
    rules = {
        "names cut off when the first row finished; go on until all rows have": Rule10(finish="any"),
        "the most likely letters (argmax); draw them": Rule10(pick="most likely"),
        "letters from torch.multinomial; use torch.rand and the cumulative probabilities": Rule10(pick="multinomial"),
        "letters that stand one place too early in the vocabulary": Rule10(pick="one before"),
        "letters from probabilities that were sorted; keep the order of the vocabulary": Rule10(pick="likeliest first"),
        "names from numbers that are drawn for the unfinished rows only; draw n each time": Rule10(
            draws="unfinished rows"
        ),
        "names from one number for all rows; each row has its own": Rule10(draws="one for all"),
        "names from numbers that are drawn only once; draw n new ones in each step": Rule10(draws="once"),
        "names from numbers that move up when a row finishes; row i uses number i": Rule10(draws="squeezed"),
        "names from float64 numbers; torch.rand(n, generator=generator) gives float32": Rule10(draws="float64"),
        "names from a softmax over the rows (dim 0); take it over the vocabulary (dim 1)": Rule10(shares="of a column"),
        "names from a cumsum over the rows (dim 0); take it over the vocabulary (dim 1)": Rule10(
            shares="summed over rows"
        ),
        "names from cumulative logits; the softmax is missing": Rule10(shares="logits"),
        "names from a first context of ones; it consists of dots, which are token 0": Rule10(start=1),
        "names from a context that never moves on": Rule10(shift=False),
        "names from a context with the new token in front; it belongs at the end": Rule10(behind=False),
        "names from numbers that are all drawn in advance; draw n in each step": Rule10(draws="in advance"),
        "names from a generator that your code seeds again; use it in the state it is passed in": Rule10(advance=0),
        "names with their dot; leave it out": Rule10(dot=True),
        "names that continue after the dot; discard what follows the first dot": Rule10(past_dot=True),
        "names that continue after the dot, dots included; keep the text before the first dot": Rule10(
            past_dot=True, dot=True
        ),
        "names that are one letter short; max_len steps may write max_len letters": Rule10(short=1),
    }
    wrong = {way: write(n, context, ending, max_len, rule)[0] for way, rule in rules.items()}
    wrong["names that are written one after the other; in each step draw one number for each row"] = one_by_one(
        n, context, ending, max_len
    )
    running = write(n, context, ending, max_len, Rule10(past_dot=True, dot=True))[0]
    wrong["the text after the last dot; keep the text before the first one"] = [
        text.rpartition(".")[2] for text in running
    ]
    wrong["names from the global random state; draw from `generator`"] = write(
        n, context, ending, max_len, Rule10(advance=0), NAMES_SEED + 1
    )[0]
    return wrong


def one_by_one(n: int, context: int, ending: float, max_len: int) -> list[str]:
    """The names when each row is written to its end before the next one begins."""
    found: list[str] = []
    taken = ADVANCE
    for _ in range(n):
        name = write(1, context, ending, max_len, Rule10(advance=taken))[0][0]
        found.append(name)
        taken += min(len(name) + 1, max_len)
    return found


def seen_names(
    observe: Observe, n: int, context: int, ending: float, options: Sequence[int], training: bool = False
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
    )


def list_of_names(value: Value, n: int) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        fail(f"generate_batch returned {describe_kind(value)}; a list of {n} strings was expected")
    if len(value) != n:
        empty = ", and an empty name counts as well" if len(value) < n else ""
        fail(f"generate_batch returned {len(value)} names; n was {n}{empty}")
    return list(value)


def assert_no_dots(names: list[str]) -> None:
    for i, name in enumerate(names):
        if "." in name:
            fail(f"name {i} holds a dot; a name is the text before its dot")


def assert_names(value: Value, n: int, context: int, ending: float, max_len: int) -> None:
    yours = list_of_names(value, n)
    target, _, near = write(n, context, ending, max_len)
    assert near > 1e-5, "a number of this test lies at a limit between two letters; take another seed"
    if yours == target:
        return
    for mistake, wrong in wrong_names(n, context, ending, max_len).items():
        if yours == wrong and any(wrong):
            fail(f"your names match {mistake}")
    assert_no_dots(yours)
    if sorted(yours) == sorted(target):
        fail("your names are right, but in another order; name i is the one of row i")
    if [name.lower() for name in yours] == target:
        fail("your names have capital letters; take the letters as idx2str gives them")
    if [[ord(letter) - 1 for letter in name] for name in yours] == [[ord(letter) for letter in one] for one in target]:
        fail("your letters are one place too late in the alphabet; idx2str gives the letter of a token")
    row = next(i for i in range(n) if yours[i] != target[i])
    start = next((i for i, pair in enumerate(zip(yours[row], target[row], strict=False)) if pair[0] != pair[1]), None)
    if not yours[row] and len(target[row]) == max_len:
        fail(f"name {row} is empty; a row that does not finish keeps the max_len letters that it has")
    if start is None:
        more = "longer" if len(yours[row]) > len(target[row]) else "shorter"
        fail(
            f"name {row} is {more} than it should be: {len(yours[row])} letters where {len(target[row])} were expected"
        )
    fail(f"name {row} has {yours[row][start]!r} as letter {start + 1}, where {target[row][start]!r} was expected")


@question(
    "R10",
    points=1,
    hint="One number for each step; the first token whose cumulative probability is greater than the "
    "number; then the context "
    "moves on by this token.",
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
    hint="Each row lives on its own: one that has finished keeps its name, which may be empty, takes its place in "
    "every draw, and does not stop the others.",
)
@pytest.mark.parametrize(("n", "ending"), [(6, 6.0), (9, 8.0)])
def test_rows_do_not_depend_on_each_other(observe: Observe, n: int, ending: float) -> None:
    seen = seen_names(observe, n, 3, ending, [])
    assert_names(seen["names"], n, 3, ending, 50)


@question(
    "R10",
    points=0.5,
    hint="Writing ends when every row has its dot, or after max_len steps; not before, not after. Each "
    "step is one draw of n "
    "numbers.",
)
@pytest.mark.parametrize(("ending", "max_len"), [(8.0, 50), (-30.0, 7)], ids=["all finish", "none finishes"])
def test_stops_in_time(observe: Observe, ending: float, max_len: int) -> None:
    seen = seen_names(observe, 4, 3, ending, [3, max_len])
    found = list_of_names(seen["names"], 4)
    assert_no_dots(found)
    if any(len(name) > max_len for name in found):
        fail(f"a name has {max(map(len, found))} letters; max_len was {max_len}")
    if max_len == 7 and any(len(name) != 7 for name in found):
        fail("a row that does not finish keeps the max_len letters that it has")
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
        fail("your code drew other numbers than one torch.rand(n, generator=generator) in each step")
    if drawn == 0:
        fail("your code drew nothing from `generator`; draw from it itself, not from a copy or a new one")
    if drawn == target + 4:
        fail("your code drew once more after all rows had finished; stop before the next draw")
    if drawn == 4 * max_len:
        fail("your code went on for max_len steps; stop once each row has had its dot, in this step or an earlier one")
    fail(
        f"your code drew {drawn} numbers from `generator`; {target} are needed: n in each step until all "
        "rows have finished"
    )


@question(
    "R10",
    points=1,
    hint="Evaluation mode while writing, the former mode afterwards, and chance from `generator` alone.",
)
@pytest.mark.parametrize("training", [True, False], ids=["from training", "from evaluation"])
def test_writing_leaves_everything_alone(observe: Observe, training: bool) -> None:
    seen = seen_names(observe, 5, 3, 6.0, [], training)
    found = list_of_names(seen["names"], 5)
    before, after = (tensors(mapping(seen[key]).get("buffers")) for key in ("before", "after"))
    if any(name in after and not torch.equal(after[name], value) for name, value in before.items()):
        fail("writing moved the running statistics of the norms; use evaluation mode")
    assert_left_alone(seen)
    state = seen["state"]
    if not isinstance(state, Tensor):
        fail("the global random state is gone")
    if not isinstance(seen["state after"], Tensor) or not torch.equal(seen["state after"], state):
        fail("your code drew from the global random state; draw from `generator` alone")
    if not any(found):
        fail("all names are empty: was anything written?")


ROWS = 48
TIE_SEED, TOP_SEED = 339, 28086
"""Seeds with which `torch.rand(ROWS)` holds a multiple of 1/16, and the greatest float32 number below 1."""


def limits_of(logits: Tensor) -> Tensor:
    return logits.softmax(0).cumsum(0)


@functools.cache
def short_sums() -> Tensor:
    """Logits (K, V) with a likely last token, whose probabilities add up to less than 1 by rounding."""
    drawn = 2 * torch.randn(80, VOCAB, generator=torch.Generator().manual_seed(2020))
    drawn[:, -1] = 1.0
    return torch.stack([row for row in drawn if limits_of(row)[-1] < 1][:6])


@question(
    "R10",
    points=0.5,
    hint="Greater means greater: a number that equals a cumulative probability belongs to the next token. And rounding "
    "may leave the last cumulative probability below 1, and a number above it; then the last token is meant.",
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
            fail("a number that equals a cumulative probability got the token before; greater (>) means greater")
        if yours[row] != target:
            fail(f"with 16 tokens of probability 1/16, name {row} is {yours[row]!r}, where {target!r} was expected")
    top = int(torch.rand(ROWS, generator=torch.Generator().manual_seed(TOP_SEED)).argmax())
    seen = observe("first_letters", logits=short_sums(), n=ROWS, seed=TOP_SEED)["names"]
    for found in seen if isinstance(seen, list) else []:
        if list_of_names(found, ROWS)[top] != "z":
            fail("where rounding leaves no cumulative probability greater than the number, the last token is meant")
    if not isinstance(seen, list) or len(seen) != len(short_sums()):
        fail("no names were written")
