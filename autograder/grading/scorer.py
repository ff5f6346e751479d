"""Observations -> scores: the hidden tests run over each submission, here in the trusted process.

The student's code runs in the sandbox. First one child serves all questions of a notebook; what gets full marks there
is done. Every other question is graded again with children of its own, so that no code of another question can cost it
points: a first one with the student's own answers to what it depends on, then one with the reference's.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from autograder.assignment import Assignment, Question
from autograder.errors import printable
from autograder.grading.hidden_tests import Case, HiddenTest
from autograder.grading.observe import Child, Memory, NoObservation, Observer, Verdict, start
from autograder.sandbox.client import Sandbox
from autograder.submissions.reassemble import AnswerState, Program

MAX_MESSAGE = 600


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


Scored = Callable[[str, QuestionScore], None]
"""Called with a question's id and its score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """What the programs of one assignment are scored with.

    tests: by question; reference: the whole answer cell of each question with the reference answer in it.
    """

    assignment: Assignment
    tests: Mapping[str, Sequence[HiddenTest]]
    reference: Mapping[str, str]
    sandbox: Sandbox
    memory: Memory = field(default_factory=Memory)

    def score(
        self, program: Program, questions: Sequence[Question], scored: Scored
    ) -> tuple[dict[str, QuestionScore], list[str]]:
        """The scores of one reassembled notebook's questions, and flags about what happened on the way.

        scored: called with each question's id and score as soon as it is known.
        """
        scores: dict[str, QuestionScore] = {}
        flags = list(program.flags)
        attempted = [one for one in questions if program.states[one.id] is AnswerState.ATTEMPTED]
        shared, notes = self._together(program, attempted, scored)
        flags.extend(notes)
        whole = [program]
        for one in questions:
            if passed := shared.get(one.id):
                scores[one.id] = passed
                continue
            if one in attempted:
                wrong = {other for other, score in scores.items() if score.points < score.max_points}
                short = one.id in shared and not wrong.isdisjoint(self.assignment.dependencies(one))
                scores[one.id], left_out, notes = self._alone(one, program, whole, scores, reference_first=short)
                flags.extend(notes)
                whole = [] if left_out else whole
            else:
                scores[one.id] = unanswered(one, self.tests[one.id], Status(program.states[one.id].value))
            scored(one.id, scores[one.id])
        return scores, list(dict.fromkeys(flags))

    def _together(
        self, program: Program, attempted: Sequence[Question], scored: Scored
    ) -> tuple[dict[str, QuestionScore | None], list[str]]:
        """The scores of the questions that get full marks when one child serves them all, which is the usual case.

        None for a question that was tried in vain. Only full marks count here: for anything less, another question's
        code may be the reason, and a child of its own decides. Nor may another question's code help: when calls changed
        what all code shares, the child is left.
        """
        shared: dict[str, QuestionScore | None] = {}
        if len(attempted) < 2:
            return shared, []
        run = start(self.sandbox, program, self._defines(), _seed(program.notebook))
        try:
            for one in attempted:
                if one is not attempted[0] and run.changed():
                    break
                results = self._results(one, Observer(run, one.id, seed_of(one)), [], first_failure_ends=True)
                shared[one.id] = None
                if all(result.status is Status.PASSED for result in results):
                    shared[one.id] = score = _question_score(one, results, "own")
                    scored(one.id, score)
        finally:
            run.close()
        return shared, _stopped(run.errors) if any(shared.values()) else []

    def _alone(
        self,
        one: Question,
        program: Program,
        whole: Sequence[Program],
        scores: Mapping[str, QuestionScore],
        *,
        reference_first: bool,
    ) -> tuple[QuestionScore, bool, list[str]]:
        """The score of a question with children of its own, whether added code had to be left out, and flags.

        reference_first: the student's own answers to what it depends on are wrong, and it was tried with them in vain
        """
        needed = self.assignment.dependencies(one)
        own = frozenset({one.id})
        programs = [*whole, *_alone_in(program, needed | own, needed | own)]
        replaced = {other: self.reference[other] for other in needed}
        # what never ends is not waited for again in every question that builds on it
        endless = any(other in scores and scores[other].status is Status.TIMED_OUT for other in needed)
        helped: QuestionScore | None = None
        if reference_first and not endless:
            helped, child, flags = self._try(one, programs, replaced)
            if helped.points == helped.max_points:
                return helped, child.left_out_added, flags
        answers = replaced if endless else {}
        best, child, flags = self._try(one, programs, answers)
        left_out_added, disturbed = child.left_out_added, child.disturbed
        while best.points < best.max_points and child.disturbed:
            # Another answer or added code changed what all code shares: that must not cost this question points.
            programs = programs[1:]
            again, child, _ = self._try(one, programs, answers)
            if again.points > best.points:
                best = again
                flags.append(f"{one.id}: graded without other code of the notebook, which changes what all code shares")
        if best.points < best.max_points and needed and not endless:
            if disturbed:
                programs, helped = _alone_in(program, needed | own, own), None
            again = helped or self._try(one, programs, replaced)[0]
            best = again if again.points > best.points else best
        return best, left_out_added, flags

    def _try(
        self, one: Question, programs: Sequence[Program], replaced: Mapping[str, str]
    ) -> tuple[QuestionScore, Child, list[str]]:
        """Run the tests over the first program that ends, with these answers in the place of the student's."""
        programs = [program.with_answers(replaced) for program in programs]
        child = Child(self.sandbox, programs, self._defines(), _seed(one.notebook))
        flags: list[str] = []
        try:
            results = self._results(one, Observer(child, one.id, seed_of(one)), flags)
        finally:
            child.close()
        score = _question_score(one, results, "reference" if replaced else "own")
        return score, child, [*child.flags, *flags, *_stopped(child.errors)]

    def _defines(self) -> dict[str, Sequence[str]]:
        return {one.id: one.defines for one in self.assignment.questions}

    def _results(
        self, one: Question, observer: Observer, flags: list[str], *, first_failure_ends: bool = False
    ) -> tuple[TestScore, ...]:
        """The score of each hidden test of a question, or of those up to the first that does not pass."""
        results = []
        for test in self.tests[one.id]:
            verdict, case = self._verdict(test, observer)
            if verdict.flag:
                flags.append(verdict.flag)
            passed = verdict.status == Status.PASSED
            message = f"{verdict.message} ({case})" if case and not passed else verdict.message
            results.append(
                TestScore(
                    name=test.name,
                    status=Status(verdict.status),
                    points=test.points if passed else 0.0,
                    max_points=test.points,
                    message=printable(message)[:MAX_MESSAGE],
                    hint="" if passed else test.hint,
                )
            )
            if first_failure_ends and not passed:
                break
        return tuple(results)

    def _verdict(self, test: HiddenTest, observer: Observer) -> tuple[Verdict, str]:
        """What a hidden test says, and the name of the case that said so: the first that does not pass, or the last."""
        verdict, name = Verdict(Status.PASSED, ""), ""
        for index, case in enumerate(test.cases):
            key, name = f"{test.question}/{test.name}/{index}", case.name
            known = self.memory.recall(key, observer.ask)
            if known is None:
                observer.conversation.clear()
                known = _judge(case, observer)
                self.memory.record(key, observer.conversation, known)
            verdict = known
            if verdict.status != Status.PASSED:
                break
        return verdict, name


