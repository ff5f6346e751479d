"""Verbs for TAs that grade and correct: grade, rescore, override, show."""

import argparse
import contextlib
import functools
import getpass
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from autograder.commands.options import Verbs, chosen, cores, results_folder, verb
from autograder.errors import UsageError
from autograder.results import Result, Student


def add(verbs: Verbs) -> None:
    """Add the verbs of this group."""
    grade = verb(verbs, "grade", "grade a download from an LMS, a folder of submissions, or a notebook", _grade)
    grade.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="an LMS download, a folder, or a notebook")
    results_folder(grade)
    grade.add_argument(
        "--jobs", type=_jobs, default=cores(), metavar="N", help="worker processes (default: one per core, %(default)s)"
    )
    grade.add_argument("--questions", default="", metavar="B3,B4", help="grade only these (default: all)")
    grade.add_argument("--dry-run", action="store_true", help="show who handed in what and which files count; no grading")
    grade.add_argument(
        "--unsafe",
        action="store_true",
        help="grade even if student code cannot be sandboxed; every result then says so (default: refuse)",
    )

    rescore = verb(verbs, "rescore", "judge recorded replies anew after a change of hidden tests", _rescore)
    results_folder(rescore)
    rescore.add_argument("--dry-run", action="store_true", help="show who would change, and change nothing")
    rescore.add_argument(
        "--since", type=int, metavar="RUN", help="compare with how things stood after this run (default: the last one)"
    )
    rescore.add_argument("--jobs", type=_jobs, default=cores(), metavar="N", help="worker processes (default: %(default)s)")

    override = verb(verbs, "override", "give points or a comment by hand", _override)
    override.add_argument("student", nargs="?", metavar="STUDENT", help="an id, or a part of an id or name")
    override.add_argument("question", nargs="?", metavar="QUESTION", help="a question, or * for the whole submission")
    override.add_argument("points", nargs="?", type=float, metavar="POINTS", help="none: only the comment")
    override.add_argument("--comment", default="", metavar="TEXT", help="why; the student can read it")
    override.add_argument("--from", dest="file", type=Path, metavar="CSV", help="an edited copy of grades.csv, or a table")
    override.add_argument("--undo", action="store_true", help="undo the newest override of the question")
    override.add_argument("--bonus", action="store_true", help="allow more points than the question has")
    override.add_argument("--yes", action="store_true", help="apply --from without asking")
    override.add_argument("--by", default="", metavar="NAME", help="who decides (default: your login)")
    results_folder(override)

    show = verb(verbs, "show", "show why a student lost points", _show)
    show.add_argument("student", metavar="STUDENT", help="an id, or a part of an id or name")
    show.add_argument("question", nargs="?", default="", metavar="QUESTION", help="only this question, whole")
    results_folder(show)


def _jobs(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= count <= 256:
        raise argparse.ArgumentTypeError(f"invalid worker count {text!r}: give a number from 1 to 256")
    return count


class Stopped(KeyboardInterrupt):
    """The run was asked to end: Ctrl-C, SIGTERM or SIGHUP."""


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Turn the signals that ask a run to end into Stopped; a second one is ignored while the run tidies up."""

    def stop(number: int, frame: FrameType | None) -> None:
        for one in signals:
            signal.signal(one, signal.SIG_IGN)
        raise Stopped(number)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(one, stop) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def _grade(options: argparse.Namespace) -> int:
    from autograder.gradebook.recordings import open_lookup
    from autograder.gradebook.run import grading_run
    from autograder.gradebook.store import FILE, open_gradebook
    from autograder.grading import fingerprint
    from autograder.grading.batch import Batch
    from autograder.grading.graded import Graded
    from autograder.grading.workers import workers
    from autograder.reports import terminal
    from autograder.sandbox.confine import examine, missing, unconfined
    from autograder.submissions.intake import find_submissions

    assignment = chosen(options)
    questions = assignment.select(part.strip() for part in options.questions.split(",") if part.strip())
    hand_ins = find_submissions(options.paths, assignment.notebooks, leave_out=options.out)
    lacking = missing(examine(assignment))
    if lacking and not options.unsafe:
        raise unconfined(lacking)
    grader = fingerprint.parts(assignment, lacking)
    total = len({student.id for hand_in in hand_ins for student in hand_in.students})
    jobs = min(options.jobs, len(hand_ins))
    done: dict[str, Result] = {}
    url = options.db or f"sqlite:///{(options.out / FILE).resolve()}"
    command = shlex.join(["grade", *map(str, options.paths)])
    with contextlib.ExitStack() as stack:
        gradebook = stack.enter_context(open_gradebook(options.out, options.db))
        run = stack.enter_context(grading_run(gradebook, assignment, questions, grader, command, options.out))
        for line in run.why(hand_ins):
            print(line, file=sys.stderr)
        advance = stack.enter_context(terminal.progress(total))

        def record(graded: Graded, students: Sequence[Student]) -> None:
            for result in run.record(graded, students):
                done[result.student.id] = terminal.slim(result)
                advance(result)

        lookup = functools.partial(open_lookup, url)
        try:
            with _stoppable():
                opened = workers(assignment, jobs, unsafe=options.unsafe, open_lookup=lookup)
                executor, grade = stack.enter_context(opened)
                batch = Batch(executor=executor, grade=grade, jobs=jobs, wanted=run.wanted, record=record)
                batch.run(hand_ins)
        except Stopped:
            stack.close()
            kept = sum(1 for _ in hand_ins) and len(done)
            print(f"{kept} of {total} graded; run the same command to go on", file=sys.stderr)
            return 130
        run.finish()
    return terminal.finish_grading(options, assignment, run, hand_ins)
