"""Rescoring: recorded replies are judged again after a change of hidden tests, without running students' code.

Only requests without a recording run again: those that no test made before, or to a probe whose source changed. The
result is the same as that of grading again.
"""

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL

from autograder.assignment import Assignment, Question
from autograder.assignment_file import load_assignment
from autograder.errors import UsageError
from autograder.gradebook import overrides, programs, recordings, views
from autograder.gradebook.changes import Change, changes
from autograder.gradebook.programs import Scored
from autograder.gradebook.run import since, write_views
from autograder.gradebook.store import Gradebook, Saved, connect, save_result
from autograder.grading import fingerprint
from autograder.grading.missing_names import MissingNames, names_not_run
from autograder.grading.processes import Processes
from autograder.grading.recording import NeedsChild
from autograder.release.released import load_released
from autograder.results import Flag, QuestionScore, Result, SubmissionStatus, maximum
from autograder.sandbox.loading import Loader

if TYPE_CHECKING:  # judging imports torch, which is only needed where there is something to judge
    from autograder.grading.scorer import Scorer

CANNOT = frozenset({"release", "reading"})
"""Parts of a fingerprint whose change may make other programs of the submissions: they must be graded again."""


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
    """A result judged anew, and its notebooks with the flags that this gave."""

    result: Result
    notebooks: Mapping[str, Scored]


def rescore(
    gradebook: Gradebook,
    assignment: Assignment,
    folder: Path,
    *,
    dry_run: bool,
    since_run: int | None,
    jobs: int,
    unsafe: bool,
    say: Callable[[str], None],
) -> Outcome:
    """Judge again everything affected by changed tests.

    since_run: compare with how things stood after this run; unsafe: run code even if it cannot be sandboxed
    say: takes lines about what is going to happen
    """
    if since_run is not None and since_run not in [one.id for one in gradebook.runs()]:
        raise UsageError(
            "no such run", since_run, f"the last one is {gradebook.runs()[-1].id if gradebook.runs() else 0}"
        )
    grader = fingerprint.parts(assignment)
    outcome = Outcome()
    tasks = list(_tasks(gradebook, assignment, grader, outcome))
    say(f"{len(tasks)} of {outcome.total} results are concerned")
    found = _judge_all(gradebook, assignment, tasks, grader, jobs)
    outcome.again = [task.student for task in tasks if task.student not in found]
    if outcome.again:
        say(f"{len(outcome.again)} ask something that was never recorded: their code is run again")
        waiting = [task for task in tasks if task.student not in found]
        found |= _run_again(gradebook, assignment, waiting, outcome, unsafe=unsafe)
    if outcome.old:
        say(f"{len(outcome.old)} were graded with another release, kit or sandbox: grade them again")
    outcome.judged = len(found)
    done = [task for task in tasks if task.student in found]
    if not dry_run:
        outcome.run = _keep(gradebook, done, found, grader)
        write_views(gradebook, assignment, folder, found)
    if since_run is None:
        outcome.changes = list(_differences(gradebook, done, found))
    else:
        outcome.changes = list(since(gradebook, since_run + 1, {key: one.result for key, one in found.items()}))
    if not dry_run:
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
        graded = [known[key] for key in saved.result.questions if key in known]
        if differing & CANNOT or len(graded) < len(saved.result.questions):
            outcome.old.append(saved.result.student.id)
            continue
        changed = graded if differing else [one for one in graded if _tests_differ(saved, grader, one)]
        if changed:
            yield Task(saved=saved, questions=tuple(one.id for one in changed))


def _tests_differ(saved: Saved, grader: Mapping[str, str], one: Question) -> bool:
    return saved.grader.get(f"tests {one.id}") != grader[f"tests {one.id}"]


@dataclass(slots=True, kw_only=True)
class Judge:
    """What judges results anew.

    scorer: for results that were graded in a sandbox with this digest of its missing layers
    not_run: as for MissingNames, by notebook
    """

    gradebook: Gradebook
    assignment: Assignment
    scorer: Callable[[str], "Scorer"]
    not_run: Mapping[str, Mapping[str, str]]

    def __call__(self, task: Task) -> Judged:
        """Return a result with each notebook judged anew whose tests changed.

        All questions of such a notebook are, as one child serves them all first. Raises NeedsChild where the scorer may
        start no child.
        """
        result, before = task.saved.result, programs.load(self.gradebook, task.student)
        scorer = self.scorer(task.saved.grader.get("sandbox", ""))
        scores: dict[str, QuestionScore] = {}
        found: dict[str, Scored] = dict(before)
        for notebook in self.assignment.notebooks:
            questions = [one for one in self.assignment.in_notebook(notebook) if one.id in result.questions]
            if any(one.id in task.questions for one in questions):
                scores |= self._scores(result, questions, scorer, found)
        everything = {key: scores.get(key, score) for key, score in result.questions.items()}
        flags = _without(result.flags, before)
        for notebook in self.assignment.notebooks:
            flags += found[notebook].notes if notebook in found else ()
        most = maximum(everything.values())
        return Judged(
            result=replace(result, questions=everything, flags=tuple(flags), max_points=most), notebooks=found
        )

    def _scores(
        self, result: Result, questions: Sequence[Question], scorer: "Scorer", found: dict[str, Scored]
    ) -> dict[str, QuestionScore]:
        """Score the questions of one notebook; its new flags are put into `found`."""
        from autograder.grading.scorer import unanswered

        notebook = questions[0].notebook
        program = found[notebook].program
        if program is None:
            return {one.id: unanswered(one, scorer.tests[one.id], result.questions[one.id].status) for one in questions}
        scores, notes = scorer.score(program, questions)
        missing = MissingNames(not_run=self.not_run[notebook], defined=program.defined)
        found[notebook] = Scored(program=program, notes=tuple(missing.in_flags(notes)))
        return {key: missing.in_score(score) for key, score in scores.items()}


