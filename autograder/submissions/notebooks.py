"""Which of a submission's files are which notebooks of the assignment, and why others do not count.

If a notebook was submitted several times, each question is taken from the newest file that attempts it: no answer is
lost, and the latest one counts. `age.py` determines which file is the newest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autograder.assignment import Assignment
from autograder.errors import printable
from autograder.notebook import SETUP, SETUP_START, Cell, NotANotebook, NotebookFile, ParsedNotebook, read_notebook
from autograder.regions import find_regions
from autograder.release.released import names_to_questions
from autograder.results import Flag, SubmittedFile
from autograder.submissions.scripts import read_script
from autograder.submissions.submission import HandedInFile, Kind, Submission

MAX_NAMED = 5
"""Number of files that a flag names."""


@dataclass(slots=True, kw_only=True)
class ReadFiles:
    """The parsed notebooks of a submission, by notebook of the assignment, from oldest to newest.

    unreadable: the reasons why files cannot be read, by the notebook they appear to be
    """

    notebooks: dict[str, list[NotebookFile]] = field(default_factory=dict)
    files: list[SubmittedFile] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def counted(self, used: Mapping[str, frozenset[str]]) -> tuple[SubmittedFile, ...]:
        """Return the files, marked as counting: the newest of each notebook, and older ones that answers came from.

        used: for each notebook, the names of the files that answers were taken from
        """
        newest = {which: files[-1].name for which, files in self.notebooks.items()}
        found = []
        for file in self.files:
            latest = newest.get(file.notebook)
            if file.counts and file.name != latest and file.name not in used.get(file.notebook, ()):
                file = replace(file, counts=False, why=f"older than {latest}, which attempts everything in it")
            found.append(file)
        return tuple(found)


def read_cells(data: bytes) -> ParsedNotebook:
    """Read a notebook, or one exported as a Python file, without the setup of a single file (`authoring/colab.py`).

    Raises NotANotebook with a plain reason.
    """
    parsed = _read(data)
    if not any(SETUP_START in cell.source for cell in parsed.cells):
        return parsed
    cells = tuple(replace(cell, source=SETUP.sub("", cell.source)) for cell in parsed.cells)
    return replace(parsed, cells=cells)


def _read(data: bytes) -> ParsedNotebook:
    try:
        return read_notebook(data)
    except NotANotebook:
        start = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
        cells = read_script(data.decode("utf-8", "replace")) if start[:1] in (b"#", b"i", b"f", b'"') else None
        if cells is None:
            raise
        return ParsedNotebook(cells=cells)


def read_files(submission: Submission, assignment: Assignment) -> ReadFiles:
    """Parse each submitted notebook, and determine which notebook of the assignment it is."""
    read = ReadFiles(flags=list(submission.flags))
    if not submission.notebooks:
        read.flags.append(_nothing(submission))
    for file in submission.files:
        if file.kind is Kind.OTHER:
            read.files.append(SubmittedFile(name=printable(file.name), counts=False, why=printable(file.reason)))
        else:
            _read_one(file, assignment, read)
    _find_in_others(assignment, read)
    for which, files in read.notebooks.items():
        if len(files) > 1:
            names = ", ".join(file.name for file in files[-MAX_NAMED:])
            earlier = f"{len(files) - MAX_NAMED} others, " if len(files) > MAX_NAMED else ""
            text = (
                f"{which}: {len(files)} files handed in, from oldest to newest: {earlier}{names}; "
                "each question is taken from the newest file that attempts it"
            )
            read.flags.append(Flag(kind="several_files", text=text))
    return read


def _nothing(submission: Submission) -> Flag:
    names = [printable(file.name) for file in submission.files[:MAX_NAMED]] + list(submission.modules)[:MAX_NAMED]
    what = f"only {', '.join(names)}" if names else "nothing"
    return Flag(kind="no_files", text=f"no notebook was handed in, {what}; hand in the .ipynb files themselves")


def _read_one(file: HandedInFile, assignment: Assignment, read: ReadFiles) -> None:
    name = printable(file.name)
    try:
        if file.reason:
            raise NotANotebook(file.reason)
        parsed = read_cells(file.content)
    except NotANotebook as reason:
        why = printable(str(reason))
        meant = next((one for one in assignment.notebooks if one.lower() in name.rsplit("/", 1)[-1].lower()), "")
        read.flags.append(Flag(kind="unreadable_file", text=f"{name}: {why}"))
        read.files.append(SubmittedFile(name=name, notebook=meant, counts=False, why=why))
        read.unreadable[meant] = f"{name} cannot be read: {why}"
        return
    for remark in parsed.remarks:
        read.flags.append(Flag(kind="damaged_cell", text=f"{name}: {printable(remark)}"))
    which = belongs_to(parsed.cells, assignment)
    if which is None:
        why = f"a notebook of another assignment; it contains no question of {assignment.name}"
        read.flags.append(Flag(kind="other_assignment", text=f"{name}: {why}"))
        read.files.append(SubmittedFile(name=name, counts=False, why=why))
        return
    read.notebooks.setdefault(which, []).append(NotebookFile(name=name, cells=parsed.cells))
    read.files.append(SubmittedFile(name=name, notebook=which))


def _find_in_others(assignment: Assignment, read: ReadFiles) -> None:
    """Look for the questions of a missing notebook in the files of the others."""
    for which in [name for name in assignment.notebooks if name not in read.notebooks]:
        everything = [file for files in read.notebooks.values() for file in files]
        parts = [
            NotebookFile(name=file.name, cells=part)
            for file in everything
            if (part := part_of(file.cells, which, assignment))
        ]
        if parts:
            read.notebooks[which] = parts
            text = f"{which}: no file of its own; its questions were found in {parts[-1].name}"
            read.flags.append(Flag(kind="in_other_notebook", text=text))


def belongs_to(cells: Sequence[Cell], assignment: Assignment) -> str | None:
    """Return the notebook of the assignment that most of the regions in these cells belong to."""
    names = names_to_questions(assignment.questions)
    notebook_of = {question.id: question.notebook for question in assignment.questions}
    counts = dict.fromkeys(assignment.notebooks, 0)
    for cell in cells:
        for region in find_regions(cell.lines, names, cell.question) if cell.kind == "code" else []:
            counts[notebook_of[region.question]] += 1
        if cell.question in notebook_of:
            counts[notebook_of[cell.question]] += 1
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def part_of(cells: Sequence[Cell], which: str, assignment: Assignment) -> tuple[Cell, ...]:
    """Return the cells from each region of this notebook to the next region of another; none without a region."""
    names = names_to_questions(assignment.questions)
    part: list[Cell] = []
    inside = False
    for cell in cells:
        regions = find_regions(cell.lines, names) if cell.kind == "code" else []
        owners = {assignment.question(region.question).notebook for region in regions}
        inside = which in owners if owners else inside
        part += [cell] * inside
    return tuple(part)
