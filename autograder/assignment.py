"""What an assignment is: its questions, points, dependencies and limits, read from `assignment.toml`."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import UsageError
from autograder.toml_file import TomlTable, read_toml

HOME = Path(__file__).resolve().parent.parent
NAMES_VARIABLE = "NAMES"
QUESTION_ID = re.compile(r"[A-Z]+[0-9]+")
VISIBILITIES = ("hidden", "after_due_date", "after_published", "visible")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one question of one submission may use."""

    wall_s: float
    cpu_s: float
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What `autograder verify` may leave to this assignment.

    notebook_cpu_s: CPU seconds that a notebook with all solutions may take from top to bottom
    allowed: patterns of lines that a solution may share with what students get
    """

    notebook_cpu_s: float = 120.0
    allowed: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradescope:
    """How results look in Gradescope: who sees hidden tests when, and the time for a whole submission.

    minutes: keep it a minute below the limit that is set in Gradescope, 10 minutes by default
    """

    visibility: str = "after_published"
    minutes: float = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question: `defines` are the names its region binds, `depends` the questions whose answers it calls."""

    id: str
    notebook: str
    points: float
    defines: tuple[str, ...]
    depends: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """An assignment with the folders it lives in; every path is derived from `home` and `name`.

    data: files that students get, as paths below `home` and below their own folder
    packages: what students must install, by the names in `constraints.txt`
    """

    name: str
    title: str
    version: str
    notebooks: tuple[str, ...]
    questions: tuple[Question, ...]
    limits: Limits
    gradescope: Gradescope = Gradescope()
    home: Path
    data: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    gate: Gate = Gate()

    @property
    def toml(self) -> Path:
        return self.masters_dir / "assignment.toml"

    @property
    def masters_dir(self) -> Path:
        return self.home / "solutions" / self.name

    @property
    def release_dir(self) -> Path:
        return self.home / "assignments" / self.name

    @property
    def hidden_tests_dir(self) -> Path:
        return self.home / "autograder" / "hidden_tests" / self.name

    @property
    def corpus_dir(self) -> Path:
        """Right and wrong answers with their verdicts, a file for each question."""
        return self.home / "tests" / "corpus" / self.name

    @property
    def names_file(self) -> Path:
        """The names to work on: the file in the environment variable NAMES, else the first of `data`.

        Raises UsageError when there is neither.
        """
        chosen = os.environ.get(NAMES_VARIABLE)
        if not chosen and not self.data:
            raise UsageError("the assignment has no data file", self.toml, "list one as `data`, or set NAMES")
        return Path(chosen).expanduser().resolve() if chosen else self.home / self.data[0]

    @property
    def readable(self) -> tuple[Path, ...]:
        """What student code may read: the release, and the names file where there is one."""
        has_names = self.data or os.environ.get(NAMES_VARIABLE)
        return (self.release_dir, self.names_file) if has_names else (self.release_dir,)

    @property
    def max_points(self) -> float:
        return sum(question.points for question in self.questions)

    def question(self, question_id: str) -> Question:
        return next(question for question in self.questions if question.id == question_id)

    def in_notebook(self, notebook: str) -> tuple[Question, ...]:
        return tuple(question for question in self.questions if question.notebook == notebook)

    def dependencies(self, question: Question) -> frozenset[str]:
        """Every question that this one builds on, also through another."""
        found: set[str] = set()
        waiting = list(question.depends)
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting.extend(self.question(current).depends)
        return frozenset(found)

    def select(self, wanted: Iterable[str]) -> tuple[Question, ...]:
        """The questions with these ids, in the assignment's order; all of them when none is named.

        Raises UsageError for an id that does not exist.
        """
        ids = set(wanted)
        known = {question.id for question in self.questions}
        if unknown := sorted(ids - known):
            raise UsageError(
                f"no question {', '.join(unknown)}",
                self.name,
                f"the questions are {', '.join(question.id for question in self.questions)}",
            )
        return tuple(question for question in self.questions if not ids or question.id in ids)


def assignment_names(home: Path = HOME) -> list[str]:
    """The names of all assignments."""
    return sorted(path.parent.name for path in (home / "solutions").glob("*/assignment.toml"))


