"""Where a reason leads its reader: the line of the master, hidden test or released file that it speaks of."""

import json
import re
from collections.abc import Callable, Iterator

from autograder.assignment import Assignment
from autograder.authored import authored_text
from autograder.authoring.master import read_master
from autograder.errors import MasterError

ABOUT = re.compile(r"([A-Z]+\d+): ")
NAMES_TEST = re.compile(r"(?:the hidden test|the picture of) (\w+)")
DEFINES_TEST = re.compile(r"def test_(\w+)\(")
IN_CELL = re.compile(r"(\w+)\.ipynb(?:,| as released:| with solutions:) cell ([\w-]+)(?:, line (\d+) of the master)?")
FILE = re.compile(r"([\w./-]+\.\w+):? (?!\d)")


def with_places(assignment: Assignment) -> Callable[[str], str]:
    """Return what puts file and line before a reason that names a question, a cell or a released file."""
    questions: dict[str, str] = {}
    cells: dict[tuple[str, str], int] = {}
    tests: dict[str, str] = {}
    masters, released = (
        folder.relative_to(assignment.home).as_posix() for folder in (assignment.masters_dir, assignment.release_dir)
    )
    for name in assignment.notebooks:
        try:
            found = read_master(assignment.masters_dir / f"{name}.py")
            cells |= {(name, cell): line for cell, line in _lines_of_cells(assignment, name)}
        except (MasterError, OSError, ValueError, KeyError, TypeError):  # a rule of its own tells of it
            continue
        questions |= {key: f"{masters}/{name}.py:{one.line}" for key, one in found.items()}
    for path in sorted(assignment.hidden_tests_dir.glob("test_*.py")):
        try:
            lines = authored_text(path).splitlines()
        except MasterError:
            continue
        where = path.relative_to(assignment.home).as_posix()
        for number, line in enumerate(lines, start=1):
            if defines := DEFINES_TEST.match(line):
                tests.setdefault(defines[1], f"{where}:{number}")

    def place(reason: str) -> str:
        """Return the place of a reason; empty where it begins with one, or tells of none."""
        about, test = ABOUT.match(reason), NAMES_TEST.search(reason)
        if about and about[1] in questions:
            return (tests.get(test[1], "") if test else "") or questions[about[1]]
        if cell := IN_CELL.match(reason):
            return f"{masters}/{cell[1]}.py:{cell[3] or cells.get((cell[1], cell[2]), 1)}"
        if file := FILE.match(reason):
            known = file[1].startswith((f"{released}/", f"{masters}/"))
            return f"{file[1]}:1" if known else f"{released}/{file[1]}:1"
        return ""

    def placed(reason: str) -> str:
        reason = reason.removeprefix(f"{assignment.home}/")
        where = place(reason)
        return f"{where}: {reason}" if where else reason

    return placed


def _lines_of_cells(assignment: Assignment, name: str) -> Iterator[tuple[str, int]]:
    """Yield the id of each released cell with its line in the master: where the cell's first line stands, in order."""
    lines = authored_text(assignment.masters_dir / f"{name}.py").splitlines()
    at = 0
    for cell in json.loads((assignment.release_dir / f"{name}.ipynb").read_bytes())["cells"]:
        first = next((line for line in "".join(cell["source"]).split("\n") if line.strip()), "")
        at = next((number for number in range(at, len(lines)) if lines[number] in (first, f"# {first}")), at)
        yield cell["id"], at + 1
