"""What the tests of the names files share."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests import HOME

DATA = HOME / "data"

# The same cases on every run, and no verdict by the clock.
LAW = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
NAME_LISTS = st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20), min_size=1)


def no_download(url: str) -> bytes:
    raise AssertionError(f"nothing may be downloaded here, but {url} was")


def assert_one_line(capsys: pytest.CaptureFixture[str], *parts: str) -> None:
    """Nothing on stdout, and one line with all the parts on stderr."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
