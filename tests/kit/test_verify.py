"""The gate: the smallest assignment passes it, and every rule is broken once and says why."""

import io
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from autograder import cli
from autograder.assignment import Limits
from autograder.assignment_file import load_assignment
from autograder.authoring.archives import version_on_disk
from autograder.authoring.build import build_notebook, reference_text, write_release
from autograder.authoring.corpus import released_tables
from autograder.authoring.verify import RULES, Outcome, answers, chance, files, grading, notebooks, verify
from autograder.authoring.verify.links import broken_links, unreachable
from autograder.authoring.verify.places import with_places
from autograder.authoring.verify.rule import judge
from autograder.errors import MasterError
from autograder.notebook import parse_notebook
from autograder.release import versions
from autograder.release.reference import reference_file
from autograder.release.released import load_released
from autograder.reports import terminal
from autograder.sandbox.confine import Layer
from tests import tiny

MASTER = "solutions/tiny/tiny.py"
TOML = "solutions/tiny/assignment.toml"
TESTS = "solutions/tiny/hidden_tests/test_questions.py"
NOTEBOOK = "assignments/tiny/tiny.ipynb"
ANSWERS = "solutions/tiny/corpus/Q1.txt"
MUTANTS = "solutions/tiny/equivalent_mutants.toml"
REBUILT = "the committed release equals a rebuild"
RECORDED = "a version on record is released as it was recorded"
CORPUS = "every file of the corpus belongs to a question and can be read"
FORM = "every question has the standard form, a check and three folded hints"
LEAKS = "students get no solution, hidden test or private path"
LINKS = "all links and images resolve"
TOLD = "students get a README that names every notebook, and the course's licence"
EDITIONS = "each notebook for Colab has the notebook's cells and the files it needs"
EDITION = "assignments/tiny/colab/tiny.ipynb"
README = "assignments/tiny/README.md"


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished assignment to break."""
    shutil.copytree(finished, tmp_path / "home", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "home"


def edit(home: Path, file: str, old: str, new: str) -> None:
    path = home / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def write_reference(home: Path) -> None:
    """Write the reference answers down again after a change of the master that is not released."""
    assignment = load_assignment("tiny", home)
    reference_file(assignment).write_text(reference_text(assignment), encoding="utf-8")


def edit_cell(home: Path, cell_id: str, change: Callable[[str], str]) -> None:
    """Change the source of a released cell."""
    path = home / NOTEBOOK
    table = json.loads(path.read_text(encoding="utf-8"))
    (cell,) = [cell for cell in table["cells"] if cell["id"] == cell_id]
    cell["source"] = change("".join(cell["source"])).splitlines(keepends=True)
    path.write_text(json.dumps(table, indent=1), encoding="utf-8")


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def reasons(rules: tuple[Any, ...], evidence: Any) -> dict[str, tuple[str, ...]]:
    return {one.rule: one.reasons for one in judge(rules, evidence, lambda outcome: None)}


def on_files(home: Path, rule: str) -> tuple[str, ...]:
    """The reasons of one rule on files."""
    rules = tuple(one for one in files.RULES if one.name == rule)
    return reasons(rules, files.Files(load_assignment("tiny", home)))[rule]


def write(file: str, data: bytes) -> Callable[[Path], None]:
    def change(home: Path) -> None:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_bytes(data)

    return change


def in_cell(cell_id: str, old: str, new: str) -> Callable[[Path], None]:
    def change(home: Path) -> None:
        def replaced(source: str) -> str:
            assert old in source
            return source.replace(old, new)

        edit_cell(home, cell_id, replaced)

    return change


def in_file(file: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda home: edit(home, file, old, new)


def record(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Keep the record of the released version, with a change in it."""

    def damage(home: Path) -> None:
        assignment = load_assignment("tiny", home)
        path = versions.keep(assignment, version_on_disk(assignment))
        table = json.loads(path.read_text(encoding="utf-8"))
        change(table)
        path.write_text(json.dumps(table), encoding="utf-8")

    return damage


