"""An assignment with all mistakes: the release check names each, with file and line."""

import re
import shutil
from pathlib import Path

from autograder.assignment_file import load_assignment
from autograder.authoring.build import write_release
from autograder.authoring.verify import RULES, files, verify
from autograder.authoring.verify.places import with_places
from autograder.authoring.verify.rule import judge
from tests.kit.verify.breaking import (
    ANSWERS,
    EDITION,
    MASTER,
    NOTEBOOK,
    README,
    TESTS,
    TOML,
    edit,
    in_cell,
    record,
    write,
)

MUTANTS = "solutions/tiny/equivalent_mutants.toml"
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
