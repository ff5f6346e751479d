"""Rules that grade many answers: mutants of the reference, and the whole corpus.

A large assignment has thousands of them. A rule that would have to grade more than `Grading.most` says so and is left
out; `autograder verify --mutants` grades them all.
"""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autograder.assignment import Question
from autograder.authoring import corpus
from autograder.authoring.master import read_masters
from autograder.authoring.mutants import FILE, population
from autograder.authoring.noticed import in_words
from autograder.authoring.verify.grading import Grading
from autograder.authoring.verify.noticing import measured
from autograder.authoring.verify.rule import Note, Rule
from autograder.results import Status

SKIPPED = "skipped, as there are {} answers to grade; `autograder verify --mutants` grades them all"


def mutants_are_noticed(grading: Grading) -> Iterator[str | Note]:
    """Grade the mutants of every reference answer, except those listed as equivalent."""
    assignment = grading.assignment
    masters = read_masters(assignment)
    found = population(assignment, masters)
    known = {mutant.key for some in found.made.values() for mutant in some}
    file = (assignment.masters_dir / FILE).relative_to(assignment.home).as_posix()
    for key, line in found.listed.items():
        if key not in known:
            yield f"{file}:{line}: {key[0]} has no such mutant (any more): `{key[1]}` -> `{key[2]}`; delete the entry"
    count = sum(len(found.wrong(question)) for question in found.made)
    if count > grading.most:
        yield Note(SKIPPED.format(count))
        return
    for one in grading.questions:
        result = measured(grading, one, found, first_only=not grading.every_test)
        grading.measured(result)
        yield Note(f"{one.id}: {in_words(result.figures)}")
        master = (assignment.masters_dir / f"{one.notebook}.py").relative_to(assignment.home).as_posix()
        for mutant in result.survivors:
            where = f"{master}:{masters[one.id].solution + mutant.number}"
            what = f"no hidden test of {one.id} notices `{mutant.line}` -> `{mutant.becomes}`"
            yield f"{where}: {what}; test it, or list it in {FILE} with a reason"


def corpus_is_judged_as_written(grading: Grading) -> Iterator[str | Note]:
    """Grade every answer of the corpus: right ones get full marks, wrong ones lose points with the expected message."""
    answers = corpus.read_corpus(grading.assignment)
    count = sum(map(len, answers.values()))
    if count > grading.most:
        yield Note(SKIPPED.format(count))
        return
    for one in grading.questions:
        path = (grading.assignment.corpus_dir / f"{one.id}.txt").relative_to(grading.assignment.home).as_posix()
        for answer in answers[one.id]:
            if reason := misjudged(grading, one, answer):
                yield f"{path}:{answer.line}: {answer.id}: {reason}"


def misjudged(grading: Grading, one: Question, answer: corpus.Answer) -> str:
    """Return in which way the verdict on an answer is not the one that the corpus demands; empty when it is."""
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        score = grading.grade(
            grading.hand_in(Path(folder), {**grading.grader.scorer.reference, one.id: answer}), one
        ).score
    failed = [test for test in score.tests if test.status is not Status.PASSED]
    if answer.right and failed:
        why = f"{failed[0].name}: {failed[0].message}"
        return f"a right answer gets {score.points:g} of {score.max_points:g} points ({why})"
    if not answer.right and score.full:
        return "a wrong answer gets full marks; add a hidden test that fails it"
    said = [f"{test.name}: {test.status}: {test.message}" for test in failed]
    if not answer.right and not any(re.search(answer.expect, one) for one in said):
        return f"no message matches {answer.expect!r}, they say: {' | '.join(said)}"
    return ""


RULES = (
    Rule(name="every mutant of a reference answer fails a hidden test or is listed", reasons=mutants_are_noticed),
    Rule(name="the corpus is judged as written", reasons=corpus_is_judged_as_written),
)
