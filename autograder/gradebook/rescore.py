"""Rescoring: recorded replies are judged again after a change of hidden tests, without running students' code.

Only requests without a recording run again: those that no test made before, or to a probe whose source changed. The
result is the same as that of grading again.
"""

import contextlib
import functools
import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.assignment import Assignment, Question
from autograder.assignment_file import load_assignment
from autograder.gradebook import overrides, programs, recordings, views
from autograder.gradebook.changes import Change, changes
from autograder.gradebook.run import since, write_views
from autograder.gradebook.store import Gradebook, Saved, connect
from autograder.grading import fingerprint
from autograder.grading.missing_names import MissingNames
from autograder.grading.recording import NeedsChild, Recording, merged
from autograder.program import Program
from autograder.results import Flag, QuestionScore, Result, SubmissionStatus

if TYPE_CHECKING:  # judging imports torch, which is only needed where there is something to judge
    from autograder.grading.scorer import Scorer

OF_SCORING = frozenset({"hidden_test_raised", "graded_without_other_code"})
"""Kinds of flags that say how a question was judged; the others say what was handed in, and stay."""
CANNOT = frozenset({"release", "data"})
"""Parts of a fingerprint whose change makes a recording useless: the submissions must be graded again."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The outcome of a rescore.

    old: students who must be graded again instead; again: those whose code was run for new requests
    run: the new run, None for a dry run
    """

    total: int = 0
    judged: int = 0
    old: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    run: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A saved result with the questions whose tests have changed."""

    saved: Saved
    questions: tuple[str, ...]

    @property
    def student(self) -> str:
        return self.saved.result.student.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A result judged anew, and what had to be recorded for it."""

    result: Result
    new: tuple[Recording, ...] = ()


def rescore(
    gradebook: Gradebook,
    assignment: Assignment,
    folder: Path,
    *,
    dry_run: bool,
    since_run: int | None,
    jobs: int,
    say: Callable[[str], None],
) -> Outcome:
    """Judge again everything affected by changed tests.

    since_run: compare with how things stood after this run; say: takes lines about what is going to happen
    """
    grader = fingerprint.parts(assignment)
    outcome = Outcome()
    tasks = list(_tasks(gradebook, assignment, grader, outcome))
    say(f"{len(tasks)} of {outcome.total} results are concerned")
    if outcome.old:
        say(f"{len(outcome.old)} were graded with another release or other data: grade them again")
    found = _judge_all(gradebook, assignment, tasks, jobs)
    outcome.again = [task.student for task in tasks if task.student not in found]
    if outcome.again:
        say(f"{len(outcome.again)} ask something that was never recorded: their code is run again")
        found |= _run_again(gradebook, assignment, [task for task in tasks if task.student not in found])
    outcome.judged = len(found)
    if dry_run:
        outcome.changes = list(_differences(gradebook, tasks, found))
        return outcome
    outcome.run = _keep(gradebook, tasks, found, grader)
    write_views(gradebook, assignment, folder, found)
    outcome.changes = list(since(gradebook, outcome.run if since_run is None else since_run + 1))
    views.write_changes(folder, outcome.changes)
    return outcome


def _tasks(gradebook: Gradebook, assignment: Assignment, grader: Mapping[str, str], outcome: Outcome) -> Iterator[Task]:
    known = {one.id: one for one in assignment.questions}
    common = [name for name in grader if not name.startswith("tests ") and name != "sandbox"]
    for saved in gradebook.saved():
        outcome.total += 1
        if saved.result.status is not SubmissionStatus.GRADED:
            continue
        differing = {name for name in common if saved.grader.get(name) != grader[name]}
        if differing & CANNOT:
            outcome.old.append(saved.result.student.id)
            continue
        graded = [known[key] for key in saved.result.questions if key in known]
        tests = {name for name in grader if saved.grader.get(name) != grader[name]}
        changed = graded if differing else [one for one in graded if f"tests {one.id}" in tests]
        if changed:
            yield Task(saved=saved, questions=tuple(one.id for one in changed))


def judge(task: Task, scorer: "Scorer", assignment: Assignment, found: Mapping[str, Program]) -> Result:
    """Return a result with the changed questions judged anew. Raises NeedsChild where the scorer may start no child."""
    result = task.saved.result
    scores: dict[str, QuestionScore] = {}
    flags = [flag for flag in result.flags if flag.kind not in OF_SCORING or flag.question not in task.questions]
    for notebook in assignment.notebooks:
        questions = [one for one in assignment.in_notebook(notebook) if one.id in result.questions]
        if any(one.id in task.questions for one in questions):
            scores |= _scores(task, questions, scorer, found.get(notebook), flags)
    everything = {key: scores.get(key, score) for key, score in result.questions.items()}
    most = sum(score.max_points for score in everything.values())
    return replace(result, questions=everything, flags=tuple(dict.fromkeys(flags)), max_points=most)


