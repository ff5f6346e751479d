"""The release check: what a release must satisfy before it is published, with a plain reason for each failure.

`files.py` contains the checks on files and text (`leaks.py` and `links.py` do the searching), `grading.py` those that
grade in the sandbox, `notebooks.py` those that run notebooks in a Jupyter kernel. The three groups run in parallel.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from autograder.assignment import Assignment
from autograder.authoring.verify import files, grading, notebooks
from autograder.authoring.verify.rule import Outcome, judge

__all__ = ["RULES", "Outcome", "verify"]

RULES = (*files.RULES, *grading.RULES, *notebooks.RULES)


def verify(assignment: Assignment, done: Callable[[Outcome], None]) -> list[Outcome]:
    """Run every check on an assignment. `done` is called with each outcome as it comes, from several threads."""
    with ThreadPoolExecutor(2) as pool:
        on_files = pool.submit(judge, files.RULES, files.Files(assignment), done)
        on_notebooks = pool.submit(judge, notebooks.RULES, notebooks.Runs(assignment), done)
        with grading.Grading(assignment) as graded:  # not in the pool: pytest needs the main thread
            on_grading = judge(grading.RULES, graded, done)
        return [*on_files.result(), *on_grading, *on_notebooks.result()]
