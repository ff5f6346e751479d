"""One submission -> one result: its answers are put into the release and scored by the hidden tests."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autograder.assignment import Assignment, Question, most_points
from autograder.grading import fingerprint
from autograder.grading.graded import Graded
from autograder.grading.hidden_tests import collect
from autograder.grading.missing_names import MissingNames, definitions, names_not_run
from autograder.grading.observe import RunFactory
from autograder.grading.recording import Lookup, Recorder, Start, no_child
from autograder.grading.scorer import Scored, Scorer, unanswered
from autograder.program import Program
from autograder.release.reference import reference_cells
from autograder.release.released import ReleasedNotebook, load_released
from autograder.results import Audience, Flag, QuestionScore, Result, Status, SubmissionStatus, maximum
from autograder.sandbox.client import Run, Sandbox
from autograder.submissions.notebooks import ReadFiles, read_files
from autograder.submissions.reassemble import reassemble
from autograder.submissions.submission import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """Grades submissions of one assignment.

    not_run: for each notebook, the names defined only in cells that grading does not run, and the kind of cell
    """

    assignment: Assignment
    released: Mapping[str, ReleasedNotebook]
    not_run: Mapping[str, Mapping[str, str]]
    scorer: Scorer
    sandbox: Sandbox
    recorder: Recorder | None = None

    def grade(
        self, submission: Submission, questions: Sequence[Question], scored: Scored = lambda question_id, score: None
    ) -> Result:
        """Grade one submission. Problems with it are part of the result; only errors of the kit are raised.

        scored: as for Scorer.score.
        """
        return self.graded(submission, questions, scored).result

    def graded(
        self, submission: Submission, questions: Sequence[Question], scored: Scored = lambda question_id, score: None
    ) -> Graded:
        """Grade one submission like `grade`, and return the result with its programs and recordings."""
        common: dict[str, Any] = {
            "student": submission.student,
            "submission": submission.label,
            "sha256": submission.sha256,
            "submitted": submission.submitted,
            "late": submission.late,
            "assignment": self.assignment.name,
            "version": self.assignment.version,
            "max_points": most_points(questions),
        }
        if self.recorder:
            self.recorder.begin(submission.student.id)
        read = read_files(submission, self.assignment)
        flags = [*map(unconfined, self.sandbox.missing), *read.flags]
        notes: dict[str, tuple[Flag, ...]] = {}
        if not read.notebooks:
            files = tuple(read.files)
            result = Result(**common, status=SubmissionStatus.UNREADABLE, flags=tuple(flags), files=files)
            return Graded(result=result)
        scores: dict[str, QuestionScore] = {}
        used: dict[str, frozenset[str]] = {}
        programs: list[Program] = []
        absent: list[Question] = []
        defined = definitions([file for files in read.notebooks.values() for file in files])
        for name, released in self.released.items():
            wanted = [question for question in questions if question.notebook == name]
            if not wanted:
                continue
            if name not in read.notebooks:
                notes[name] = (not_there(name, read),)
                absent += wanted
                continue
            program = reassemble(released, read.notebooks[name], self.assignment, submission.importable)
            used[name] = frozenset(program.files.values())
            missing = MissingNames(not_run=self.not_run[name], defined=defined)

            def explained(question_id: str, score: QuestionScore, missing: MissingNames = missing) -> None:
                scored(question_id, missing.in_score(score))

            found, remarks = self.scorer.score(program, wanted, explained)
            scores |= {question: missing.in_score(score) for question, score in found.items()}
            notes[name] = tuple(missing.in_flags(remarks))
            programs.append(replace(program, defined=defined))
        not_asked = self._not_asked(programs, absent)
        for one in absent:
            if one.id not in not_asked:
                scores[one.id] = unanswered(one, self.scorer.tests[one.id], Status.MISSING)
        ordered = {one.id: scores[one.id] for one in questions if one.id in scores}
        result = Result(
            **common | {"max_points": maximum(ordered.values())},
            status=SubmissionStatus.GRADED,
            flags=(*flags, *itertools.chain.from_iterable(notes.values())),
            files=read.counted(used),
            questions=ordered,
        )
        recordings = self.recorder.take() if self.recorder else ()
        return Graded(result=result, programs=tuple(programs), notes=notes, recordings=recordings, not_asked=not_asked)

    def _not_asked(self, programs: Sequence[Program], absent: Sequence[Question]) -> tuple[str, ...]:
        """Return the written questions that the submission's version did not have, also of absent notebooks."""
        found = [question for program in programs for question in program.not_asked]
        for one in absent:
            known = {version.version: version for version in self.released[one.notebook].versions()}
            bases = [known[program.version] for program in programs if program.version in known]
            if one.written and any(one.id not in base.written for base in bases):
                found.append(one.id)
        return tuple(found)


