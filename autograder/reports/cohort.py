"""What a class did, computed from its results: shares, discrimination, mistakes, and who behaves alike. No text form.

Shares of a question count those who answered it, so that a class that ran out of time does not look like one that
did not understand.
"""

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autograder.assignment import Assignment, Question
from autograder.gradebook.changes import Change
from autograder.reports.code import PLACE
from autograder.reports.words import lost
from autograder.results import Flag, QuestionScore, Result, Status, SubmissionStatus, TestScore
from autograder.written import words

BINS = 10
ENOUGH = 5
"""Answers from which on it is suspicious that all of them pass or all of them fail."""
CASE = re.compile(r" \((?:case .*|\w+=[^()]*)\)$")
"""How a message ends that names the case of a test."""
NO_ANSWER = (Status.NOT_ATTEMPTED, Status.MISSING)
STOPPED = (Status.TIMED_OUT, Status.CRASHED)
Behaviour = tuple[tuple[str, Status, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFigures:
    """One hidden test over all answers.

    discrimination: point-biserial correlation with the rest of the total, None where it is not defined
    suspicious: whether all of enough answers passed, or none did
    """

    __test__ = False

    question: str
    name: str
    answers: int
    passed: float
    discrimination: float | None
    suspicious: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A message that tests of a question give, to how many students, with the shortest answer that got it."""

    question: str
    message: str
    tests: tuple[str, ...]
    count: int
    share: float
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Answers to one question that behave the same: equal status and message, with its wrong values, in every test.

    members: ids of students; sources: distinct answers, the shortest first; written: whether they are text
    """

    question: str
    status: Status
    points: float
    members: tuple[str, ...]
    failed: tuple[TestScore, ...]
    sources: tuple[str, ...]
    written: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFigures:
    """One question over all graded submissions; answered, full and mean are shares, `full` and `mean` of answers.

    waiting: answers that a person has yet to grade; they count in neither
    """

    id: str
    defines: tuple[str, ...]
    max_points: float
    graded: int
    answered: float
    full: float
    mean: float
    discrimination: float | None
    tests: tuple[TestFigures, ...]
    mistakes: tuple[Mistake, ...]
    clusters: tuple[Cluster, ...]
    without_answer: tuple[str, ...]
    waiting: int = 0
    bonus: bool = False

    @property
    def answers(self) -> int:
        return self.graded - len(self.without_answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A class. counts: graded students in equal parts of 0 to the maximum; stopped: student, question, status."""

    graded: tuple[Result, ...]
    unreadable: tuple[Result, ...]
    not_submitted: tuple[Result, ...]
    max_points: float
    counts: tuple[int, ...]
    mean: float
    median: float
    questions: tuple[QuestionFigures, ...]
    stopped: tuple[tuple[str, str, Status], ...]
    flags: tuple[tuple[str, tuple[tuple[str, Flag], ...]], ...]
    changes: tuple[Change, ...]

    @property
    def mistakes(self) -> list[Mistake]:
        """The mistakes in all questions, the commonest first."""
        every = [one for question in self.questions for one in question.mistakes]
        return sorted(every, key=lambda one: -one.count)

    @property
    def suspicious(self) -> list[TestFigures]:
        """The tests that all answers pass or fail."""
        return [test for question in self.questions for test in question.tests if test.suspicious]

    @property
    def explain_again(self) -> list[QuestionFigures]:
        """The questions that cost those who answered them the largest share of their points, worst first."""
        worst = [one for one in self.questions if one.answers > one.waiting and one.max_points and one.mean < 0.9]
        return sorted(worst, key=lambda one: one.mean)[:5]


def cohort(results: Iterable[Result], assignment: Assignment, changes: Sequence[Change] = ()) -> Cohort:
    """Compute everything that the report tells. changes: since the run before."""
    everyone = list(results)
    graded = tuple(one for one in everyone if one.status is SubmissionStatus.GRADED)
    totals = [one.total for one in graded]
    most = max((one.max_points for one in graded), default=assignment.max_points)
    known = [one for one in assignment.questions if any(one.id in result.questions for result in graded)]
    flags: dict[str, list[tuple[str, Flag]]] = {}
    for result in everyone:
        for flag in result.flags:
            flags.setdefault(flag.kind, []).append((result.student.id, flag))
    return Cohort(
        graded=graded,
        unreadable=tuple(one for one in everyone if one.status is SubmissionStatus.UNREADABLE),
        not_submitted=tuple(one for one in everyone if one.status is SubmissionStatus.NOT_SUBMITTED),
        max_points=most,
        counts=histogram(totals, most),
        mean=statistics.fmean(totals) if totals else 0.0,
        median=statistics.median(totals) if totals else 0.0,
        questions=tuple(_question(one, graded) for one in known),
        stopped=tuple(
            (result.student.id, key, score.status)
            for result in graded
            for key, score in result.questions.items()
            if score.status in STOPPED
        ),
        flags=tuple((kind, tuple(found)) for kind, found in sorted(flags.items(), key=lambda one: -len(one[1]))),
        changes=tuple(changes),
    )


def histogram(totals: Iterable[float], most: float) -> tuple[int, ...]:
    """Count totals in ten equal parts of 0 to `most`; what lies outside counts in the first or the last."""
    found = Counter(min(BINS - 1, max(0, int(BINS * total / most))) if most else 0 for total in totals)
    return tuple(found[place] for place in range(BINS))


def discrimination(passed: Sequence[bool], rest: Sequence[float]) -> float | None:
    """Return the point-biserial correlation of passing with the rest score; None without variance on either side.

    It is Pearson's correlation with passing as 0 or 1.
    """
    if len(set(passed)) < 2 or len(set(rest)) < 2:
        return None
    return statistics.correlation([float(one) for one in passed], rest)


def _question(one: Question, graded: Sequence[Result]) -> QuestionFigures:
    scored = [result for result in graded if one.id in result.questions]
    answered = [result for result in scored if result.questions[one.id].status not in NO_ANSWER]
    seen = [result for result in answered if result.questions[one.id].status is not Status.WAITING]
    scores = [result.questions[one.id] for result in seen]
    full = [score.full for score in scores]
    rest = [result.total - score.points for result, score in zip(seen, scores, strict=True)]
    most = sum(score.max_points for score in scores)
    return QuestionFigures(
        id=one.id,
        defines=one.defines,
        max_points=one.points,
        graded=len(scored),
        answered=_share(len(answered), len(scored)),
        full=_share(sum(full), len(full)),
        mean=sum(score.points for score in scores) / most if most else 0.0,
        discrimination=discrimination(full, rest),
        tests=tuple(_tests(one.id, answered)),
        mistakes=tuple(_mistakes(one.id, answered)),
        clusters=tuple(clusters(one.id, answered)),
        without_answer=tuple(result.student.id for result in scored if result.questions[one.id].status in NO_ANSWER),
        waiting=len(answered) - len(seen),
        bonus=one.bonus,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _tests(question: str, answered: Sequence[Result]) -> list[TestFigures]:
    taken: dict[str, list[tuple[bool, float]]] = {}
    for result in answered:
        for test in result.questions[question].tests:
            taken.setdefault(test.name, []).append((test.status is Status.PASSED, result.total - test.points))
    found = []
    for name, pairs in taken.items():
        passed, rest = [one for one, _ in pairs], [other for _, other in pairs]
        share = _share(sum(passed), len(passed))
        found.append(
            TestFigures(
                question=question,
                name=name,
                answers=len(pairs),
                passed=share,
                discrimination=discrimination(passed, rest),
                suspicious=len(pairs) >= ENOUGH and share in (0.0, 1.0),
            )
        )
    return found


def without_place(message: str) -> str:
    """Return a message without the line of the student's code: what two students with other code have in common."""
    return PLACE.sub("", message).strip()


def without_case(message: str) -> str:
    """Return a message without the case of a test that said so, such as `(n=7)` at its end."""
    return CASE.sub("", without_place(message))


def _mistakes(question: str, answered: Sequence[Result]) -> list[Mistake]:
    """Messages that more than one student got, the commonest first."""
    students: dict[str, dict[str, str]] = {}
    tests: dict[str, dict[str, None]] = {}
    for result in answered:
        score = result.questions[question]
        for test in score.tests:
            if test.status is not Status.PASSED:
                message = without_case(lost(test))
                students.setdefault(message, {})[result.student.id] = score.answer.source if score.answer else ""
                tests.setdefault(message, {})[test.name] = None
    found = [
        Mistake(
            question=question,
            message=message,
            tests=tuple(tests[message]),
            count=len(sources),
            share=_share(len(sources), len(answered)),
            example=min(sources.values(), key=len),
        )
        for message, sources in students.items()
        if len(sources) > 1
    ]
    return sorted(found, key=lambda one: -one.count)


def behaviour(score: QuestionScore) -> Behaviour:
    """Return what an answer does in each test: answers with equal behaviour are one group.

    A written answer does nothing: those are alike that say the same in the same words.
    """
    if not score.tests and score.answer:
        return (("written", score.status, words(score.answer.source)),)
    return tuple((test.name, test.status, without_place(test.message)) for test in score.tests)


def clusters(question: str, answered: Iterable[Result]) -> list[Cluster]:
    """Group answers by their behaviour, the largest group first; full marks are one group."""
    groups: dict[Behaviour, list[Result]] = {}
    for result in answered:
        groups.setdefault(behaviour(result.questions[question]), []).append(result)
    found = [_cluster(question, group) for group in groups.values()]
    return sorted(found, key=lambda one: (one.status is Status.PASSED, -len(one.members)))


def _cluster(question: str, group: Sequence[Result]) -> Cluster:
    first = group[0].questions[question]
    sources = {score.answer.source for score in _scores(question, group) if score.answer}
    return Cluster(
        question=question,
        status=first.status,
        points=first.computed,
        members=tuple(result.student.id for result in group),
        failed=tuple(test for test in first.tests if test.status is not Status.PASSED),
        sources=tuple(sorted(sources, key=lambda source: (len(source), source))),
        written=not first.tests,
    )


def _scores(question: str, group: Iterable[Result]) -> list[QuestionScore]:
    return [result.questions[question] for result in group]
