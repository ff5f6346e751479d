"""Checks on the files of a release and on their text."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from autograder.assignment import Assignment, Question
from autograder.assignment_file import line_of
from autograder.authored import authored_text
from autograder.authoring import corpus
from autograder.authoring.archives import version_on_disk
from autograder.authoring.build import points_in_words, reference_text, release_files
from autograder.authoring.master import mistakes, read_master
from autograder.authoring.readme import README
from autograder.authoring.verify.defined_again import defined_again, statements
from autograder.authoring.verify.leaks import leaks
from autograder.authoring.verify.links import broken_links, unreachable
from autograder.authoring.verify.package import incomplete_editions, unexplained
from autograder.authoring.verify.rule import Note, Rule
from autograder.errors import MasterError
from autograder.notebook import Role
from autograder.regions import indent_of
from autograder.release import versions
from autograder.release.reference import reference_file
from autograder.sandbox.describe import bound_names
from autograder.written import answer_cell

BANNER_WIDTH = 76
HINTS = 3
FILL_IN = re.compile(r"FILL IN (.*?)[\"')]*$")
"""The placeholder that `autograder new` writes."""
NOT_RELEASED = {"__pycache__", ".ipynb_checkpoints", ".OTTER_LOG"}
"""Files left behind by running a notebook in the release folder."""
START = "# *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****"
END = "# *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****"


class Files:
    """The files of one assignment, read at most once.

    online: whether web addresses are asked too
    """

    def __init__(self, assignment: Assignment, *, online: bool = False) -> None:
        self.assignment = assignment
        self.online = online

    @functools.cached_property
    def released(self) -> dict[PurePosixPath, bytes]:
        """Every file of the committed release. Raises MasterError if there is none."""
        folder = self.assignment.release_dir
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not NOT_RELEASED & set(path.parts)]
        if not paths:
            raise MasterError("no release yet", folder, "run `autograder release`")
        return {PurePosixPath(path.relative_to(folder).as_posix()): path.read_bytes() for path in paths}

    @functools.cached_property
    def given_out(self) -> dict[str, bytes]:
        """Everything that students get, by path in the course: the release, archives and list of changes in `dist/`."""
        dist = self.assignment.home / "dist"
        name = self.assignment.name
        archives = [*sorted(dist.glob(f"{name}-*-student.zip")), *sorted(dist.glob(f"{name}-*-CHANGES.md"))]
        folder = self.assignment.release_dir.relative_to(self.assignment.home)
        files = {(folder / path).as_posix(): data for path, data in self.released.items()}
        return files | {f"dist/{path.name}": path.read_bytes() for path in archives}

    @functools.cached_property
    def cells(self) -> dict[str, list[dict[str, Any]]]:
        """The cells of each released notebook, by name. Raises MasterError for a missing notebook."""
        found = {}
        for name in self.assignment.notebooks:
            path = PurePosixPath(f"{name}.ipynb")
            if path not in self.released:
                raise MasterError(f"{path} is not released", self.assignment.release_dir, "run `autograder release`")
            try:
                found[name] = list(json.loads(self.released[path])["cells"])
            except (ValueError, KeyError, TypeError) as error:
                what = f"not a notebook ({type(error).__name__}: {error})"
                raise MasterError(what, self.assignment.release_dir / path, "run `autograder release`") from error
        return found

    def cells_of(self, question: Question) -> list[dict[str, Any]]:
        return [cell for cell in self.cells[question.notebook] if _homework(cell).get("question") == question.id]


def _homework(cell: dict[str, Any]) -> dict[str, Any]:
    return dict(cell["metadata"].get("homework", {}))


def nothing_left_to_fill_in(files: Files) -> Iterator[str]:
    assignment = files.assignment
    for path in sorted(assignment.masters_dir.rglob("*")):
        if path.suffix in (".py", ".toml", ".txt"):
            for number, line in enumerate(authored_text(path).splitlines(), start=1):
                if found := FILL_IN.search(line):
                    yield f"{_short(path, assignment)}:{number}: {found[1]}"


def _short(path: Path, assignment: Assignment) -> str:
    return path.relative_to(assignment.home).as_posix()


def masters_agree(files: Files) -> Iterator[str]:
    """Compare structure and points of the masters with assignment.toml."""
    assignment = files.assignment
    masters = {name: read_master(assignment.masters_dir / f"{name}.py") for name in assignment.notebooks}
    yield from map(str, mistakes(assignment, masters))


def release_is_rebuilt(files: Files) -> Iterator[str]:
    released, rebuilt = files.released, release_files(files.assignment)
    fix = "run `autograder release` and commit the result"
    for path in sorted(rebuilt.keys() | released.keys()):
        if path not in released:
            yield f"{path} is missing; {fix}"
        elif path not in rebuilt:
            yield f"{path} is not built from any master; {fix}"
        elif rebuilt[path] != released[path]:
            yield f"{path} differs from a rebuild; {fix}"
    answers = reference_file(files.assignment)
    if not answers.is_file() or answers.read_text(encoding="utf-8") != reference_text(files.assignment):
        yield f"{_short(answers, files.assignment)} differs from a rebuild; {fix}"


def version_is_the_recorded_one(files: Files) -> Iterator[str]:
    """A version that went out never changes: its record, if there is one, is compared with the release."""
    assignment = files.assignment
    record = assignment.masters_dir / versions.FOLDER / f"{assignment.version}.json"
    if not record.is_file():
        return
    kept = next(one for one in versions.recorded(assignment) if one.name == assignment.version)
    now = version_on_disk(assignment)
    changed = [path for path in sorted({*kept.files, *now.files}) if kept.files.get(path) != now.files.get(path)]
    for name in sorted({*kept.notebooks, *now.notebooks}):
        if kept.notebooks.get(name) != now.notebooks.get(name):
            changed.append(f"{name}.ipynb")
    if (kept.points, kept.defines) != (now.points, now.defines):
        changed.append("the table of questions")
    line = line_of(authored_text(assignment.toml), "", "version")
    for what in changed:
        where = f"{_short(assignment.toml, assignment)}:{line}"
        yield f"{where}: {what} is not that of version {assignment.version} on record; give a new `release --version`"


def corpus_is_readable(files: Files) -> Iterator[str]:
    corpus.read_corpus(files.assignment)
    yield from ()


def cells_are_in_order(files: Files) -> Iterator[str]:
    for name, cells in files.cells.items():
        ids = [cell["id"] for cell in cells]
        for cell in cells:
            where = f"{name}.ipynb, cell {cell['id']}"
            if ids.count(cell["id"]) > 1 or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", cell["id"]):
                yield f"{where}: the cell id is not unique or contains other characters than letters, digits, - and _"
            if _homework(cell).get("role") not in set(Role):
                yield f"{where}: unknown role"
    for question in files.assignment.questions:
        form = _text_form if question.written else _form
        yield from (f"{question.id}: {fault}" for fault in form(question, files.cells_of(question)))


def _text_form(question: Question, cells: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is missing in the standard form of a written question's cells."""
    answers = ["".join(cell["source"]) for cell in cells if _homework(cell)["role"] == Role.ANSWER]
    if answers != [answer_cell(question.id, points_in_words(question))]:
        yield "it has no answer cell of its own; its heading must begin with its id, and its solution be a text cell"
    if not any(_homework(cell)["role"] == Role.PROMPT for cell in cells):
        yield "it has no prompt"


