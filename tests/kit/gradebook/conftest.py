"""Fixtures of the tests of the gradebook."""

from pathlib import Path
from typing import Any

import pytest

from autograder.gradebook.store import open_gradebook


@pytest.fixture
def book(tmp_path: Path, database: str) -> Any:
    with open_gradebook(tmp_path, database) as gradebook:
        yield gradebook