def load_assignment(name: str | None = None, home: Path = HOME) -> Assignment:
    """Read `solutions/<name>/assignment.toml`; without a name, the one assignment that there is.

    Raises UsageError when it is not there, MasterError when the file is wrong.
    """
    found = assignment_names(home)
    if name is None:
        if len(found) != 1:
            raise UsageError(
                f"{len(found)} assignments found",
                home / "solutions",
                f"name one with --assignment ({', '.join(found) or 'none'})",
            )
        name = found[0]
    path = home / "solutions" / name / "assignment.toml"
    if name not in found:
        raise UsageError("no such assignment", path, f"there is {', '.join(found) or 'none'}")
    return _from_table(read_toml(path), name, home)


def _from_table(root: TomlTable, name: str, home: Path) -> Assignment:
    notebooks = root.texts("notebooks")
    questions = root.table("questions")
    entries = questions.tables()
    limits, gate, gradescope = root.table("limits"), root.table("gate", {}), root.table("gradescope", {})
    assignment = Assignment(
        name=name,
        title=root.text("title"),
        version=root.text("version"),
        notebooks=notebooks,
        data=root.texts("data", ()),
        packages=root.texts("packages", ()),
        questions=tuple(_question(question_id, entry, notebooks) for question_id, entry in entries.items()),
        limits=Limits(
            wall_s=limits.number("wall_s"), cpu_s=limits.number("cpu_s"), memory_mib=limits.whole("memory_mib")
        ),
        gradescope=_gradescope(gradescope),
        gate=Gate(
            notebook_cpu_s=gate.number("notebook_cpu_s", Gate().notebook_cpu_s), allowed=_patterns(gate, "allowed")
        ),
        home=home,
    )
    for table in (root, limits, gate, gradescope, *entries.values()):
        table.finish()
    if not entries:
        raise questions.error("there are no questions", "write a table such as [questions.Q1]")
    _check_names(assignment, entries)
    _check_dependencies(assignment, entries)
    return assignment


def _question(question_id: str, entry: TomlTable, notebooks: tuple[str, ...]) -> Question:
    if not QUESTION_ID.fullmatch(question_id):
        raise entry.error(f"{question_id!r} is no id of a question", "take capital letters and a number, such as Q1")
    notebook = entry.text("notebook")
    if notebook not in notebooks:
        raise entry.error(f"{question_id} names an unknown notebook {notebook!r}", "correct or list it", "notebook")
    return Question(
        id=question_id,
        notebook=notebook,
        points=entry.number("points"),
        defines=entry.texts("defines"),
        depends=entry.texts("depends", ()),
    )


def _gradescope(table: TomlTable) -> Gradescope:
    settings = Gradescope(
        visibility=table.text("visibility", Gradescope().visibility),
        minutes=table.number("minutes", Gradescope().minutes),
    )
    if settings.visibility not in VISIBILITIES:
        what = f"visibility {settings.visibility!r} is not known"
        raise table.error(what, f"take one of {', '.join(VISIBILITIES)}", "visibility")
    return settings


def _patterns(table: TomlTable, key: str) -> tuple[re.Pattern[str], ...]:
    patterns = []
    for text in table.texts(key, ()):
        try:
            patterns.append(re.compile(text))
        except re.error as error:
            raise table.error(f"{text!r} is no regular expression ({error})", "mend the pattern", key) from error
    return tuple(patterns)


def _check_names(assignment: Assignment, entries: dict[str, TomlTable]) -> None:
    """Every name that a region binds belongs to one question, because it tells whose a region is."""
    owners: dict[str, str] = {}
    for question in assignment.questions:
        if not question.defines:
            fix = "list the functions and classes of its region"
            raise entries[question.id].error(f"{question.id} defines nothing", fix, "defines")
        for name in question.defines:
            if name in owners:
                what = f"{question.id} defines {name!r}, and so does {owners[name]}"
                raise entries[question.id].error(what, "rename one of them", "defines")
            owners[name] = question.id


def _check_dependencies(assignment: Assignment, entries: dict[str, TomlTable]) -> None:
    known = {question.id for question in assignment.questions}
    for question in assignment.questions:
        for other in question.depends:
            if other not in known:
                what = f"{question.id} depends on an unknown question {other!r}"
                raise entries[question.id].error(what, "correct the id", "depends")
    for question in assignment.questions:
        if question.id in assignment.dependencies(question):
            circle = ", ".join(sorted(assignment.dependencies(question) | {question.id}))
            what = f"{question.id} depends on itself (among {circle})"
            raise entries[question.id].error(what, "break the circle of dependencies", "depends")
