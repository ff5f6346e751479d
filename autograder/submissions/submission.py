"""A submission: all files of one student, found in a download, then loaded once to be graded anywhere."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath

from autograder.notebook import MAX_BYTES, NotANotebook, too_large
from autograder.platforms import otter
from autograder.platforms.age import Age, age_of
from autograder.platforms.download import Attached
from autograder.platforms.files import FoundFile, first_bytes, list_archive, on_disk, open_archive
from autograder.results import Audience, Flag, Student
from autograder.submissions.scripts import read_script

MAX_NOTEBOOKS = 20
"""Notebooks per submission; older ones are ignored."""
MAX_MEMBERS = 1000
"""Files per submission that are examined, in folders and archives together."""
MAX_ARCHIVES = 20
MAX_NESTED = 2
"""Nesting depth of archives: a zip, and the zips in it."""
MAX_TOTAL = 256 << 20
"""Bytes of one submission in memory."""
MAX_SCRIPT = 1 << 20
MAX_MODULES = 50
MAX_LABEL = 300


class Kind(StrEnum):
    """The kind of a submitted file."""

    NOTEBOOK = "notebook"
    MODULE = "module"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedInFile:
    """A loaded file: its bytes, or the reason for their absence."""

    name: str
    kind: Kind
    content: bytes = b""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """All files of one student in memory, so that they can be graded on any machine.

    files: notebooks and other files, from oldest to newest
    modules: Python files that are not notebooks, as text, by their path relative to the notebook's folder
    submitted, late: as in Result
    sha256: of the names and bytes of all files and modules
    """

    student: Student
    label: str
    files: tuple[HandedInFile, ...]
    modules: Mapping[str, str] = field(default_factory=dict)
    submitted: str | None = None
    late: float | str | None = None
    flags: tuple[Flag, ...] = ()
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        total = hashlib.sha256()
        for file in self.files:
            total.update(repr((file.name, file.reason, len(file.content))).encode() + file.content)
        total.update(repr(sorted(self.modules.items())).encode())
        object.__setattr__(self, "sha256", total.hexdigest())

    @property
    def importable(self) -> dict[str, str]:
        """The modules by import name as seen from the notebook's folder; others are left out."""
        names = {path: PurePosixPath(path).with_suffix("").parts for path in self.modules}
        named = {path: parts[:-1] if parts[-1] == "__init__" else parts for path, parts in names.items()}
        return {
            ".".join(parts): self.modules[path]
            for path, parts in named.items()
            if parts and all(part.isidentifier() and part.isascii() for part in parts)
        }

    @property
    def notebooks(self) -> tuple[HandedInFile, ...]:
        return tuple(file for file in self.files if file.kind is Kind.NOTEBOOK)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandIn:
    """The files of one student, or of a group, before any of them is read.

    files: named relative to the student's folder, so that a student's name is never taken for a file name
    label: its name in the results: the file names in the download
    """

    students: tuple[Student, ...]
    files: tuple[Attached, ...]
    label: str
    submitted: str | None = None
    late: float | str | None = None
    flags: tuple[Flag, ...] = ()

    def load(self) -> Submission:
        """Read the files into memory, within limits. Unreadable files are listed in the submission with the reason."""
        with contextlib.ExitStack() as stack:
            search = _Search(stack=stack)
            for attached in self.files:
                search.add(attached.file, attached)
            files, modules = search.read()
        return Submission(
            student=self.students[0],
            label=self.label if len(self.label) <= MAX_LABEL else f"{self.label[:MAX_LABEL]}…",
            files=files,
            modules=modules,
            submitted=self.submitted,
            late=self.late,
            flags=(*self.flags, *search.flags),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    file: FoundFile
    kind: Kind
    age: Age
    attachment: str


@dataclass(slots=True, kw_only=True)
class _Search:
    """The files of one submission, archives opened; they are read newest first, until a limit is reached."""

    stack: contextlib.ExitStack
    found: list[_Candidate] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    looked_at: int = 0
    archives: int = 0
    held: int = 0

    def add(self, file: FoundFile, origin: Attached, depth: int = 0, exported: str = "") -> None:
        """Examine a file by its name and first bytes, and the members of an archive."""
        self.looked_at += 1
        if self.looked_at > MAX_MEMBERS:
            if self.looked_at == MAX_MEMBERS + 1:
                self._flag("too_many_files", f"more than {MAX_MEMBERS} files; the others were ignored")
            return
        kind = _kind(file)
        if kind is not None:
            age = age_of(
                file.name,
                owner=origin.owner,
                attempt=origin.attempt,
                attachment=origin.attachment,
                exported=exported,
                changed=file.changed,
            )
            self.found.append(_Candidate(file=file, kind=kind, age=age, attachment=origin.attachment))
            return
        try:
            self._open(file, origin, depth)
        except NotANotebook as reason:
            self._fail(file, origin, str(reason))

    def _open(self, file: FoundFile, origin: Attached, depth: int) -> None:
        self.archives += 1
        if depth >= MAX_NESTED or self.archives > MAX_ARCHIVES:
            raise NotANotebook("an archive inside too many others; hand in the notebooks themselves")
        if file.member is not None:
            self.held += file.size
        if self.held > MAX_TOTAL:
            raise NotANotebook(
                f"the archives contain more than {MAX_TOTAL >> 20} MiB; hand in the notebooks themselves"
            )
        archive = self.stack.enter_context(open_archive(file))
        members = list_archive(archive, file.path)
        exported = otter.original_name(members)
        for member in members:
            if not otter.is_note(member.name):
                self.add(member.below(file.name), origin, depth + 1, exported)
        if not members:
            raise NotANotebook("the archive is empty; put the notebooks into it")

    def _fail(self, file: FoundFile, origin: Attached, reason: str) -> None:
        age = age_of(
            file.name,
            owner=origin.owner,
            attempt=origin.attempt,
            attachment=origin.attachment,
            changed=file.changed,
        )
        broken = replace(file, why=reason)
        self.found.append(_Candidate(file=broken, kind=Kind.NOTEBOOK, age=age, attachment=origin.attachment))

    def read(self) -> tuple[tuple[HandedInFile, ...], dict[str, str]]:
        """Return the files from oldest to newest, and the modules."""
        files: list[HandedInFile] = []
        modules: dict[PurePosixPath, str] = {}
        counts = Counter(one.file.name for one in self.found)
        notebooks, skipped = 0, 0
        for number, one in enumerate(sorted(self.found, key=lambda one: one.age, reverse=True)):
            path = PurePosixPath(one.file.name)
            name = one.file.name if counts[one.file.name] == 1 else f"{path} [{one.attachment or number + 1}]"
            if one.kind is Kind.OTHER:
                files.append(HandedInFile(name=name, kind=Kind.OTHER, reason=one.file.why or "not a notebook"))
                continue
            notebook = one.kind is Kind.NOTEBOOK
            if notebook and notebooks == MAX_NOTEBOOKS:
                skipped += 1
                continue
            loaded = self._read(one, name, MAX_BYTES if notebook else MAX_SCRIPT)
            text = loaded.content.decode("utf-8", "replace")[:MAX_SCRIPT] if not notebook else ""
            if notebook or loaded.reason or read_script(text) is not None:
                notebooks += 1
                files.append(replace(loaded, kind=Kind.NOTEBOOK if not loaded.reason or notebook else Kind.OTHER))
            elif path not in modules and len(modules) < MAX_MODULES:
                modules[path] = text
        if skipped:
            self._flag("too_many_files", f"more than {MAX_NOTEBOOKS} notebooks; the {skipped} oldest were left out")
        return tuple(reversed(files)), _importable(modules, files)

    def _read(self, one: _Candidate, name: str, limit: int) -> HandedInFile:
        try:
            if one.kind is Kind.NOTEBOOK and one.file.size > limit and not one.file.why:
                raise too_large(one.file.size)
            content = one.file.read(min(limit, max(0, MAX_TOTAL - self.held)))
            if self.held + len(content) > MAX_TOTAL:
                raise NotANotebook(f"the files before this one reach the limit of {MAX_TOTAL >> 20} MiB")
            if len(content) > limit and one.kind is Kind.MODULE:
                raise NotANotebook(f"a Python file of more than {limit >> 20} MiB")
        except NotANotebook as reason:
            return HandedInFile(name=name, kind=one.kind, reason=str(reason))
        self.held += len(content)
        return HandedInFile(name=name, kind=one.kind, content=content)

    def _flag(self, kind: str, text: str) -> None:
        self.flags.append(Flag(kind=kind, text=text, audience=Audience.STUDENT))


def _kind(file: FoundFile) -> Kind | None:
    """Return the kind of a file, None for an archive. The content decides; the name only if the content is unknown."""
    extensions = {suffix.lower() for suffix in PurePosixPath(file.name).suffixes}
    if file.why:
        return Kind.NOTEBOOK if extensions & {".ipynb", ".zip"} else Kind.OTHER
    head = first_bytes(file)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None if not extensions & {".docx", ".xlsx", ".pptx", ".odt", ".npz", ".pt", ".pth"} else Kind.OTHER
    if ".zip" in extensions and ".ipynb" not in extensions:
        return None
    if ".ipynb" in extensions:
        return Kind.NOTEBOOK
    if ".py" in extensions:
        return Kind.MODULE
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    keys = (b'"cells"', b'"worksheets"', b'"nbformat"')
    return Kind.NOTEBOOK if start.startswith(b"{") and any(key in head for key in keys) else Kind.OTHER


def _importable(modules: Mapping[PurePosixPath, str], files: Sequence[HandedInFile]) -> dict[str, str]:
    """Return the modules by their path relative to the folder of the newest notebook above them."""
    folders = [PurePosixPath(file.name).parent for file in files if file.kind is Kind.NOTEBOOK]
    found: dict[str, str] = {}
    for path, text in modules.items():
        above = next((folder for folder in folders if path.is_relative_to(folder)), path.parent)
        found.setdefault(path.relative_to(above).as_posix(), text)
    return found


def of_files(student: Student, paths: Iterable[Path]) -> Submission:
    """Load these files as one submission."""
    files = tuple(Attached(file=on_disk(path)) for path in paths)
    return HandIn(students=(student,), files=files, label="; ".join(one.file.name for one in files)).load()
