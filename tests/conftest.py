"""Fixtures that several test modules share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from autograder.grading.grader import Grader, open_grader
from tests import corpus, tiny

settings.register_profile("kit", deadline=None)  # no test depends on the clock
settings.load_profile("kit")


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    """A grader of the lecture's assignment with a running sandbox, one for each test worker."""
    with open_grader(corpus.assignment()) as opened:
        yield opened


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the smallest assignment, filled in and released; copy it before a change."""
    home = tmp_path_factory.mktemp("finished")
    tiny.write_finished(home)
    return home
