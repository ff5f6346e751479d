"""What an assignment is: its questions, points, dependencies and limits, read from `assignment.toml`."""

import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.errors import MasterError, UsageError

HOME = Path(__file__).resolve().parent.parent
NAMES_VARIABLE = "NAMES"
VISIBILITIES = ("hidden", "after_due_date", "after_published", "visible")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one question of one submission may use."""

    wall_s: float
    cpu_s: float
    memory_mib: int


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
    """An assignment with the folders it lives in; every path is derived from `home` and `name`."""

    name: str
    title: str
    version: str
    notebooks: tuple[str, ...]
    questions: tuple[Question, ...]
    limits: Limits
    gradescope: Gradescope = Gradescope()
    home: Path

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
    def names_file(self) -> Path:
        """The names to work on: the file in the environment variable NAMES, else the bundled one."""
        chosen = os.environ.get(NAMES_VARIABLE)
        return Path(chosen).expanduser().resolve() if chosen else self.home / "data" / "names.txt"

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


def load_assignment(name: str | None = None, home: Path = HOME) -> Assignment:
    """Read `solutions/<name>/assignment.toml`; without a name, the one assignment that there is.

    Raises UsageError when it is not there, MasterError when the file is wrong.
    """
    found = sorted(path.parent.name for path in (home / "solutions").glob("*/assignment.toml"))
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
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MasterError(f"not valid TOML ({error})", path, "mend the file") from error
    try:
        assignment = _from_table(table, name, home)
    except (KeyError, TypeError, ValueError) as error:
        raise MasterError(
            f"a value is missing or of the wrong kind ({error})", path, "compare it with the other keys"
        ) from error
    _check(assignment, path)
    return assignment


def _from_table(table: dict[str, Any], name: str, home: Path) -> Assignment:
    questions = tuple(
        Question(
            id=question_id,
            notebook=str(entry["notebook"]),
            points=float(entry["points"]),
            defines=tuple(entry["defines"]),
            depends=tuple(entry.get("depends", ())),
        )
        for question_id, entry in table["questions"].items()
    )
    limits = table["limits"]
    return Assignment(
        name=name,
        title=str(table["title"]),
        version=str(table["version"]),
        notebooks=tuple(table["notebooks"]),
        questions=questions,
        limits=Limits(
            wall_s=float(limits["wall_s"]), cpu_s=float(limits["cpu_s"]), memory_mib=int(limits["memory_mib"])
        ),
        gradescope=_gradescope(table.get("gradescope", {})),
        home=home,
    )


def _gradescope(table: dict[str, Any]) -> Gradescope:
    settings = Gradescope(**table)
    if settings.visibility not in VISIBILITIES:
        raise ValueError(f"visibility {settings.visibility!r} is none of {', '.join(VISIBILITIES)}")
    return Gradescope(visibility=settings.visibility, minutes=float(settings.minutes))


def _check(assignment: Assignment, path: Path) -> None:
    known = {question.id for question in assignment.questions}
    for question in assignment.questions:
        if question.notebook not in assignment.notebooks:
            raise MasterError(
                f"{question.id} names an unknown notebook {question.notebook!r}", path, "correct it or list it"
            )
        for other in question.depends:
            if other not in known:
                raise MasterError(f"{question.id} depends on an unknown question {other!r}", path, "correct the id")
        if question.id in assignment.dependencies(question):
            raise MasterError(f"{question.id} depends on itself", path, "break the circle of dependencies")