def _without(flags: Sequence[Flag], notebooks: Mapping[str, Scored]) -> list[Flag]:
    """Return the flags that did not come of scoring a notebook: they say what was handed in, and stay."""
    left = list(flags)
    for one in notebooks.values():
        for note in one.notes:
            if note in left:
                left.reverse()
                left.remove(note)
                left.reverse()
    return left


def _open_judge(name: str, home: Path, url: URL, grader: Mapping[str, str]) -> Judge:
    from autograder.grading.grader import replaying_scorer

    assignment, gradebook = load_assignment(name, home), Gradebook(connect(url))
    lookup = recordings.Remembering(gradebook)

    @functools.cache
    def scorer(sandbox: str) -> "Scorer":
        return replaying_scorer(assignment, lookup, {**grader, "sandbox": sandbox})

    not_run = {key: names_not_run(one) for key, one in load_released(assignment).items()}
    return Judge(gradebook=gradebook, assignment=assignment, scorer=scorer, not_run=not_run)


_judge: Judge | None = None


def _start_judge(name: str, home: Path, url: URL, grader: Mapping[str, str]) -> Callable[[], object]:
    global _judge
    _judge = _open_judge(name, home, url, grader)
    return _judge.gradebook.engine.dispose


def _judge_in_worker(task: Task) -> Judged | None:
    if _judge is None:
        raise RuntimeError("this process was not started to judge")
    return _from_recordings(_judge, task)


def _from_recordings(judge: Judge, task: Task) -> Judged | None:
    """Return a result judged anew, None where something was never recorded."""
    try:
        return judge(task)
    except NeedsChild:
        return None


def _judge_all(
    gradebook: Gradebook, assignment: Assignment, tasks: Sequence[Task], grader: Mapping[str, str], jobs: int
) -> dict[str, Judged]:
    """Judge tasks from recordings alone; those that lack something are left out."""
    where = (assignment.name, assignment.home, gradebook.engine.url, grader)
    if not tasks:
        return {}
    tasks = sorted(tasks, key=lambda task: task.saved.result.sha256)  # what is the same is read once
    with contextlib.ExitStack() as stack:
        results: Iterator[Judged | None]
        if min(jobs, len(tasks)) == 1:
            results = map(functools.partial(_from_recordings, _open_judge(*where)), tasks)
        else:
            loader = stack.enter_context(Loader(assignment))
            judges = stack.enter_context(Processes(loader, jobs, _start_judge, *where))
            results = judges.map(_judge_in_worker, tasks)
        pairs = zip(tasks, results, strict=True)
        return {task.student: judged for task, judged in pairs if judged is not None}


def _run_again(
    gradebook: Gradebook, assignment: Assignment, tasks: Sequence[Task], outcome: Outcome, *, unsafe: bool
) -> dict[str, Judged]:
    """Judge tasks with a sandbox for what was never recorded, which is then recorded at once.

    Results that were graded in another kind of sandbox are left out.
    """
    from autograder.grading.grader import open_grader

    found = {}
    made_with = json.dumps(fingerprint.made_with())
    with open_grader(assignment, unsafe=unsafe, lookup=recordings.Recorded(gradebook)) as grader:
        here = fingerprint.parts(assignment, grader.sandbox.missing)["sandbox"]
        judge = Judge(
            gradebook=gradebook, assignment=assignment, scorer=lambda _: grader.scorer, not_run=grader.not_run
        )
        for task in tasks:
            if task.saved.grader.get("sandbox") != here:
                outcome.old.append(task.student)
                continue
            found[task.student] = judge(task)
            if grader.recorder:
                with gradebook.writing() as connection:
                    recordings.save(connection, grader.recorder.take(), made_with)
    return found


def _keep(gradebook: Gradebook, tasks: Sequence[Task], found: Mapping[str, Judged], grader: Mapping[str, str]) -> int:
    """Keep what was judged, all of it or nothing."""
    run = gradebook.begin_run("rescore", json.dumps(fingerprint.made_with()), "rescore")
    kept = {name: value for name, value in grader.items() if name != "sandbox"}
    with gradebook.writing() as connection:
        for task in tasks:
            judged = found[task.student]
            save_result(connection, run, judged.result, dict(task.saved.grader) | kept)
            programs.save(connection, run, task.student, judged.notebooks, whole=True)
    gradebook.end_run(run)
    return run


def _differences(gradebook: Gradebook, tasks: Sequence[Task], found: Mapping[str, Judged]) -> Iterator[Change]:
    """Yield whose points differ from those of the last run."""
    for task in tasks:
        entries = overrides.history(gradebook, task.student)
        before = overrides.apply(task.saved.result, entries)
        yield from changes(before, overrides.apply(found[task.student].result, entries), "tests")
