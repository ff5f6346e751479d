"""Masters: the authored text of a notebook, read for its questions, regions and solutions.

Only the structure is read here: the raw cells and marker lines that `otter assign` acts on. An error in it is one
MasterError with file, line and fix, whereas `otter assign` would fail late or silently write a broken notebook.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autograder.assignment import Assignment, Question
from autograder.assignment_file import line_of
from autograder.authored import authored_text
from autograder.errors import MasterError
from autograder.regions import BANNER, END, START

NAME = re.compile(r"# name:\s*(\S+)\s*$")
POINTS = re.compile(r"# points:\s*([^\s:]+)\s*$")
OPTION = re.compile(r"# (manual|bonus|optional):\s*(\S+)\s*$")
STATED = re.compile(r"\(([0-9][0-9.]*)( bonus)? points?(?:, optional)?\)")
HEADING = re.compile(r"# #+ ([A-Z]+[0-9]+)\b")
CHECK = re.compile(r"def (test_\w+)\(")
NEW_CELL = re.compile(r"# %%")


@dataclass(frozen=True, slots=True)
class Block:
    """A block with an opening and a closing line, nested in another block (except the question)."""

    name: str
    opener: re.Pattern[str]
    closer: re.Pattern[str]
    inside: str
    closing_line: str


def _line(text: str) -> re.Pattern[str]:
    return re.compile(r"\s*" + re.escape(text) + r"\s*$")


QUESTION = Block("question", _line("# # BEGIN QUESTION"), _line("# # END QUESTION"), "", "'# # END QUESTION'")
CELL = Block("solution cell", _line("# # BEGIN SOLUTION"), _line("# # END SOLUTION"), "question", "'# # END SOLUTION'")
TESTS = Block("public check", _line("# # BEGIN TESTS"), _line("# # END TESTS"), "question", "'# # END TESTS'")
REGION = Block("region", START, END, "solution cell", "its END OF YOUR CODE line")
SOLUTION = Block(
    "solution", _line("# BEGIN SOLUTION NO PROMPT"), _line("# END SOLUTION"), "region", "'# END SOLUTION' below it"
)
PROMPT = Block(
    "prompt", _line('""" # BEGIN PROMPT'), _line('""" # END PROMPT'), "region", '\'""" # END PROMPT\' below it'
)
BLOCKS = (QUESTION, CELL, TESTS, REGION, SOLUTION, PROMPT)
HOW_TO_OPEN = {
    "question": "a raw cell '# BEGIN QUESTION'",
    "solution cell": "a raw cell '# BEGIN SOLUTION'",
    "region": "the START OF YOUR CODE line",
    "solution": "'# BEGIN SOLUTION NO PROMPT'",
    "prompt": '\'""" # BEGIN PROMPT\'',
    "public check": "a raw cell '# BEGIN TESTS'",
}


@dataclass(slots=True, kw_only=True)
class MasterQuestion:
    """One question as its master describes it. Line numbers start at 1; 0 if there is no such line.

    answer: the reference answer, that is the lines between the solution markers, with their indent
    check, check_cell: the last function of its public checks, and the cell that was open then
    stated: the points given in the master, as (line, points, where)
    options: what its BEGIN QUESTION cell switches on, manual, bonus or optional, with its line
    bonus: where else it says whether the points are a bonus, as (line, whether, where)
    """

    id: str
    line: int
    region: int = 0
    solution: int = 0
    check: int = 0
    check_cell: int = 0
    banner: int = 0
    answer: list[str] = field(default_factory=list)
    stated: list[tuple[int, float, str]] = field(default_factory=list)
    options: dict[str, int] = field(default_factory=dict)
    bonus: list[tuple[int, bool, str]] = field(default_factory=list)


def read_master(path: Path) -> dict[str, MasterQuestion]:
    """Return the questions of a master by id. Raises MasterError for the first structural error, with its line."""
    try:
        text = authored_text(path)
    except FileNotFoundError:
        fix = "write it, or remove its notebook from assignment.toml"
        raise MasterError("no such master", path, fix) from None
    reader = _Reader(path)
    for number, line in enumerate(text.splitlines(), start=1):
        reader.read(number, line)
    reader.end()
    return reader.questions


