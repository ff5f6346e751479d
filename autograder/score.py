"""Observations -> scores: hidden tests are collected by pytest once, and then run over each submission.

A hidden test is a pytest function in `hidden_tests/<assignment>/test_*.py` that is marked with `question` and takes
`observe`. It runs here, in the trusted process; the student's code runs in the sandbox, one child a question.
"""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest

from autograder.assignment import Assignment, Question
from autograder.errors import MasterError
from autograder.reassemble import AnswerState, Program
from autograder.sandbox import Failure, FailureKind, Run, Sandbox, Value, printable
from autograder.sandbox.channel import encode

MAX_MESSAGE = 600
RESTARTS = 1
"""How often a question gets a fresh child after a crash; a time-out ends the question at once."""


class Status(StrEnum):
    """How a test or a question ended, the worse the later."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    NOT_ATTEMPTED = "not_attempted"
    MISSING = "missing"


SEVERITY = list(Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestScore:
    """One hidden test on one submission; the message and hint are empty when it passed."""

    __test__ = False

    name: str
    status: Status
    points: float
    max_points: float
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionScore:
    """One question on one submission; `dependencies` is `own` or `reference`."""

    points: float
    max_points: float
    status: Status
    dependencies: str
    tests: tuple[TestScore, ...]


def question(question_id: str, *, points: float, hint: str) -> pytest.MarkDecorator:
    """Mark a hidden test with the question it belongs to, its points, and a hint for who fails it."""
    return pytest.mark.question(question_id, points=points, hint=hint)


Observe = Callable[..., "Observation"]
"""`observe("probe", **inputs)`: what the probe saw when it ran beside the student's code on these inputs."""


class NoObservation(Exception):
    """Raised by `observe` in a hidden test when there is nothing to judge: error, time-out, crash."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Observation(Mapping[str, Value]):
    """The named values that a probe returned. A name that is missing was never sent: the reply was forged."""

    def __init__(self, seen: Mapping[str, Value]) -> None:
        self._seen = seen

    def __getitem__(self, name: str) -> Value:
        if name not in self._seen:
            raise NoObservation(Failure(kind=FailureKind.CRASHED, message=f"the answer had no value {name!r}"))
        return self._seen[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenTest:
    """A hidden test with its cases (one, or those of its parametrisation); it passes when all of them pass."""

    name: str
    question: str
    points: float
    hint: str
    cases: tuple[tuple[str, Callable[..., None], Mapping[str, Any]], ...]


class _Collector:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.items: list[pytest.Function] = []
        self.errors: list[str] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "question(id, points, hint): what a hidden test belongs to")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            last = report.longreprtext.strip().splitlines()[-1].removeprefix("E").strip()
            self.errors.append(f"{report.nodeid}: {last}")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = [item for item in session.items if isinstance(item, pytest.Function)]


def collect(assignment: Assignment) -> dict[str, tuple[HiddenTest, ...]]:
    """The hidden tests by question, in the order of the files.

    Raises MasterError for a test that cannot be imported, has no question, or points that do not add up.
    """
    folder = assignment.hidden_tests_dir
    collector = _Collector()
    options = ["--collect-only", "--noconftest", "--assert=plain", "--disable-plugin-autoload", "--capture=no"]
    options += ["--import-mode=importlib", "-p", "no:terminal", "-p", "no:cacheprovider"]
    options += [f"--config-file={os.devnull}", f"--rootdir={assignment.home}"]
    code = pytest.main([*options, str(folder)], plugins=[collector])
    if collector.errors or not collector.items:
        raise MasterError(
            "; ".join(collector.errors) or f"no hidden tests (pytest exit {code})", folder, "mend the tests"
        )
    tests: dict[str, list[HiddenTest]] = {one.id: [] for one in assignment.questions}
    grouped: dict[tuple[str, str], list[pytest.Function]] = {}
    for item in collector.items:
        grouped.setdefault((str(item.path), item.originalname), []).append(item)
    for (path, name), items in grouped.items():
        test = _hidden_test(f"{path}::{name}", name, items)
        if test.question not in tests:
            raise MasterError(f"unknown question {test.question!r}", f"{path}::{name}", "use an id of assignment.toml")
        tests[test.question].append(test)
    for one in assignment.questions:
        total = sum(test.points for test in tests[one.id])
        if abs(total - one.points) > 1e-9:
            raise MasterError(
                f"the hidden tests of {one.id} add up to {total:g} points, not {one.points:g}",
                folder,
                "correct the points",
            )
    return {key: tuple(found) for key, found in tests.items()}


def _hidden_test(where: str, name: str, items: Sequence[pytest.Function]) -> HiddenTest:
    mark = items[0].get_closest_marker("question")
    if mark is None or len(mark.args) != 1 or set(mark.kwargs) != {"points", "hint"}:
        raise MasterError("a hidden test without its question", where, 'add @question("ID", points=..., hint="...")')
    cases = []
    for item in items:
        callspec = getattr(item, "callspec", None)
        parameters = dict(callspec.params) if callspec else {}
        if unknown := set(item.fixturenames) - set(parameters) - {"observe", "request"}:
            raise MasterError(f"it asks for {', '.join(sorted(unknown))}", where, "take only `observe` and parameters")
        cases.append((_case_name(callspec.id, parameters) if callspec else "", item.function, parameters))
    return HiddenTest(
        name=name.removeprefix("test_"),
        question=str(mark.args[0]),
        points=float(mark.kwargs["points"]),
        hint=str(mark.kwargs["hint"]),
        cases=tuple(cases),
    )


def _case_name(case_id: str, parameters: Mapping[str, Any]) -> str:
    """`n=2, eps=0.1` where the parameters are plain values, else pytest's id."""
    if all(isinstance(value, bool | int | float | str) for value in parameters.values()):
        return ", ".join(f"{name}={value}" for name, value in parameters.items())
    return f"case {case_id}"


