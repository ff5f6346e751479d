"""Observations -> scores: the hidden tests, run on each submission in the trusted process.

The student's code runs in the sandbox. One child first serves all questions of a notebook; questions with full marks
are done. Every other question is graded again in separate children, so that the code of another question cannot cost it
points: a list of attempts, of which the best counts (`_attempts`).
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from autograder.assignment import Assignment, Question
from autograder.errors import printable
from autograder.grading.hidden_tests import HiddenTest
from autograder.grading.judge import MAX_MESSAGE, judge_case, with_picture
from autograder.grading.memory import Memory, Verdict
from autograder.grading.observe import Child, Observer, RunFactory, Running, Starter
from autograder.program import Program
from autograder.results import SEVERITY, Flag, GradedAnswer, QuestionScore, Status, TestScore
from autograder.sandbox.replies import Stopped

ADDED_CODE_FAILED = "added_code_failed"

Scored = Callable[[str, QuestionScore], None]
"""Called with a question's id and its score."""


class When(Enum):
    """The condition of an attempt: whether code that the question does not need changed shared state."""

    ALWAYS = auto()
    LAST_WAS_DISTURBED = auto()
    UNDISTURBED = auto()
    DISTURBED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One way to grade a question.

    programs: what to execute, followed by fallbacks in case it does not finish
    reference: the reference answers that replace the student's, by question
    flags: remarks if this attempt is the best
    """

    programs: tuple[Program, ...]
    reference: Mapping[str, str]
    when: When = When.ALWAYS
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The outcome of an attempt."""

    attempt: Attempt
    score: QuestionScore
    flags: tuple[Flag, ...]
    left_out_added: bool
    disturbed: bool

    @property
    def full(self) -> bool:
        return self.score.solved


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Scores the programs of one assignment.

    tests: by question; reference: the answer cell of each question with its reference answer
    start: starts a program in a child
    """

    assignment: Assignment
    tests: Mapping[str, Sequence[HiddenTest]]
    reference: Mapping[str, str]
    start: RunFactory
    memory: Memory = field(default_factory=Memory)

    def score(
        self,
        program: Program,
        questions: Sequence[Question],
        scored: Scored = lambda question, score: None,
    ) -> tuple[dict[str, QuestionScore], list[Flag]]:
        """Return the scores of one reassembled notebook's questions, and flags about how they were graded.

        scored: called with each question's id and score as soon as it is known
        """
        starter = Starter(self.start)
        scores, flags = replace(self, start=starter)._score(program, questions, scored)
        return scores, _once([*flags, *starter.flags])

    def failures(self, program: Program, one: Question, *, first_only: bool = False) -> tuple[TestScore, ...]:
        """Return the hidden tests of a question that a program fails in one attempt.

        first_only: end at the first, which is enough to know whether there is one
        """
        child = Child(self.start, [program], _seed(one.notebook))
        try:
            results = self._results(one, self._observer(child, one), [], first_failure_ends=first_only)
        finally:
            child.close()
        return tuple(result for result in results if result.status is not Status.PASSED)

    def _score(
        self, program: Program, questions: Sequence[Question], scored: Scored
    ) -> tuple[dict[str, QuestionScore], list[Flag]]:
        scores: dict[str, QuestionScore] = {}
        flags = list(program.flags)
        answered = [one for one in questions if one.id not in program.unanswered and not one.written]
        shared, notes = self._together(program, answered, scored)
        flags.extend(notes)
        whole: tuple[Program, ...] = (program,)
        for one in questions:
            if one.id in program.not_asked:
                continue
            if passed := shared.get(one.id):
                scores[one.id] = passed
                continue
            if one.id in program.unanswered:
                scores[one.id] = unanswered(one, self.tests[one.id], program.unanswered[one.id])
            elif one.written:
                scores[one.id] = waiting(one, program)
            else:
                attempts = self._attempts(one, program, whole, scores, tried_in_vain=one.id in shared)
                best = self._best(one, attempts)
                scores[one.id] = best.score
                flags.extend(best.flags)
                whole = () if best.left_out_added else whole
            scored(one.id, scores[one.id])
        return scores, flags

    def best_attempt(self, one: Question, program: Program, scores: Mapping[str, QuestionScore]) -> Attempt:
        """Return the attempt that counts for an answered question; scores: of the questions of its notebook."""
        scorer = replace(self, start=Starter(self.start))
        attempts = scorer._attempts(one, program, (program,), scores, tried_in_vain=True)
        return scorer._best(one, attempts).attempt

    def _together(
        self, program: Program, answered: Sequence[Question], scored: Scored
    ) -> tuple[dict[str, QuestionScore | None], list[Flag]]:
        """Return the scores of the questions that get full marks when one child serves them all, the usual case.

        None for a question that was tried without success. Only full marks count here: for anything less, the code of
        another question may be the reason, and a separate child decides. Nor may another question's code help: once
        calls have changed shared state, the child is abandoned.
        """
        shared: dict[str, QuestionScore | None] = {}
        if len(answered) < 2:
            return shared, []
        run = self.start(program, _seed(program.notebook))
        try:
            for one in answered:
                if one is not answered[0] and run.changed():
                    break
                results = self._results(one, self._observer(run, one), [], first_failure_ends=True)
                shared[one.id] = None
                if all(result.status is Status.PASSED for result in results):
                    shared[one.id] = score = _question_score(one, results, "own", program)
                    scored(one.id, score)
        finally:
            run.close()
        return shared, _stopped(run.stopped) if any(shared.values()) else []

    def _attempts(
        self,
        one: Question,
        program: Program,
        whole: tuple[Program, ...],
        scores: Mapping[str, QuestionScore],
        *,
        tried_in_vain: bool,
    ) -> Iterator[Attempt]:
        """Yield the ways to grade a question, in the order in which they are tried until one gives full marks.

        whole: the program with everything the student wrote, unless it does not finish
        tried_in_vain: whether it got less than full marks in the child that served all questions
        """
        needed = self.assignment.dependencies(one)
        own = frozenset({one.id})
        reference = {other: self.reference[other] for other in needed}
        related = (*whole, *_alone_in(program, needed | own, needed | own))
        wrong = {other for other, score in scores.items() if not score.solved}
        # Do not wait for a dependency that never ends again in every question that builds on it.
        endless = any(other in scores and scores[other].status is Status.TIMED_OUT for other in needed)
        reference_first = tried_in_vain and not wrong.isdisjoint(needed) and not endless
        if reference_first:
            yield Attempt(programs=related, reference=reference)
        answers = reference if endless else {}
        yield Attempt(programs=related, reference=answers)
        # Another answer or added code changed shared state: that must not cost this question points.
        for skipped in range(1, len(related)):
            yield Attempt(programs=related[skipped:], reference=answers, when=When.LAST_WAS_DISTURBED)
        if needed and not endless:
            if not reference_first:
                yield Attempt(programs=related, reference=reference, when=When.UNDISTURBED)
            alone = _alone_in(program, needed | own, own)
            yield Attempt(programs=alone, reference=reference, when=When.DISTURBED)
        # The student answered more than once: the last answer has been tried, now the others.
        for other in program.alternatives.get(one.id, ()):
            others = tuple(candidate.with_alternative(one.id, other) for candidate in related)
            yield Attempt(programs=others, reference=reference, flags=(other.flag,))

    def _best(self, one: Question, attempts: Iterator[Attempt]) -> Tried:
        """Try the attempts in order until one gives full marks; return the best, the earlier of equals."""
        best: Tried | None = None
        notes: list[Flag] = []
        left_out_added = last_was_disturbed = disturbed = False
        for attempt in attempts:
            if not {
                When.ALWAYS: True,
                When.LAST_WAS_DISTURBED: last_was_disturbed,
                When.UNDISTURBED: not disturbed,
                When.DISTURBED: disturbed,
            }[attempt.when]:
                continue
            tried = self._try(one, attempt)
            if best is None:
                notes.extend(tried.flags)
            if best is None or tried.score.computed > best.score.computed:
                best = tried
            left_out_added = left_out_added or tried.left_out_added
            if tried.full:
                break
            last_was_disturbed = tried.disturbed
            disturbed = disturbed or tried.disturbed
        if best is None:
            raise ValueError(f"no attempt to grade {one.id}")
        return replace(best, flags=tuple(dict.fromkeys([*notes, *best.flags])), left_out_added=left_out_added)

    def _try(self, one: Question, attempt: Attempt) -> Tried:
        """Run the tests on the first program that finishes."""
        programs = [program.with_answers(attempt.reference) for program in attempt.programs]
        child = Child(self.start, programs, notebook_seed(one))
        flags = list(attempt.flags)
        try:
            results = self._results(one, self._observer(child, one), flags)
        finally:
            child.close()
        dependencies = "reference" if attempt.reference else "own"
        score = _question_score(one, results, dependencies, attempt.programs[0])
        if attempt.when is When.LAST_WAS_DISTURBED:
            text = "graded without other code of the notebook, which changes shared state"
            flags.append(Flag(kind="graded_without_other_code", question=one.id, text=text))
        return Tried(
            attempt=attempt,
            score=score,
            flags=(*child.flags, *flags, *_stopped(child.stopped)),
            left_out_added=child.left_out_added,
            disturbed=child.disturbed,
        )

    def _observer(self, child: Child | Running, one: Question) -> Observer:
        return Observer(child, one.id, seed_of(one))

    def _results(
        self, one: Question, observer: Observer, flags: list[Flag], *, first_failure_ends: bool = False
    ) -> tuple[TestScore, ...]:
        """Return the score of each hidden test of a question, or of those up to the first that fails."""
        results = []
        for test in self.tests[one.id]:
            verdict, case = self._verdict(test, observer)
            if verdict.flag:
                flags.append(verdict.flag)
            passed = verdict.status is Status.PASSED
            message = f"{verdict.message} ({case})" if case and not passed else verdict.message
            results.append(
                TestScore(
                    name=test.name,
                    status=verdict.status,
                    points=test.points if passed else 0.0,
                    max_points=test.points,
                    message=printable(message)[:MAX_MESSAGE],
                    hint="" if passed else test.hint,
                    picture=verdict.picture,
                )
            )
            if first_failure_ends and not passed:
                break
        return tuple(results)

    def _verdict(self, test: HiddenTest, observer: Observer) -> tuple[Verdict, str]:
        """Return the verdict of a hidden test and the name of its case: the first that does not pass, else the last."""
        verdict, name = Verdict(Status.PASSED, ""), ""
        for index, case in enumerate(test.cases):
            key, name = f"{test.question}/{test.name}/{index}", case.name
            known = self.memory.recall(key, observer.ask)
            if known is None:
                observer.conversation.clear()
                known = judge_case(case, observer)
                if test.picture and known.status is not Status.PASSED:
                    known = with_picture(known, test.picture, case, observer)
                self.memory.record(key, observer.conversation, known)
            verdict = known
            if verdict.status is not Status.PASSED:
                break
        return verdict, name


def seed_of(one: Question) -> int:
    """Return the random seed for student code while this question is graded."""
    return _seed(one.id)


def notebook_seed(one: Question) -> int:
    """Return the random seed for the notebook's own code."""
    return _seed(one.notebook)


