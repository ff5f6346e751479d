"""Verbs for TAs that grade and correct: grade, rescore, override."""

import argparse
import contextlib
import functools
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.assignment import Assignment, Question
from autograder.commands.options import Verbs, agreed, chosen, cores, decider, results_folder, user_path, verb
from autograder.commands.stopping import Stopped, stoppable
from autograder.errors import UsageError, printable
from autograder.results import Result, Student
from autograder.submissions.intake import FORMATS

if TYPE_CHECKING:  # a verb imports what it needs when it runs
    from autograder.gradebook.run import GradingRun
    from autograder.gradebook.store import Gradebook
    from autograder.grading.batch import Grade
    from autograder.grading.graded import Graded
    from autograder.grading.workers import OpenLookup
    from autograder.sandbox.loading import Loader
    from autograder.submissions.intake import Intake
    from autograder.submissions.submission import HandIn, Submission


def add(verbs: Verbs) -> None:
    """Add the verbs of this group."""
    _add_grade(verbs)
    _add_rescore(verbs)
    _add_override(verbs)


def _add_grade(verbs: Verbs) -> None:
    grade = verb(verbs, "grade", "grade a download from an LMS, a folder of submissions, or a notebook", _grade)
    grade.add_argument(
        "paths",
        nargs="+",
        type=user_path,
        metavar="PATH",
        help="a download from Canvas, Moodle or Gradescope (a zip or its folder), an nbgrader tree, a folder with one"
        " folder or file per student, or a notebook",
    )
    results_folder(grade)
    grade.add_argument(
        "--roster",
        type=user_path,
        metavar="CSV",
        help="the students of the course: id, name, email, LMS id, group; also Canvas's gradebook, Moodle's worksheet"
        " or Gradescope's roster as exported (default: everyone keeps the LMS's name and id)",
    )
    grade.add_argument(
        "--format",
        choices=FORMATS,
        metavar="NAME",
        help=f"the format of the download, one of {', '.join(FORMATS)} (default: the one that matches most file names)",
    )
    grade.add_argument(
        "--pattern",
        type=_pattern,
        metavar="REGEX",
        help="a custom format: a regular expression over the paths, with the groups (?P<student>…) and optionally"
        " name, time and attempt",
    )
    grade.add_argument(
        "--jobs", type=_jobs, default=cores(), metavar="N", help="worker processes (default: one per core, %(default)s)"
    )
    grade.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="grade on the workers of this Dask scheduler, such as tcp://HOST:8786, instead of on this machine",
    )
    grade.add_argument("--questions", default="", metavar="B3,B4", help="grade only these (default: all)")
    grade.add_argument(
        "--dry-run", action="store_true", help="show who handed in what and which files count; no grading"
    )
    grade.add_argument(
        "--unsafe",
        action="store_true",
        help="grade even if student code cannot be sandboxed; every result then says so (default: refuse)",
    )


def _add_rescore(verbs: Verbs) -> None:
    rescore = verb(
        verbs, "rescore", "apply changed hidden tests to recorded replies, without running student code", _rescore
    )
    results_folder(rescore)
    rescore.add_argument("--dry-run", action="store_true", help="show who would change, and change nothing")
    rescore.add_argument(
        "--since", type=int, metavar="RUN", help="compare with the results after this run (default: the last one)"
    )
    rescore.add_argument(
        "--jobs", type=_jobs, default=cores(), metavar="N", help="worker processes (default: %(default)s)"
    )
    rescore.add_argument(
        "--unsafe", action="store_true", help="run code for new requests even if it cannot be sandboxed"
    )


def _add_override(verbs: Verbs) -> None:
    override = verb(verbs, "override", "give points or a comment by hand", _override)
    override.add_argument("student", nargs="?", metavar="STUDENT", help="an id, or a part of an id or name")
    override.add_argument("question", nargs="?", metavar="QUESTION", help="a question, or * for the whole submission")
    override.add_argument(
        "points", nargs="?", type=float, metavar="POINTS", help="without points, only the comment is recorded"
    )
    override.add_argument("--comment", default="", metavar="TEXT", help="why; the student can read it")
    override.add_argument(
        "--from", dest="file", type=user_path, metavar="CSV", help="an edited copy of grades.csv, or a table"
    )
    override.add_argument("--undo", action="store_true", help="undo the newest override of the question")
    override.add_argument("--bonus", action="store_true", help="allow more points than the question has")
    override.add_argument("--yes", action="store_true", help="apply --from without asking")
    override.add_argument("--by", default="", metavar="NAME", help="who decides (default: your login name)")
    results_folder(override)


