"""Where a reason leads its reader: the line of the hidden test or the question that it speaks of."""

import re
from collections.abc import Callable

from autograder.assignment import Assignment
from autograder.authored import authored_text
from autograder.authoring.master import read_master
from autograder.errors import MasterError

ABOUT = re.compile(r"([A-Z]+\d+): ")
NAMES_TEST = re.compile(r"the hidden test (\w+)")
DEFINES_TEST = re.compile(r"def test_(\w+)\(")


def with_places(assignment: Assignment) -> Callable[[str], str]:
    """Return what puts file and line before a reason that begins with a question's id; others stay as they are."""
    questions: dict[str, str] = {}
    tests: dict[str, str] = {}
    for name in assignment.notebooks:
        path = assignment.masters_dir / f"{name}.py"
        try:
            found = read_master(path)
        except MasterError:  # a rule of its own tells of it
            continue
        where = path.relative_to(assignment.home).as_posix()
        questions |= {key: f"{where}:{one.line}" for key, one in found.items()}
    for path in sorted(assignment.hidden_tests_dir.glob("test_*.py")):
        try:
            lines = authored_text(path).splitlines()
        except MasterError:
            continue
        where = path.relative_to(assignment.home).as_posix()
        for number, line in enumerate(lines, start=1):
            if defines := DEFINES_TEST.match(line):
                tests.setdefault(defines[1], f"{where}:{number}")

    def placed(reason: str) -> str:
        about, test = ABOUT.match(reason), NAMES_TEST.search(reason)
        if about is None or about[1] not in questions:
            return reason
        place = tests.get(test[1], "") if test else ""
        return f"{place or questions[about[1]]}: {reason}"

    return placed