class Observer:
    """The `observe` of one question of one submission: keeps a child, and what it saw."""

    def __init__(
        self,
        sandbox: Sandbox,
        programs: Sequence[Program],
        assignment: Assignment,
        one: Question,
        seed: int | None = None,
    ) -> None:
        """programs: what to execute, and what to fall back on when that does not come to its end.

        seed: of the child's random numbers; by default one that belongs to the question.
        """
        self._sandbox = sandbox
        self._programs = list(programs)
        self._defines = {q.id: q.defines for q in assignment.questions}
        self._question = one
        self._seed = zlib.crc32(one.id.encode()) if seed is None else seed
        self._run: Run | None = None
        self._restarts = RESTARTS
        self._given_up: Failure | None = None
        self._seen: dict[bytes, Observation | Failure] = {}
        self.errors: dict[str, str] = {}
        self.flags: list[str] = []
        self.left_out_added = False
        self.disturbed = False

    def __call__(self, probe: str, /, **inputs: Value) -> Observation:
        key = hashlib.blake2b(probe.encode() + encode(inputs)).digest()
        if key not in self._seen:
            self._seen[key] = self._observe(probe, inputs)
        seen = self._seen[key]
        if isinstance(seen, Failure):
            raise NoObservation(seen)
        return seen

    def _observe(self, probe: str, inputs: Mapping[str, Value]) -> Observation | Failure:
        run = self._ready()
        if isinstance(run, Failure):
            return run
        reply = run.call(probe, inputs)
        if not isinstance(reply, Failure):
            return Observation(reply)
        if reply.kind is FailureKind.ERROR:
            own = run.errors.get(self._question.id)
            return Failure(kind=reply.kind, message=own) if own else reply
        self.close()
        self.disturbed = reply.kind is FailureKind.CRASHED and len(self._programs) > 1
        self._restarts -= 1
        if reply.kind is FailureKind.TIMED_OUT or self._restarts < 0:
            self._given_up = reply
        return reply

    def _ready(self) -> Run | Failure:
        """A child that executed the program; a program that never ends is tried again without the added code."""
        if self._given_up:
            return self._given_up
        while self._run is None:
            program = self._programs[0]
            prologue = next(i for i, step in enumerate(program.steps) if step.question or step.added)
            run = self._sandbox.start(program.notebook, program.steps[prologue:], self._defines, self._seed)
            if run.failure is None:
                self._run = run
                self.errors = dict(run.errors)
            elif len(self._programs) > 1:
                self.flags.append(f"code outside the regions was left out: {run.failure.message}")
                self.left_out_added = True
                del self._programs[0]
            else:
                self._given_up = run.failure
                return run.failure
        return self._run

    def look(self) -> None:
        """Note whether code that this question can be graded without changed what all code shares."""
        if self._run and len(self._programs) > 1:
            self.disturbed = self._run.changed()

    def close(self) -> None:
        if self._run:
            self._run.close()
            self._run = None


