"""What students get besides the notebooks: a README, the licences, and editions of the notebooks that work alone."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from autograder.assignment import Assignment
from autograder.authoring import colab
from autograder.authoring.build import brought_along
from autograder.authoring.readme import README, licences
from autograder.notebook import Role

FIX = "run `autograder release`"


def unexplained(assignment: Assignment, released: Mapping[PurePosixPath, bytes]) -> Iterator[str]:
    """Yield what the README does not say, and the licences that students do not get."""
    text = released.get(README, b"").decode("utf-8", "replace")
    if not text:
        yield f"{README} is missing; {FIX}"
        return
    needed = [f"{name}.ipynb" for name in assignment.notebooks if assignment.in_notebook(name)]
    for word in [*needed, "requirements.txt"]:
        if word not in text:
            yield f"{README} does not mention {word}; {FIX}"
    if "torch" in text.lower() and not assignment.uses_torch:
        yield f"{README} mentions torch, which this assignment does not use; correct its title or your own text"
    for path, data in licences(assignment).items():
        if released.get(path) != data:
            yield f"{path} is not the licence in the course's folder; {FIX}"


def incomplete_editions(assignment: Assignment, released: Mapping[PurePosixPath, bytes]) -> Iterator[str]:
    """Yield the editions for Colab that are not their notebook with exactly the files that it needs."""
    for name in assignment.notebooks:
        path = PurePosixPath(f"{name}.ipynb")
        needed = brought_along(assignment, name, released)
        edition = colab.FOLDER / path
        if edition not in released:
            if len(colab.pack(needed)) <= colab.MOST:
                yield f"{edition} is missing; {FIX}"
            continue
        try:
            cells, own = (json.loads(released[one])["cells"] for one in (edition, path))
            held = colab.unpacked(cells)
        except (ValueError, KeyError, TypeError) as error:
            yield f"{edition} cannot be read ({error}); {FIX}"
            continue
        for one in sorted(needed.keys() | held.keys()):
            if needed.get(one) != held.get(one):
                yield f"{edition} brings along another {one} than the release has; {FIX}"
        setup = [cell for cell in cells if cell["metadata"].get("homework", {}).get("role") == Role.SETUP]
        if cells[len(setup) + 1 :] != own:
            yield f"{edition} has other cells than {path}; {FIX}"
