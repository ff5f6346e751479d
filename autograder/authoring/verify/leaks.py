"""The leak scan: nothing of a solution, a hidden test or a private path may be in anything that students get.

Lines are compared without indent, comments and kinds of quotes, because `otter assign` writes the checks anew. What
private lines may share with the release stands in one place: `gate.allowed` in `assignment.toml`.
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
"""Characters of a line; shorter ones, such as `model.eval()`, give nothing away and stand everywhere."""
MIN_HIDDEN = 30
"""The same for hidden tests and probes, whose long lines alone tell what they do."""
WORDS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN PROMPT", "END PROMPT", "# CLAIM:", "hidden_tests", "solutions/")
IMPORT = re.compile(r"(import|from) ")
HINT = re.compile(r'hint="((?:[^"\\]|\\.)*)"')
MIN_WORD = len("/root")
PUBLIC_NAMES = ("__init__.py",)
ZIP = b"PK\x03\x04"


def leaks(assignment: Assignment, files: Mapping[str, bytes]) -> list[str]:
    """What of the private files is in these ones, which students get, or in archives among them.

    Raises MasterError for a mistake in a master.
    """
    found = []
    expressions = list(solution_expressions(assignment))
    solutions, hidden, words = solution_lines(assignment), hidden_lines(assignment), private_words(assignment)
    for name, data in unpacked(files):
        text = text_of(name, data)
        lines = [plain(line) for line in text.splitlines()]
        whole = "\n".join(lines)
        found += [f"{name} holds {word!r}" for word in words if word in text]
        found += [f"{name} holds {source}: {line}" for line, source in solutions.items() if line in whole]
        found += [f"{name} holds {hidden[line]}: {line}" for line in sorted(hidden.keys() & set(lines))]
        told = normal(text)
        found += [
            f"{name} holds {source}, in other words: {code}" for code, source in rewritten(told, expressions, whole)
        ]
    return found


def solution_lines(assignment: Assignment) -> dict[str, str]:
    """The lines of solutions that no student may get, as `plain` gives them, with where they come from."""
    lines: dict[str, str] = {}
    for question, answer in reference_answers(assignment).items():
        code = re.sub(r'""".*?"""', "", answer, flags=re.DOTALL)
        for line in map(plain, code.splitlines()):
            if len(line) >= MIN_SOLUTION and not _allowed(assignment, line):
                lines[line] = f"a line of the solution of {question}"
    return lines


def solution_expressions(assignment: Assignment) -> Iterator[tuple[str, str, str, re.Pattern[str]]]:
    """The long expressions of solutions: text, where it comes from, and by what `tokens.occurs` finds it."""
    for question, answer in reference_answers(assignment).items():
        for text, part, pattern in patterns(answer):
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
    """The same of hidden tests, probes and what they share."""
    lines: dict[str, str] = {}
    for path in sorted(assignment.hidden_tests_dir.glob("*.py")):
        for line in map(plain, authored_text(path).splitlines()):
            if len(line) >= MIN_HIDDEN and not IMPORT.match(line) and not _allowed(assignment, line):
                lines[line] = f"a line of {path.name}"
    return lines


def _allowed(assignment: Assignment, line: str) -> bool:
    return any(pattern.match(line) for pattern in assignment.gate.allowed)


def private_words(assignment: Assignment) -> list[str]:
    """Marks, paths, names of private files, and hints of hidden tests: none may stand in any text."""
    words = {*WORDS, str(assignment.home), str(Path.home())}
    for path in assignment.hidden_tests_dir.glob("*.py"):
        words |= {path.name, *HINT.findall(authored_text(path))}
    return sorted(word for word in words if len(word) >= MIN_WORD and word not in PUBLIC_NAMES)


def plain(line: str) -> str:
    """A line of code without its comment and indent, with single spaces and single quotes."""
    code = line.split("  #")[0].strip()
    return "" if code.startswith("#") else " ".join(code.replace('"', "'").split())


def unpacked(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """The files, and every member of a zip among them in its place, by `archive.zip/member`."""
    for name, data in files.items():
        if data.startswith(ZIP):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                yield from unpacked({f"{name}/{one.filename}": archive.read(one) for one in archive.infolist()})
        else:
            yield name, data


def text_of(name: str, data: bytes) -> str:
    """All text in a file; of a notebook every text in it, outputs and metadata too. The name counts as text."""
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
