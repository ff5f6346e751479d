"""Paths -> hand-ins: the format of a download, and who submitted which files.

The format is the one that matches the largest share of the file names; names that match none are sorted by folders and
files. Only names, metadata and timestamps are read until a hand-in is loaded.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from autograder.errors import UsageError, printable
from autograder.notebook import NotANotebook
from autograder.platforms import FORMS, nbgrader
from autograder.platforms.age import STALE, WORD
from autograder.platforms.download import Attached, Download, Form, Handed
from autograder.platforms.files import JUNK, MAX_LISTED, FoundFile, list_archive, list_folder, on_disk, open_archive
from autograder.results import Audience, Flag, Student
from autograder.submissions import plain
from autograder.submissions.identify import Identified, with_roster, without_roster
from autograder.submissions.roster import Enrolled
from autograder.submissions.submission import HandIn

FORMATS = (*(form.name for form in FORMS), plain.SYSTEM)
FITS = 0.5
"""The minimum share of file names that must match a platform's format."""
ARCHIVE = ".zip"
OTHER_VERSIONS = frozenset({"new", "final", "attempt", "version", "try", "submission"})
"""Words in a folder's name that say that it is one student's."""
LOCAL_HEADER = b"PK\x03\x04"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to look for: the assignment's notebooks, and the format given on the command line.

    out: the results folder, which is never a submission
    """

    notebooks: tuple[str, ...]
    form: str = ""
    pattern: re.Pattern[str] | None = None
    out: Path | None = None


@dataclass(slots=True, kw_only=True)
class Intake:
    """Everything that was found, in the order of the students' ids.

    forms: the recognised formats; absent: students on the roster without a submission
    unmatched: people who are not on the roster, and why; left_out: files that belong to nobody, and why
    """

    hand_ins: list[HandIn] = field(default_factory=list)
    absent: list[Student] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Listing:
    """The files of a folder, archive or set of paths, named from its root; `depth` is the level of student folders."""

    files: list[FoundFile]
    depth: int = 1


def take_in(paths: Iterable[Path], wanted: Wanted, roster: Sequence[Enrolled] = ()) -> Intake:
    """Find the submission of each student.

    Raises UsageError for a path that does not exist, is truncated or empty, for two formats that match equally well,
    and for two submissions under the same name.
    """
    intake = Intake()
    handed: list[Handed] = []
    for listing in _listings(paths, wanted, intake):
        download = _read(listing, wanted, intake)
        handed += download.handed
        intake.left_out += download.left_out
    if not handed:
        what = f": {intake.left_out[0][0]}: {intake.left_out[0][1]}" if intake.left_out else ""
        raise UsageError(f"no submissions found{what}", "grade", "give a download, a folder or a notebook")
    merged = _merged(handed, wanted.notebooks)
    found = with_roster(merged, roster) if roster else without_roster(merged)
    hand_ins, doubles = _each_once(_hand_ins(found))
    intake.hand_ins = sorted(hand_ins, key=lambda one: one.students[0].id)
    intake.left_out += doubles
    intake.unmatched = [line for one in found for line in one.unmatched]
    present = {student.id for one in intake.hand_ins for student in one.students}
    intake.absent = [
        Student(id=one.id, name=one.name, group=one.group or None, extension_minutes=one.extension_minutes)
        for one in roster
        if one.id not in present
    ]
    return intake


def from_folder(folder: Path) -> HandIn:
    """Return all files below the folder as one student's; an unreadable folder gets a flag that says so."""
    student = Student(id=folder.name)
    try:
        files = tuple(Attached(file=file) for file in list_folder(folder))
    except OSError as error:
        text = f"the folder cannot be read ({error.strerror}); correct its permissions and grade again"
        return HandIn(students=(student,), files=(), label=folder.name, flags=(Flag(kind="unreadable", text=text),))
    label = "; ".join(f"{folder.name}/{one.file.name}" for one in files) or folder.name
    return HandIn(students=(student,), files=files, label=label)


