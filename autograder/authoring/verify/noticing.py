"""Who notices the mutants of a reference answer: its hidden tests, and its public check.

Both run on a mutant in the sandbox, with the reference for all other answers. A public check asserts in the process of
the code that it checks, so what it says could be forged: it is good for a figure, never for points.
"""

import ast
from collections.abc import Callable
from dataclasses import replace

from autograder.assignment import Assignment, Question
from autograder.authored import authored_text
from autograder.authoring import corpus
from autograder.authoring.master import read_masters
from autograder.authoring.mutants import Population, population
from autograder.authoring.noticed import Judged, Measured
from autograder.authoring.verify.grading import Grading
from autograder.errors import MasterError
from autograder.grading.scorer import notebook_seed
from autograder.program import Program, Step
from autograder.release.versions import MutantFigures

CHECK = "public check"
"""The label of the step that runs a public check."""


def measured(grading: Grading, one: Question, found: Population, *, first_only: bool) -> Measured:
    """Grade the mutants of one question.

    first_only: each up to the first hidden test that notices it, which is quicker
    """
    check, reference = public_check(grading.assignment, one), grading.programs[one.notebook]
    checked = check is not None and not fails(grading, one, reference, check)
    judged = []
    for mutant in found.wrong(one.id):
        cell = corpus.answer_cell(grading.grader.released[one.notebook], one.id, mutant.body)
        program = reference.with_answers({one.id: cell})
        failed = grading.grader.scorer.failures(program, one, first_only=first_only)
        noticed = check is not None and checked and fails(grading, one, program, check)
        judged.append(Judged(mutant=mutant, tests=tuple(test.name for test in failed), check=noticed))
    tests = tuple(test.name for test in grading.tests[one.id])
    made = len(found.made[one.id])
    return Measured(question=one.id, tests=tests, checked=checked, made=made, judged=tuple(judged))


def public_check(assignment: Assignment, one: Question) -> Step | None:
    """Return a step that runs the public check of a question on what the notebook defines, without Otter.

    None for a check that cannot be read, which other rules name.
    """
    try:
        tree = ast.parse(authored_text(assignment.release_dir / "tests" / f"{one.id}.py"))
    except (OSError, MasterError, SyntaxError, ValueError):
        return None
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    for function in functions:
        function.decorator_list = []
    calls = [f"{function.name}(globals())" for function in functions]
    return Step(label=CHECK, source="\n".join([*map(ast.unparse, functions), *calls]))


def figures(grading: Grading, done: Callable[[Measured], None]) -> dict[str, MutantFigures]:
    """Return the figures of every question; `done` is called with what was measured for each as it comes.

    Raises KitError where the mutants cannot be graded.
    """
    found = population(grading.assignment, read_masters(grading.assignment))
    every = {}
    for one in grading.assignment.tested:
        result = measured(grading, one, found, first_only=True)
        done(result)
        every[one.id] = result.figures
    return every


def fails(grading: Grading, one: Question, program: Program, check: Step) -> bool:
    """Whether a public check fails on a program, or the program does not get that far."""
    run = grading.grader.scorer.start(replace(program, steps=(*program.steps, check)), notebook_seed(one))
    try:
        return run.failure is not None or CHECK in run.errors
    finally:
        run.close()
