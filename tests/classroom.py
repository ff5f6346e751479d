"""Results made in code: a small assignment, and classes of any size over the lecture's assignment."""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment, Limits, Question
from autograder.authoring.corpus import Answer, read_answers
from autograder.pictures import Kind, Picture
from autograder.results import (
    Audience,
    Flag,
    GradedAnswer,
    Override,
    QuestionScore,
    Result,
    Status,
    Student,
    SubmissionStatus,
    SubmittedFile,
    TestScore,
)
from tests import corpus

NAMES = (
    "Ada Example",
    "Noor al-Hassan",
    "João Pereira",
    "李 小龍",
    "مریم رضایی",
    "Zoë O’Brien-Müller",
    "Ng",
    "Ολυμπία Δ.",
)
HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=1">',
    "javascript:alert(1)",
    "a\u202eb\u2066c",
    "nul\x00esc\x1b[31m",
    "lone \udcff surrogate",
    "{{ 7 * 7 }}{% raw %}",
    "</style></pre></code><!--",
)
LOSS_CURVE = Picture(
    kind=Kind.CURVE,
    title="Training loss of a network of 12 blocks at learning rate 0.1",
    x="step (each point is the mean of 10)",
    y="loss",
    at=tuple(map(float, range(10, 201, 10))),
    yours=tuple(round(2.9 + 5 / (9 + place) + 0.04 * (place % 3), 4) for place in range(20)),
    low=tuple(2.45 + 6 / (10 + place) for place in range(20)),
    high=tuple(2.75 + 6 / (10 + place) for place in range(20)),
)
"""The picture of failed answers to R9 in a class."""
TESTS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "Q1": (("halves_a_number", 1.0), ("halves_an_odd_number", 1.0)),
    "Q2": (("adds_up", 2.0), ("leaves_the_list_alone", 1.0)),
    "Q3": (("draws_a_line", 1.0),),
}


def small() -> Assignment:
    """An assignment of three questions, the second of which builds on the first. It has no files."""
    depends = {"Q2": ("Q1",)}
    questions = tuple(
        Question(
            id=key, notebook="n", points=sum(p for _, p in tests), defines=(f"f_{key}",), depends=depends.get(key, ())
        )
        for key, tests in TESTS.items()
    )
    limits = Limits(wall_s=1, cpu_s=1, memory_mib=100)
    return Assignment(
        name="small",
        title="Halves & sums",
        version="1",
        notebooks=("n",),
        questions=questions,
        limits=limits,
        home=Path("/nowhere"),
    )


def score(
    question: str,
    messages: Mapping[str, str] | None = None,
    *,
    status: Status = Status.FAILED,
    source: str = "def f(x):\n    return x\n",
    **changed: Any,
) -> QuestionScore:
    """A score in which the tests with a message ended with this status, and all others passed."""
    messages = messages or {}
    tests = tuple(
        TestScore(
            name=name,
            status=status if name in messages else Status.PASSED,
            points=0.0 if name in messages else most,
            max_points=most,
            message=messages.get(name, ""),
            hint=f"a hint for {name}" if name in messages else "",
        )
        for name, most in TESTS[question]
    )
    plain: dict[str, Any] = {
        "computed": sum(test.points for test in tests),
        "max_points": sum(test.max_points for test in tests),
        "status": status if messages else Status.PASSED,
        "dependencies": "own",
        "tests": tests,
        "answer": GradedAnswer(file="n.ipynb", source=source),
    }
    return QuestionScore(**(plain | changed))


def unanswered(question: str, status: Status = Status.NOT_ATTEMPTED) -> QuestionScore:
    """A score of a question without an answer."""
    messages = {name: "the region is as it was released" for name, _ in TESTS[question]}
    return score(question, messages, status=status, source="")


def result(student: str = "ada", scores: Mapping[str, QuestionScore] | None = None, **changed: Any) -> Result:
    """A result of the small assignment; questions that are not given have full marks."""
    plain: dict[str, Any] = {
        "student": Student(id=student, name=changed.pop("name", "")),
        "submission": f"{student}/n.ipynb",
        "sha256": student,
        "assignment": "small",
        "version": "1",
        "status": SubmissionStatus.GRADED,
        "max_points": 6.0,
        "questions": {key: (scores or {}).get(key) or score(key) for key in TESTS},
        "files": (SubmittedFile(name="n.ipynb", notebook="n"),),
        "submitted": "2026-11-20T23:59:00+01:00",
    }
    return Result(**(plain | changed))