def _listings(paths: Iterable[Path], wanted: Wanted, intake: Intake) -> list[_Listing]:
    """Return a listing for each download, and one for all loose files and student folders of one parent folder."""
    chosen = list(dict.fromkeys(path.absolute() for path in paths))
    listings: list[_Listing] = []
    loose: dict[Path, list[FoundFile]] = {}
    zips: list[tuple[Path, FoundFile]] = []
    single: list[tuple[Path, FoundFile]] = []
    for path in chosen:
        try:
            path.lstat()
        except PermissionError as error:
            raise UsageError("a folder above it may not be entered", path, "correct its permissions") from error
        except OSError as error:
            raise UsageError("there is no such file or folder", path, "check the path") from error
        if os.path.isdir(path):
            files = _folder_files(path, wanted, intake)
            root, _, _ = files[0].name.partition("/") if files else ("", "", "")
            if root != nbgrader.SUBMITTED and plain.holds_own(files, 1, wanted.notebooks):
                parent = path.parent
                loose.setdefault(parent, []).extend(file.below(_nfc(parent.name) or "folder") for file in files)
                continue
            listings.append(_Listing(files=files))
            continue
        file = replace(on_disk(path.resolve()), name=_nfc(path.name))
        (zips if path.suffix.lower() == ARCHIVE else single).append((path, file))
    archives = _class_archives([file for _, file in zips], wanted, alone=len(chosen) == 1)
    listings += archives
    for path, file in single + (zips if not archives else []):
        loose.setdefault(path.parent, []).append(file.below(_nfc(path.parent.name) or "folder"))
    for files in loose.values():
        # Several of the assignment's own notebooks in one folder belong to one student, named by that folder.
        together = len(files) > 1 and plain.holds_own(files, 1, wanted.notebooks)
        listings.append(_Listing(files=files, depth=0 if together else 1))
    return [inner for listing in listings for inner in _expanded(listing, wanted)]


def _folder_files(path: Path, wanted: Wanted, intake: Intake) -> list[FoundFile]:
    """List a folder, with its name in front of each path. Results folders and empty folders are left out."""
    resolved = path.resolve()
    prefix = _nfc(resolved.name) or "folder"
    for ancestor in (resolved.parent, resolved.parent.parent):
        if ancestor.name == nbgrader.SUBMITTED:
            prefix = _nfc(resolved.relative_to(ancestor.parent).as_posix())
    try:
        files = list(list_folder(path))
        tops = sorted(path.iterdir())
        skipped = [top for top in tops if os.path.isdir(top) and _is_results(top, wanted.out)]
        _check_number([file.name for file in files], path)
    except OSError as error:
        fix = "correct its permissions"
        raise UsageError(f"the folder cannot be read ({error.strerror})", path, fix) from error
    for top in skipped:
        intake.left_out.append((_nfc(top.name), "a results folder, not a submission"))
    names = {_nfc(top.name) for top in skipped}
    kept = [file for file in files if file.parts[0] not in names]
    filled = {file.parts[0] for file in files} | names | JUNK
    for top in tops:
        if os.path.isdir(top) and not top.is_symlink() and _nfc(top.name) not in filled:
            kept.append(FoundFile(name=f"{_nfc(top.name)}/(empty)", path=top, why="the folder is empty"))
    if not kept:
        raise UsageError("the folder is empty", path, "give a folder with one folder or notebook for each student")
    return [file.below(prefix) for file in kept]


def _check_number(names: Sequence[str], where: Path) -> None:
    """Raise UsageError where a download has more files than are listed, as those who come last would be missing."""
    if len(names) <= MAX_LISTED:
        return
    below = Counter(str(folder) for name in names for folder in PurePosixPath(name).parents[:-1])
    largest = max((name for name, count in below.items() if count > len(names) / 2), key=len, default="")
    most = f"most are in {printable(largest)}: " if largest else ""
    fix = f"{most}delete what nobody hands in, such as environments, or give the submissions in parts"
    raise UsageError(f"more than {MAX_LISTED:,} files, of which the last would be missing", where, fix)


def _is_results(folder: Path, out: Path | None) -> bool:
    if out is not None and folder.resolve() == out.resolve():
        return True
    return os.path.isfile(folder / "grades.csv") and os.path.isdir(folder / "results")  # also where nobody may look


