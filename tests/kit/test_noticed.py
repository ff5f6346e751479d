"""What notices mutants: hidden tests and public checks, as figures, as tables, and in the record of a release."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from autograder import cli
from autograder.assignment_file import load_assignment
from autograder.authoring import archives, build
from autograder.authoring.mutants import Mutant, Population
from autograder.authoring.noticed import Judged, Measured, in_words, to_csv, to_markdown, total
from autograder.authoring.verify.grading import Grading
from autograder.authoring.verify.noticing import measured
from autograder.release.versions import MutantFigures
from tests import tiny

CHECK = "assignments/tiny/tests/Q1.py"
RECORD = "solutions/tiny/versions/2031.1.json"
EVEN, ODD = "half_of_an_even_number", "half_of_an_odd_number"
BODIES = {
    "rounded": "return x // 2",
    "doubled": "return 2 * x",
    "right": "return 0.5 * x",
    "not Python": "return (",
    "endless": "while True:\n    pass",
    "the end": "import os\nos._exit(0)",
}


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished assignment to break."""
    shutil.copytree(finished, tmp_path / "home", ignore=shutil.ignore_patterns("__pycache__"))
    toml = tmp_path / "home/solutions/tiny/assignment.toml"
    toml.write_text(re.sub(r"cpu_s = \d+", "cpu_s = 1", toml.read_text(), count=1))
    return tmp_path / "home"


def mutant(name: str, body: str = "") -> Mutant:
    return Mutant(question="Q1", number=1, line="return x / 2", becomes=name, body=body)


def judged(home: Path, *, first_only: bool = False) -> Measured:
    """What notices the answers above, as mutants of the first question."""
    made = tuple(mutant(name, body) for name, body in BODIES.items())
    assignment = load_assignment(tiny.NAME, home)
    with Grading(assignment) as grading:
        found = Population(made={"Q1": made}, listed={mutant("right").key: 1})
        return measured(grading, assignment.question("Q1"), found, first_only=first_only)


def test_hidden_tests_and_the_public_check_judge_each_mutant(home: Path) -> None:
    found = judged(home)
    assert {one.mutant.becomes: (one.tests, one.check) for one in found.judged} == {
        "rounded": ((ODD,), False),  # the check asks for half of 6
        "doubled": ((EVEN, ODD), True),
        "not Python": ((EVEN, ODD), True),
        "endless": ((EVEN, ODD), True),
        "the end": ((EVEN, ODD), True),
    }
    assert found.figures == MutantFigures(made=6, equivalent=1, noticed=5, by_check=4)


def test_up_to_the_first_test_the_figures_are_the_same(home: Path) -> None:
    found = judged(home, first_only=True)
    assert {one.mutant.becomes: one.tests for one in found.judged} == {
        "rounded": (ODD,),
        **dict.fromkeys(("doubled", "not Python", "endless", "the end"), (EVEN,)),
    }
    assert found.figures == MutantFigures(made=6, equivalent=1, noticed=5, by_check=4)


@pytest.mark.parametrize(
    "assertion",
    [
        pytest.param("assert env['halve'](6) == 4", id="it fails on the reference"),
        pytest.param("assert (", id="not Python"),
        pytest.param("open({master!r})", id="it reads what the sandbox hides"),
    ],
)
def test_a_check_that_cannot_be_measured_has_no_figure(home: Path, assertion: str) -> None:
    master = str(home / "solutions/tiny/tiny.py")
    text = (home / CHECK).read_text(encoding="utf-8")
    broken = re.sub(r"assert env.*", assertion.format(master=master), text)
    assert broken != text
    (home / CHECK).write_text(broken, encoding="utf-8")
    found = judged(home, first_only=True)
    assert (found.figures.noticed, found.figures.by_check) == (5, None)
    assert in_words(found.figures) == "5 of 5 noticed, 1 equivalent; by the public check: not measured"


