"""Rules on files: each is broken, and says why."""

import io
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.assignment_file import load_assignment
from autograder.authoring.build import build_notebook
from autograder.authoring.corpus import released_tables
from autograder.authoring.verify import Outcome, files
from autograder.errors import MasterError
from autograder.notebook import parse_notebook
from autograder.release.released import load_released
from autograder.reports import terminal
from autograder.sandbox.confine import Layer
from tests.kit.verify.breaking import (
    ANSWERS,
    EDITION,
    MASTER,
    NOTEBOOK,
    README,
    TOML,
    edit,
    in_cell,
    reasons,
    record,
    write,
)

REBUILT = "the committed release equals a rebuild"
RECORDED = "a version on record is released as it was recorded"
CORPUS = "every file of the corpus belongs to a question and can be read"
FORM = "every question has the standard form, a check and three folded hints"
LEAKS = "students get no solution, hidden test or private path"
LINKS = "all links and images resolve"
TOLD = "students get a README that names every notebook, and the course's licence"
EDITIONS = "each notebook for Colab has the notebook's cells and the files it needs"


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def on_files(home: Path, rule: str) -> tuple[str, ...]:
    """The reasons of one rule on files."""
    rules = tuple(one for one in files.RULES if one.name == rule)
    return reasons(rules, files.Files(load_assignment("tiny", home)))[rule]