def _class_archives(zips: Sequence[FoundFile], wanted: Wanted, *, alone: bool) -> list[_Listing]:
    """Return a listing of each zip when all of them are whole classes' downloads, none when any is one student's.

    So no zip that a student hands in passes for a class. Raises UsageError when one of the downloads is cut off, or the
    only path that was given.
    """
    found: list[_Listing] = []
    cut_off: UsageError | None = None
    for file in zips:
        try:
            archive = open_archive(file)
            if len(archive.namelist()) > MAX_LISTED and not alone:
                return []  # a student's: it stops nobody else
            _check_number(archive.namelist(), file.path)
            files = [one.below(file.name) for one in list_archive(archive, file.path)]
        except NotANotebook as reason:
            names = _local_names(file)
            what = f"the archive is truncated or damaged; {len(names)} of its files are left" if names else str(reason)
            cut_off = UsageError(what, file.path, "download it again")
            cut = [FoundFile(name=f"{file.name}/{name}", path=file.path) for name in names]
            if not alone and (len(cut) < 2 or not _form_of(cut, wanted)):
                return []
            continue
        listing = _class_listing(files, wanted)
        if listing is None:
            return []
        found.append(listing)
    if cut_off:
        raise cut_off
    return found


def _class_listing(files: list[FoundFile], wanted: Wanted) -> _Listing | None:
    """Return the files of an archive that is a whole class's download, None when it is one student's."""
    if wanted.pattern or _form_of(files, wanted):
        return _Listing(files=files)
    tops = {one.parts[1] for one in files}
    depth = 2 if len(tops) == 1 and all(len(one.parts) > 2 for one in files) else 1
    if plain.holds_own(files, depth, wanted.notebooks):
        return None
    return _Listing(files=files, depth=depth) if _several_students(files, depth, wanted.notebooks) else None


def _several_students(files: Sequence[FoundFile], depth: int, notebooks: Sequence[str]) -> bool:
    """Return whether a notebook occurs under several names, none of which marks an older version."""
    owners: dict[str, set[str]] = {}
    for file in files:
        in_folder = len(file.parts) > depth + 1
        notebook = next((name for name in notebooks if re.search(plain.spelled([name]), file.parts[-1], re.I)), "")
        owner = file.parts[depth] if in_folder else plain.student_of(file.parts[depth], notebooks)
        if notebook and not {word.lower() for word in WORD.findall(owner)} & (STALE | OTHER_VERSIONS):
            owners.setdefault(notebook, set()).add(owner)
    return any(len(found) > 1 for found in owners.values())


def _local_names(file: FoundFile) -> list[str]:
    """Return the names of the files that start in a truncated archive."""
    names: list[str] = []
    try:
        with file.path.open("rb") as opened:
            data = opened.read(1 << 30)
    except OSError:
        return []
    start = data.find(LOCAL_HEADER)
    while start >= 0 and len(names) < 100_000:
        length = int.from_bytes(data[start + 26 : start + 28], "little")
        names.append(data[start + 30 : start + 30 + length].decode("utf-8", "replace"))
        start = data.find(LOCAL_HEADER, start + 30)
    return names


def _expanded(listing: _Listing, wanted: Wanted) -> list[_Listing]:
    """Return the listing, or those of the zips in it when it holds nothing but downloads of a platform."""
    if listing.depth != 1 or wanted.pattern or _form_of(listing.files, wanted):
        return [listing]
    inside = [file for file in listing.files if not file.parts[-1].lower().endswith(plain.TABLES)]
    if not all(len(file.parts) == 2 and file.parts[1].lower().endswith(ARCHIVE) for file in inside):
        return [listing]
    archives = _class_archives([replace(file, name=file.parts[-1]) for file in inside], wanted, alone=False)
    if len(inside) > 1 and not all(_form_of(one.files, wanted) for one in archives):
        return [listing]
    return archives or [listing]