def _form(question: Question, cells: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is missing in the standard form of a question's cells."""
    answers = [cell for cell in cells if _homework(cell)["role"] == Role.ANSWER]
    if len(answers) != 1:
        yield f"it has {len(answers)} answer cells instead of 1"
        return
    lines = "".join(answers[0]["source"]).split("\n")
    starts = [index for index, line in enumerate(lines) if line.strip() == START]
    if len(starts) != 1 or lines[-1].strip() != END:
        yield "its answer cell must contain one START line and end with the END line, both in their standard form"
        return
    start, indent = starts[0], indent_of(lines[starts[0]])
    rule = indent + "#" * BANNER_WIDTH
    tops = [index for index, line in enumerate(lines[: start - 1]) if line == rule]
    banner = lines[tops[-1] + 1 : start - 1] if tops and lines[start - 1] == rule else []
    if not banner or not all(line.startswith(f"{indent}# ") and len(line) == len(rule) for line in banner):
        yield f"its banner is not a box of {BANNER_WIDTH} characters above the START line"
    elif not banner[0].startswith(f"{indent}# TODO {question.id} ({points_in_words(question)}"):
        yield f"its banner does not start with `TODO {question.id} ({points_in_words(question)}): `"
    if f'raise NotImplementedError("{question.id}")' not in "\n".join(lines[start:]):
        yield f'there is no `raise NotImplementedError("{question.id}")` between START and END'
    defined = {name for statement in statements("\n".join(lines)) for name in bound_names(statement)}
    for name in question.defines:
        if name not in defined:
            what = f"its answer cell as released does not define {name}, as assignment.toml says"
            yield f"{what}; where a region holds whole definitions, the prompt block holds them too, as stubs"
    sources = ["".join(cell["source"]) for cell in cells]
    if f'grader.check("{question.id}")' not in sources:
        yield f'there is no cell `grader.check("{question.id}")`'
    if (hints := "".join(sources).count("<details>")) != HINTS:
        yield f"it has {hints} folded hints instead of {HINTS}"


def nothing_leaks(files: Files) -> Iterator[str]:
    yield from leaks(files.assignment, files.given_out)
    paths = [f"assignments/{files.assignment.name}/{name}.ipynb" for name in files.cells]
    yield from defined_again(files.assignment, {path: files.given_out[path] for path in paths})


def links_resolve(files: Files) -> Iterator[str | Note]:
    texts = {f"{name}.ipynb": cells for name, cells in files.cells.items()}
    if README in files.released:
        cell = {"cell_type": "markdown", "id": "", "source": files.released[README].decode("utf-8", "replace")}
        texts[str(README)] = [cell]
    yield from broken_links(texts, files.released)
    if files.online:
        broken, unclear = unreachable(texts)
        yield from broken
        yield from map(Note, unclear)


def students_are_told(files: Files) -> Iterator[str]:
    yield from unexplained(files.assignment, files.released)


def editions_are_complete(files: Files) -> Iterator[str]:
    yield from incomplete_editions(files.assignment, files.released)


RULES = (
    Rule(name="no placeholders are left", reasons=nothing_left_to_fill_in),
    Rule(name="masters are well formed and agree with assignment.toml on points", reasons=masters_agree),
    Rule(name="the committed release equals a rebuild", reasons=release_is_rebuilt),
    Rule(name="a version on record is released as it was recorded", reasons=version_is_the_recorded_one),
    Rule(name="every file of the corpus belongs to a question and can be read", reasons=corpus_is_readable),
    Rule(name="every question has the standard form, a check and three folded hints", reasons=cells_are_in_order),
    Rule(name="students get no solution, hidden test or private path", reasons=nothing_leaks),
    Rule(name="all links and images resolve", reasons=links_resolve),
    Rule(name="students get a README that names every notebook, and the course's licence", reasons=students_are_told),
    Rule(name="each notebook for Colab has the notebook's cells and the files it needs", reasons=editions_are_complete),
)