def in_file(file: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda home: edit(home, file, old, new)


SECRET = b"if true:\n    halves = [halve(value) for value in values]  # so\n"
STOLEN = b"    return {'returned': student.mean_of_halves(given), 'values': given}\n"
BROKEN_FILES: list[tuple[str, Callable[[Path], None], str]] = [
    (
        "no placeholders are left",
        in_file(MASTER, "# A half is a quotient.", "# FILL IN Q1 hint 1"),
        r"tiny\.py:49: Q1",
    ),
    (
        "no placeholders are left",
        in_file(ANSWERS, "# Ans", "# FILL IN more\n# Ans"),
        r"solutions/tiny/corpus/Q1.txt:1: more",
    ),
    (
        "masters are well formed and agree with assignment.toml on points",
        in_file(MASTER, "TODO Q2 (3 points)", "TODO Q2 (4 points)"),
        r"tiny\.py:\d+: Q2 has 4 points in its banner, and 3 in assignment.toml; make them the same",
    ),
    (
        "masters are well formed and agree with assignment.toml on points",
        in_file(MASTER, "    # END SOLUTION\n", ""),
        r"tiny\.py:\d+: a solution is never closed; add",
    ),
    (
        "masters are well formed and agree with assignment.toml on points",
        write(MASTER, "# %% [markdown]\n# Übung\n".encode("latin-1")),
        r"tiny\.py:2: not text in UTF-8; save it as UTF-8",
    ),
    (REBUILT, lambda home: shutil.rmtree(home / "assignments"), r"no release yet; run"),
    (
        REBUILT,
        write("solutions/tiny/src/x.py", "x = 1\ny = 'ä'\n".encode("latin-1")),
        r"src/x\.py:2: not text in UTF-8",
    ),
    (
        RECORDED,
        record(lambda table: table["files"].update({"requirements.txt": "0"})),
        r"assignment\.toml:2: requirements\.txt is not that of version 1 on record; give a new",
    ),
    (
        RECORDED,
        record(lambda table: table["notebooks"]["tiny"][0].update(source="# Thirds")),
        r"assignment\.toml:2: tiny\.ipynb is not that of version 1 on record",
    ),
    (
        RECORDED,
        record(lambda table: table["questions"]["Q1"].update(points=7)),
        r"assignment\.toml:2: the table of questions is not that of version 1 on record",
    ),
    (CORPUS, write("solutions/tiny/corpus/Q9.txt", b""), r"Q9\.txt:1: a corpus file of no question"),
    (FORM, write(NOTEBOOK, b"{}"), r"tiny\.ipynb: not a notebook \(KeyError: 'cells'\); run `autograder release`"),
    (FORM, in_cell("Q1-prompt", "<details>", "<p>"), r"Q1: it has 0 folded hints instead of 3"),
    (FORM, in_cell("Q1-check", '"Q1"', '"Q2"'), r'Q1: there is no cell `grader\.check\("Q1"\)`'),
    (
        FORM,
        in_cell("Q1-answer", "    # *****START OF", "    # START OF"),
        r"Q1: its answer cell must contain one START line",
    ),
    (
        FORM,
        in_cell("Q1-answer", "TODO Q1 (2 points)", "TODO Q1 (2 marks) "),
        r"Q1: its banner does not start with `TODO Q1",
    ),
    (FORM, in_cell("Q1-answer", "#\n    ####", "# \n    ####"), r"Q1: its banner is not a box of 76 characters"),
    (FORM, in_cell("Q1-answer", 'Error("Q1")', 'Error("1")'), r"Q1: there is no `raise"),
    (FORM, in_cell("Q1-answer", "halve", "half"), r"Q1: its answer cell as released does not define halve"),
    (FORM, in_file(NOTEBOOK, '"id": "Q1-check"', '"id": "Q2-check"'), r"cell Q2-check: the cell id is not unique"),
    (FORM, in_file(NOTEBOOK, '"role": "demo"', '"role": "show"'), r"unknown role"),
    (
        LEAKS,
        in_cell("Q1-prompt", "# ", f"#{SECRET.decode()}\n"),
        r"^assignments/tiny/tiny\.ipynb:\d+: cell Q1-prompt contains a line of the solution of Q2: halves = ",
    ),
    (LEAKS, write("assignments/tiny/src/x.py", STOLEN), r"src/x\.py:1: contains line 1\d of probes\.py: ret"),
    (
        LEAKS,
        write("assignments/tiny/src/x.py", b"from a.hidden_tests import b"),
        r"src/x\.py:1: contains 'hidden_tests'",
    ),
    (LEAKS, write("assignments/tiny/test_questions.py", b""), r"test_questions\.py:1: contains 'test_q"),
    (
        LEAKS,
        in_cell("Q1-prompt", "##", "## Which of the two divisions rounds?"),
        r"cell Q1-prompt contains the hint in line \d+ of test_questions\.py: Which of the two divisions",
    ),
    (
        LEAKS,
        write("dist/tiny-1-student.zip", zipped({"a/x.py": SECRET})),
        r"dist/tiny-1-student\.zip/a/x\.py:2: contains a line",
    ),
    (
        LEAKS,
        write("dist/tiny-1-student.zip", zipped({"b.zip": zipped({"x.txt": SECRET})})),
        r"student\.zip/b\.zip/x\.txt:2: contains a line of the solution of Q2",
    ),
    (
        LEAKS,
        write("assignments/tiny/src/x.py", b"# such as\n# [4, 1, 7]"),
        r"src/x\.py:2: contains data of line \d+ of test_questions\.py; take other numbers in public: 4\.0, 1\.0, 7\.0",
    ),
    (
        LEAKS,
        in_cell("Q1-demo", "try:", "def halve(x):\n    return x\ntry:"),
        r"^assignments/tiny/tiny\.ipynb:\d+: cell Q1-demo defines halve again, after the answer to Q1: def halve\(x\):",
    ),
    (
        LINKS,
        in_cell("Q1-prompt", "## ", "![a picture](img/none.png)\n## "),
        r"cell Q1-prompt: the link to 'img/none\.png'",
    ),
    (
        LINKS,
        in_file(README, "# Halves", "# [Halves](none.py)"),
        r"README\.md: the link to 'none\.py' points to no file",
    ),
    (TOLD, lambda home: (home / README).unlink(), r"README\.md is missing; run"),
    (TOLD, write(README, b"Run tiny.ipynb."), r"README\.md does not mention requirements\.txt; run"),
    (TOLD, write(README, b"See requirements.txt."), r"README\.md does not mention tiny\.ipynb; run"),
    (TOLD, in_file(README, "Halves", "Halves with PyTorch"), r"README\.md mentions torch, which this assignment does"),
    (TOLD, write("LICENSE", b"All yours."), r"LICENSE is not the licence in the course's folder; run"),
    (EDITIONS, lambda home: (home / EDITION).unlink(), r"colab/tiny\.ipynb is missing; run"),
    (EDITIONS, write(EDITION, b"{}"), r"colab/tiny\.ipynb cannot be read \('cells'\); run"),
    (
        EDITIONS,
        in_file(EDITION, "packed = ", "p = "),
        r"colab/tiny\.ipynb cannot be read \(no cell contains packed files\)",
    ),
    (EDITIONS, write("assignments/tiny/tests/Q1.py", b"x = 1"), r"tiny\.ipynb brings along another tests/Q1\.py than"),
    (
        EDITIONS,
        write("assignments/tiny/src/x.py", b"x = 1"),
        r"tiny\.ipynb brings along another src/x\.py than the rel",
    ),
    (
        EDITIONS,
        in_file(EDITION, "## Q1. Halve", "## Q1. Double"),
        r"colab/tiny\.ipynb has other cells than tiny\.ipynb",
    ),
]


@pytest.mark.parametrize(
    ("rule", "damage", "reason"), BROKEN_FILES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_broken_rule_on_files(home: Path, rule: str, damage: Callable[[Path], None], reason: str) -> None:
    damage(home)
    found = on_files(home, rule)
    assert any(re.search(reason, one) for one in found), found


def test_a_release_that_a_rebuild_does_not_give(home: Path) -> None:
    edit(home, MASTER, "Divide with", "Now divide with")
    (home / "assignments/tiny/requirements.txt").unlink()
    (home / "assignments/tiny/more.py").write_text("x = 1")
    fix = "run `autograder release` and commit the result"
    assert on_files(home, REBUILT) == (
        f"MANIFEST.json differs from a rebuild; {fix}",
        f"colab/tiny.ipynb differs from a rebuild; {fix}",
        f"more.py is not built from any master; {fix}",
        f"requirements.txt is missing; {fix}",
        f"tiny.ipynb differs from a rebuild; {fix}",
        f"solutions/tiny/reference.json differs from a rebuild; {fix}",
    )


def test_a_release_that_is_as_recorded(home: Path) -> None:
    record(lambda table: None)(home)
    assert on_files(home, RECORDED) == ()


@pytest.mark.parametrize("data", [b"", b"{}", b"%PDF-1.7", b'{"cells": [}'])
def test_an_author_is_not_told_to_hand_in_the_notebook(home: Path, data: bytes) -> None:
    (home / NOTEBOOK).write_bytes(data)
    assignment = load_assignment("tiny", home)
    for read in (load_released, released_tables):
        with pytest.raises(MasterError, match=r"tiny\.ipynb: no usable release \(.+\); run") as caught:
            read(assignment)
        assert "hand in" not in str(caught.value)


def test_comments_that_look_like_magics_stay_comments(home: Path) -> None:
    edit(home, MASTER, "from collections.abc", "# ls\n# copy the list\n# %time is a magic\nfrom collections.abc")
    built = build_notebook(load_assignment("tiny", home), "tiny")
    (cell,) = [cell for cell in parse_notebook(built.student) if "collections.abc" in cell.source]
    assert cell.source.startswith("# ls\n# copy the list\n# %time is a magic\n")


def test_a_heading_that_looks_like_a_question(home: Path) -> None:
    edit(home, MASTER, "# A demonstration shows", "# ## K2 and other mountains\n#\n# A demonstration shows")
    built = build_notebook(load_assignment("tiny", home), "tiny")
    (cell,) = [cell for cell in parse_notebook(built.student) if "other mountains" in cell.source]
    assert (cell.question, cell.role, cell.id) == ("", "text", "k2-and-other-mountains-text")


def test_places_and_commands_are_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    place = "solutions/an_assignment_with_a_long_name/hidden_tests/test_of_the_first_questions.py:1234"
    reason = f"{place}: the hidden tests of Q1 add up to 4 points, not 3; correct the points here"
    missing = Layer(name="namespaces", required=False, reason="not allowed", means="hides other processes", get=place)
    first = Outcome(rule="r", reasons=(reason, "b"), notes=("Q1 3 of 4",))
    terminal.show_rules("long", [first, Outcome(rule="s", reasons=("b",))])
    terminal.show_layers([missing])
    lines = capsys.readouterr().out.splitlines()
    assert f"  {reason}" in lines
    assert f"to enable namespaces: {place}" in lines
    assert "r: Q1 3 of 4" in lines
    assert lines.count("  b") == 1
    assert "release check; 0 of 2 checks passed, 2 failed" in lines


def test_what_is_allowed_is_no_leak(home: Path) -> None:
    (home / "assignments/tiny/x.py").write_bytes(SECRET)
    assert on_files(home, LEAKS)
    edit(home, TOML, "'class '", "'class ', 'halves = '")
    assert on_files(home, LEAKS) == ()
