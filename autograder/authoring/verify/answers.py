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
from autograder.authoring.mutants import FILE, Mutant, equivalent, mutants
from autograder.authoring.verify.grading import Grading
from autograder.authoring.verify.rule import Note, Rule
from autograder.results import Status

SKIPPED = "skipped, as there are {} answers to grade; `autograder verify --mutants` grades them all"


def mutants_are_noticed(grading: Grading) -> Iterator[str | Note]:
    """Grade the mutants of every reference answer up to their first failed test, except those listed as equivalent."""
    assignment, listed = grading.assignment, equivalent(grading.assignment)
    masters = read_masters(assignment)
    found = {
        one.id: mutants(one.id, "\n".join(masters[one.id].answer), torch=assignment.uses_torch)
        for one in assignment.tested
    }
    known = {mutant.key for some in found.values() for mutant in some}
    file = (assignment.masters_dir / FILE).relative_to(assignment.home).as_posix()
    for key, line in listed.items():
        if key not in known:
            yield f"{file}:{line}: {key[0]} has no such mutant (any more): `{key[1]}` -> `{key[2]}`; delete the entry"
    count = sum(mutant.key not in listed and not mutant.trivial for some in found.values() for mutant in some)
    if count > grading.most:
        yield Note(SKIPPED.format(count))
        return
    for one in grading.questions:
        open_ones = [mutant for mutant in found[one.id] if mutant.key not in listed and not mutant.trivial]
        alive = [mutant for mutant in open_ones if survives(grading, one, mutant)]
        equal = len(found[one.id]) - len(open_ones)
        yield Note(f"{one.id}: {len(open_ones) - len(alive)} of {len(open_ones)} noticed, {equal} equivalent")
        master = (assignment.masters_dir / f"{one.notebook}.py").relative_to(assignment.home).as_posix()
        for mutant in alive:
            where = f"{master}:{masters[one.id].solution + mutant.number}"
            what = f"no hidden test of {one.id} notices `{mutant.line}` -> `{mutant.becomes}`"
            yield f"{where}: {what}; test it, or list it in {FILE} with a reason"


def survives(grading: Grading, one: Question, mutant: Mutant) -> bool:
    """Whether a mutant passes every hidden test of its question, with the reference for all other answers."""
    cell = corpus.answer_cell(grading.grader.released[one.notebook], one.id, mutant.body)
    program = grading.programs[one.notebook].with_answers({one.id: cell})
    return grading.grader.scorer.first_failure(program, one) is None


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