def _seed(name: str) -> int:
    return zlib.crc32(name.encode())


def _alone_in(program: Program, questions: frozenset[str], beside: frozenset[str]) -> tuple[Program, ...]:
    """Return the program with these answers only: first with the code added in the cells of some, then without."""
    bare, with_added = program.only(questions), program.only(questions, beside=beside)
    return (bare,) if with_added == bare else (with_added, bare)


def _stopped(failures: Sequence[Stopped]) -> list[Flag]:
    """Return the flag about statements outside the answers that failed, if any."""
    if not failures:
        return []
    count = sum(one.statements for one in failures)
    what = f"{count} statements of added code failed; the first:" if count > 1 else "a statement of added code failed:"
    return [Flag(kind=ADDED_CODE_FAILED, text=f"{what} {failures[0].error}")]


def _once(flags: Iterable[Flag]) -> list[Flag]:
    """Return the flags without repetitions; of those about failed statements the first, as every run has its own."""
    kept: dict[object, Flag] = {}
    for flag in flags:
        kept.setdefault(ADDED_CODE_FAILED if flag.kind == ADDED_CODE_FAILED else flag, flag)
    return list(kept.values())


def _question_score(
    one: Question, results: tuple[TestScore, ...], dependencies: str, program: Program | None = None
) -> QuestionScore:
    answer = GradedAnswer(file=program.files.get(one.id, ""), source=program.source_of(one.id)) if program else None
    return QuestionScore(
        computed=round(sum(result.points for result in results), 6),
        max_points=one.points,
        status=max((result.status for result in results), key=SEVERITY.index, default=Status.PASSED),
        bonus=one.bonus,
        dependencies=dependencies,
        tests=results,
        answer=answer,
    )


def unanswered(one: Question, tests: Sequence[HiddenTest], status: Status) -> QuestionScore:
    """Return the score of a question whose region is unchanged or missing."""
    message = {
        Status.NOT_ATTEMPTED: "the region is unchanged from the release",
        Status.MISSING: "no region of this question was found in the submission",
    }[status]
    results = tuple(
        TestScore(name=test.name, status=status, points=0.0, max_points=test.points, message=message, hint="")
        for test in tests
    )
    return replace(_question_score(one, results, "own"), status=status)


def waiting(one: Question, program: Program) -> QuestionScore:
    """Return the score of an answered written question: a person has yet to give its points."""
    answer = GradedAnswer(file=program.files.get(one.id, ""), source=program.written[one.id])
    return replace(_question_score(one, (), "own"), status=Status.WAITING, answer=answer)
