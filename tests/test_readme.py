"""What the README says exists: targets, verbs, options, files."""

import re
from pathlib import Path

import pytest

from autograder.cli import main

HOME = Path(__file__).resolve().parent.parent
README = (HOME / "README.md").read_text(encoding="utf-8")
MAKEFILE = (HOME / "Makefile").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", README)


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    named = set(
        re.findall(r"\bmake ([a-z]+)\b", " ".join(CODE) + " ".join(re.findall(r"^\$ .*$", README, re.MULTILINE)))
    )
    assert {"grade", "test"} <= named <= targets


def test_every_target_is_in_the_help() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert all(re.search(rf"^{target}:.*## ", MAKEFILE, re.MULTILINE) for target in phony[1].split())


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"autograder ([a-z]+)\b", " ".join(CODE)))))
def test_every_verb_exists(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    help_text = capsys.readouterr().out
    for line in CODE:
        if f"autograder {verb}" in line:
            assert all(option in help_text for option in re.findall(r"--[a-z]+", line)), line


def test_every_file_exists() -> None:
    top = ("solutions/", "assignments/", "autograder/", "data/", "docs/", "tests/")
    named = [text for text in CODE if text.startswith(top) and not re.search(r"[<*… ]", text)]
    generated = {"data/classic_names.txt"}
    assert named
    assert [text for text in named if text not in generated and not (HOME / text).exists()] == []