SECRET = b"if true:\n    halves = [halve(value) for value in values]  # so\n"
PROBE = b"x = 1\ndef mean_of_halves(student: Any, values: list[float]) -> dict[str, Any]:\n"
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


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[a](src/utils.py) [b](src) ![c](data/pic%20one.png 'title') <https://pytorch.org/docs>", ""),
        ("[a](#The-second-part) [b](other.ipynb#Top) <a id='here'></a> [c](#here)", ""),
        ("[a](https://arxiv.org/abs/1502.03167) <img src='data/pic one.png'> [m](mailto:ta@example.org)", ""),
        ("`[a](none.py)` $f[x](y)$ and\n```\n[b](none.py)\n```", ""),
        ("[a](none.py)", "'none.py' points to no file of the release"),
        ("<img src='none.png'>", "'none.png' points to no file of the release"),
        ("[a](../solutions/x.py)", "'../solutions/x.py' points to no file of the release"),
        ("[a](#no-such-part)", "'#no-such-part' points to no heading of one.ipynb"),
        ("[a](other.ipynb#Bottom)", "'other.ipynb#Bottom' points to no heading of other.ipynb"),
        ("[a](https://)", "'https://' has no valid host"),
        ("[a](https:///docs)", "'https:///docs' has no valid host"),
        ("[a](https://docs.invalid/x)", "'https://docs.invalid/x' has a host that cannot exist (.invalid)"),
        ("[a](https://course.local)", "'https://course.local' has a host that cannot exist (.local)"),
        ("[a](http://localhost:8888/tree)", "'http://localhost:8888/tree' has no valid host"),
        ("[a](https://-docs.org)", "'https://-docs.org' has no valid host"),
        ("[a](/root/x.py)", "'/root/x.py' is neither a web address nor a path in the release"),
        ("[a](file:///x.py)", "'file:///x.py' is neither a web address nor a path in the release"),
        ("[a]()", "'' is empty"),
        ("![a](attachment:x.png)", "'attachment:x.png' names a missing attachment"),
    ],
)
def test_links(text: str, wrong: str) -> None:
    one = [{"cell_type": "markdown", "id": "c1", "source": ["# The first part\n", "## The second part\n", text]}]
    other = [{"cell_type": "markdown", "id": "c2", "source": "# Top"}]
    present = ("src/utils.py", "data/pic one.png", "one.ipynb", "other.ipynb")
    found = broken_links({"one.ipynb": one, "other.ipynb": other}, [PurePosixPath(path) for path in present])
    assert found == ([f"one.ipynb, cell c1: the link to {wrong}"] if wrong else [])


@pytest.fixture
def site() -> Iterator[str]:
    """A web server that has one page, has lost another, and is too busy for a third."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/here": 200, "/busy": 503}.get(self.path, 404))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_web_addresses_are_asked_on_request(site: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        text = f"[a]({site}/here#part) [b]({site}/gone) <{site}/busy> [c]({nobody}) [d](src)"
        broken, unclear = unreachable({"one.ipynb": [{"cell_type": "markdown", "id": "c1", "source": text}]})
    assert broken == [f"one.ipynb, cell c1: the link to '{site}/gone' answers 404 Not Found"]
    assert [one.partition("the link to ")[2].split(" (")[0] for one in unclear] == [
        f"'{site}/busy' answers 503 Service Unavailable",
        f"'{nobody}' cannot be asked",
    ]


def test_broken_rules_of_grading(home: Path) -> None:
    """One home with a mistake for each rule, because a sandbox takes seconds to start."""
    edit(home, MASTER, "x / 2", "x / 3")  # the reference; Q2 builds on it
    edit(home, TESTS, "values = [4.0, 1.0, 7.0]", "return")  # a hidden test that looks at nothing
    edit(home, TESTS, 'hint="Which of the two divisions rounds?"', 'hint=" "')
    edit(home, ANSWERS, "=== wrong: rounded down\nexpect: the half rounded down\nreturn x // 2", "")
    write_reference(home)
    assignment = load_assignment("tiny", home)
    slow = replace(assignment, limits=Limits(wall_s=20, cpu_s=1e-4, memory_mib=512))
    with grading.Grading(slow) as graded:
        found = reasons(grading.RULES, graded)
    complete, reference, release, time, teeth, _, _, corpus = (found[rule.name] for rule in grading.RULES)
    assert complete == ("Q1: the hidden test half_of_an_odd_number has no hint",)
    assert reference[0].startswith(
        "Q1: the reference gets 0 of 2 points (half_of_an_even_number: your result is 2 where 3"
    )
    assert release == ("Q2: the hidden test the_values_are_left_as_they_are passes on the released stub",)
    assert set(teeth) == {
        f"Q2: the hidden test the_values_are_left_as_they_are passes on a function that returns {what}"
        for what in ("nothing", "its input")
    }
    assert re.fullmatch(
        r"Q1: the reference took 0\.\d s of CPU, more than 1/2 of limits\.cpu_s = 0\.0001; raise the limit", time[0]
    )
    assert (
        "Q2: no wrong answer in solutions/tiny/corpus/Q2.txt fails the hidden test the_values_are_left_as_they_are"
        in corpus
    )


PICTURE = """

