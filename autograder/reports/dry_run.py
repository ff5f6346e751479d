"""The output of `grade --dry-run`: who submitted what, which files count, and anything unusual."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autograder.assignment import Assignment
from autograder.errors import printable
from autograder.release.released import ReleasedNotebook, closest_version, load_released
from autograder.results import Flag, SubmittedFile
from autograder.submissions.intake import Intake
from autograder.submissions.notebooks import ReadFiles, read_files
from autograder.submissions.reassemble import reassemble
from autograder.submissions.submission import HandIn, Submission
from autograder.wording import number_of

ODD = frozenset({"unreadable_file", "unreadable", "other_assignment", "damaged_cell", "no_files", "too_many_files"})
MAX_OTHERS = 5
"""Maximum number of uncounted files listed per person."""


@dataclass(slots=True, kw_only=True)
class _Seen:
    """Listed after all people: anything unusual, and the notebooks by their bytes."""

    odd: list[str] = field(default_factory=list)
    owners: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def preview(intake: Intake, assignment: Assignment) -> Iterator[str]:
    """Yield the lines, loading one hand-in at a time. Nothing is executed and nothing is written."""
    released = load_released(assignment)
    as_released = {
        hashlib.sha256((assignment.release_dir / f"{name}.ipynb").read_bytes()).hexdigest() for name in released
    }
    people = sum(len(one.students) for one in intake.hand_ins)
    submissions, by = number_of(len(intake.hand_ins), "submission"), "1 person" if people == 1 else f"{people} people"
    forms = ", ".join(intake.forms)
    yield f"{forms}: {submissions} of {by}; {len(intake.absent)} handed in nothing"
    seen = _Seen()
    for hand_in in intake.hand_ins:
        submission = hand_in.load()
        read = read_files(submission, assignment)
        seen.odd += [f"{hand_in.students[0].id}: {flag}" for flag in hand_in.flags if flag.kind == "name_of_another"]
        yield from _person(hand_in, submission, read, _used(read, released, assignment))
        _look(hand_in.students[0].id, submission, read, released, seen)
    for owners in (owners for digest, owners in seen.owners.items() if digest not in as_released):
        if len({student for student, _ in owners}) > 1:
            seen.odd.append(f"the same file, byte for byte: {', '.join(f'{who} ({name})' for who, name in owners)}")
    yield from _section("not on the roster", intake.unmatched)
    yield from _section("handed in nothing", [f"{one.id} {one.name}".strip() for one in intake.absent])
    yield from _section("left out", [f"{name}: {why}" for name, why in intake.left_out])
    yield from _section("odd", seen.odd)


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"\n{title} ({len(lines)}):"
        yield from (f"  {printable(line)}" for line in lines)


def _used(
    read: ReadFiles, released: Mapping[str, ReleasedNotebook], assignment: Assignment
) -> dict[str, frozenset[str]]:
    """Return the files that answers come from, if a notebook has several."""
    return {
        name: frozenset(reassemble(released[name], files, assignment).files.values())
        for name, files in read.notebooks.items()
        if len(files) > 1
    }


def _person(
    hand_in: HandIn, submission: Submission, read: ReadFiles, used: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    files = read.counted(used)
    counts = ", ".join(file.name for file in files if file.counts) or "NOTHING that can be graded"
    when = f"  submitted {submission.submitted}" if submission.submitted else ""
    late = "" if submission.late is None else "  LATE" if submission.late == "late" else f"  late {submission.late} min"
    for student in hand_in.students:
        group = f"  [{student.group}]" if student.group else ""
        yield printable(f"{student.id}  {student.name}".rstrip() + f"{group}: {counts}{when}{late}")
    yield from (f"    not counted: {printable(line)}" for line in _not_counted(files))


def _not_counted(files: Sequence[SubmittedFile]) -> list[str]:
    out = [f"{file.name} ({file.why})" for file in files if not file.counts]
    return out[:MAX_OTHERS] + [number_of(len(out) - MAX_OTHERS, "other file")] * (len(out) > MAX_OTHERS)


def _look(
    student: str, submission: Submission, read: ReadFiles, released: Mapping[str, ReleasedNotebook], seen: _Seen
) -> None:
    for file in submission.notebooks:
        if file.content:
            digest = hashlib.sha256(file.content).hexdigest()
            seen.owners.setdefault(digest, []).append((student, file.name))
    seen.odd += [f"{student}: {flag}" for flag in map(_odd, read.flags) if flag]
    for name, files in read.notebooks.items():
        version = closest_version(released[name], files[-1].cells).version
        if version != released[name].version:
            seen.odd.append(f"{student}: {files[-1].name} was made from version {version}")


def _odd(flag: Flag) -> str:
    return str(flag) if flag.kind in ODD else ""
