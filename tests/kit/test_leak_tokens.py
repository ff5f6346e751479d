"""Expressions of a solution in a text: found however they are written, and not where they are others."""

import pytest

from autograder.authoring.verify.tokens import normal, occurs, patterns

ANSWER = """
    mean = x.mean(dim=0)
    x_hat = (x - mean) / torch.sqrt(var + eps)
    if x_hat.isnan().any():
        raise ValueError("a constant feature has no variance")
    return {"value": gamma * x_hat + beta, "mean": mean, "var": var}
"""


def found(text: str) -> list[str]:
    return [code for code, part, pattern in patterns(ANSWER) if occurs(normal(text), part, pattern)]


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