def example() -> list[Measured]:
    """Two questions; the public check of the second could not be measured."""
    first = (
        Judged(mutant=mutant("return x / 3"), tests=(EVEN, ODD), check=True),
        Judged(mutant=mutant("return x // 2"), tests=(ODD,), check=False),
        Judged(mutant=mutant("return x / 2; return x / 2"), tests=(), check=False),
    )
    second = (Judged(mutant=mutant('return "a", b'), tests=("mean",), check=False),)
    return [
        Measured(question="Q1", tests=(EVEN, ODD), checked=True, made=5, judged=first),
        Measured(question="Q2", tests=("mean",), checked=False, made=1, judged=second),
    ]


def test_the_table_by_hidden_test(finished: Path) -> None:
    page = to_markdown(load_assignment(tiny.NAME, finished), example())
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert rows == [
        "| question | mutants | equivalent | noticed | by one hidden test only | survivors | by the public check |",
        "| Q1 | 5 | 2 | 2 | 1 | 1 | 1 |",
        "| Q2 | 1 | 0 | 1 | 1 | 0 | not measured |",
        "| all | 6 | 2 | 3 | 2 | 1 | not measured |",
        "| question | hidden test | noticed | alone |",
        f"| Q1 | {EVEN} | 1 | 0 |",
        f"| Q1 | {ODD} | 2 | 1 |",
        "| Q2 | mean | 1 | 1 |",
    ]


def test_the_table_by_mutant(finished: Path) -> None:
    rows = list(csv.DictReader(to_csv(load_assignment(tiny.NAME, finished), example()).splitlines()))
    assert [(one["becomes"], one["public_check"], one["hidden_tests"], one["noticed_by"]) for one in rows] == [
        ("return x / 3", "noticed", "2", f"{EVEN} {ODD}"),
        ("return x // 2", "passed", "1", ODD),
        ("return x / 2; return x / 2", "passed", "0", ""),
        ('return "a", b', "not measured", "1", "mean"),
    ]


def test_sums_of_no_questions() -> None:
    assert total([]) == MutantFigures(made=0, equivalent=0, noticed=0, by_check=0)


def test_verify_writes_both_tables(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = [tmp_path / "new/table.md", tmp_path / "table.csv"]
    asked = ["--course", str(home), "--assignment", "tiny", "--mutants", "Q1", "--table", *map(str, tables)]
    assert cli.main(["verify", *asked]) == 0
    printed = capsys.readouterr()
    assert "mutants of Q1: 10 of 10 noticed, 1 equivalent; by the public check: 10 of 10" in printed.err
    assert "written: " in printed.out
    assert f"| Q1 | {ODD} | 10 | 0 |" in tables[0].read_text(encoding="utf-8")
    assert len(tables[1].read_text(encoding="utf-8").splitlines()) == 11


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--table", "a.md"], "--table: it needs the mutants of one assignment; add --assignment NAME --mutants"),
        (["--mutants", "--table", "a.md"], "--table: it needs the mutants of one assignment"),
        (["--assignment", "tiny", "--mutants", "--table", "a.txt"], "a.txt: not a kind of table; let its name end in"),
    ],
)
def test_a_table_that_cannot_be_written_is_refused_first(
    finished: Path, asked: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verify", "--course", str(finished), *asked]) == 2
    assert message in capsys.readouterr().err


def test_a_record_has_the_figures_once_and_for_all(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(archives, "write_products", lambda assignment, out: [])  # they run notebooks, which takes long
    release = ["release", "--course", str(home), "--version", "2031.1"]
    path = home / RECORD
    assert cli.main([*release, "--quick"]) == 0
    assert "mutants: not graded (--quick)" in capsys.readouterr().out
    quick = path.read_text(encoding="utf-8")
    assert json.loads(quick)["mutants"] is None
    monkeypatch.setattr(build, "write_release", lambda assignment: [])  # it would write the same again
    assert cli.main(release) == 0
    assert path.read_text(encoding="utf-8") == quick

    path.unlink()
    capsys.readouterr()
    assert cli.main(release) == 0
    assert "mutants: 26 of 26 noticed" in capsys.readouterr().out
    full = json.loads(path.read_text(encoding="utf-8"))
    assert full["mutants"]["Q1"] == {"made": 11, "equivalent": 1, "noticed": 10, "by_check": 10, "survivors": 0}
    assert list(full["mutants"]) == ["Q1", "Q2"]
    assert full | {"mutants": None} == json.loads(quick)
