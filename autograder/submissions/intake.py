"""Paths -> submissions: who handed in which files. Nothing is read but names, until a submission is loaded."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from autograder.errors import UsageError
from autograder.results import Flag, Student
from autograder.submissions.files import list_folder, on_disk
from autograder.submissions.submission import Attached, HandIn

SKIPPED = (".", "__")
"""Files and folders whose names begin so are not submissions: checkpoints, metadata of other systems, caches."""
MAX_NAME = 200
"""Bytes of a student's name, which becomes a file's name with something behind it."""


def find_submissions(paths: Iterable[Path], notebooks: Sequence[str]) -> list[HandIn]:
    """The submissions at these paths, one a student, in the order of their names.

    A file is one student's, named by the file. A folder is one student's when it holds the assignment's own notebooks
    (by their names), else each folder and file in it is one student's.
    Raises UsageError for a path that does not exist or holds nothing to grade.
    """
    found: list[HandIn] = []
    for path in paths:
        if not path.exists():
            raise UsageError("there is no such file or folder", path, "check the path")
        if path.is_file():
            found.append(_from_child(path))
        elif _holds_own_notebooks(path, notebooks):
            found.append(from_folder(path.resolve()))
        else:
            inside = [_from_child(child) for child in sorted(path.iterdir()) if not child.name.startswith(SKIPPED)]
            if not inside:
                raise UsageError("the folder is empty", path, "give a folder with one folder or notebook a student")
            found.extend(inside)
    if not found:
        raise UsageError("no submission was given", "grade", "give a notebook, or a folder with one folder a student")
    return _unique(found)


def _holds_own_notebooks(folder: Path, notebooks: Sequence[str]) -> bool:
    """Whether the folder itself holds files such as batchnorm.ipynb or `batchnorm (1).ipynb`."""
    names = "|".join(re.escape(name) for name in notebooks)
    own = re.compile(rf"(?:{names})\W*\d*\W*\.ipynb", re.IGNORECASE)
    return any(own.fullmatch(path.name) for path in folder.iterdir())


def _from_child(child: Path) -> HandIn:
    if child.is_dir() and not child.is_symlink():
        return from_folder(child)
    return HandIn(students=(Student(id=child.stem),), files=(Attached(file=on_disk(child)),))


def from_folder(folder: Path) -> HandIn:
    """Return every file below the folder as one student's; a folder that cannot be read has a flag that says so."""
    student = Student(id=folder.name)
    try:
        files = tuple(Attached(file=file.below(folder.name)) for file in list_folder(folder))
    except OSError as error:
        text = f"the folder cannot be read ({error.strerror}); correct its permissions and grade again"
        return HandIn(students=(student,), files=(), flags=(Flag(kind="unreadable_folder", text=text),))
    return HandIn(students=(student,), files=files)


def _unique(submissions: list[HandIn]) -> list[HandIn]:
    """Give every student a name of their own that is also a safe file name, and to nobody one that is another's."""
    taken: set[str] = set()
    result = []
    bases = [_safe(submission.students[0].id) for submission in submissions]
    own = {base.casefold() for base in bases}
    for submission, base in zip(submissions, bases, strict=True):
        name, number = base, 1
        while name.casefold() in taken or (number > 1 and name.casefold() in own):
            number += 1
            name = f"{base}-{number}"
        taken.add(name.casefold())
        result.append(replace(submission, students=(Student(id=name),)))
    return sorted(result, key=lambda submission: submission.students[0].id)


def _safe(student: str) -> str:
    name = re.sub(r"[^\w.@+ ()-]", "_", student)
    return name.encode()[:MAX_NAME].decode(errors="ignore").strip(". ") or "student"
