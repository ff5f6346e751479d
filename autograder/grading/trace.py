"""What happened in the attempt that decided a question: the calls of probes in its failed tests, and what they saw."""

from collections.abc import Mapping
from dataclasses import dataclass

from autograder.assignment import Question
from autograder.grading.judge import judge_case
from autograder.grading.observe import Child, NoObservation, Observation, Observer
from autograder.grading.scorer import Scorer, notebook_seed, seed_of
from autograder.program import Program
from autograder.results import QuestionScore, Status
from autograder.sandbox.channel import Value
from autograder.sandbox.replies import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a probe, and what it saw or why it saw nothing."""

    probe: str
    inputs: Mapping[str, Value]
    seen: Mapping[str, Value] | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCase:
    """The case at which a hidden test failed, and its calls up to there."""

    test: str
    case: str
    message: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The program that decided a question, the seeds of its code and of its calls, and the cases that failed."""

    program: Program
    program_seed: int
    seed: int
    failed: tuple[FailedCase, ...]


class _Noting:
    """An `observe` that notes each call."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.calls: list[Call] = []

    def __call__(self, probe: str, /, **inputs: Value) -> Observation:
        try:
            seen = self._observer(probe, **inputs)
        except NoObservation as nothing:
            self.calls.append(Call(probe=probe, inputs=inputs, seen=nothing.failure))
            raise
        self.calls.append(Call(probe=probe, inputs=inputs, seen=seen))
        return seen


def trace(scorer: Scorer, program: Program, one: Question, scores: Mapping[str, QuestionScore]) -> Trace:
    """Go through the tests of a question again, on the attempt that counts; scores: of the notebook's questions."""
    attempt = scorer.best_attempt(one, program, scores)
    programs = [variant.with_answers(attempt.reference) for variant in attempt.programs]
    child = Child(scorer.start, programs, notebook_seed(one))
    observer = Observer(child, one.id, seed_of(one))
    failed = []
    try:
        for test in scorer.tests[one.id]:
            for case in test.cases:
                observe = _Noting(observer)
                verdict = judge_case(case, observe)
                if verdict.status is not Status.PASSED:
                    calls = tuple(observe.calls)
                    failed.append(FailedCase(test=test.name, case=case.name, message=verdict.message, calls=calls))
                    break
    finally:
        child.close()
    return Trace(program=programs[0], program_seed=notebook_seed(one), seed=seed_of(one), failed=tuple(failed))
