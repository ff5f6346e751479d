"""Given cells that define a name of a question again, after its answer: the student's own would be lost."""

import ast
import json
from collections.abc import Iterator, Mapping

from autograder.assignment import Assignment
from autograder.authoring.verify import texts
from autograder.notebook import Role
from autograder.sandbox.cells import parse
from autograder.sandbox.describe import bound_names


def defined_again(assignment: Assignment, notebooks: Mapping[str, bytes]) -> Iterator[str]:
    """Yield each such statement, with its line.

    notebooks: as released, by path in the course
    """
    for text in texts.read(notebooks):
        answered: dict[str, str] = {}
        for cell in json.loads(notebooks[text.name])["cells"]:
            about = cell["metadata"].get("homework", {})
            if cell["cell_type"] != "code":
                continue
            if about.get("role") == Role.ANSWER:
                question = assignment.question(about["question"])
                answered |= dict.fromkeys(question.defines, question.id)
                continue
            source = "".join(cell["source"])
            for statement in statements(source):
                for name in sorted(answered.keys() & set(bound_names(statement))):
                    line = source.split("\n")[statement.lineno - 1]
                    where = text.where(text.find(cell["id"], line))
                    yield f"{where}defines {name} again, after the answer to {answered[name]}: {line.strip()}"


def statements(source: str) -> list[ast.stmt]:
    """Return the statements of a cell, none of one that is not Python."""
    try:
        return parse(source, "cell")
    except (SyntaxError, ValueError):
        return []
