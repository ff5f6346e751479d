"""Fixtures that several test modules share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from autograder.grading.grader import Grader, open_grader
from tests import corpus, postgresql, tiny

for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if (
        signal.getsignal(number) is signal.SIG_IGN
    ):  # by `nohup` or a background shell; tests send these to their children
        signal.signal(number, handler)

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


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server of the tests' own; skips where PostgreSQL is not installed."""
    with postgresql.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of each supported kind; empty text for the default one."""
    if request.param == "sqlite":
        return ""
    return postgresql.new_database(request.getfixturevalue("server"))
