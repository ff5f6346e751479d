"""The check of the pictures of hidden tests: each is drawn once for the reference, which must lie in its own band."""

from collections.abc import Iterator

from autograder.authoring.verify.grading import Grading
from autograder.authoring.verify.rule import Rule
from autograder.grading.judge import judge_case
from autograder.grading.observe import Child, NoObservation, Observer
from autograder.grading.scorer import notebook_seed, seed_of


def pictures_show_the_reference(grading: Grading) -> Iterator[str]:
    """Draw the picture of every case of a hidden test from what the reference gives."""
    for key, tests in grading.tests.items():
        one = grading.assignment.question(key)
        for test in tests:
            for case in test.cases if test.picture else ():
                child = Child(grading.grader.scorer.start, [grading.programs[one.notebook]], notebook_seed(one))
                observer = Observer(child, one.id, seed_of(one))
                where = f"{one.id}: the picture of {test.name}{f' ({case.name})' if case.name else ''}"
                try:
                    judge_case(case, observer)
                    if test.picture and (found := test.picture(observe=observer.again, **case.parameters)).tells:
                        yield f"{where} shows the reference outside of its band: {found.above + found.below} values"
                except (Exception, NoObservation) as error:
                    yield f"{where} cannot be drawn for the reference ({type(error).__name__}: {error})"
                finally:
                    child.close()


RULES = (Rule(name="every picture shows the reference inside its band", reasons=pictures_show_the_reference),)
