"""The corpus of the lecture's assignment, and submissions made from its answers.

`lecture06/<question>.txt` holds right and wrong answers; `autograder/corpus.py` says how they are written.
"""

import functools
from collections.abc import Mapping

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authoring import corpus
from autograder.authoring.corpus import Answer, Notebook, added_cell, read_answers, write
from autograder.release.reference import reference_cells
from autograder.release.released import ReleasedNotebook, load_released

__all__ = ["Answer", "Notebook", "added_cell", "read_answers", "write"]


@functools.cache
def assignment() -> Assignment:
    return load_assignment("lecture06")


@functools.cache
def released() -> Mapping[str, Notebook]:
    """The released notebooks as JSON tables; copy before a change."""
    return corpus.released_tables(assignment())


@functools.cache
def reference() -> Mapping[str, str]:
    """The whole answer cell of each question with the reference answer."""
    return reference_cells(assignment(), _released())


@functools.cache
def _released() -> Mapping[str, ReleasedNotebook]:
    return load_released(assignment())


def answer_cell(question: str, body: str) -> str:
    """The released answer cell with this text, indented, between its markers."""
    return corpus.answer_cell(_released()[assignment().question(question).notebook], question, body)


def submission(answers: Mapping[str, str | Answer]) -> dict[str, Notebook]:
    """The notebooks with these answers: whole answer cells as text, or entries of the corpus; the rest as released."""
    return corpus.submission(released(), _released(), answers)
