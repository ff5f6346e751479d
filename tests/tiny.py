"""The smallest assignment: what `autograder new` writes, with every placeholder filled in."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from autograder.assignment_file import load_assignment
from autograder.authoring.build import write_release
from autograder.authoring.skeleton import write_skeleton
from tests import HOME

NAME = "tiny"
FILL_IN = re.compile(r"FILL IN ([\w ]+)")

FILLED = {
    "title": 'title = "Halves"',
    "introduction": "# Two short questions about halves. Expect ten minutes.",
    "Q1 prompt": "# Write `halve(x)`, which returns half of a number, also of an odd one.",
    "Q1 hint 1": "# A half is a quotient.",
    "Q1 hint 2": "# A number comes in, a number goes out.",
    "Q1 hint 3": "# Divide with `/`; `//` rounds.",
    "Q1 solution": "half_of_the_number = x / 2\nreturn half_of_the_number",
    "Q1 check": 'assert env["halve"](6) == 3, "halve(6) should be 3"',
    "Q1 hint of the first hidden test": ('@question("Q1", points=1, hint="Did you multiply instead of dividing?")'),
    "Q1 hint of the second hidden test": '@question("Q1", points=1, hint="Which of the two divisions rounds?")',
    "Q1 second hidden test": (
        'seen = observe("halve", x=7.0)\n'
        'assert_close(seen["returned"], 3.5, "result", mistakes={"the half rounded down": 3.0})'
    ),
    "Q1 corpus": "\n=== wrong: rounded down\nexpect: the half rounded down\nreturn x // 2",
    "Q2 prompt": "# Write `mean_of_halves(values)`, the mean of the halves of a list of numbers. It may call `halve`.",
    "Q2 hint 1": "# Halve each number first.",
    "Q2 hint 2": "# A list comes in, one number goes out.",
    "Q2 hint 3": "# Add up the halves and divide by how many there are.",
    "Q2 solution": "halves = [halve(value) for value in values]\nreturn sum(halves) / len(halves)",
    "Q2 check": 'assert env["mean_of_halves"]([2, 4]) == 1.5, "mean_of_halves([2, 4]) should be 1.5"',
    "Q2 hint of the first hidden test": '@question("Q2", points=2, hint="By what do you divide the sum?")',
    "Q2 first hidden test": (
        'seen = observe("mean_of_halves", values=[1.0, 2.0, 6.0])\n'
        'assert_close(seen["returned"], 1.5, "result", mistakes={"the sum of the halves": 4.5})'
    ),
    "Q2 hint of the second hidden test": (
        '@question("Q2", points=1, hint="Does your code write into the list that it was given?")'
    ),
    "Q2 corpus": (
        "\n=== wrong: the sum\nexpect: the sum of the halves\nreturn sum(halve(value) for value in values)\n"
        "\n=== wrong: changes the list\nexpect: changed its input list\n"
        "values[:] = [halve(value) for value in values]\nreturn sum(values) / len(values)"
    ),
}
"""The replacement for each line to fill in, by its placeholder."""


EQUIVALENT = """\
[[mutant]]
question = "Q2"
line = "halves = [halve(value) for value in values]"
becomes = "halves = [halve(value) for value in values]; halves = [halve(value) for value in values]"
reason = "the same statement a second time computes the same value again"
"""
"""The mutants of the reference answers that are right too."""


def fill_in(text: str, filled: Mapping[str, str] = FILLED) -> str:
    """The text with each line that holds FILL IN replaced, in that line's indent."""
    lines = []
    for line in text.split("\n"):
        found = FILL_IN.search(line)
        key = found[1].strip() if found else ""
        indent = line[: len(line) - len(line.lstrip())]
        lines += [indent + part for part in filled[key].split("\n")] if key in filled else [line]
    return "\n".join(lines)


def write_unfinished(home: Path) -> None:
    """What `autograder new tiny` writes, in a folder that holds nothing but the kit's constraints."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(HOME / "constraints.txt", home)
    write_skeleton(NAME, home)


def write_finished(home: Path) -> None:
    """The same filled in and released, which takes some seconds."""
    write_unfinished(home)
    fill_in_all(home)
    write_release(load_assignment(NAME, home))


def fill_in_all(home: Path) -> None:
    """Fill in every authored file below the folder."""
    for path in (*home.rglob("*.py"), *home.rglob("*.toml"), *home.rglob("*.txt")):
        path.write_text(fill_in(path.read_text(encoding="utf-8")), encoding="utf-8")
    (home / "solutions" / NAME / "equivalent_mutants.toml").write_text(EQUIVALENT, encoding="utf-8")
