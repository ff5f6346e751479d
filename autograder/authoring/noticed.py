"""What notices each mutant of a reference answer, as figures and as tables."""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from autograder.assignment import Assignment
from autograder.authoring.mutants import Mutant
from autograder.release.versions import MutantFigures

CHECKED = {True: "noticed", False: "passed"}
COLUMNS = ("question", "line_of_answer", "line", "becomes", "public_check", "hidden_tests", "noticed_by")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A mutant that is a wrong answer, and what noticed it.

    tests: the hidden tests that it fails, or only the first of them; check: whether it fails the public check
    """

    mutant: Mutant
    tests: tuple[str, ...]
    check: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured for one question.

    tests: its hidden tests; checked: whether its public check could be measured
    made: the number of its mutants; judged: those that are wrong answers
    """

    question: str
    tests: tuple[str, ...]
    checked: bool
    made: int
    judged: tuple[Judged, ...]

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        return tuple(one.mutant for one in self.judged if not one.tests)

    @property
    def figures(self) -> MutantFigures:
        return MutantFigures(
            made=self.made,
            equivalent=self.made - len(self.judged),
            noticed=len(self.judged) - len(self.survivors),
            by_check=sum(one.check for one in self.judged) if self.checked else None,
        )

    @property
    def noticed_by_one(self) -> int:
        """The number of mutants that fail only one hidden test."""
        return sum(len(one.tests) == 1 for one in self.judged)

    def noticed_by(self, test: str) -> int:
        """Return how many mutants fail this hidden test."""
        return sum(test in one.tests for one in self.judged)

    def noticed_only_by(self, test: str) -> int:
        """Return how many mutants fail this hidden test and no other."""
        return sum(one.tests == (test,) for one in self.judged)


def in_words(figures: MutantFigures) -> str:
    """Return figures as one line."""
    by_check = "not measured" if figures.by_check is None else f"{figures.by_check} of {figures.wrong}"
    hidden = f"{figures.noticed} of {figures.wrong} noticed, {figures.equivalent} equivalent"
    return f"{hidden}; by the public check: {by_check}"


def total(every: Collection[MutantFigures]) -> MutantFigures:
    """Return the sums of the figures of several questions."""
    by_check = [one.by_check for one in every if one.by_check is not None]
    return MutantFigures(
        made=sum(one.made for one in every),
        equivalent=sum(one.equivalent for one in every),
        noticed=sum(one.noticed for one in every),
        by_check=sum(by_check) if len(by_check) == len(every) else None,
    )


def to_markdown(assignment: Assignment, found: Sequence[Measured]) -> str:
    """Return the figures of all questions and of all hidden tests as a page; every hidden test judged each mutant."""
    lines = [
        f"# Mutants of {assignment.name} {assignment.version}",
        "",
        f"Written by `autograder verify --assignment {assignment.name} --mutants --table FILE.md`; with `FILE.csv` it",
        "lists every mutant with the hidden tests that notice it.",
        "",
        "## By question",
        "",
        "Equivalent mutants are right answers in other words; nothing has to notice them. The public check, which",
        "students have, ran on the same mutants.",
        "",
        "| question | mutants | equivalent | noticed | by one hidden test only | survivors | by the public check |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(_question_row(one.question, one.figures, one.noticed_by_one) for one in found),
        _question_row("all", total([one.figures for one in found]), sum(one.noticed_by_one for one in found)),
        "",
        "## By hidden test",
        "",
        "*Alone*: mutants that no other hidden test of the question notices. A test with none notices no mutant that",
        "the others miss; it may still be there for wrong answers of other kinds, such as those of the corpus.",
        "",
        "| question | hidden test | noticed | alone |",
        "|---|---|---:|---:|",
    ]
    for one in found:
        lines += [
            f"| {one.question} | {test} | {one.noticed_by(test)} | {one.noticed_only_by(test)} |" for test in one.tests
        ]
    return "\n".join([*lines, ""])


def _question_row(name: str, figures: MutantFigures, by_one: int) -> str:
    by_check = "not measured" if figures.by_check is None else figures.by_check
    cells = (name, figures.made, figures.equivalent, figures.noticed, by_one, figures.survivors, by_check)
    return f"| {' | '.join(map(str, cells))} |"


def to_csv(assignment: Assignment, found: Sequence[Measured]) -> str:
    """Return a row for each mutant, with the hidden tests that notice it, separated by spaces."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found:
        for judged in one.judged:
            mutant = judged.mutant
            check = CHECKED[judged.check] if one.checked else "not measured"
            place = (one.question, mutant.number, mutant.line, mutant.becomes)
            writer.writerow([*place, check, len(judged.tests), " ".join(judged.tests)])
    return buffer.getvalue()


TABLES = {".md": to_markdown, ".csv": to_csv}
"""What writes a table, by the ending of its file."""
