"""Paths -> submissions: who handed in which files. Nothing is read here but the names of files and folders."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import UsageError

SKIPPED = (".", "__")
"""Files and folders whose names begin so are not submissions: checkpoints, metadata of other systems, caches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What one student handed in: the files, and their common name in the results."""

    student: str
    label: str
    files: tuple[Path, ...]


def find_submissions(paths: Iterable[Path], notebooks: Sequence[str]) -> list[Submission]:
    """The submissions at these paths, one a student, in the order of their names.

    A file is one student's, named by the file. A folder is one student's when it holds the assignment's own notebooks
    (by their names), else each folder and file in it is one student's.
    Raises UsageError for a path that does not exist or holds nothing to grade.
    """
    found: list[Submission] = []
    for path in paths:
        if not path.exists():
            raise UsageError("there is no such file or folder", path, "check the path")
        if path.is_file():
            found.append(Submission(student=path.stem, label=path.name, files=(path,)))
        elif _holds_own_notebooks(path, notebooks):
            found.append(_from_folder(path.resolve()))
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


def _from_child(child: Path) -> Submission:
    return _from_folder(child) if child.is_dir() else Submission(student=child.stem, label=child.name, files=(child,))


def _from_folder(folder: Path) -> Submission:
    """Every notebook below the folder; a folder without one is a submission that cannot be read."""
    files = sorted(
        path
        for path in folder.rglob("*.ipynb")
        if path.is_file()
        and not path.is_symlink()
        and not any(part.startswith(SKIPPED) for part in path.relative_to(folder).parts)
    )
    label = "; ".join(f"{folder.name}/{path.relative_to(folder)}" for path in files) or folder.name
    return Submission(student=folder.name, label=label, files=tuple(files))


def _unique(submissions: list[Submission]) -> list[Submission]:
    """Give every student a name of their own that is also a safe file name."""
    taken: set[str] = set()
    result = []
    for submission in submissions:
        name = base = re.sub(r"[^\w.@+ ()-]", "_", submission.student).strip(". ")[:120] or "student"
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.casefold())
        result.append(Submission(student=name, label=submission.label, files=submission.files))
    return sorted(result, key=lambda submission: submission.student)
