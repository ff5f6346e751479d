"""The leak scan: nothing that students get may contain a line of a solution or hidden test, or a private path.

Lines are compared without indent, comments and the kind of quotes, because `otter assign` rewrites the checks. Private
lines that may appear in the release are listed in one place: `gate.allowed` in `assignment.toml`.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.authored import authored_text
from autograder.authoring.master import reference_answers
from autograder.authoring.verify.tokens import normal, occurs, patterns

MIN_SOLUTION = 21
"""Minimum characters of a line; shorter ones, such as `model.eval()`, reveal nothing and are everywhere."""
MIN_HIDDEN = 30
"""The same for hidden tests and probes, of which only long lines reveal anything."""
WORDS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN PROMPT", "END PROMPT", "# CLAIM:", "hidden_tests", "solutions/")
IMPORT = re.compile(r"(import|from) ")
HINT = re.compile(r'hint="((?:[^"\\]|\\.)*)"')
MIN_WORD = len("/root")
PUBLIC_NAMES = ("__init__.py",)
ZIP = b"PK\x03\x04"


def leaks(assignment: Assignment, files: Mapping[str, bytes]) -> list[str]:
    """Return what these files, which students get, and archives among them contain of the private files.

    Raises MasterError for an error in a master.
    """
    found = []
    expressions = list(solution_expressions(assignment))
    solutions, hidden, words = solution_lines(assignment), hidden_lines(assignment), private_words(assignment)
    for name, data in unpacked(files):
        text = text_of(name, data)
        lines = [plain(line) for line in text.splitlines()]
        whole = "\n".join(lines)
        found += [f"{name} contains {word!r}" for word in words if word in text]
        found += [f"{name} contains {source}: {line}" for line, source in solutions.items() if line in whole]
        found += [f"{name} contains {hidden[line]}: {line}" for line in sorted(hidden.keys() & set(lines))]
        told = normal(text)
        found += [
            f"{name} contains {source}, in other words: {code}" for code, source in rewritten(told, expressions, whole)
        ]
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


def solution_expressions(assignment: Assignment) -> Iterator[tuple[str, str, str, re.Pattern[str]]]:
    """The long expressions of solutions: text, where it comes from, and by what `tokens.occurs` finds it."""
    code = {one.id for one in assignment.tested}
    for question, answer in reference_answers(assignment).items():
        for text, part, pattern in patterns(answer) if question in code else ():
            if not any(_allowed(assignment, line) for line in (plain(text), f"return {plain(text)}")):
                yield text, f"an expression of the solution of {question}", part, pattern


def rewritten(
    text: str, expressions: Iterable[tuple[str, str, str, re.Pattern[str]]], lines: str
) -> Iterator[tuple[str, str]]:
    """Yield the expressions in a text of tokens that do not stand in its lines as they are, which is told already."""
    for code, source, part, pattern in expressions:
        if occurs(text, part, pattern) and plain(code) not in lines:
            yield code, source


def hidden_lines(assignment: Assignment) -> dict[str, str]:
    """Return the secret lines of hidden tests, probes and their helpers, with their origin."""
    lines: dict[str, str] = {}
    for path in sorted(assignment.hidden_tests_dir.glob("*.py")):
        for line in map(plain, authored_text(path).splitlines()):
            if len(line) >= MIN_HIDDEN and not IMPORT.match(line) and not _allowed(assignment, line):
                lines[line] = f"a line of {path.name}"
    return lines


def _allowed(assignment: Assignment, line: str) -> bool:
    return any(pattern.match(line) for pattern in assignment.gate.allowed)


def private_words(assignment: Assignment) -> list[str]:
    """Return words that may appear nowhere: markers, paths, names of private files, hints of hidden tests."""
    words = {*WORDS, str(assignment.home), str(Path.home())}
    for path in assignment.hidden_tests_dir.glob("*.py"):
        words |= {path.name, *HINT.findall(authored_text(path))}
    return sorted(word for word in words if len(word) >= MIN_WORD and word not in PUBLIC_NAMES)


def plain(line: str) -> str:
    """Return a line of code without comment and indent, with single spaces and single quotes."""
    code = line.split("  #")[0].strip()
    return "" if code.startswith("#") else " ".join(code.replace('"', "'").split())


def unpacked(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the files; a zip is replaced by its members, named `archive.zip/member`."""
    for name, data in files.items():
        if data.startswith(ZIP):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                yield from unpacked({f"{name}/{one.filename}": archive.read(one) for one in archive.infolist()})
        else:
            yield name, data


def text_of(name: str, data: bytes) -> str:
    """Return the name and all text of a file; for a notebook, all strings in it, including outputs and metadata."""
    text = data.decode("utf-8", errors="replace")
    if name.endswith(".ipynb"):
        text = "\n".join(_strings(json.loads(text)))
    return f"{name}\n{text}"


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and all(isinstance(part, str) for part in value):
        yield "".join(value)
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
