"""Questions and names at the terminal."""

import argparse
import builtins
import getpass

import pytest

from autograder.commands.options import agreed, decider


@pytest.mark.parametrize(
    ("answer", "expected"), [("y", True), (" Yes ", True), ("", False), ("n", False), (None, False)]
)
def test_only_a_yes_is_a_yes(answer: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(prompt: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr(builtins, "input", asked)
    assert agreed("apply them?") == expected


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 12345"), OSError("No username set")])
def test_a_user_without_a_login_name_decides_too(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    assert decider(argparse.Namespace(by="")) == "user 12345"
    assert decider(argparse.Namespace(by="tess")) == "tess"
