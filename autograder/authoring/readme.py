"""The README and the licences that students get, made from a template and the assignment's own data."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from autograder.assignment import Assignment, Question, most_points
from autograder.authored import authored_text
from autograder.authoring.colab import FOLDER

README = PurePosixPath("README.md")
OWN = "student_readme.md"
"""A file next to the masters: the course's own words, such as where and when to hand in."""
LICENCES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "COPYING")
"""Names of the file in the course's folder, of which the first that exists is given to students."""
LICENCE_OF = ".license"
"""What follows the name of a data file in the name of the file with its licence (as in the REUSE specification)."""
CPU_INDEX = " --extra-index-url https://download.pytorch.org/whl/cpu"
BLANK_LINES = re.compile(r"\n{3,}")


def licences(assignment: Assignment) -> dict[PurePosixPath, bytes]:
    """Return the course's licence and those of data files, as far as they exist, by path in the release."""
    course = [name for name in LICENCES if (assignment.home / name).is_file()]
    paths = [*course[:1], *(data + LICENCE_OF for data in assignment.data.values())]
    files = {PurePosixPath(one): assignment.home / one for one in paths}
    return {path: file.read_bytes() for path, file in files.items() if file.is_file()}


def readme(assignment: Assignment, files: Mapping[PurePosixPath, bytes]) -> bytes:
    """Return the README for students.

    files: everything else in the release, by path
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # slow to import, and only a release needs it

    own = assignment.masters_dir / OWN
    notebooks = [name for name in assignment.notebooks if assignment.in_notebook(name)]
    code = "\n".join(_code(files[PurePosixPath(f"{name}.ipynb")]) for name in notebooks)
    kept = sorted({path.parts[0] for path in files if len(path.parts) > 1 and path.parts[0] != str(FOLDER)})
    alone = [f"`{name}.ipynb`" for name in notebooks if FOLDER / f"{name}.ipynb" in files]
    loader = PackageLoader("autograder.authoring")
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    text = environment.get_template(README.name).render(
        title=assignment.title,
        name=assignment.name,
        version=assignment.version,
        released=f"{assignment.released:%d %B %Y}".lstrip("0") if assignment.released else "",
        questions=len(assignment.questions),
        points=_points(assignment.questions),
        written=_ranges([one.id for one in assignment.questions if one.written]),
        own=authored_text(own).strip() if own.is_file() else "",
        notebooks=[_notebook(name, assignment.in_notebook(name)) for name in notebooks],
        files=_either([f"`{name}.ipynb`" for name in notebooks]),
        kept=", ".join(f"`{folder}/`" for folder in kept),
        licences=", ".join(f"`{path}`" for path in licences(assignment)),
        colab=bool(alone),
        colab_files=_either(alone),
        install="-r requirements.txt" + CPU_INDEX * assignment.uses_torch,
        torch=assignment.uses_torch,
        first=assignment.questions[0].id,
        check_all="grader.check_all(" in code,
        export="grader.export(" in code,
    )
    return BLANK_LINES.sub("\n\n", text).encode()


def _code(notebook: bytes) -> str:
    cells = json.loads(notebook)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def _notebook(name: str, questions: Sequence[Question]) -> dict[str, object]:
    ids = [one.id for one in questions]
    return {
        "file": f"{name}.ipynb",
        "questions": len(ids),
        "range": _ranges(ids),
        "points": _points(questions),
    }


def _ranges(ids: Sequence[str]) -> str:
    """Return the ids as one range per letter: B1 to B10 and W1 to W3."""
    ranges = [list(group) for _, group in itertools.groupby(ids, key=lambda one: one.rstrip("0123456789"))]
    return " and ".join(one[0] if len(one) == 1 else f"{one[0]} to {one[-1]}" for one in ranges)


def _points(questions: Sequence[Question]) -> str:
    bonus = sum(one.points for one in questions if one.bonus)
    return f"{most_points(questions):g} points" + (f" and {bonus:g} bonus points" if bonus else "")


def _either(names: Sequence[str]) -> str:
    """Return the names with commas and "or"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