def score_program(
    program: Program,
    questions: Sequence[Question],
    assignment: Assignment,
    tests: Mapping[str, Sequence[HiddenTest]],
    reference: Mapping[str, str],
    sandbox: Sandbox,
    scored: Callable[[str, QuestionScore], None] = lambda question_id, score: None,
) -> tuple[dict[str, QuestionScore], list[str]]:
    """The scores of one reassembled notebook's questions, and flags about what happened on the way.

    reference: the whole answer cell of each question with the reference answer in it.
    scored: called with each question's id and score as soon as it is known.
    """
    scores: dict[str, QuestionScore] = {}
    flags = list(program.flags)
    whole = [program]
    for one in questions:
        state = program.states[one.id]
        if state is not AnswerState.ATTEMPTED:
            scores[one.id] = unanswered(one, tests[one.id], Status(state.value))
            scored(one.id, scores[one.id])
            continue
        needed = assignment.dependencies(one)
        programs = [*whole, program.only(needed | {one.id})]
        replaced = {other: reference[other] for other in needed}
        hangs = any(other in scores and scores[other].status is Status.TIMED_OUT for other in needed)
        if hangs:  # what never ends is not waited for again in every question that builds on it
            best, observer = _score(one, tests[one.id], programs, replaced, assignment, sandbox)
        else:
            best, observer = _score(one, tests[one.id], programs, {}, assignment, sandbox)
            if best.points < best.max_points and observer.disturbed:
                # Another answer or added code changed what all code shares: that must not cost this question points.
                programs = programs[-1:]
                again, _ = _score(one, tests[one.id], programs, {}, assignment, sandbox)
                if again.points > best.points:
                    best = again
                    flags.append(
                        f"{one.id}: graded without other code of the notebook, which changes torch or builtins"
                    )
            if best.points < best.max_points and needed:
                again, _ = _score(one, tests[one.id], programs, replaced, assignment, sandbox)
                best = again if again.points > best.points else best
        if observer.left_out_added:
            whole = []
        flags.extend(observer.flags)
        flags.extend(
            f"{label} stopped: {error}" for label, error in observer.errors.items() if label.startswith("added")
        )
        scores[one.id] = best
        scored(one.id, best)
    return scores, list(dict.fromkeys(flags))


def _score(
    one: Question,
    tests: Sequence[HiddenTest],
    programs: Sequence[Program],
    replaced: Mapping[str, str],
    assignment: Assignment,
    sandbox: Sandbox,
) -> tuple[QuestionScore, Observer]:
    """Run the tests over the first program that comes to its end, with these answers in the place of the student's."""
    observer = Observer(sandbox, [program.with_answers(replaced) for program in programs], assignment, one)
    try:
        results = tuple(_run_test(test, observer) for test in tests)
        if any(result.status is not Status.PASSED for result in results):
            observer.look()
    finally:
        observer.close()
    return _question_score(one, results, "reference" if replaced else "own"), observer


def _question_score(one: Question, results: tuple[TestScore, ...], dependencies: str) -> QuestionScore:
    return QuestionScore(
        points=round(sum(result.points for result in results), 6),
        max_points=one.points,
        status=max((result.status for result in results), key=SEVERITY.index),
        dependencies=dependencies,
        tests=results,
    )


def unanswered(one: Question, tests: Sequence[HiddenTest], status: Status) -> QuestionScore:
    """The score of a question whose region is as released, or is not there."""
    message = {
        Status.NOT_ATTEMPTED: "the region is as it was released",
        Status.MISSING: "no region of this question was found in the submission",
    }[status]
    results = tuple(
        TestScore(name=test.name, status=status, points=0.0, max_points=test.points, message=message, hint="")
        for test in tests
    )
    return _question_score(one, results, "own")


def _run_test(test: HiddenTest, observer: Observer) -> TestScore:
    """Run the cases until one does not pass."""
    status, message = Status.PASSED, ""
    for case, function, parameters in test.cases:
        status, message = _run_case(function, parameters, observer)
        if status is not Status.PASSED:
            message = f"{message} ({case})" if case else message
            break
    passed = status is Status.PASSED
    return TestScore(
        name=test.name,
        status=status,
        points=test.points if passed else 0.0,
        max_points=test.points,
        message=printable(message)[:MAX_MESSAGE],
        hint="" if passed else test.hint,
    )


def _run_case(function: Callable[..., None], parameters: Mapping[str, Any], observer: Observer) -> tuple[Status, str]:
    try:
        function(observe=observer, **parameters)
    except NoObservation as nothing:
        return Status(nothing.failure.kind.value), nothing.failure.message
    except AssertionError as error:
        return Status.FAILED, str(error)
    except Exception as error:
        # The reference passes every hidden test (a test of ours shows it), so this comes from what the student's code
        # returned: a value of a kind that nobody thought of.
        observer.flags.append(
            f"hidden test {function.__name__} raised {type(error).__name__}: {printable(str(error))[:200]}"
        )
        return Status.FAILED, f"what your code returned could not be used ({type(error).__name__})"
    return Status.PASSED, ""