class _Reader:
    """Reads a master line by line; `_open` contains the blocks not closed yet, with their lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[tuple[Block, int]] = []
        self._question: MasterQuestion | None = None
        self.questions: dict[str, MasterQuestion] = {}

    def read(self, number: int, line: str) -> None:
        for block in BLOCKS:
            if block.opener.match(line):
                self._opened(block, number)
                return
            if block.closer.match(line):
                self._closed(block, number)
                return
        self._content(number, line)

    def end(self) -> None:
        if self._open:
            raise self._unclosed()

    def _opened(self, block: Block, number: int) -> None:
        inside = self._open[-1][0].name if self._open else ""
        if inside != block.inside:
            if any(one.name == block.inside for one, _ in self._open) or not block.inside:
                raise self._unclosed()
            fix = f"add {HOW_TO_OPEN[block.inside]} above it"
            raise self._error(f"a {block.name} outside a {block.inside}", number, fix)
        self._open.append((block, number))
        if block is QUESTION:
            self._question = None
        elif self._question is None:
            raise self._error("a question without a name", self._open[0][1], "add '# name: ...' below that line")
        elif block is REGION:
            if self._question.region:
                what = f"a second region of {self._question.id}, the first is at line {self._question.region}"
                raise self._error(what, number, "a question has one region: merge them")
            if not self._question.banner:
                what = f"the region of {self._question.id} has no banner"
                raise self._error(what, number, f"write '# TODO {self._question.id} (... points): ...' above it")
            self._question.region = number
        elif block is SOLUTION:
            self._question.solution = number

    def _closed(self, block: Block, number: int) -> None:
        if self._open and self._open[-1][0] is block:
            self._open.pop()
        elif any(one is block for one, _ in self._open):
            raise self._unclosed()
        else:
            fix = f"add {HOW_TO_OPEN[block.name]} above it"
            raise self._error(f"the end of a {block.name} that was never opened", number, fix)

    def _content(self, number: int, line: str) -> None:
        inside = self._open[-1][0].name if self._open else ""
        one = self._question
        if inside == "question" and (found := NAME.match(line)):
            self._named(found[1], number)
        elif one is None:
            return
        elif inside == "question" and (found := POINTS.match(line)):
            one.stated.append((number, self._points(found[1], number), "its BEGIN QUESTION cell"))
        elif inside == "question" and (found := OPTION.match(line)):
            self._option(one, found[1], found[2], number)
        elif inside == "question" and (found := HEADING.match(line)) and (stated := STATED.search(line)):
            if found[1] == one.id:
                one.stated.append((number, self._points(stated[1], number), "its heading"))
                one.bonus.append((number, bool(stated[2]), "its heading"))
        elif inside == "solution cell" and "manual" in one.options:
            self._model_answer(one, number, line)
        elif inside == "solution cell" and (found := BANNER.match(line)):
            self._banner(one, found[1], number, line)
        elif inside == "public check" and NEW_CELL.match(line):
            one.check_cell = number
        elif inside == "public check" and (found := CHECK.match(line)):
            self._check(one, found[1], number)
        elif inside in ("region", "solution"):
            one.answer.append(line)

    def _option(self, one: MasterQuestion, name: str, value: str, number: int) -> None:
        if value not in ("true", "false"):
            raise self._error(f"{name} is {value}", number, "write true or false")
        if value == "true":
            one.options[name] = number

    def _model_answer(self, one: MasterQuestion, number: int, line: str) -> None:
        """Note a line of the text that a written question has instead of a region."""
        if NEW_CELL.match(line):
            if "[markdown]" not in line and "[raw]" not in line:
                fix = "write the model answer into a cell `# %% [markdown]`"
                raise self._error(f"the answer to the written question {one.id} is not text", number, fix)
            one.solution = one.solution or number
        elif line.strip() and not line.startswith("#"):
            raise self._error(f"{line!r} in a text cell", number, "begin each of its lines with `# `")
        else:
            one.answer.append(re.sub("^# ?", "", line))

    def _check(self, one: MasterQuestion, name: str, number: int) -> None:
        """Note a function of a public check; of two in one cell Otter would drop the second."""
        if one.check > one.check_cell:
            what = f"a second function {name} in one check cell, the first is at line {one.check}"
            raise self._error(what, number, "put it into a cell of its own")
        one.check = number

    def _named(self, name: str, number: int) -> None:
        if name in self.questions:
            what = f"a second question {name}, the first is at line {self.questions[name].line}"
            raise self._error(what, number, "give it a unique id")
        self._question = MasterQuestion(id=name, line=number)
        self.questions[name] = self._question

    def _banner(self, question: MasterQuestion, name: str, number: int, line: str) -> None:
        if name != question.id:
            raise self._error(f"the banner of {name} in question {question.id}", number, "correct the id")
        question.banner = number
        stated = STATED.search(line)
        if not stated:
            fix = f"write '# TODO {name} (3 points): ...'"
            raise self._error(f"the banner of {name} does not give the points", number, fix)
        question.stated.append((number, self._points(stated[1], number), "its banner"))
        question.bonus.append((number, bool(stated[2]), "its banner"))

    def _points(self, text: str, number: int) -> float:
        try:
            return float(text)
        except ValueError:
            raise self._error(
                f"{text!r} is not a number of points", number, "write a number such as 2 or 1.5"
            ) from None

    def _unclosed(self) -> MasterError:
        block, line = self._open[-1]
        return self._error(f"a {block.name} is never closed", line, f"add {block.closing_line}")

    def _error(self, what: str, line: int, fix: str) -> MasterError:
        return MasterError(what, f"{self._path}:{line}", fix)


def read_masters(assignment: Assignment) -> dict[str, MasterQuestion]:
    """Return the questions of all masters by id. Raises MasterError for the first error."""
    masters = {name: read_master(assignment.masters_dir / f"{name}.py") for name in assignment.notebooks}
    for error in mistakes(assignment, masters):
        raise error
    return {key: one for questions in masters.values() for key, one in questions.items()}


def mistakes(assignment: Assignment, masters: Mapping[str, Mapping[str, MasterQuestion]]) -> Iterator[MasterError]:
    """Yield disagreements between masters and assignment.toml, and missing parts of questions."""
    for name, questions in masters.items():
        path = assignment.masters_dir / f"{name}.py"
        wanted = {question.id: question for question in assignment.in_notebook(name)}
        for key, one in questions.items():
            if key not in wanted:
                where = f"{path}:{one.line}"
                yield MasterError(f"unknown question {key}", where, f"add a table for it to {assignment.toml.name}")
        for key, question in wanted.items():
            if key not in questions:
                line = line_of(assignment.toml.read_text(encoding="utf-8"), f"questions.{key}")
                where = f"{assignment.toml}:{line}"
                yield MasterError(f"no question {key} in {path.name}", where, "add it there, or remove this table")
                continue
            one = questions[key]
            yield from (
                MasterError(what, f"{path}:{line}", fix)
                for what, line, fix in (*_options(one, question, assignment.toml.name), *_parts(one))
            )
            for line, points, where in one.stated:
                if points != question.points:
                    what = f"{key} has {points:g} points in {where}, and {question.points:g} in {assignment.toml.name}"
                    yield MasterError(what, f"{path}:{line}", "make them the same")


def _options(one: MasterQuestion, question: Question, toml: str) -> Iterator[tuple[str, int, str]]:
    """Yield where a question is of another kind in its master than in assignment.toml, with line and fix."""
    for name, wanted, key in (
        ("manual", question.written, "a rubric"),
        ("bonus", question.bonus, "`bonus = true`"),
        ("optional", question.optional, "`optional = true`"),
    ):
        if (name in one.options) != wanted:
            places = [f"`# {name}: true` in its BEGIN QUESTION cell", f"{key} in {toml}"]
            has, lacks = reversed(places) if wanted else places
            yield (
                f"{one.id} has {has}, and no {lacks.removeprefix('a ')}",
                one.options.get(name, one.line),
                "make them the same",
            )
    for line, bonus, where in one.bonus:
        if bonus != question.bonus:
            words = ("bonus points", "points that are no bonus")
            what = f"{one.id} has {words[not bonus]} in {where}, and {words[bonus]} in {toml}"
            yield what, line, "write `(2 bonus points)` for a bonus, else `(2 points)`"


def _parts(one: MasterQuestion) -> Iterator[tuple[str, int, str]]:
    """Yield the first part that a question lacks, with line and fix."""
    markers = "'# BEGIN SOLUTION NO PROMPT' and '# END SOLUTION' in its region"
    parts: tuple[tuple[int, object, str, str], ...] = (
        (one.line, one.region, "region", "a banner and the lines START OF YOUR CODE and END OF YOUR CODE"),
        (one.region, one.solution, "solution", markers),
        (one.line, one.check, "public check", "a raw cell '# BEGIN TESTS' with a function test_..."),
    )
    if "manual" in one.options:
        answer = "\n".join(one.answer).strip()
        fix = "a text cell between raw cells '# BEGIN SOLUTION' and '# END SOLUTION'"
        parts = ((one.line, answer, "model answer", fix),)
    for line, has, lack, fix in parts:
        if not has:
            yield f"{one.id} has no {lack}", line, f"add {fix}"
            return


def reference_answers(assignment: Assignment) -> dict[str, str]:
    """Return the reference answer of each question: the text of its region without prompt and solution markers.

    That of a written question is the model answer.

    Raises MasterError for an error in a master.
    """
    return {
        key: "\n".join(one.answer).strip("\n") if "manual" in one.options else "\n".join(one.answer)
        for key, one in read_masters(assignment).items()
    }
