"""README and docs: every command parses, every link and file exists."""

import contextlib
import functools
import io
import re
import shlex
from pathlib import Path
from urllib.parse import unquote

import pytest

from autograder import cli
from autograder.authoring.verify import RULES
from tests import HOME

PAGES = sorted([*HOME.glob("*.md"), *(HOME / "docs").glob("*.md")])
TEXT = {str(path.relative_to(HOME)): path.read_text(encoding="utf-8") for path in PAGES}
MAKEFILE = (HOME / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
WRITTEN_SEPARATELY = {"docs/ta.md", "docs/results.md"}
GENERATED = {"data/classic_names.txt"}


def code(text: str) -> list[str]:
    """The lines of code on a page: those of blocks, and inline code in the text around them."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^    (\S.*)$", rest, re.MULTILINE)
    inline = [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", rest)]
    return [line for block in blocks for line in block.splitlines()] + indented + inline


def commands(text: str, program: str) -> set[str]:
    """The calls of a program on a page, without prompts and comments."""
    found = set()
    for line in code(text):
        line = re.sub(r"\s+(#|-->).*$", "", line.removeprefix("$ ").strip())
        if match := re.match(rf"(?:[A-Z]+=\S+ )*(?:\.venv/bin/)?({program} .*)$", line):
            found.add(match[1])
    return found


AUTOGRADER = sorted({(page, line) for page, text in TEXT.items() for line in commands(text, "autograder")})
MAKE = sorted({(page, line) for page, text in TEXT.items() for line in commands(text, "make")})
TYPED = sorted(
    {
        (page, line)
        for page, text in TEXT.items()
        for line in commands("\n".join(["```", *re.findall(r"^\$ .*$", text, re.MULTILINE), "```"]), "autograder")
    }
)


def arguments(line: str) -> list[str]:
    """The arguments of a command: without optional parts, dots and angle brackets."""
    plain = re.sub(r"\[[^\]]*\]|…|\.\.\.", " ", re.split(r"\s{2,}", line)[0])
    return shlex.split(plain.replace("<", "").replace(">", ""))[1:]


def help_of(*words: str) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output), pytest.raises(SystemExit, match="0"):
        cli.main([*words, "--help"])
    return output.getvalue()


@functools.cache
def verbs() -> frozenset[str]:
    return frozenset(re.findall(r"^    (\w+)(?: |$)", help_of(), re.MULTILINE))


def test_there_are_commands_to_check() -> None:
    assert {page for page, _ in AUTOGRADER} >= {"README.md", "docs/operations.md", "docs/authoring.md"}
    assert {"make grade", "make test", "make verify"} <= {line for page, line in MAKE if page == "README.md"}
    assert len(TYPED) > 5


@pytest.mark.parametrize(("page", "line"), AUTOGRADER)
def test_every_verb_and_option_exists(page: str, line: str) -> None:
    words = arguments(line)
    options = {word.split("=")[0] for word in words if word.startswith("--")}
    if not words or words[0].startswith("-"):
        assert options <= {"--version", "--help"}
    elif not words[0].isupper():  # as in `autograder VERB`
        assert words[0] in verbs()
        text = help_of(words[0])
        assert [option for option in sorted(options) if not re.search(rf"{option}\b", text)] == []


@pytest.mark.parametrize(("page", "line"), TYPED)
def test_every_command_after_a_prompt_parses(page: str, line: str) -> None:
    assert cli.parser().parse_args(arguments(line)).run


@pytest.mark.parametrize(("page", "line"), MAKE)
def test_every_make_command_exists(page: str, line: str) -> None:
    words = shlex.split(line.replace("…", ""))[1:]
    targets = [word for word in words if "=" not in word]
    variables = {word.split("=")[0] for word in words if "=" in word}
    assert len(targets) == 1, f"{page}: {line}"
    assert set(targets) <= TARGETS
    assert variables <= set(re.findall(r"^([A-Z]+) \??=", MAKEFILE, re.MULTILINE)), f"{page}: {line}"


def test_every_target_is_in_the_help() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert all(re.search(rf"^{target}:.*## ", MAKEFILE, re.MULTILINE) for target in phony[1].split())


@pytest.mark.parametrize("page", TEXT)
def test_every_file_exists(page: str) -> None:
    top = ("solutions/", "assignments/", "autograder/", "benchmarks/", "data/", "docs/", "tests/")
    named = [text for text in code(TEXT[page]) if text.startswith(top) and not re.search(r"[<*… ]", text)]
    examples = {text for text in named if re.search(r"lecture07|\bhw\d?\b", text)}
    assert [one for one in named if one not in GENERATED | examples and not (HOME / one).exists()] == []


@pytest.mark.parametrize("page", TEXT)
def test_every_link_leads_somewhere(page: str) -> None:
    folder = (HOME / page).parent
    targets = [unquote(found.split("#")[0]) for found in re.findall(r"\]\(([^)\s]+)\)", TEXT[page])]
    local = [folder / target for target in targets if target and not re.match(r"https?:", target)]
    missing = {str(path.resolve().relative_to(HOME.resolve())) for path in local if not path.exists()}
    assert missing <= WRITTEN_SEPARATELY


def test_every_page_is_in_the_index() -> None:
    index = TEXT["docs/README.md"]
    pages = {Path(page).name for page in TEXT if page.startswith("docs/")} - {"README.md"}
    assert [page for page in sorted(pages) if f"]({page})" not in index] == []


def test_the_readme_is_short_and_true() -> None:
    readme = TEXT["README.md"]
    assert len(readme.splitlines()) <= 130
    assert f"{len(RULES)} checks" in readme
