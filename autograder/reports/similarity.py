"""Pairs of students whose answers have unusually much in common: places to look, never a verdict.

An answer is compared by its fingerprints (reports/fingerprints.py). Those of what students were given and of the
reference answers do not count, nor do those that many answers share: a question with one obvious answer makes everyone
alike. What is left weighs log(n / df), the more the fewer of the n answers have it, and adds up over all questions.
"""

import ast
import math
import re
import statistics
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from autograder.assignment import Assignment
from autograder.reports.code import own_lines, split_lines
from autograder.reports.cohort import without_place
from autograder.reports.fingerprints import MOST_SOURCE, Token, all_runs, fingerprints, tokens
from autograder.results import Result, Status

MOST_SHARE = 0.02
LEAST = 5
MOST_OWNERS = 60
"""What more than this share of the answers to a question have, and more than LEAST of them, is common knowledge; so is
what more than MOST_OWNERS have, however large the class, as pairs grow with the square."""
SHOWN = 0.02
MOST_SHOWN = 60
"""The pairs that are listed: this share of all pairs, and no more than this many."""
FLOOR = 0.1
"""Added to each weight, so that what both of only two answers share counts, too."""
WRONG_VALUE = re.compile(r"\d\.\d{2}|\d{4}")
MOST_SIGNALS = 8
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
SHORTEST = 4
"""Characters of a name or comment that can be unusual."""
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something else that hardly anybody has but these two: a wrong value, a name, a comment, dead code."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What two answers to one question have in common; left and right are the lines of it in each."""

    question: str
    score: float
    shared: float
    left: frozenset[int]
    right: frozenset[int]
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two students, with the questions in which they have something in common, the most telling first."""

    left: str
    right: str
    score: float
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """The pairs of a class, the most alike first. compared: how many pairs there are; typical: the median score."""

    students: int
    compared: int
    typical: float
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What everybody may have: fingerprints, and names and comments in lower case."""

    marks: frozenset[int]
    words: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The student's own lines of an answer. marks: its fingerprints, with the lines of the answer that they span."""

    student: str
    marks: Mapping[int, frozenset[int]]
    signals: frozenset[Signal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rare:
    """What at least two answers to a question have, and not many. weights: log(n / df) of each fingerprint"""

    weights: Mapping[int, float]
    signals: frozenset[Signal]


def similarity(results: Iterable[Result], assignment: Assignment, known: Iterable[str]) -> Similarity:
    """Compare every pair of students over all questions that are answered by code together.

    known: code that everybody may have: the release's cells and the reference answers
    Students who handed in the same submission as a group are not compared with each other.
    """
    everyone = {result.student.id: result for result in results if result.questions}
    everybody = _known(list(known))
    scores: defaultdict[tuple[str, str], float] = defaultdict(float)
    rare: dict[str, Rare] = {}
    for question in (one.id for one in assignment.tested):
        pieces = _pieces(everyone.values(), question, assignment, everybody)
        rare[question] = _compare(pieces, scores)
    compared = len(everyone) * (len(everyone) - 1) // 2
    ranked = sorted(
        (pair for pair in scores if not _one_team(everyone[pair[0]], everyone[pair[1]])),
        key=lambda pair: (-scores[pair], pair),
    )
    shown = ranked[: min(MOST_SHOWN, max(1, math.ceil(SHOWN * compared)))]
    matches: dict[tuple[str, str], list[Match]] = {pair: [] for pair in shown}
    people = [everyone[student] for student in dict.fromkeys(student for pair in shown for student in pair)]
    for question, one in rare.items():
        found = {piece.student: piece for piece in _pieces(people, question, assignment, everybody)}
        for left, right in shown:
            if left in found and right in found:
                matches[left, right] += _match(question, one, found[left], found[right])
    return Similarity(
        students=len(everyone),
        compared=compared,
        typical=_median(scores.values(), compared),
        pairs=tuple(_pair(pair, scores[pair], matches[pair]) for pair in shown),
    )


def _median(scores: Collection[float], compared: int) -> float:
    """Return the median score of all pairs; those that are not listed have 0."""
    if 2 * len(scores) < compared or not compared:
        return 0.0
    return statistics.median([*scores, *[0.0] * (compared - len(scores))])


def _known(texts: Sequence[str]) -> Known:
    words = frozenset(token.written.strip("# ").casefold() for text in texts for token in tokens(text))
    return Known(marks=frozenset[int]().union(*map(all_runs, texts)), words=words)


def _one_team(left: Result, right: Result) -> bool:
    return left.student.group is not None and (left.student.group, left.sha256) == (right.student.group, right.sha256)


def _compare(pieces: Sequence[Piece], scores: defaultdict[tuple[str, str], float]) -> Rare:
    """Add to each pair's score what its answers to one question share."""
    most = max(LEAST, min(MOST_OWNERS, int(MOST_SHARE * len(pieces))))
    weights: dict[int, float] = {}
    for mark, owners in _shared(((piece.student, piece.marks) for piece in pieces), most):
        weights[mark] = math.log(len(pieces) / len(owners)) + FLOOR
        for pair in combinations(owners, 2):
            scores[pair] += weights[mark]
    signals = (signal for signal, _ in _shared(((piece.student, piece.signals) for piece in pieces), most))
    return Rare(weights=weights, signals=frozenset(signals))


def _shared(owned: Iterable[tuple[str, Iterable[Key]]], most: int) -> Iterator[tuple[Key, list[str]]]:
    """Yield what at least two students and at most this many have, with these students in order."""
    owners: dict[Key, list[str]] = {}
    for student, keys in owned:
        for key in keys:
            owners.setdefault(key, []).append(student)
    return ((key, sorted(students)) for key, students in owners.items() if 2 <= len(students) <= most)


def _match(question: str, rare: Rare, left: Piece, right: Piece) -> Iterator[Match]:
    marks = left.marks.keys() & right.marks.keys() & rare.weights.keys()
    signals = left.signals & right.signals & rare.signals
    if marks or signals:
        yield Match(
            question=question,
            score=sum(rare.weights[one] for one in marks),
            shared=len(marks) / min(len(left.marks), len(right.marks)) if marks else 0.0,
            left=frozenset().union(*(left.marks[one] for one in marks)),
            right=frozenset().union(*(right.marks[one] for one in marks)),
            signals=tuple(sorted(signals, key=lambda one: (one.kind, one.text))[:MOST_SIGNALS]),
        )


def _pair(pair: tuple[str, str], score: float, matches: Iterable[Match]) -> Pair:
    ordered = sorted(matches, key=lambda one: -one.score)
    return Pair(left=pair[0], right=pair[1], score=score, matches=tuple(ordered))


def _pieces(results: Iterable[Result], question: str, assignment: Assignment, known: Known) -> list[Piece]:
    """Return the answers to one question; equal ones are read once."""
    pieces = []
    read: dict[str, tuple[Mapping[int, frozenset[int]], frozenset[Signal]]] = {}
    for result in results:
        score = result.questions.get(question)
        if score is None or score.answer is None or not score.answer.source:
            continue
        source = score.answer.source
        if source not in read:
            read[source] = _read(source, own_lines(source, question, assignment), known)
        marks, signals = read[source]
        wrong = {
            Signal(kind="wrong value", text=f"{test.name.replace('_', ' ')}: {without_place(test.message)}")
            for test in score.tests
            if test.status is Status.FAILED and WRONG_VALUE.search(test.message)
        }
        pieces.append(Piece(student=result.student.id, marks=marks, signals=signals | wrong))
    return pieces


def _read(source: str, own: range, known: Known) -> tuple[dict[int, frozenset[int]], frozenset[Signal]]:
    """Return the fingerprints of the student's own lines, and what is unusual in them."""
    text = "\n".join(split_lines(source)[own.start - 1 : own.stop - 1])
    code = tokens(text)
    marks = {
        mark: frozenset(line + own.start - 1 for line in lines)
        for mark, lines in fingerprints(code).items()
        if mark not in known.marks
    }
    return marks, frozenset([*_written(code, known.words), *_dead(text)])


def _written(code: Sequence[Token], words: frozenset[str]) -> Iterator[Signal]:
    """Names and comments that a student chose and that are nowhere in what everybody has."""
    depth = 0
    for place, token in enumerate(code):
        depth += (token.written in OPENING) - (token.written in CLOSING)
        written = token.written.strip("# ").casefold()
        if written in words or len(written) < SHORTEST:
            continue
        if token.kind == "comment":
            yield Signal(kind="comment", text=token.written.strip("# "))
        after = code[place + 1].written if place + 1 < len(code) else ""
        named_argument = depth > 0 and after == "="
        if token.text == "v" and not named_argument:
            yield Signal(kind="name", text=token.written)


def _dead(text: str) -> list[Signal]:
    """Statements without effect: a name that nothing reads, or code behind a return. None where it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the student's code, such as an escape that Python does not know
            tree = ast.parse(_dedented(text))
        return [Signal(kind="dead code", text=ast.unparse(one)) for one in _without_effect(tree)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _without_effect(tree: ast.Module) -> Iterator[ast.stmt]:
    nodes = list(ast.walk(tree))
    read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for node in nodes:
        yield from _behind_return(node)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and not isinstance(node.value, ast.Constant):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id not in read:
                yield node


def _behind_return(node: ast.AST) -> Iterator[ast.stmt]:
    body = getattr(node, "body", None)
    if not isinstance(body, list):
        return
    for place, statement in enumerate(body):
        if isinstance(statement, ast.Return | ast.Raise):
            yield from body[place + 1 :]
            return


def _dedented(text: str) -> str:
    """Return the lines of a region as a program of their own."""
    lines = [line.expandtabs(4) for line in text[:MOST_SOURCE].split("\n")]
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    least = min(indents, default=0)
    return "\n".join(line[least:] for line in lines)
