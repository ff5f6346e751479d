"""The similarity report as a page: pairs in order, their answers side by side, with what they share marked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.assignment import Assignment
from autograder.gradebook.files import make_folder, write_whole
from autograder.reports.code import Line, code_lines, own_lines
from autograder.reports.html import clipped, render
from autograder.reports.report import FOLDER
from autograder.reports.similarity import Match, Pair, Signal, Similarity, similarity
from autograder.results import Result

FILE = "similarity.html"
MOST_QUESTIONS = 6
"""Questions of a pair that are shown with their code."""
MOST_CODE = 2500
MOST_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One question of a pair."""

    question: str
    shared: float
    signals: tuple[Signal, ...]
    left: tuple[Line, ...]
    right: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One pair. others: questions with less in common, which are only named"""

    left: str
    right: str
    score: float
    signals: int
    beside: tuple[Beside, ...]
    others: tuple[str, ...]


def write_similarity(results: Iterable[Result], assignment: Assignment, known: Iterable[str], folder: Path) -> Path:
    """Write report/similarity.html; its path. known: code that everybody may have."""
    everyone = list(results)
    target = folder / FOLDER / FILE
    make_folder(target.parent)
    found = similarity(everyone, assignment, known)
    write_whole(target, similarity_html(found, {one.student.id: one for one in everyone}, assignment))
    return target


def similarity_html(found: Similarity, results: Mapping[str, Result], assignment: Assignment) -> str:
    """Return the page. results: by student, of everyone in a pair."""
    return render(
        "similarity.html",
        title=assignment.title,
        found=found,
        pairs=[_pair(one, results, assignment) for one in found.pairs],
    )


def _pair(pair: Pair, results: Mapping[str, Result], assignment: Assignment) -> Shown:
    shown = pair.matches[:MOST_QUESTIONS]
    return Shown(
        left=clipped(pair.left, 120),
        right=clipped(pair.right, 120),
        score=pair.score,
        signals=sum(len(one.signals) for one in pair.matches),
        beside=tuple(_beside(one, results[pair.left], results[pair.right], assignment) for one in shown),
        others=tuple(one.question for one in pair.matches[MOST_QUESTIONS:]),
    )


def _beside(match: Match, left: Result, right: Result, assignment: Assignment) -> Beside:
    def code(result: Result, lines: frozenset[int]) -> tuple[Line, ...]:
        answer = result.questions[match.question].answer
        source = answer.source if answer else ""
        return tuple(code_lines(source, own_lines(source, match.question, assignment), lines, MOST_CODE))

    return Beside(
        question=match.question,
        shared=match.shared,
        signals=tuple(Signal(kind=one.kind, text=clipped(one.text, MOST_TEXT)) for one in match.signals),
        left=code(left, match.left),
        right=code(right, match.right),
    )
