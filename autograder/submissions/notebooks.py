"""Which of a submission's files are which notebooks of the assignment, and why others do not count."""

from collections.abc import Sequence

from autograder.assignment import Assignment
from autograder.errors import printable
from autograder.notebook import Cell, NotANotebook, NotebookFile, parse_notebook
from autograder.regions import find_regions
from autograder.release.released import names_to_questions
from autograder.results import Flag
from autograder.submissions.intake import Submission


def read_files(submission: Submission, assignment: Assignment) -> tuple[dict[str, list[NotebookFile]], list[Flag]]:
    """The cells of each notebook handed in, by the notebook of the assignment it is, and why others do not count."""
    submitted: dict[str, list[NotebookFile]] = {}
    flags: list[Flag] = []
    if not submission.files:
        text = "the folder holds no .ipynb file; ask the student for the notebooks themselves"
        flags.append(Flag(kind="no_files", text=text))
    for name, data in submission.notebooks():
        label = printable(name)
        try:
            if isinstance(data, NotANotebook):
                raise data
            cells = parse_notebook(data)
        except NotANotebook as reason:
            flags.append(Flag(kind="unreadable_file", text=f"{label}: {reason}"))
            continue
        which = belongs_to(cells, assignment)
        if which is None:
            text = f"{label}: a notebook of another assignment; it holds no question of {assignment.name}"
            flags.append(Flag(kind="other_assignment", text=text))
        else:
            submitted.setdefault(which, []).append(NotebookFile(name=label, cells=cells))
    for which in [name for name in assignment.notebooks if name not in submitted]:
        everything = [file for files in submitted.values() for file in files]
        parts = [
            NotebookFile(name=file.name, cells=part)
            for file in everything
            if (part := part_of(file.cells, which, assignment))
        ]
        if parts:
            submitted[which] = parts
            text = f"{which}: no file of its own; its questions were found in another notebook"
            flags.append(Flag(kind="in_other_notebook", text=text))
    for which, files in submitted.items():
        if len(files) > 1:
            text = f"{which}: {len(files)} files handed in; of each question the last attempt counts"
            flags.append(Flag(kind="several_files", text=text))
    return submitted, flags


def belongs_to(cells: Sequence[Cell], assignment: Assignment) -> str | None:
    """The notebook of the assignment that most of the regions in these cells belong to."""
    names = names_to_questions(assignment.questions)
    counts = dict.fromkeys(assignment.notebooks, 0)
    for cell in cells:
        for region in find_regions(cell.lines, names, cell.question) if cell.kind == "code" else []:
            counts[assignment.question(region.question).notebook] += 1
        if cell.question in names.values():
            counts[assignment.question(cell.question).notebook] += 1
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def part_of(cells: Sequence[Cell], which: str, assignment: Assignment) -> tuple[Cell, ...]:
    """The cells from each region of this notebook on to the next region of another; none where there is no region."""
    part: list[Cell] = []
    inside = False
    for cell in cells:
        owners = {
            assignment.question(region.question).notebook
            for region in (
                find_regions(cell.lines, names_to_questions(assignment.questions)) if cell.kind == "code" else []
            )
        }
        inside = which in owners if owners else inside
        part += [cell] * inside
    return tuple(part)
