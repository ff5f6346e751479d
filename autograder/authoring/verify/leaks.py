"""The leak scan: nothing that students get may contain a line of a solution or hidden test, or a private path.

Lines are compared without indent, comments and the kind of quotes, because `otter assign` rewrites the checks; longer
expressions, and the data and texts of hidden tests (`tests_data.py`), by their tokens. Private lines that may appear in
the release are listed in one place: `gate.allowed` in `assignment.toml`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from autograder.assignment import Assignment
from autograder.authored import authored_text
from autograder.authoring.master import reference_answers
from autograder.authoring.verify import tests_data, texts
from autograder.authoring.verify.tokens import Sought, Told, expressions, sought

MIN_SOLUTION = 21
"""Minimum characters of a line; shorter ones, such as `model.eval()`, reveal nothing and are everywhere."""
MIN_HIDDEN = 30
"""The same for hidden tests and probes, of which only long lines reveal anything."""
WORDS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN PROMPT", "END PROMPT", "# CLAIM:", "hidden_tests", "solutions/")
IMPORT = re.compile(r"(import|from) ")
MIN_WORD = len("/root")
PUBLIC_NAMES = ("__init__.py",)


def leaks(assignment: Assignment, files: Mapping[str, bytes]) -> list[str]:
    """Return what these files, which students get, and archives among them contain of the private files.

    Each with file and line. Raises MasterError for an error in a master.
    """
    hunted = [*solution_expressions(assignment), *hidden_secrets(assignment)]
    solutions, hidden, words = solution_lines(assignment), hidden_lines(assignment), private_words(assignment)
    found = []
    for text in texts.read(files):
        told: dict[int, str] = {}  # one reason for each line
        whole = "\n".join(text.lines)
        for word in words:
            if word in whole:
                told.setdefault(whole[: whole.index(word)].count("\n"), repr(word))
        lines = [plain(line) for line in text.lines]
        plainly = "\n".join(lines)
        for line, source in solutions.items():
            if line in plainly:
                told.setdefault(plainly[: plainly.index(line)].count("\n"), f"{source}: {line}")
        for number, line in enumerate(lines):
            if line in hidden:
                told.setdefault(number, f"{hidden[line]}: {line}")
        tokens = Told(whole)
        for one in hunted:
            place = one.place(tokens.text)
            if place is not None:
                told.setdefault(tokens.line(place), f"{one.source}: {one.text}")
        found += [f"{text.where(number)}contains {told[number]}" for number in sorted(told)]
    return found


def solution_lines(assignment: Assignment) -> dict[str, str]:
    """Return the secret lines of solutions, normalised by `plain`, with their origin."""
    lines: dict[str, str] = {}
    for question, answer in reference_answers(assignment).items():
        code = re.sub(r'""".*?"""', "", answer, flags=re.DOTALL)
        for line in map(plain, code.splitlines()):
            if len(line) >= MIN_SOLUTION and not _allowed(assignment, line):
                lines[line] = f"a line of the solution of {question}"
    return lines


def solution_expressions(assignment: Assignment) -> Iterator[Sought]:
    """Yield the long expressions of solutions."""
    code = {one.id for one in assignment.tested}
    for question, answer in reference_answers(assignment).items():
        for text, statement, own in expressions(answer) if question in code else ():
            if not any(_allowed(assignment, plain(line)) for line in (text, statement)):
                yield sought(f"an expression of the solution of {question}, in other words", text, own)


def hidden_lines(assignment: Assignment) -> dict[str, str]:
    """Return the secret lines of hidden tests, probes and their helpers, with their origin."""
    lines: dict[str, str] = {}
    for path in sorted(assignment.hidden_tests_dir.glob("*.py")):
        for number, line in enumerate(map(plain, authored_text(path).splitlines()), start=1):
            if len(line) >= MIN_HIDDEN and not IMPORT.match(line) and not _allowed(assignment, line):
                lines.setdefault(line, f"line {number} of {path.name}")
    return lines


def hidden_secrets(assignment: Assignment) -> Iterator[Sought]:
    """Yield the long statements, the data and the texts of hidden tests, probes and their helpers."""
    for path in sorted(assignment.hidden_tests_dir.glob("*.py")):
        for one in tests_data.secrets(path):
            if not _allowed(assignment, plain(one.text)):
                yield one


def _allowed(assignment: Assignment, line: str) -> bool:
    return any(pattern.match(line) for pattern in assignment.gate.allowed)


def private_words(assignment: Assignment) -> list[str]:
    """Return words that may appear nowhere: markers, paths, and names of private files."""
    words = {*WORDS, str(assignment.home), str(Path.home())}
    words |= {path.name for path in assignment.hidden_tests_dir.glob("*.py")}
    return sorted(word for word in words if len(word) >= MIN_WORD and word not in PUBLIC_NAMES)


def plain(line: str) -> str:
    """Return a line of code without comment and indent, with single spaces and single quotes."""
    code = line.split("  #")[0].strip()
    return "" if code.startswith("#") else " ".join(code.replace('"', "'").split())
