"""Fixtures that several test modules share."""

from collections.abc import Iterator

import pytest

from autograder.grader import Grader, open_grader
from tests import corpus


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    """A grader of the lecture's assignment with a running sandbox, one for each test worker."""
    with open_grader(corpus.assignment()) as opened:
        yield opened