def _jobs(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= count <= 256:
        raise argparse.ArgumentTypeError(f"invalid worker count {text!r}: give a number from 1 to 256")
    return count


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression ({error})") from None
    if "student" not in pattern.groupindex:
        raise argparse.ArgumentTypeError(f"{text!r} has no group (?P<student>…)")
    return pattern


def _grade(options: argparse.Namespace) -> int:
    from autograder.sandbox.loading import Loader

    assignment = chosen(options)
    with contextlib.nullcontext() if options.dry_run or options.dask else Loader(assignment) as loaded:  # meanwhile
        return _grade_with(options, assignment, loaded)


def _grade_with(options: argparse.Namespace, assignment: Assignment, loaded: "Loader | None") -> int:
    from autograder.grading import fingerprint
    from autograder.grading.workers import workers
    from autograder.sandbox.confine import examine, missing, unconfined
    from autograder.submissions.intake import Wanted, take_in
    from autograder.submissions.roster import read_roster

    questions = assignment.select(part.strip() for part in options.questions.split(",") if part.strip())
    wanted = Wanted(
        notebooks=assignment.notebooks,
        form=options.format or "",
        pattern=options.pattern,
        out=options.out,
    )
    intake = take_in(options.paths, wanted, read_roster(options.roster) if options.roster else ())
    if options.dry_run:
        from autograder.reports.dry_run import preview

        for line in preview(intake, assignment):
            print(line)
        return 0
    if options.dask:
        from autograder.grading.cluster import connected

        with connected(options.dask, assignment, unsafe=options.unsafe) as cluster:
            force = Force(open=cluster.workers, count=cluster.jobs, grader=cluster.fingerprint)
            return grade(options, assignment, questions, intake, force)
    lacking = missing(examine(assignment))
    if lacking and not options.unsafe:
        raise unconfined(lacking)
    jobs = max(1, min(options.jobs, len(intake.hand_ins)))
    force = Force(
        open=functools.partial(workers, assignment, jobs, unsafe=options.unsafe, loaded=loaded),
        count=lambda: jobs,
        grader=fingerprint.parts(assignment, lacking),
    )
    return grade(options, assignment, questions, intake, force)


@dataclass(frozen=True, slots=True, kw_only=True)
class Force:
    """The workers of a run: how to open them, how many there are, and the fingerprint of what they grade with."""

    open: Callable[["OpenLookup"], AbstractContextManager[tuple[Executor, "Grade"]]]
    count: Callable[[], int]
    grader: Mapping[str, str]


def grade(
    options: argparse.Namespace,
    assignment: Assignment,
    questions: tuple[Question, ...],
    intake: "Intake",
    force: Force,
) -> int:
    """Grade a batch into the results folder, and print the outcome."""
    from autograder.gradebook import run as runs
    from autograder.gradebook.recordings import machine, open_lookup
    from autograder.gradebook.renaming import rename
    from autograder.gradebook.store import database_url
    from autograder.grading.batch import Batch
    from autograder.reports import terminal

    hand_ins = intake.hand_ins
    people = [*(student for hand_in in hand_ins for student in hand_in.students), *intake.absent]
    ids = list(dict.fromkeys(student.id for student in people))
    done: set[str] = set()
    stopped = finished = False
    with _to_write(options) as gradebook:
        for line in rename(gradebook, people, options.out):
            print(line, file=sys.stderr)
        command = shlex.join(["grade", *map(str, options.paths)])
        run = runs.begin(gradebook, assignment, questions, force.grader, command)
        for line in run.why(hand_ins):
            print(line, file=sys.stderr)
        lookup = functools.partial(open_lookup, database_url(options.out, options.db), machine())
        with stoppable() as stopping:
            try:
                with terminal.progress(len(ids)) as advance:
                    tally = _Tally(run=run, advance=advance, check=stopping.check, done=done)
                    tally.absent(intake.absent)
                    with force.open(lookup) as (executor, do):
                        batch = Batch(
                            executor=executor, grade=do, jobs=force.count, wanted=tally.wanted, record=tally.record
                        )
                        batch.run(hand_ins)
                finished = True
            except (Stopped, BrokenPipeError):  # also where nobody reads the output any more, as in `| head`
                stopped = True
            finally:
                stopping.hold()
                kept = run.end(options.out, finished=finished)
        if kept:
            print(f"grades.csv had been edited; the edited copy is {kept}", file=sys.stderr)
        if stopped:
            with contextlib.suppress(BrokenPipeError):
                print(f"{len(done)} of {len(ids)} graded; run the same command to go on", file=sys.stderr)
            return 130
        terminal.show_run(run, ids, options.out, intake.unmatched, intake.left_out)
        return 3 if run.failed else 0


@dataclass(slots=True, kw_only=True)
class _Tally:
    """Takes what comes of a batch into its run, shows it, and knows who is done.

    check: raises Stopped once the run was asked to end
    """

    run: "GradingRun"
    advance: Callable[[Result], None]
    check: Callable[[], None]
    done: set[str]

    def absent(self, students: Iterable[Student]) -> None:
        """Take those who handed in nothing."""
        for student in students:
            self._count(self.run.absent(student))

    def record(self, graded: "Graded", students: Sequence[Student]) -> None:
        """Take what came of a submission, for these students."""
        for result in self.run.record(graded, students):
            self._count(result)
        self.check()

    def wanted(self, hand_in: "HandIn", submission: "Submission") -> tuple[tuple[Student, ...], tuple[str, ...]]:
        """Return for whom a submission is to be graded and on what; for the others an earlier run's result counts."""
        students, questions = self.run.wanted(hand_in, submission)
        for student in hand_in.students:
            if student not in students and student.id not in self.done:
                self._count(self.run.known(student, submission))
        self.check()
        return students, questions

    def _count(self, result: Result) -> None:
        self.done.add(result.student.id)
        self.advance(result)


@contextlib.contextmanager
def _to_write(options: argparse.Namespace) -> Iterator["Gradebook"]:
    """Open the gradebook to write into it; results of the kit's first version are taken over."""
    from autograder.gradebook.store import open_gradebook
    from autograder.gradebook.takeover import take_over

    with open_gradebook(options.out, options.db) as gradebook:
        for line in take_over(gradebook, options.out):
            print(printable(line), file=sys.stderr)
        yield gradebook


def _rescore(options: argparse.Namespace) -> int:
    from autograder.gradebook.rescore import rescore
    from autograder.reports import terminal

    assignment = chosen(options)
    with _to_write(options) as gradebook:
        outcome = rescore(
            gradebook,
            assignment,
            options.out,
            dry_run=options.dry_run,
            since_run=options.since,
            jobs=options.jobs,
            unsafe=options.unsafe,
            say=lambda line: print(line, file=sys.stderr),
        )
        terminal.show_rescore(outcome, options.out, dry_run=options.dry_run)
        terminal.show_look_again(gradebook)
    return 0


def _override(options: argparse.Namespace) -> int:
    if bool(options.file) == bool(options.student):
        raise UsageError("give either a student or --from FILE", "override", "see `autograder override --help`")
    assignment = chosen(options)
    by = decider(options)
    with _to_write(options) as gradebook:
        if options.file:
            return _override_from(options, assignment, gradebook, by)
        return _override_one(options, assignment, gradebook, by)


def _override_one(options: argparse.Namespace, assignment: Assignment, gradebook: "Gradebook", by: str) -> int:
    from autograder.gradebook import overrides

    saved = overrides.find_student(gradebook.saved(tests=False), options.student)
    student = saved.result.student.id
    question = options.question or overrides.WHOLE
    if options.undo:
        entry = overrides.undo(gradebook, student, question, by)
        print(f"undone: {student} {question}: {entry.override.comment or entry.override.points}")
    else:
        decision = overrides.Decision(
            student=student, question=question, points=options.points, comment=options.comment
        )
        overrides.record(gradebook, [(overrides.check(decision, saved, bonus=options.bonus), saved)], by)
    return _publish(gradebook, assignment, options.out, {student: saved.result})


def _override_from(options: argparse.Namespace, assignment: Assignment, gradebook: "Gradebook", by: str) -> int:
    from autograder.gradebook import edited, overrides, views

    try:
        data = options.file.read_bytes()
    except OSError as error:
        raise UsageError(f"it cannot be read ({error.strerror})", options.file, "check the path") from error
    everyone = {saved.result.student.id: saved for saved in gradebook.saved(tests=False)}
    current = {result.student.id: result for result in views.current(gradebook)}
    found = edited.read_edited(data, str(options.file), gradebook)
    for note in found.notes:
        print(note, file=sys.stderr)
    decisions = []
    for decision in found.decisions:
        if not decision.comment:
            decision = replace(decision, comment=options.comment)
        saved = everyone[decision.student]
        decisions.append((overrides.check(decision, saved, bonus=options.bonus), saved))
    for decision, saved in decisions:
        points = "" if decision.points is None else f" {decision.points:g}"
        print(f"{saved.result.student.id} {decision.question}{points} {decision.comment}".rstrip())
    print(f"{len(decisions)} found in {options.file}")
    if decisions and not options.yes and sys.stdin.isatty() and not agreed("apply them?"):
        print("nothing was applied")
        return 1
    overrides.record(gradebook, decisions, by)
    before = {saved.result.student.id: current[saved.result.student.id] for _, saved in decisions}
    return _publish(gradebook, assignment, options.out, before)


def _publish(gradebook: "Gradebook", assignment: Assignment, folder: Path, before: Mapping[str, Result]) -> int:
    """Write the views after overrides of these students, and print whose points changed."""
    from autograder.gradebook import run as runs
    from autograder.gradebook import views
    from autograder.gradebook.changes import changes
    from autograder.reports import terminal

    found = [
        change
        for after in views.current(gradebook)
        if after.student.id in before
        for change in changes(before[after.student.id], after, "override")
    ]
    runs.write_views(gradebook, assignment, folder, before)
    views.write_changes(folder, found)
    terminal.show_changes(found, len(before))
    return 0
