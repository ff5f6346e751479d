"""Checks that grade the reference, the release itself, and wrong answers of the corpus, one question at a time."""

import ast
import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from autograder.assignment import Assignment, Question
from autograder.assignment_file import line_of
from autograder.authored import authored_text
from autograder.authoring import corpus
from autograder.authoring.noticed import Measured
from autograder.authoring.verify import chance, elsewhere
from autograder.authoring.verify.rule import Rule
from autograder.authoring.verify.stand_ins import stand_ins
from autograder.grading.grader import Grader, open_grader
from autograder.grading.hidden_tests import HiddenTest, collect
from autograder.program import Program
from autograder.release.reference import reference_answers
from autograder.results import Flag, QuestionScore, Result, Status, Student
from autograder.submissions.notebooks import read_files
from autograder.submissions.reassemble import reassemble
from autograder.submissions.submission import of_files

MOST = 100
"""Answers that a rule grades in every release check; more take too long."""
SPARE = 2.0
"""The limits of assignment.toml must be at least this many times what the reference takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """The outcome of grading a single question: its score, the flags, and the CPU seconds of its children."""

    score: QuestionScore
    flags: tuple[Flag, ...]
    cpu_s: float


class Grading:
    """A grader of one assignment, started when it is first needed. Use it as a context manager.

    most: how many answers a rule may grade; one that would need more is left out
    chosen: the questions that such a rule looks at, all when there are none
    every_test: whether all hidden tests judge each mutant, not only those up to the first that notices it
    measured: called with what was measured of the mutants of each question
    """

    def __init__(
        self,
        assignment: Assignment,
        most: float = MOST,
        chosen: frozenset[str] = frozenset(),
        *,
        every_test: bool = False,
        measured: Callable[[Measured], None] = lambda one: None,
    ) -> None:
        self.assignment = assignment
        self.most = most
        self.chosen = chosen
        self.every_test = every_test
        self.measured = measured
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Grading":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @functools.cached_property
    def tests(self) -> Mapping[str, tuple[HiddenTest, ...]]:
        """The hidden tests by question. Raises MasterError if they cannot be collected."""
        return collect(self.assignment)

    @functools.cached_property
    def grader(self) -> Grader:
        """A grader with a running sandbox. Raises KitError if it cannot start."""
        return self._stack.enter_context(open_grader(self.assignment))

    @functools.cached_property
    def reference(self) -> dict[str, Graded]:
        """The reference, graded question by question."""
        folder = self._hand_in(self.grader.scorer.reference)
        return {one.id: self.grade(folder, one) for one in self.assignment.questions}

    @functools.cached_property
    def release(self) -> dict[str, Graded]:
        """The release as it is, graded question by question."""
        return {one.id: self.grade(self.assignment.release_dir, one) for one in self.assignment.questions}

    @functools.cached_property
    def stubs(self) -> dict[str, Graded]:
        """The release with a no-op line in each region, so that it counts as attempted."""
        stubs = {}
        for notebook in self.grader.released.values():
            for question, (cell, region) in notebook.regions.items():
                end = [f"{region.indent}pass", *cell.lines[region.last :]]
                stubs[question] = "\n".join([*cell.lines[: region.last], *end])
        folder = self._hand_in(stubs)
        return {one.id: self.grade(folder, one) for one in self.assignment.questions}

    @functools.cached_property
    def elsewhere(self) -> tuple[elsewhere.ByQuestion, elsewhere.ByQuestion]:
        """The verdicts on the reference in other processes, as `elsewhere.judged` returns them."""
        return elsewhere.judged(self.assignment, self.programs)

    @functools.cached_property
    def with_dependencies(self) -> dict[str, Graded]:
        """Each question of the reference, with answers only to the questions that it depends on."""
        graded = {}
        for one in self.assignment.tested:
            needed = {one.id, *self.assignment.dependencies(one)}
            answers = {key: cell for key, cell in self.grader.scorer.reference.items() if key in needed}
            graded[one.id] = self.grade(self._hand_in(answers), one)
        return graded

    @property
    def questions(self) -> list[Question]:
        """The questions that rules look at that grade many answers."""
        return [one for one in self.assignment.tested if not self.chosen or one.id in self.chosen]

    @functools.cached_property
    def programs(self) -> dict[str, Program]:
        """The reference as a program, by notebook."""
        names = self.assignment.notebooks
        folder = self._hand_in(self.grader.scorer.reference)
        submission = of_files(Student(id="s"), [folder / f"{name}.ipynb" for name in names])
        files = read_files(submission, self.assignment).notebooks
        return {name: reassemble(self.grader.released[name], files[name], self.assignment) for name in names}

    def failed_tests(self, answer: corpus.Answer, left: frozenset[str]) -> set[str]:
        """Return which of the hidden tests `left` this answer fails, with the reference for all other answers."""
        folder = self._hand_in(dict(self.grader.scorer.reference) | {answer.question: answer})
        one = self.assignment.question(answer.question)
        tests = [test for test in self.tests[one.id] if test.name in left]
        grader = replace(self.grader, scorer=replace(self.grader.scorer, tests={one.id: tests}))
        score = self.grade(folder, one, grader).score
        return {test.name for test in score.tests if test.status is not Status.PASSED}

    def grade(self, folder: Path, one: Question, grader: Grader | None = None) -> Graded:
        files = (folder / f"{one.notebook}.ipynb",)
        before = self.grader.sandbox.children_cpu_s
        result: Result = (grader or self.grader).grade(of_files(Student(id="s"), files), [one])
        cpu_s = self.grader.sandbox.children_cpu_s - before
        return Graded(score=result.questions[one.id], flags=result.flags, cpu_s=cpu_s)

    def _hand_in(self, answers: Mapping[str, str | corpus.Answer]) -> Path:
        """Return a folder with a submission of these answers."""
        return self.hand_in(Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="verify-"))), answers)

    def hand_in(self, folder: Path, answers: Mapping[str, str | corpus.Answer]) -> Path:
        """Write a submission of these answers into a folder."""
        return corpus.write(folder, corpus.submission(self._tables, self.grader.released, answers))

    @functools.cached_property
    def _tables(self) -> dict[str, corpus.Notebook]:
        return corpus.released_tables(self.assignment)


def tests_are_complete(grading: Grading) -> Iterator[str]:
    for question, tests in grading.tests.items():
        yield from (f"{question}: the hidden test {test.name} has no hint" for test in tests if not test.hint.strip())


def reference_gets_everything(grading: Grading) -> Iterator[str]:
    """A written question gets its points from people: there the model answer has to arrive as an answer."""
    for question, graded in grading.reference.items():
        score = graded.score
        if grading.assignment.question(question).written:
            if score.status is not Status.WAITING:
                yield f"{question}: the model answer counts as {score.status}, expected waiting"
        elif not score.full:
            failed = next(test for test in score.tests if test.status is not Status.PASSED)
            why = f"{failed.name}: {failed.message}"
            yield f"{question}: the reference gets {score.points:g} of {score.max_points:g} points ({why})"
        yield from (f"{question}: {flag}" for flag in graded.flags)


def release_gets_nothing(grading: Grading) -> Iterator[str]:
    for question, graded in grading.release.items():
        score = graded.score
        if score.points or score.status is not Status.NOT_ATTEMPTED:
            yield f"{question}: the release gets {score.points:g} points ({score.status}), expected 0 (not_attempted)"
        yield from (f"{question}: {flag}" for flag in graded.flags)
    for question, graded in grading.stubs.items():
        for test in graded.score.tests:
            if test.status is Status.PASSED:
                yield f"{question}: the hidden test {test.name} passes on the released stub"


def tests_have_teeth(grading: Grading) -> Iterator[str]:
    """Grade functions that return nothing, their input or zeros, the other answers being the reference."""
    answers = reference_answers(grading.assignment)
    for one in grading.assignment.tested:
        released = grading.grader.released[one.notebook]
        cell, program = grading.grader.scorer.reference[one.id], grading.programs[one.notebook]
        found = stand_ins(cell, released.regions[one.id][1], answers[one.id], torch=grading.assignment.uses_torch)
        for name, body in found.items():
            stand_in = program.with_answers({one.id: corpus.answer_cell(released, one.id, body)})
            score = grading.grader.scorer.score(stand_in, [one])[0][one.id]
            for test in score.tests:
                if test.status is Status.PASSED:
                    yield f"{one.id}: the hidden test {test.name} passes on a function that returns {name}"


def tests_are_steady(grading: Grading) -> Iterator[str]:
    """Judge the reference elsewhere and twice, and look for hidden tests that draw, read the clock or order sets."""
    every, as_graded = grading.elsewhere
    for question, cases in every.items():
        passed = {test.name for test in grading.reference[question].score.tests if test.status is Status.PASSED}
        steady = {(case.test, case.case) for case in as_graded.get(question, []) if case.passed}
        told = set()
        for case in cases:
            reason = case.unsteady(passed, with_same_numbers=(case.test, case.case) in steady)
            if reason and case.test not in told:
                told.add(case.test)
                yield f"{question}: the hidden test {case.test} is {reason}"
    for path in sorted(grading.assignment.hidden_tests_dir.glob("*.py")):
        if not path.name.startswith("probes"):  # those run in the sandbox, where everything is seeded
            where = path.relative_to(grading.assignment.home).as_posix()
            yield from (f"{where}:{line}: {what}" for line, what in chance.found(authored_text(path)))


def dependencies_are_declared(grading: Grading) -> Iterator[str]:
    toml = grading.assignment.toml
    for question, graded in grading.with_dependencies.items():
        score = graded.score
        if not score.full and grading.reference[question].score.full:
            failed = next(test for test in score.tests if test.status is not Status.PASSED)
            where = f"{toml.relative_to(grading.assignment.home).as_posix()}:"
            where += str(line_of(authored_text(toml), f"questions.{question}"))
            what = f"{question} gets {score.points:g} of {score.max_points:g} points with answers only to its `depends`"
            yield f"{where}: {what} ({failed.name}: {failed.message}); add what it uses to `depends`"


def time_is_enough(grading: Grading) -> Iterator[str]:
    limit = grading.assignment.limits.cpu_s
    for question, graded in grading.reference.items():
        if graded.cpu_s * SPARE > limit:
            used = f"the reference took {graded.cpu_s:.1f} s of CPU"
            yield f"{question}: {used}, more than 1/{SPARE:g} of limits.cpu_s = {limit:g}; raise the limit"


def wrong_answers_fail(grading: Grading) -> Iterator[str]:
    """Grade wrong answers until each hidden test of the question has failed on one of them."""
    for question, tests in grading.tests.items():
        path = grading.assignment.corpus_dir / f"{question}.txt"
        left = frozenset(test.name for test in tests)
        for answer in corpus.read_answers(path):
            if not answer.right and left and _is_python(answer.body):
                left -= grading.failed_tests(answer, left)
        where = path.relative_to(grading.assignment.home).as_posix()
        yield from (f"{question}: no wrong answer in {where} fails the hidden test {name}" for name in sorted(left))


def _is_python(body: str) -> bool:
    """Whether an answer can be parsed; one that cannot fails every test, and shows nothing about them."""
    try:
        ast.parse(body)
    except (SyntaxError, ValueError):
        return False
    return True


RULES = (
    Rule(name="hidden tests have known questions, points that add up, and hints", reasons=tests_are_complete),
    Rule(name="the reference gets full marks in every question", reasons=reference_gets_everything),
    Rule(name="the release gets no points and counts as not_attempted", reasons=release_gets_nothing),
    Rule(name="the reference needs at most half of the CPU limit", reasons=time_is_enough),
    Rule(name="no hidden test passes on a function without an answer", reasons=tests_have_teeth),
    Rule(name="hidden tests judge the reference the same way every time", reasons=tests_are_steady),
    Rule(name="depends names every question whose answer is used", reasons=dependencies_are_declared),
    Rule(name="every hidden test fails on a wrong answer of the corpus", reasons=wrong_answers_fail),
)