def _form_of(files: Sequence[FoundFile], wanted: Wanted) -> Form | None:
    """Return the format that most of the names match, None if it is not a platform's. Raises UsageError for a tie."""
    if wanted.form:
        return next((form for form in FORMS if form.name == wanted.form), None)
    shares = {form.name: form.share(files) for form in FORMS}
    best = max(shares.values(), default=0.0)
    fitting = [form for form in FORMS if shares[form.name] == best >= FITS]
    if len(fitting) > 1:
        names = " and ".join(form.name for form in fitting)
        raise UsageError(f"the names match {names} equally well", files[0].name, "choose one with --format")
    return fitting[0] if fitting else None


def _read(listing: _Listing, wanted: Wanted, intake: Intake) -> Download:
    if wanted.pattern:
        form, download = "pattern", plain.read_by_pattern(listing.files, wanted.pattern)
    elif found := _form_of(listing.files, wanted):
        form, download = found.name, found.read(listing.files)
    else:
        form, download = plain.SYSTEM, plain.read(listing.files, listing.depth, wanted.notebooks)
    if form not in intake.forms:
        intake.forms.append(form)
    return download


def _merged(handed: Iterable[Handed], notebooks: Sequence[str]) -> list[Handed]:
    """Merge what one person submitted in several places, such as two assignments of the LMS.

    Raises UsageError for two folders of the same name with the same notebook: they may belong to two people.
    """
    found: dict[object, Handed] = {}
    for one in handed:
        key = tuple((person.system, person.user or person.key) for person in one.people)
        other = found.get(key)
        if other is None:
            found[key] = one
            continue
        person = one.people[0]
        if not person.user and _kinds(one, notebooks) & _kinds(other, notebooks):
            what = f"two submissions are called {printable(person.key)} ({other.label}; {one.label})"
            raise UsageError(what, "grade", "rename one of them, or grade them with an --out folder of their own")
        found[key] = replace(
            other,
            files=other.files + one.files,
            label=f"{other.label}; {one.label}",
            submitted=max(filter(None, (other.submitted, one.submitted)), default=None),
            late=other.late or one.late,
        )
    return list(found.values())


def _kinds(handed: Handed, notebooks: Sequence[str]) -> set[str]:
    """Return the notebooks named by the files; an unknown name stands for all of them."""
    kinds: set[str] = set()
    for one in handed.files:
        named = {name for name in notebooks if re.search(plain.spelled([name]), one.file.name, re.I)}
        kinds |= named or set(notebooks)
    return kinds


def _hand_ins(found: Iterable[Identified]) -> Iterable[HandIn]:
    """Yield a hand-in for each group of students; those of several LMS users of one student are merged."""
    result: dict[tuple[str, ...], HandIn] = {}
    for one in found:
        key = tuple(student.id for student in one.students)
        handed = one.handed
        hand_in = HandIn(
            students=one.students,
            files=handed.files,
            label=handed.label,
            submitted=one.submitted,
            late=handed.late,
            flags=one.flags,
        )
        if other := result.get(key):
            hand_in = replace(
                other,
                files=other.files + hand_in.files,
                label=f"{other.label}; {hand_in.label}",
                submitted=max(filter(None, (other.submitted, hand_in.submitted)), default=None),
                late=other.late or hand_in.late,
            )
        result[key] = hand_in
    return result.values()


def _each_once(hand_ins: Iterable[HandIn]) -> tuple[list[HandIn], list[tuple[str, str]]]:
    """Return the hand-ins so that nobody has two rows, and what is left out: a group's takes precedence."""
    kept: list[HandIn] = []
    left_out: list[tuple[str, str]] = []
    counts: dict[str, str] = {}
    for one in sorted(hand_ins, key=lambda one: (-len(one.students), one.students[0].id)):
        free = tuple(student for student in one.students if student.id not in counts)
        flags = one.flags
        for student in one.students:
            if student not in free:
                text = f"does not count for {student.id}, for whom {counts[student.id]} counts"
                left_out.append((one.label, text))
                flags += (Flag(kind="handed_in_twice", text=f"{one.label} {text}", audience=Audience.STAFF),)
        if free:
            counts |= {student.id: one.label for student in free}
            kept.append(replace(one, students=free, flags=flags))
    return kept, left_out


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