def not_there(notebook: str, read: ReadFiles) -> Flag:
    """Return the flag of a notebook without a usable file: missing or unreadable."""
    if reason := read.unreadable.get(notebook) or read.unreadable.get(""):
        return Flag(kind="notebook_unreadable", text=f"{notebook}: not graded, because {reason}")
    return Flag(kind="notebook_missing", text=f"{notebook}.ipynb was not handed in")


def unconfined(missing: str) -> Flag:
    """Return the flag of a result that was computed without a required layer of the sandbox."""
    return Flag(kind="unconfined", text=f"graded without confinement: {missing}", audience=Audience.STAFF)


@contextlib.contextmanager
def open_grader(
    assignment: Assignment, *, unsafe: bool = False, namespaces: bool = True, lookup: Lookup | None = None
) -> Iterator[Grader]:
    """Open a grader with a running sandbox; this process computes with one thread from then on.

    unsafe, namespaces: as for Sandbox
    lookup: finds the recordings of earlier runs; if given, all replies of children are recorded
    """
    use_libraries(assignment)
    released = load_released(assignment)
    prologues = {name: notebook.shared_steps() for name, notebook in released.items()}
    with Sandbox(assignment, prologues, unsafe=unsafe, namespaces=namespaces) as sandbox:  # loads in the background
        reference = reference_cells(assignment, released)
        tests = collect(assignment)
        not_run = {name: names_not_run(notebook) for name, notebook in released.items()}
        found = fingerprint.parts(assignment) if lookup else {}
        sandbox.ready()
        recorder = None
        if lookup:
            found |= fingerprint.sandbox(sandbox.missing)
            recorder = recorder_of(assignment, run_factory(sandbox, assignment, watched=True), lookup, found)
        start: RunFactory = recorder or run_factory(sandbox, assignment)
        scorer = Scorer(assignment=assignment, tests=tests, reference=reference, start=start)
        yield Grader(
            assignment=assignment,
            released=released,
            not_run=not_run,
            scorer=scorer,
            sandbox=sandbox,
            recorder=recorder,
        )


def replaying_scorer(assignment: Assignment, lookup: Lookup, found: Mapping[str, str]) -> Scorer:
    """Return a scorer that judges recordings; it raises NeedsChild for what was never recorded.

    found: the fingerprint under which the replies were recorded
    """
    use_libraries(assignment)
    reference = reference_cells(assignment, load_released(assignment))
    start = recorder_of(assignment, no_child, lookup, found)
    return Scorer(assignment=assignment, tests=collect(assignment), reference=reference, start=start)


def use_libraries(assignment: Assignment) -> None:
    """Load what the assignment's hidden tests compute with, on one thread."""
    if assignment.uses_torch:
        import torch

        torch.set_num_threads(1)  # the tensors are small: more threads would only wait for each other


def recorder_of(assignment: Assignment, start: Start, lookup: Lookup, found: Mapping[str, str]) -> Recorder:
    """Return a recorder that answers from recordings and starts children for the rest; found: the fingerprint."""
    probes = fingerprint.probe_digests(assignment.hidden_tests_dir)
    setting = fingerprint.setting(assignment, found)
    return Recorder(
        start=start,
        lookup=lookup,
        setting=setting,
        probes=probes,
        any_probe=found["probes"],
        dependencies={one.id: assignment.dependencies(one) for one in assignment.questions},
    )


def run_factory(sandbox: Sandbox, assignment: Assignment, *, watched: bool = False) -> Callable[[Program, int], Run]:
    """Return what starts a program in a child of this sandbox; watched: one that tells what calls left behind."""
    defines = {one.id: one.defines for one in assignment.questions}

    def start(program: Program, seed: int) -> Run:
        return sandbox.start(program.notebook, program.own, defines, seed, program.modules, watched=watched)

    return start
