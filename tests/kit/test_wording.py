"""Wording that more than one stage needs."""

import pytest

from autograder.wording import number_of


@pytest.mark.parametrize(
    ("count", "noun", "expected"),
    [
        (0, "student", "0 students"),
        (1, "student", "1 student"),
        (1.0, "bonus point", "1 bonus point"),
        (2.5, "point", "2.5 points"),
        (12345, "more kind", "12345 more kinds"),
    ],
)
def test_a_count_agrees_with_its_noun(count: float, noun: str, expected: str) -> None:
    assert number_of(count, noun) == expected