def _scores(
    task: Task, questions: Sequence[Question], scorer: "Scorer", program: Program | None, flags: list[Flag]
) -> dict[str, QuestionScore]:
    """Score the changed questions of one notebook; flags gets what is said on the way."""
    from autograder.grading.scorer import unanswered

    before = task.saved.result.questions
    changed = [one for one in questions if one.id in task.questions]
    if program is None:
        return {one.id: unanswered(one, scorer.tests[one.id], before[one.id].status) for one in changed}
    known = {one.id: before[one.id] for one in questions if one not in changed}
    found, notes = scorer.score(program, questions, known=known)
    missing = MissingNames(not_run={}, reasons=dict(program.reasons))
    flags.extend(missing.in_flags(notes))
    return {one.id: missing.in_score(found[one.id]) for one in changed}


@dataclass(slots=True)
class _Judge:
    """What judges tasks in one process: hidden tests, recordings, and no sandbox."""

    gradebook: Gradebook
    scorer: "Scorer"
    assignment: Assignment

    def __call__(self, task: Task) -> Result | None:
        """Return the new result, None where something was never recorded."""
        try:
            return judge(task, self.scorer, self.assignment, programs.load(self.gradebook, task.student))
        except NeedsChild:
            return None


def _open_judge(name: str, home: Path, url: str) -> _Judge:
    from autograder.grading.grader import replaying_scorer

    assignment, gradebook = load_assignment(name, home), Gradebook(connect(url))
    scorer = replaying_scorer(assignment, functools.partial(recordings.load, gradebook))
    return _Judge(gradebook, scorer, assignment)


_judge: _Judge | None = None


def _start_judge(name: str, home: Path, url: str) -> None:
    global _judge
    _judge = _open_judge(name, home, url)


def _judge_in_worker(task: Task) -> Result | None:
    if _judge is None:
        raise RuntimeError("this process was not started to judge")
    return _judge(task)


def _judge_all(gradebook: Gradebook, assignment: Assignment, tasks: Sequence[Task], jobs: int) -> dict[str, Judged]:
    """Judge tasks from recordings alone; those that lack something are left out."""
    where = (assignment.name, assignment.home, gradebook.engine.url.render_as_string(hide_password=False))
    with contextlib.ExitStack() as stack:
        results: Iterator[Result | None]
        if not tasks:
            return {}
        if jobs == 1:
            results = map(_open_judge(*where), tasks)
        else:
            context = multiprocessing.get_context("spawn")
            started = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_judge, initargs=where)
            results = stack.enter_context(started).map(_judge_in_worker, tasks, chunksize=8)
        pairs = zip(tasks, results, strict=True)
        return {task.student: Judged(result=result) for task, result in pairs if result is not None}


def _run_again(gradebook: Gradebook, assignment: Assignment, tasks: Sequence[Task]) -> dict[str, Judged]:
    """Judge tasks with a sandbox for what was never recorded."""
    from autograder.grading.grader import open_grader

    found = {}
    with open_grader(assignment, lookup=functools.partial(recordings.load, gradebook)) as grader:
        for task in tasks:
            result = judge(task, grader.scorer, assignment, programs.load(gradebook, task.student))
            new = tuple(merged(grader.recorder.take())) if grader.recorder else ()
            found[task.student] = Judged(result=result, new=new)
    return found


def _keep(gradebook: Gradebook, tasks: Sequence[Task], found: Mapping[str, Judged], grader: Mapping[str, str]) -> int:
    made_with = json.dumps(fingerprint.made_with())
    run = gradebook.begin_run("rescore", made_with, "rescore")
    kept = {name: value for name, value in grader.items() if name != "sandbox"}
    for task in tasks:
        judged = found[task.student]
        recordings.save(gradebook, judged.new, made_with)
        gradebook.save(run, judged.result, dict(task.saved.grader) | kept)
    gradebook.end_run(run)
    return run


def _differences(gradebook: Gradebook, tasks: Sequence[Task], found: Mapping[str, Judged]) -> Iterator[Change]:
    for task in tasks:
        entries = overrides.history(gradebook, task.student)
        before = overrides.apply(task.saved.result, entries)
        yield from changes(before, overrides.apply(found[task.student].result, entries), "tests")
