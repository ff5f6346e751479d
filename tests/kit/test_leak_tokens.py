"""Expressions of a solution in a text: found however they are written, and not where they are others."""

from pathlib import Path

import pytest

from autograder.authoring.verify import tests_data
from autograder.authoring.verify.tokens import Told, expressions, sought

ANSWER = """
    mean = x.mean(dim=0)
    x_hat = (x - mean) / torch.sqrt(var + eps)
    if x_hat.isnan().any():
        raise ValueError("a constant feature has no variance")
    return {"value": gamma * x_hat + beta, "mean": mean, "var": var}
"""


def found(text: str) -> list[str]:
    every = [sought("", code, own) for code, _, own in expressions(ANSWER)]
    return [one.text for one in every if one.place(Told(text).text) is not None]


ROOT = "(x - mean) / torch.sqrt(var + eps)"
TABLE = "{'value': gamma * x_hat + beta, 'mean': mean, 'var': var}"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x_hat = (x - mean) / torch.sqrt(var + eps)", ROOT),
        ("return (x-mean)/torch.sqrt(var+eps)", ROOT),
        ("# y = (x - mu) / torch.sqrt(var + eps)  # so", ROOT),
        ("# y = (x - m) / \\\n#     torch.sqrt(\n#     var + eps)", ROOT),
        ('"""Hint: (x - m) / torch.sqrt(var + eps) does it."""', ROOT),
        ('r = {"value": gamma * z + beta,\n     "mean": m, "var": var}', TABLE),
    ],
)
def test_other_ways_to_write_it(text: str, code: str) -> None:
    assert found(text) == [code]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x.mean(dim=0)",  # too short to give anything away
        "(x + mean) / torch.sqrt(var + eps)",
        "(x - mean) / torch.sqrt(var + epsilon)",
        "(x - mean.item()) / torch.sqrt(var + eps)",
    ],
)
def test_other_code(text: str) -> None:
    assert found(text) == []


HIDDEN = '''
from autograder.testing import question

LIMIT = 0.69314


@question("Q1", points=1, hint="Over which dimension do your rows add up to one?")
@pytest.mark.parametrize("n", [2, 7, 32])
def test_rows(observe, n):
    """Each row."""
    x = normal(n, 4, seed=1)
    seen = observe("softmax", x=x, weights=[0.5, 1.0, -2.0], sizes=(1, 2, 3))
    y = uniform(3, 5, 0.25, seed=1)
    assert_close(seen["returned"], x.softmax(-1), "result", mistakes={"softmax over the columns": x.softmax(0)})
    if seen["calls"] > 1:
        fail("your function is called once for each row, and not once for the whole batch")
'''


def hidden(folder: Path, text: str) -> list[str]:
    """What of the hidden tests a text gives away."""
    (folder / "test_x.py").write_text(HIDDEN, encoding="utf-8")
    told = Told(text)
    return [one.source for one in tests_data.secrets(folder / "test_x.py") if one.place(told.text) is not None]


DATA = "data of line {} of test_x.py; take other numbers in public"


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("for n in (2, 7, 32):", [DATA.format(8)]),
        ("# with weights [.5, 1, -2]", []),
        ("# with weights [0.5, 1, -2]", [DATA.format(12)]),
        ("torch.tensor((0.5,\n 1.0, -2.0,))", [DATA.format(12)]),
        ("z = uniform(3, 5, 0.25, seed = 1)", [DATA.format(13)]),
        ("y = uniform(3, 5, 0.25, seed=2)", []),
        ("[2, 7, 32, 64]", []),  # other data
        ("range((1, 2, 3))", []),  # a plain series
        ("normal(5, 4, seed=1)", []),  # a shape and a seed are in every check
        ("is below 0.69314 after that", ["a value in line 4 of test_x.py; take other numbers in public"]),
        ("is below 0.693 after that", []),
        (
            "assert_close(s['returned'],\n x.softmax(-1), 'result', mistakes={'softmax over the columns': x.softmax(0)}"
            ")",
            ["line 14 of test_x.py, in other words"],
        ),
        ("assert_close(seen['returned'], x.softmax(-1), 'result')", []),  # an idiom
        (
            "over which dimension do rows add up? Over which  dimension do your rows\nadd up to one?",
            ["the hint in line 7 of test_x.py", "a text in line 7 of test_x.py"],
        ),
        (
            "Called once; your function is called once for each row, and not once for the whole batch.",
            ["a text in line 16 of test_x.py"],
        ),
        ("softmax over the columns", []),  # too short a text
    ],
)
def test_what_a_text_gives_away_of_hidden_tests(tmp_path: Path, text: str, sources: list[str]) -> None:
    assert sorted(set(hidden(tmp_path, text))) == sorted(sources)


def test_the_line_of_a_token() -> None:
    told = Told("a b\n\n# c\nd")
    assert [told.line(told.text.index(token)) for token in "abcd"] == [0, 0, 2, 3]
