"""What an assignment is: its questions, points, dependencies and limits."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from autograder.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one question of one submission may use."""

    wall_s: float
    cpu_s: float
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Settings of the release check (`autograder verify`) for this assignment.

    notebook_cpu_s: CPU seconds that a notebook with all solutions may take from top to bottom
    allowed: patterns of lines that a solution may share with what students get
    """

    notebook_cpu_s: float = 120.0
    allowed: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradescope:
    """How results look in Gradescope: when students see hidden tests, and the time limit of a whole submission.

    minutes: one minute less than the limit set in Gradescope, which is 10 minutes by default
    """

    visibility: str = "after_published"
    minutes: float = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class LatePolicy:
    """The deduction for late submissions.

    deadline: with its time zone; grace_minutes: minutes after the deadline that cost nothing
    percent_per_day: deducted from the points for each started day; most_percent: the largest deduction
    cutoff_minutes: minutes after the deadline from which on nothing counts; None for no cut-off
    """

    deadline: datetime
    grace_minutes: float = 0
    percent_per_day: float = 0
    most_percent: float = 100
    cutoff_minutes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricLine:
    """What a written answer gets points for."""

    points: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question: `defines` are the names its region binds, `depends` the questions whose answers it calls.

    bonus: its points add to the total, not to the maximum; optional: leaving it out costs nothing and is no remark
    rubric: of a written question, which people grade; empty for one that hidden tests grade
    """

    id: str
    notebook: str
    points: float
    defines: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    bonus: bool = False
    optional: bool = False
    rubric: tuple[RubricLine, ...] = ()

    @property
    def written(self) -> bool:
        """Whether the answer is text that people grade."""
        return bool(self.rubric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """An assignment and its folders; every path is derived from `home` and `name`.

    data: files that students get, by name: paths below `home` and below their own folder
    packages: what students must install, by the names in `constraints.txt`
    released: the day on which this version was made; None before the first release
    """

    name: str
    title: str
    version: str
    notebooks: tuple[str, ...]
    questions: tuple[Question, ...]
    limits: Limits
    gradescope: Gradescope = Gradescope()
    home: Path
    data: Mapping[str, str] = field(default_factory=dict)
    late: LatePolicy | None = None
    packages: tuple[str, ...] = ()
    released: date | None = None
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
        return self.masters_dir / "hidden_tests"

    @property
    def corpus_dir(self) -> Path:
        """Right and wrong answers with their verdicts, one file per question."""
        return self.masters_dir / "corpus"

    @property
    def uses_torch(self) -> bool:
        """Whether students install torch; only then do graders and children load it."""
        return "torch" in self.packages

    def data_file(self, name: str) -> Path:
        """Return the path of a data file: the one given by its environment variable, else the bundled one."""
        chosen = os.environ.get(name.upper())
        return Path(chosen).expanduser().resolve() if chosen else self.home / self.data[name]

    @property
    def readable(self) -> tuple[Path, ...]:
        """What student code may read: the release and the data files."""
        return (self.release_dir, *map(self.data_file, self.data))

    @property
    def max_points(self) -> float:
        return most_points(self.questions)

    @property
    def tested(self) -> tuple[Question, ...]:
        """The questions that hidden tests grade; people grade the others."""
        return tuple(question for question in self.questions if not question.written)

    def question(self, question_id: str) -> Question:
        return next(question for question in self.questions if question.id == question_id)

    def in_notebook(self, notebook: str) -> tuple[Question, ...]:
        return tuple(question for question in self.questions if question.notebook == notebook)

    def dependencies(self, question: Question) -> frozenset[str]:
        """Return every question that this one builds on, directly or indirectly."""
        found: set[str] = set()
        waiting = list(question.depends)
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting.extend(self.question(current).depends)
        return frozenset(found)

    def select(self, wanted: Iterable[str]) -> tuple[Question, ...]:
        """Return the questions with these ids, in the assignment's order; all of them if none is named.

        Raises UsageError for an id that does not exist.
        """
        ids = set(wanted)
        known = {question.id for question in self.questions}
        if unknown := sorted(ids - known):
            raise UsageError(
                f"no question {', '.join(unknown)}",
                self.name,
                f"choose from {', '.join(question.id for question in self.questions)}",
            )
        return tuple(question for question in self.questions if not ids or question.id in ids)


def most_points(questions: Iterable[Question]) -> float:
    """Return the maximum of these questions: their points without those of bonus questions."""
    return sum(question.points for question in questions if not question.bonus)
