"""Fixtures of the tests of the release check."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished assignment to break."""
    shutil.copytree(finished, tmp_path / "home", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "home"