def lecture_class(count: int, seed: int = 6) -> list[Result]:
    """A class over the lecture's assignment with varied answers of its corpus; most are right, some are nothing."""
    assignment = corpus.assignment()
    answers = {one.id: read_answers(assignment.corpus_dir / f"{one.id}.txt") for one in assignment.tested}
    return [_student(number, assignment, answers, random.Random(seed * 100_000 + number)) for number in range(count)]


def _student(number: int, assignment: Assignment, answers: Mapping[str, list[Answer]], draw: random.Random) -> Result:
    skill = draw.betavariate(3, 1.4)
    attempted = draw.random() * 0.5 + 0.55
    scores = {}
    for one in assignment.tested:
        right = [answer for answer in answers[one.id] if answer.right]
        wrong = [answer for answer in answers[one.id] if not answer.right]
        if draw.random() > attempted:
            scores[one.id] = _lecture_score(one, None, draw)
        else:
            scores[one.id] = _lecture_score(one, draw.choice(right if draw.random() < skill else wrong), draw)
    if number % 37 == 5:
        scores["B3"] = replace(scores["B3"], override=_override(scores["B3"]))
    flags = [Flag(kind="several_files", text="two notebooks were handed in; the newer one counts")] * (number % 23 == 3)
    flags += [Flag(kind="hidden_test_raised", question="R8", text="a test raised", audience=Audience.STAFF)] * (
        number % 41 == 7
    )
    late = draw.randint(1, 3000) if number % 13 == 4 else None
    status = {40: SubmissionStatus.NOT_SUBMITTED, 41: SubmissionStatus.UNREADABLE}.get(
        number % 50, SubmissionStatus.GRADED
    )
    return Result(
        student=Student(id=f"s{number:04}", name=f"{NAMES[number % len(NAMES)]} {number}", group="abc"[number % 3]),
        submission=f"s{number:04}/batchnorm.ipynb",
        sha256=f"{number}",
        assignment=assignment.name,
        version=assignment.version,
        status=status,
        max_points=assignment.max_points,
        flags=tuple(flags),
        questions=scores if status is SubmissionStatus.GRADED else {},
        submitted="2026-11-20T23:59:00+01:00" if status is not SubmissionStatus.NOT_SUBMITTED else None,
        late=late,
        files=(SubmittedFile(name="batchnorm.ipynb", notebook="batchnorm"),),
    )


def _override(score: QuestionScore) -> Override:
    return Override(
        points=score.max_points, comment="The eps is fine.", by="Tess Assistant", at="2026-11-22T10:00:00+00:00"
    )


def _lecture_score(one: Question, answer: Answer | None, draw: random.Random) -> QuestionScore:
    names = ("returns_the_right_shapes", "agrees_with_the_formula", "leaves_its_input_alone", "is_stable_for_small_eps")
    each = one.points / len(names)
    status = Status.NOT_ATTEMPTED if answer is None else Status.PASSED
    failing: set[str] = set(names) if answer is None else set()
    message = "the region is as it was released"
    source = corpus.answer_cell(one.id, answer.body) if answer else ""
    if answer and not answer.right:
        failing = {names[1], *draw.sample(names, 1)}
        status = draw.choices([Status.FAILED, Status.ERROR, Status.TIMED_OUT, Status.CRASHED], [40, 6, 1, 1])[0]
        message = {
            Status.FAILED: f"your output matches {answer.name} (n=7)",
            Status.ERROR: f"ValueError: shapes do not match (line 3 of {one.id}: return x)",
            Status.TIMED_OUT: "your code did not finish within 10 s of CPU time",
            Status.CRASHED: "your code ended its process",
        }[status]
    tests = tuple(
        TestScore(
            name=name,
            status=status if name in failing else Status.PASSED,
            points=0.0 if name in failing else each,
            max_points=each,
            message=message if name in failing else "",
            hint="Which axis is the batch?" if name in failing and answer else "",
            picture=LOSS_CURVE if (one.id, name, status) == ("R9", names[1], Status.FAILED) else None,
        )
        for name in names
    )
    return QuestionScore(
        computed=round(sum(test.points for test in tests), 6),
        max_points=one.points,
        status=status,
        dependencies="reference" if one.depends and status is Status.FAILED and draw.random() < 0.3 else "own",
        tests=tests,
        answer=GradedAnswer(file="batchnorm.ipynb", source=source) if answer else None,
    )