def seed_of(one: Question) -> int:
    """The seed of the random numbers that student code draws while this question is graded."""
    return _seed(one.id)


def _seed(name: str) -> int:
    return zlib.crc32(name.encode())


def _alone_in(program: Program, questions: frozenset[str], beside: frozenset[str]) -> list[Program]:
    """The program with these answers only: first with what was added beside some of them, then without."""
    bare, with_added = program.only(questions), program.only(questions, beside=beside)
    return [bare] if with_added == bare else [with_added, bare]


def _stopped(errors: Mapping[str, str]) -> list[str]:
    """Flags about added code that raised an error."""
    return [f"{label} stopped: {error}" for label, error in errors.items() if label.startswith("added")]


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


def _judge(case: Case, observer: Observer) -> Verdict:
    """Run a case of a hidden test."""
    try:
        case.function(observe=observer, **case.parameters)
    except NoObservation as nothing:
        return Verdict(Status(nothing.failure.kind.value), nothing.failure.message)
    except AssertionError as error:
        return Verdict(Status.FAILED, str(error)[:MAX_MESSAGE])
    except Exception as error:
        # The reference passes every hidden test (the gate shows it), so this comes from what the student's code
        # returned: a value of a kind that nobody thought of.
        kind = type(error).__name__
        flag = f"hidden test {case.function.__name__} raised {kind}: {printable(str(error))[:200]}"
        return Verdict(Status.FAILED, f"what your code returned could not be used ({kind})", flag)
    return Verdict(Status.PASSED, "")
