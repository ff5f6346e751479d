"""The verb show: why a student lost points, and for staff what their code returned."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.assignment import Assignment, Question
from autograder.commands.options import Verbs, chosen, results_folder, verb
from autograder.errors import UsageError, printable
from autograder.results import Result

if TYPE_CHECKING:  # a verb imports what it needs when it runs
    from autograder.gradebook.store import Gradebook, Saved
    from autograder.program import Program


def add(verbs: Verbs) -> None:
    """Add the verb."""
    show = verb(verbs, "show", "show why a student lost points", _show)
    show.add_argument("student", metavar="STUDENT", help="an id, or a part of an id or name")
    show.add_argument("question", nargs="?", default="", metavar="QUESTION", help="only this question, in full")
    results_folder(show)
    show.add_argument(
        "--returned", action="store_true", help="for staff: what came back in each failed test of QUESTION"
    )
    show.add_argument(
        "--script", type=Path, metavar="FILE", help="for staff: write a Python file that makes QUESTION's failing call"
    )
    show.add_argument("--run", action="store_true", dest="again", help="grade QUESTION again in the sandbox")


def _show(options: argparse.Namespace) -> int:
    from autograder.gradebook import overrides
    from autograder.gradebook.store import open_gradebook
    from autograder.reports.show import history_lines, show

    assignment = chosen(options)
    more = options.returned or options.script or options.again
    if more and not options.question:
        raise UsageError("no question", "show", "name one: --returned, --script and --run are about one question")
    with open_gradebook(options.out, options.db, writing=False) as gradebook:
        wanted = overrides.find_student(gradebook.saved(tests=False), options.student).result.student.id
        entries = overrides.history(gradebook, wanted)
        (saved,) = gradebook.saved(student=wanted)
        result = overrides.apply(saved.result, entries)
        if options.question and options.question not in result.questions:
            known = ", ".join(result.questions) or "none"
            raise UsageError("no such question in this result", options.question, f"give one of: {known}")
        depends = {one.id: tuple(assignment.dependencies(one)) for one in assignment.questions}
        print("\n".join(show(result, depends, history_lines(entries), options.question)))
        if more:
            _more(options, assignment, gradebook, saved)
    return 0


def _more(options: argparse.Namespace, assignment: Assignment, gradebook: "Gradebook", saved: "Saved") -> None:
    from autograder.gradebook import programs
    from autograder.results import Status

    one = assignment.question(options.question)
    scored = programs.load(gradebook, saved.result.student.id).get(one.notebook)
    answered = not one.written and saved.result.questions[one.id].status not in (Status.NOT_ATTEMPTED, Status.MISSING)
    if scored is None or scored.program is None or not answered:
        raise UsageError("there is no code of this question", options.question, "show it without these options")
    if options.returned or options.script:
        _from_recording(options, assignment, gradebook, saved, scored.program)
    if options.again:
        print("\nrun again:")
        print("\n".join(_run_again(assignment, one, saved.result, scored.program)))


def _from_recording(
    options: argparse.Namespace, assignment: Assignment, gradebook: "Gradebook", saved: "Saved", program: "Program"
) -> None:
    from autograder.gradebook import recordings
    from autograder.grading import fingerprint
    from autograder.grading.grader import replaying_scorer
    from autograder.grading.recording import NeedsChild
    from autograder.grading.trace import trace
    from autograder.release.released import load_released
    from autograder.reports.returned import returned_lines, script

    one = assignment.question(options.question)
    found = {**fingerprint.parts(assignment), "sandbox": saved.grader.get("sandbox", "")}
    scorer = replaying_scorer(assignment, recordings.Remembering(gradebook), found)
    try:
        traced = trace(scorer, program, one, saved.result.questions)
    except NeedsChild:
        fix = "rescore first, or use --run"
        raise UsageError("this was never recorded with the tests as they are now", options.question, fix) from None
    if options.returned:
        print("\n".join(["", *returned_lines(traced)]))
    if options.script:
        shared = load_released(assignment)[one.notebook].shared_steps()
        modules = fingerprint.sources(assignment.hidden_tests_dir)
        probes = {key: modules[key] for key in fingerprint.closure(fingerprint.probe_modules(modules), modules)}
        text = script(traced, shared, probes, one.id, assignment.release_dir)
        if text is None:
            raise UsageError("no call failed", options.question, "there is nothing to reproduce")
        try:
            options.script.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise UsageError(
                f"it cannot be written ({error.strerror})", options.script, "choose another file"
            ) from error
        print(printable(f"\nwritten: {options.script}; it runs student code without a sandbox"))


def _run_again(assignment: Assignment, one: Question, result: Result, program: "Program") -> list[str]:
    """Grade the notebook of a question again in the sandbox; the lines about the question."""
    from autograder.grading.grader import open_grader
    from autograder.reports.show import question_lines

    questions = [other for other in assignment.in_notebook(one.notebook) if other.id in result.questions]
    with open_grader(assignment) as grader:
        scores, _ = grader.scorer.score(program, questions)
    failed = tuple(key for key in assignment.dependencies(one) if key in scores and not scores[key].full)
    return list(question_lines(one.id, scores[one.id], failed))
