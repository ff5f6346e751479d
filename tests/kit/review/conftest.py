"""A class in a gradebook, and a TA who reviews it."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autograder.gradebook.store import FILE

if TYPE_CHECKING:  # it needs the extra `review`, and skips the tests that import it without
    from tests.kit.review.session import Session


@pytest.fixture(scope="session")
def saved_class(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.kit.review.session import CLASS, save

    home = tmp_path_factory.mktemp("class")
    save(home, *CLASS)
    return home / FILE


@pytest.fixture
def folder(tmp_path: Path, saved_class: Path) -> Path:
    shutil.copy(saved_class, tmp_path)
    return tmp_path


@pytest.fixture
def tess(folder: Path) -> "Session":
    from tests.kit.review.session import Session

    return Session(folder)
