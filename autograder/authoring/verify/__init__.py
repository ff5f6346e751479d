"""The release check: what a release must satisfy before it is published, with a plain reason for each failure.

`files.py` contains the checks on files and text (`leaks.py` and `links.py` do the searching), `grading.py` and
`answers.py` those that grade in the sandbox, `notebooks.py` those that run notebooks in a Jupyter kernel. The three
groups run in parallel.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from autograder.assignment import Assignment
from autograder.authoring.noticed import Measured
from autograder.authoring.verify import answers, files, grading, notebooks, pictures
from autograder.authoring.verify.places import with_places
from autograder.authoring.verify.rule import Evidence, Outcome, Rule, judge

__all__ = ["RULES", "Outcome", "verify"]

RULES = (*files.RULES, *grading.RULES, *pictures.RULES, *answers.RULES, *notebooks.RULES)


def verify(
    assignment: Assignment,
    done: Callable[[Outcome], None],
    most: float = grading.MOST,
    chosen: frozenset[str] = frozenset(),
    *,
    online: bool = False,
    every_test: bool = False,
    measured: Callable[[Measured], None] = lambda one: None,
) -> list[Outcome]:
    """Run every check on an assignment. `done` is called with each outcome as it comes, from several threads.

    most, chosen, every_test, measured: as for Grading; online: as for Files
    """
    placed = with_places(assignment)

    def judged(rules: Sequence[Rule[Evidence]], evidence: Evidence) -> list[Outcome]:
        return judge(rules, evidence, done, placed)

    with ThreadPoolExecutor(2) as pool:
        on_files = pool.submit(judged, files.RULES, files.Files(assignment, online=online))
        on_notebooks = pool.submit(judged, notebooks.RULES, notebooks.Runs(assignment))
        # Not in the pool: pytest, which it uses, wants the main thread.
        with grading.Grading(assignment, most, chosen, every_test=every_test, measured=measured) as graded:
            on_grading = judged((*grading.RULES, *pictures.RULES, *answers.RULES), graded)
        return [*on_files.result(), *on_grading, *on_notebooks.result()]
