"""Paths -> submissions -> notebooks: who handed in which files, and the bytes of the notebooks in them."""

import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.errors import UsageError
from autograder.notebook import MAX_BYTES, NotANotebook
from autograder.results import Student

SKIPPED = (".", "__")
"""Files and folders whose names begin so are not submissions: checkpoints, metadata of other systems, caches."""
NOTEBOOK, ARCHIVE = ".ipynb", ".zip"
MAX_MEMBERS = 1000
MAX_NOTEBOOKS = 20
"""Of one submission; more are not looked at."""
MAX_DEPTH = 50
"""Of folders in folders; what lies deeper is not looked at."""
MAX_NAME = 200
"""Bytes of a student's name, which becomes a file's name with something behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What one student handed in: the files, and their common name in the results."""

    student: Student
    label: str
    files: tuple[Path, ...]

    def digest(self) -> str:
        """The SHA-256 of the files, one after the other; a file that cannot be read counts as empty."""
        total = hashlib.sha256()
        for path in self.files:
            try:
                with path.open("rb") as file:
                    while block := file.read(1 << 20):
                        total.update(block)
            except OSError:
                continue
        return total.hexdigest()

    def notebooks(self) -> Iterator[tuple[str, bytes | NotANotebook]]:
        """Each notebook by its file's name: its bytes, or the reason why there are none."""
        for count, (name, data) in enumerate(self._notebooks()):
            if count == MAX_NOTEBOOKS:
                yield name, NotANotebook(f"this and what follows is left out: more than {MAX_NOTEBOOKS} notebooks")
                return
            yield name, data

    def _notebooks(self) -> Iterator[tuple[str, bytes | NotANotebook]]:
        for path in self.files:
            try:
                if path.suffix.lower() == ARCHIVE:
                    yield from _archived(path)
                else:
                    with path.open("rb") as file:
                        yield path.name, file.read(MAX_BYTES + 1)
            except OSError as error:
                yield path.name, NotANotebook(f"the file cannot be read ({error.strerror})")


def _archived(path: Path) -> Iterator[tuple[str, bytes | NotANotebook]]:
    """The notebooks in a zip, read in memory and never unpacked; a member is read up to the size of a notebook."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [(PurePosixPath(info.filename), info) for info in archive.infolist()[:MAX_MEMBERS]]
            wanted = [one for one in members if one[0].suffix.lower() == NOTEBOOK and not _skipped(one[0].parts)]
            if not wanted:
                yield path.name, NotANotebook("the archive holds no .ipynb file; put the notebooks themselves into it")
            for name, info in wanted:
                with archive.open(info) as member:
                    yield f"{path.name}/{name}", member.read(MAX_BYTES + 1)
    except Exception:  # each way to pack has errors of its own for damaged bytes, and not all of them are documented
        yield path.name, NotANotebook("the archive is damaged or locked by a password; zip the notebooks again")


def _skipped(parts: Iterable[str]) -> bool:
    return any(part.startswith(SKIPPED) for part in parts)


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
            found.append(Submission(student=Student(id=path.stem), label=path.name, files=(path,)))
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


def _from_child(child: Path) -> Submission:
    if child.is_dir():
        return from_folder(child)
    files = (child,) if child.is_file() else ()  # a pipe or a device would be read for ever
    return Submission(student=Student(id=child.stem), label=child.name, files=files)


def from_folder(folder: Path) -> Submission:
    """Every notebook and archive below the folder; a folder without one is a submission that cannot be read."""
    files = sorted(path for path in _below(folder) if path.suffix.lower() in (NOTEBOOK, ARCHIVE))
    label = "; ".join(f"{folder.name}/{path.relative_to(folder)}" for path in files) or folder.name
    return Submission(student=Student(id=folder.name), label=label, files=tuple(files))


def _below(folder: Path) -> Iterator[Path]:
    """The files below the folder; links are not followed, and folders that cannot be read count as empty."""
    folders = [(folder, 0)]
    while folders:
        current, depth = folders.pop()
        try:
            entries = [entry for entry in os.scandir(current) if not entry.name.startswith(SKIPPED)]
        except OSError:
            continue
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
            elif entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
                folders.append((Path(entry.path), depth + 1))


def _unique(submissions: list[Submission]) -> list[Submission]:
    """Give every student a name of their own that is also a safe file name, and to nobody one that is another's."""
    taken: set[str] = set()
    result = []
    bases = [_safe(submission.student.id) for submission in submissions]
    own = {base.casefold() for base in bases}
    for submission, base in zip(submissions, bases, strict=True):
        name, number = base, 1
        while name.casefold() in taken or (number > 1 and name.casefold() in own):
            number += 1
            name = f"{base}-{number}"
        taken.add(name.casefold())
        result.append(Submission(student=Student(id=name), label=submission.label, files=submission.files))
    return sorted(result, key=lambda submission: submission.student.id)


def _safe(student: str) -> str:
    name = re.sub(r"[^\w.@+ ()-]", "_", student)
    return name.encode()[:MAX_NAME].decode(errors="ignore").strip(". ") or "student"
