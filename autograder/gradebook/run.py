"""One run over a gradebook: what to grade and why, results as they arrive, and the changes at the end."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from autograder.assignment import Assignment, Question, most_points
from autograder.gradebook import overrides, programs, recordings, views
from autograder.gradebook.changes import Change, changes
from autograder.gradebook.late import Deduction, deduction
from autograder.gradebook.store import CHUNK, Gradebook, Saved, save_result
from autograder.grading import fingerprint
from autograder.grading.graded import Graded
from autograder.results import Flag, Result, Student, SubmissionStatus, maximum
from autograder.submissions.submission import HandIn, Submission


@dataclass(slots=True, kw_only=True)
class GradingRun:
    """A `grade` in progress.

    questions: those to grade; grader: the fingerprint of everything that determines a result besides the submission
    """

    gradebook: Gradebook
    assignment: Assignment
    questions: tuple[Question, ...]
    grader: Mapping[str, str]
    id: int
    touched: set[str] = field(default_factory=set)
    failed: int = 0
    _ahead: "_ReadAhead" = field(init=False)

    def __post_init__(self) -> None:
        self._ahead = _ReadAhead(self.gradebook)

    def why(self, hand_ins: Iterable[HandIn]) -> list[str]:
        """Return plain lines: what an earlier run finished, and what is graded again and why."""
        reasons: Counter[str] = Counter()
        order = dict.fromkeys(student.id for hand_in in hand_ins for student in hand_in.students)
        self._ahead.order = list(order)
        known = 0
        for student, status, grader in self.gradebook.fingerprints():
            if student in order:
                known += 1
                if reason := fingerprint.stale(grader, self.grader, self._missing(SubmissionStatus(status))):
                    reasons[reason] += 1
        lines = [f"{known} of {len(order)} students have results from an earlier run"] if known else []
        for reason, count in reasons.most_common(5):
            lines.append(f"graded again: {count}, because of changes in {reason}")
        return lines

    def _missing(self, status: SubmissionStatus) -> tuple[Question, ...]:
        """Return the questions of this run that a result should have; an unreadable one has none."""
        return self.questions if status is SubmissionStatus.GRADED else ()

    def wanted(self, hand_in: HandIn, submission: Submission) -> tuple[tuple[Student, ...], tuple[str, ...]]:
        """Return for whom a submission is to be graded, and on which questions; what an earlier run did counts."""
        students, questions = [], dict.fromkeys(one.id for one in self.questions)
        needed: dict[str, None] = {}
        for student in hand_in.students:
            lacking = self._lacking(student, submission)
            if lacking:
                students.append(student)
                needed |= dict.fromkeys(lacking)
        return tuple(students), tuple(key for key in questions if key in needed)

    def _lacking(self, student: Student, submission: Submission) -> list[str]:
        everything = [one.id for one in self.questions]
        saved = self._ahead.get(student.id)
        if saved is None or (saved.result.sha256, saved.result.submission) != (submission.sha256, submission.label):
            return everything
        if saved.result.status is not SubmissionStatus.GRADED:
            return everything if fingerprint.stale(saved.grader, self.grader, ()) else []
        if fingerprint.stale(saved.grader, self.grader, ()):
            return everything
        return [one.id for one in self.questions if fingerprint.stale(saved.grader, self.grader, [one])]

    def record(self, graded: Graded, students: Sequence[Student]) -> list[Result]:
        """Keep what came of a submission for these students, and return their results."""
        self.failed += graded.failed
        self._ahead.forget(student.id for student in students)
        before = {student.id: next(self.gradebook.saved(student=student.id), None) for student in students}
        by_notebook = {program.notebook: program for program in graded.programs}
        found = {
            notebook: programs.Scored(program=by_notebook.get(notebook), notes=notes)
            for notebook, notes in graded.notes.items()
        }
        results, made_with = [], json.dumps(fingerprint.made_with())
        with self.gradebook.writing() as connection:
            recordings.save(connection, graded.recordings, made_with, graded.result.student.id)
            for student in students:
                saved = before[student.id]
                result = merged(saved, replace(graded.result, student=student), self.assignment)
                grader = {} if graded.failed else self._grader_of(saved, graded, result)
                save_result(connection, self.id, result, grader)
                other = saved is None or saved.result.sha256 != result.sha256
                programs.save(connection, self.id, student.id, found, whole=other)
                results.append(result)
        self.touched.update(student.id for student in students)
        return results

    def _grader_of(self, saved: Saved | None, graded: Graded, result: Result) -> dict[str, str]:
        """Return the fingerprint of a result: of tests, those of the questions that this run or an earlier one read.

        A question that was not asked counts as read, as it would be left out again.
        """
        read = {*graded.result.questions, *graded.not_asked}
        same = saved is not None and saved.result.sha256 == result.sha256
        old = saved.grader if saved and same else {}
        kept = {f"tests {one.id}" for one in self.assignment.questions if one.id not in read}
        return {name: digest for name, digest in self.grader.items() if name not in kept} | {
            name: old[name] for name in kept if name in old
        }

    def absent(self, student: Student) -> Result:
        """Store `not_submitted` for a student, unless an earlier run has a result; return the result."""
        saved = next(self.gradebook.saved(student=student.id, tests=False), None)
        if saved is not None:
            return saved.result
        result = self._nothing(student)
        self.gradebook.save(self.id, result, self.grader)
        self.touched.add(student.id)
        return result

    def _nothing(self, student: Student) -> Result:
        return Result(
            student=student,
            submission="",
            sha256="",
            assignment=self.assignment.name,
            version=self.assignment.version,
            status=SubmissionStatus.NOT_SUBMITTED,
            max_points=most_points(self.questions),
            flags=(Flag(kind="not_submitted", text="handed in nothing"),),
        )

    def known(self, student: Student, submission: Submission) -> Result:
        """Return what an earlier run found for this student, with what is known now of the person and of the time.

        A roster may have got an extension since then, or a worksheet the times; what is not given now stays.
        """
        saved = self._ahead.get(student.id)
        assert saved is not None, "only asked for a student whose result stands"
        old = saved.result
        student = old.student if student == Student(id=student.id) else student
        submitted = submission.submitted or old.submitted
        late = old.late if submission.late is None else submission.late
        if (student, submitted, late) == (old.student, old.submitted, old.late):
            return old
        self._ahead.forget([student.id])
        saved = next(self.gradebook.saved(student=student.id))
        result = replace(saved.result, student=student, submitted=submitted, late=late)
        self.gradebook.save(self.id, result, saved.grader)
        self.touched.add(student.id)
        return result

    def changes(self) -> list[Change]:
        """Return whose points this run changed, with the runs before it that were interrupted."""
        first = self.id
        for run in reversed(self.gradebook.runs()):
            if run.id < self.id and run.finished:
                break
            first = run.id
        return list(since(self.gradebook, first))

    def end(self, folder: Path, *, finished: bool) -> Path | None:
        """Write the views; return the path of an edited grades.csv that was kept, if any."""
        kept = write_views(self.gradebook, self.assignment, folder, self.touched)
        views.write_changes(folder, self.changes())
        if finished:
            self.gradebook.end_run(self.id)
        return kept


class _ReadAhead:
    """The saved results of students who are asked for in a known order: many per query, few in memory."""

    def __init__(self, gradebook: Gradebook) -> None:
        self._gradebook = gradebook
        self._found: dict[str, Saved | None] = {}
        self._place: dict[str, int] = {}
        self._order: Sequence[str] = ()

    @property
    def order(self) -> Sequence[str]:
        return self._order

    @order.setter
    def order(self, students: Sequence[str]) -> None:
        self._order, self._place = students, {student: place for place, student in enumerate(students)}

    def get(self, student: str) -> Saved | None:
        """Return the newest result of a student, without tests."""
        if student not in self._found:
            place = self._place.get(student)
            these = [student] if place is None else self._order[place : place + CHUNK]
            self._found = dict.fromkeys(these)
            self._found |= {one.result.student.id: one for one in self._gradebook.saved(among=these, tests=False)}
        return self._found[student]

    def forget(self, students: Iterable[str]) -> None:
        """Read these again when they are asked for."""
        for student in students:
            self._found.pop(student, None)


def since(gradebook: Gradebook, run: int, found: Mapping[str, Result] | None = None) -> Iterator[Change]:
    """Yield how the newest results differ from how things stood before this run.

    Overrides count on both sides as they are now, as a run changes none.
    found: results that count instead, by student, as those of a dry run
    """
    for before, these in _before(gradebook, run, found or ()):
        for newest in views.current(gradebook, tests=True, among=these):
            after = newest
            if found and newest.student.id in found:
                entries = overrides.history(gradebook, newest.student.id)
                after = overrides.apply(found[newest.student.id], entries)
            yield from _differing(before.get(newest.student.id), after)


def between(gradebook: Gradebook, run: int) -> Iterator[Change]:
    """Yield how the results of a run differ from how things stood before it."""
    for before, these in _before(gradebook, run):
        for after in views.current(gradebook, run, tests=True, among=these):
            yield from _differing(before.get(after.student.id), after)


def _before(
    gradebook: Gradebook, run: int, more: Iterable[str] = ()
) -> Iterator[tuple[dict[str, Result], Sequence[str]]]:
    """Yield some students at a time with a result since a run began, and these more, and how they stood before it."""
    students = sorted({*gradebook.changed_by(run), *more})
    for start in range(0, len(students), CHUNK):
        these = students[start : start + CHUNK]
        found = views.current(gradebook, run - 1, tests=True, among=these)
        yield {one.student.id: one for one in found}, these


def _differing(old: Result | None, after: Result) -> Iterator[Change]:
    if old is not None:
        yield from changes(old, after, "submission" if old.sha256 != after.sha256 else "tests")


def merged(saved: Saved | None, new: Result, assignment: Assignment) -> Result:
    """Add what an earlier run graded of the same submission to a result over some of the questions."""
    if saved is None or new.status is not SubmissionStatus.GRADED or saved.result.sha256 != new.sha256:
        return new
    old = saved.result.questions
    order = [one.id for one in assignment.questions]
    both = {key: new.questions.get(key) or old[key] for key in order if key in new.questions or key in old}
    flags = [flag for flag in saved.result.flags if flag.question and flag.question not in new.questions]
    return replace(
        new,
        questions=both,
        max_points=maximum(both.values()),
        flags=tuple(dict.fromkeys([*new.flags, *flags])),
    )


def begin(
    gradebook: Gradebook,
    assignment: Assignment,
    questions: tuple[Question, ...],
    grader: Mapping[str, str],
    command: str,
) -> GradingRun:
    """Begin a run over these questions."""
    run = gradebook.begin_run("grade", json.dumps(fingerprint.made_with()), command)
    return GradingRun(gradebook=gradebook, assignment=assignment, questions=questions, grader=grader, id=run)


def write_views(gradebook: Gradebook, assignment: Assignment, folder: Path, touched: Iterable[str]) -> Path | None:
    """Write the views of the current results; return the path of an edited grades.csv that was kept, if any."""
    questions = [one.id for one in assignment.questions]
    return views.write(gradebook, folder, questions, touched, deductions(gradebook, assignment))


def deductions(gradebook: Gradebook, assignment: Assignment) -> dict[str, Deduction] | None:
    """Return the deductions for lateness, by student; None if the assignment has no policy."""
    policy = assignment.late
    if policy is None:
        return None
    found = {result.student.id: deduction(policy, result) for result in views.current(gradebook)}
    return {student: one for student, one in found.items() if one is not None}


def look_again(gradebook: Gradebook) -> list[str]:
    """Return a line for each override whose computed points have changed since."""
    lines = []
    entries = [entry for entry in overrides.history(gradebook) if not entry.undone]
    by_student = {saved.result.student.id: saved.result for saved in gradebook.saved(tests=False)} if entries else {}
    for entry in entries:
        result = by_student.get(entry.student)
        known = result is not None and (entry.question == overrides.WHOLE or entry.question in result.questions)
        if result is None or not known or entry.override.computed is None:
            continue
        now = overrides.computed_points(result, entry.question)
        if now != entry.override.computed:
            then = f"{entry.override.computed:g}"
            lines.append(f"look again: {entry.student} {entry.question}: the tests gave {then}, now {now:g}")
    return lines