def outside(observe: Observe) -> Picture:
    band = np.array([9.0]), np.array([10.0])
    return bars("Half", x="x", y="y", yours=[observe("halve", x=7.0)["returned"]], band=band)


@picture(outside)
@question("Q1", points=0, hint="?")
def test_drawn(observe: Observe) -> None:
    observe("halve", x=7.0)
"""
BUSY = """try:
    import time

    if halve(2.0) == 1:
        until = time.process_time() + 3
        while time.process_time() < until:
            pass
except NotImplementedError:
    pass
# CLAIM: halve(4.0) == 3
"""


def plant(home: Path) -> list[tuple[str, str, str]]:
    """Make mistakes that one check can tell at once; each as its file, what stands in its line, and what is said."""
    edit(home, MASTER, "# A half is a quotient.", "# FILL IN Q1 hint 1")
    edit(home, MASTER, 'assert env["halve"](6) == 3', "assert env")
    edit(home, MASTER, "([2, 4]) == 1.5", "([2, 4]) == 2.5")
    edit(home, MASTER, "try:\n    print([", f"{BUSY}\nhalve(1.0)\ntry:\n    print([")
    edit(home, MASTER, "# A demonstration", "# ![a picture](img/none.png)\n#\n# A demonstration")
    edit(home, TOML, '"Halves"', '"Halves with torch"')
    edit(home, TOML, 'depends = ["Q1"]', "depends = []")
    edit(home, TOML, "cpu_s = 5", "cpu_s = 0.001")
    edit(home, TOML, "notebook_cpu_s = 60", "notebook_cpu_s = 2.5")
    edit(home, TESTS, "import pytest\n", "import random\nimport time\n\nimport numpy as np\nimport pytest\n")
    edit(home, TESTS, "import Observe,", "import Observe, Picture, bars, picture,")
    edit(home, TESTS, 'hint="Which of the two divisions rounds?"', 'hint=" "')
    edit(home, TESTS, "values = [4.0, 1.0, 7.0]", "return")
    edit(home, TESTS, '    seen = observe("halve", x=7.0)', '    seen = observe("halve", x=7.0 + 0 * random.random())')
    edit(home, TESTS, '    seen = observe("halve", x=x)', '    seen = observe("halve", x=x + 0 * time.time())')
    with (home / TESTS).open("a", encoding="utf-8") as file:
        file.write(PICTURE)
    edit(home, ANSWERS, "return 0.5 * x", "return 0.25 * x")
    edit(home, ANSWERS, "expect: the double of x", "expect: three times x")
    edit(
        home,
        ANSWERS,
        "=== wrong: rounded down",
        "=== wrong: as it should be\nexpect: x\nreturn x / 2\n\n=== wrong: rounded down",
    )
    edit(home, MUTANTS, "]; halves = [halve(value) for value in values]", "]; more")
    write_release(load_assignment("tiny", home))
    edit(home, EDITION, "## Q1. Halve", "## Q1. Double")
    in_cell("Q2-prompt", "<details>", "<p>")(home)
    in_cell("Q1-prompt", "## ", "[1, 2, 6]\n## ")(home)
    return [
        (MASTER, "# FILL IN", "Q1 hint 1"),
        (EDITION, "", "colab/tiny.ipynb differs from a rebuild"),
        (MASTER, "# name: Q2", "Q2: it has 0 folded hints"),
        (NOTEBOOK, "[1, 2, 6]", "cell Q1-prompt contains data of line"),
        (MASTER, "# ![a picture]", "the link to 'img/none.png' points to no file"),
        (README, "", "README.md mentions torch"),
        (EDITION, "", "colab/tiny.ipynb has other cells"),
        (TESTS, "def test_half_of_an_odd_number", "Q1: the hidden test half_of_an_odd_number has no hint"),
        (
            TESTS,
            "def test_the_values_are",
            "Q2: the hidden test the_values_are_left_as_they_are passes on the released stub",
        ),
        (MASTER, "# name: Q1", "Q1: the reference took"),
        (TESTS, "def test_the_values_are", "passes on a function that returns nothing"),
        (TESTS, "random.random()", "`random.random()` draws without a seed"),
        (TESTS, "time.time()", "`time.time()` reads the clock"),
        (TOML, "[questions.Q2]", "Q2 gets 1 of 3 points with answers only to its `depends`"),
        (TESTS, "def test_the_values_are", "no wrong answer in solutions/tiny/corpus/Q2.txt fails the hidden test"),
        (TESTS, "def test_drawn", "Q1: the picture of drawn shows the reference outside of its band"),
        (ANSWERS, "=== right: multiplication", "a right answer gets 0 of 2 points"),
        (ANSWERS, "=== wrong: the double", "no message matches 'three times x'"),
        (ANSWERS, "=== wrong: as it should be", "a wrong answer gets full marks"),
        (MUTANTS, "[[mutant]]", "Q2 has no such mutant"),
        (MASTER, "    halves = [", "no hidden test of Q2 notices `halves = [halve(value) for value in values]`"),
        (MASTER, "try:\n    import time", "cell Q1-demo raised NotImplementedError"),
        (MASTER, "# name: Q1", "Q1: its check does not fail on the release"),
        (MASTER, "# name: Q2", "Q2: its check does not pass on the solution"),
        (MASTER, "# CLAIM: halve(4.0) == 3", "`halve(4.0) == 3` is false"),
        (NOTEBOOK, "", "tiny.ipynb with solutions took"),
    ]


def plant_the_rest(home: Path) -> list[tuple[str, str, str]]:
    """Make the mistakes with which rules cannot be asked for others."""
    record(lambda table: table["files"].update({"requirements.txt": "0"}))(home)
    edit(home, TESTS, 'assert_close(seen["returned"], 3.5', 'assert_close(seen["returned"], 3.75')
    write("solutions/tiny/corpus/Q9.txt", b"")(home)
    return [
        (TOML, 'version = "1"', "requirements.txt is not that of version 1 on record"),
        (MASTER, "# name: Q1", "Q1: the reference gets 1 of 2 points"),
        ("solutions/tiny/corpus/Q9.txt", "", "a corpus file of no question"),
    ]


def plant_in_the_master(home: Path) -> list[tuple[str, str, str]]:
    """Make a mistake with which no other rule can be asked."""
    edit(home, MASTER, "TODO Q2 (3 points)", "TODO Q2 (4 points)")
    return [(MASTER, "TODO Q2 (4 points)", "Q2 has 4 points in its banner, and 3 in assignment.toml")]


def test_every_planted_mistake_is_named_on_a_line_with_its_place(home: Path, tmp_path: Path) -> None:
    """Each rule is broken; each mistake is told on one line, with file and line."""
    broken: set[str] = set()
    for number, plant_them in enumerate((plant, plant_the_rest, plant_in_the_master)):
        place = tmp_path / str(number)
        shutil.copytree(home, place)
        planted = plant_them(place)
        assignment = load_assignment("tiny", place)
        if plant_them is plant_in_the_master:
            outcomes = judge(files.RULES, files.Files(assignment), lambda outcome: None, with_places(assignment))
        else:
            outcomes = verify(assignment, lambda outcome: None)
        broken |= {one.rule for one in outcomes if not one.kept}
        found = [reason for one in outcomes for reason in one.reasons]
        assert all("\n" not in reason for reason in found)
        missed = []
        for file, at, said in planted:
            text = (place / file).read_text(encoding="utf-8")
            where = f"{file}:{text[: text.index(at)].count(chr(10)) + 1}: "
            if not any(reason.startswith(where) and said in reason for reason in found):
                missed.append((where, said))
        assert missed == [], "\n".join(found)
        assert [reason for reason in found if not re.match(r"\S+:\d+: ", reason)] == []
    assert broken == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import random\nrandom.shuffle(x)", 2),
        ("random.Random()", 1),
        ("np.random.default_rng()", 1),
        ("torch.rand(3)", 1),
        ("datetime.now()", 1),
        ("datetime.date.today()", 1),
        ("time.perf_counter()", 1),
        ("x = 1\nhash('x')", 2),
        ("for one in {1, 2} & set(x):\n    pass", 1),
        ("[one for one in frozenset(x)]", 1),
        ("list(\n{one for one in x})", 2),
    ],
)
def test_chance_and_time_in_a_hidden_test(source: str, line: int) -> None:
    assert [number for number, _ in chance.found(source)] == [line]


@pytest.mark.parametrize(
    "source",
    [
        "random.Random(3).shuffle(x)",
        "np.random.default_rng(seed=3).normal()",
        "torch.rand(3, generator=g)",
        "x.random()",
        "time.sleep(0)",
        "now()",
        "x.hash('x')",
        "sorted({1, 2})",
        "for one in sorted({1, 2} - set(x)):\n    assert one in {1, 2}",
    ],
)
def test_what_is_seeded_is_no_chance(source: str) -> None:
    assert list(chance.found(source)) == []


STEADY = "hidden tests judge the reference the same way every time"
PROBES = "solutions/tiny/hidden_tests/probes.py"


@pytest.fixture
def of_another_process(home: Path) -> dict[str, str]:
    """Hidden tests of Q1 that pass in grading, by name; each depends on something that it must not depend on."""
    hashed = subprocess.run(
        [sys.executable, "-c", "print(hash('half'))"], env={"PYTHONHASHSEED": "0"}, capture_output=True, check=True
    )
    edit(
        home,
        PROBES,
        'return {"returned": student.halve(x)}',
        """import random, time
    from datetime import datetime
    seen = {"hash": hash("half"), "zone": time.strftime("%z"), "drawn": random.random()}
    seen |= {"clock": time.time(), "date": datetime.now().timestamp()}
    return {"returned": student.halve(x), **seen}""",
    )
    random.seed(zlib.crc32(b"Q1"))  # as student code is seeded in grading
    soon = time.time() + 9 * 86_400
    return {
        "hash_seed": f'assert seen["hash"] == {int(hashed.stdout)}',
        "zone": 'assert seen["zone"] != "+0545"',
        "clock": f'assert seen["clock"] < {soon}',
        "date": f'assert seen["date"] < {soon}',
        "seed": f'assert seen["drawn"] == {random.random()!r}',
        "twice": 'BEFORE.append("x"); assert BEFORE.count("x") < 2',
        "inputs": 'BEFORE.append("y"); observe("halve", x=float(len(BEFORE)))',
    }


def test_a_hidden_test_that_is_not_steady(home: Path, of_another_process: dict[str, str]) -> None:
    """Each mistake is told once, with the name of the test and what differs; those that are steady are not told."""
    more = "".join(
        f'\n\n@question("Q1", points=0, hint="?")\ndef test_{name}(observe: Observe) -> None:\n'
        f'    seen = observe("halve", x=7.0)\n    {line}\n'
        for name, line in of_another_process.items()
    )
    with (home / TESTS).open("a", encoding="utf-8") as file:
        file.write(f"\n\nBEFORE: list[str] = []\n{more}")
    with grading.Grading(load_assignment("tiny", home)) as graded:
        assert all(one.score.full for one in graded.reference.values())
        found = list(grading.tests_are_steady(graded))
    told = {
        "hash_seed": "passed, and failed with another hash seed, time zone and date",
        "zone": "passed, and failed with another hash seed, time zone and date",
        "clock": "passed, and failed with another hash seed, time zone and date",
        "date": "passed, and failed with another hash seed, time zone and date",
        "seed": "passed, and failed with other random numbers",
        "twice": "passed, and failed when it judges the same observations again",
        "inputs": "asking a probe for something else each time",
    }
    assert [one.partition(" (")[0].partition(";")[0] for one in found] == [
        f"Q1: the hidden test {name} is {what}" for name, what in told.items()
    ]


def test_answers_that_would_take_too_long_are_left_out(home: Path) -> None:
    with grading.Grading(load_assignment("tiny", home), most=0) as graded:
        outcomes = judge(answers.RULES, graded, lambda outcome: None)
    assert [(one.kept, one.notes) for one in outcomes] == [
        (True, ("skipped, as there are 26 answers to grade; `autograder verify --mutants` grades them all",)),
        (True, ("skipped, as there are 6 answers to grade; `autograder verify --mutants` grades them all",)),
    ]


def test_points_of_hidden_tests_that_do_not_add_up(home: Path) -> None:
    edit(home, TESTS, 'question("Q2", points=2', 'question("Q2", points=3')
    with grading.Grading(load_assignment("tiny", home)) as graded:
        found = reasons(grading.RULES[:1], graded)
    ((reason,),) = found.values()
    assert re.search(r"test_questions\.py:\d+: the hidden tests of Q2 add up to 4 points, not 3; correct", reason)


def test_broken_rules_of_notebooks(home: Path) -> None:
    """One home with a mistake for each rule: each run of a notebook takes seconds."""
    edit(home, "assignments/tiny/tests/Q1.py", "env['halve'](6) == 3", "env")  # it passes whatever the answer is
    edit(home, "assignments/tiny/tests/Q2.py", "== 1.5", "== 2.5")  # it fails whatever the answer is
    edit_cell(home, "Q1-demo", lambda source: source + "\nhalve(1.0)")
    last = 'print(f"Skipped: answer {missing} first, run its cell, then re-run this one.")'
    edit(home, MASTER, last, f"{last}\nhalve(1.0)\n# CLAIM: halve(4.0) == 2\n# CLAIM: halve(4.0) == 3")
    line = (home / MASTER).read_text(encoding="utf-8").split("# CLAIM: halve(4.0) == 3")[0].count("\n") + 1
    write_reference(home)
    runs = notebooks.Runs(load_assignment("tiny", home))
    end, fail, passing, claims = reasons(notebooks.RULES[:4], runs).values()
    assert claims == (f"tiny.ipynb, cell Q1-demo, line {line} of the master: `halve(4.0) == 3` is false",)
    assert end == ("tiny.ipynb as released: cell Q1-demo raised NotImplementedError: Q1",)
    assert fail[0].startswith("Q1: its check does not fail on the release; its output is ")
    assert passing[-1].startswith("Q2: its check does not pass on the solution; its output is ")
    runs.assignment = replace(runs.assignment, gate=replace(runs.assignment.gate, notebook_cpu_s=0.01))
    ((slow,),) = reasons(notebooks.RULES[4:], runs).values()
    assert re.fullmatch(
        r"tiny\.ipynb with solutions took \d+ s of CPU, more than gate\.notebook_cpu_s = 0\.01; shorten it", slow
    )


def test_a_cell_that_does_not_end_is_stopped(home: Path) -> None:
    assignment = load_assignment("tiny", home)
    hasty = replace(assignment, gate=replace(assignment.gate, notebook_cpu_s=1))
    table = json.loads((home / NOTEBOOK).read_text(encoding="utf-8"))
    table["cells"] = [cell | {"source": "while True: pass"} for cell in table["cells"] if cell["id"] == "Q1-demo"]
    assert notebooks.run(hasty, table).stopped == "cell Q1-demo took more than 5 s"


def test_from_new_to_grades(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After `new`, the release check lists what is missing; filled in, it passes and is graded like any other."""
    home = tmp_path / "home"
    tiny.write_unfinished(home)
    monkeypatch.chdir(home)
    assert cli.main(["verify"]) == 1
    printed = " ".join(re.sub(r"[│\s]+", " ", capsys.readouterr().out).split())
    assert "no release yet; run `autograder release`" in printed
    for what in tiny.FILLED:
        assert what.split()[0] in printed

    tiny.fill_in_all(home)
    shutil.copytree(finished / "assignments", home / "assignments")
    shutil.copy(finished / "solutions/tiny/reference.json", home / "solutions/tiny")
    assert cli.main(["verify", "--assignment", "tiny", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert f"release check; {len(RULES)} of {len(RULES)} checks passed" in printed
    assert "skipped, as there are 26 answers to grade" in printed
    assert cli.main(["verify", "--assignment", "tiny", "--mutants", "Q1,Q9"]) == 2
    assert "--mutants: tiny has no question Q9; give ids of its questions" in capsys.readouterr().err

    batch = tmp_path / "batch"
    for student in ("ada", "bob"):
        shutil.copytree(home / "assignments/tiny", batch / student)
    notebook = (batch / "ada/tiny.ipynb").read_text(encoding="utf-8")
    (batch / "ada/tiny.ipynb").write_text(notebook.replace('raise NotImplementedError(\\"Q1\\")', "return x // 2"))
    assert cli.main(["grade", str(batch), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 0
    ada, bob = (json.loads((tmp_path / f"out/results/{name}.json").read_text()) for name in ("ada", "bob"))
    assert (ada["total"], bob["total"], ada["max_points"]) == (1, 0, 5)
    (failed,) = [test for test in ada["questions"]["Q1"]["tests"] if test["status"] == "failed"]
    assert failed["message"] == "your result matches the half rounded down"
    assert failed["hint"] == "Which of the two divisions rounds?"


def test_the_filled_in_lines_are_those_of_the_skeleton(tmp_path: Path) -> None:
    tiny.write_unfinished(tmp_path)
    texts = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    asked = {found.strip() for text in texts for found in tiny.FILL_IN.findall(text)}
    assert asked == set(tiny.FILLED)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Homework", "autograder: My Homework: not a valid assignment name; use lower-case letters"),
        ("lecture06", "the assignment already exists; choose another name, or delete it"),
    ],
)
def test_new_refuses(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["new", name]) == 2
    assert message in capsys.readouterr().err
