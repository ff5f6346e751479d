"""Rescoring: a changed hidden test is judged from recordings, and gives what grading anew gives."""

import json
import random
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authoring import corpus
from autograder.cli import main
from autograder.gradebook import recordings, views
from autograder.gradebook.store import Gradebook, Saved, open_gradebook
from autograder.grading.grader import Grader, open_grader
from autograder.release.reference import reference_cells
from autograder.release.released import load_released
from autograder.results import Result, Student
from autograder.sandbox.channel import Frame
from autograder.sandbox.client import Run
from autograder.sandbox.replies import Failure, probe_of
from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.submission import Submission, of_files

TESTS = "solutions/tiny/hidden_tests/test_questions.py"
PROBES = "solutions/tiny/hidden_tests/probes.py"
TOML = "solutions/tiny/assignment.toml"


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of the smallest assignment to change."""
    shutil.copytree(finished, tmp_path / "home", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "home"


def edit(home: Path, file: str, old: str, new: str) -> None:
    path = home / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


NEARLY = "return x / 2 + 1e-3"
STATEFUL = "halve.calls = getattr(halve, 'calls', 0) + 1\nreturn x / 2 if halve.calls < 3 else x"
SHARED_LIST = "SEEN.append(x)\nreturn x / 2 if len(SEEN) < 3 else 0.0"
CRASHING = "import os\nif x == 7.0:\n    os._exit(3)\nreturn x / 2"
MISSING = "return x / two"
ON_ITS_OWN = "return sum(values) / len(values) / 2"
ANSWERS: Mapping[str, dict[str, str]] = {
    "down": {"Q1": "return x // 2"},
    "double": {"Q1": "return 2 * x"},
    "product": {"Q1": "return 0.5 * x"},
    "nearly": {"Q1": NEARLY},
    "stateful": {"Q1": STATEFUL},
    "shared": {"Q1": SHARED_LIST, "before Q1": "SEEN = []"},
    "crashing": {"Q1": CRASHING},
    "name": {"Q1": MISSING},
    "sum": {"Q2": "return sum(halve(value) for value in values)"},
    "changes": {"Q2": "values[:] = [halve(value) for value in values]\nreturn sum(values) / len(values)"},
    "patched": {"before Q2": "import builtins\nbuiltins.sum = lambda values: 0"},
    "helper": {"Q2": "return total(values) / len(values)", "before Q2": "def total(v): return sum(map(halve, v))"},
    "other helper": {"Q2": "return total(values) / len(values)", "before Q2": "def total(v): return sum(v)"},
    "rebinds": {"before Q2": "def halve(x): return x"},
    "prints": {"before Q1": "print('starting')", "before Q2": "print(halve(3))"},
    "constant": {"Q1": "return FACTOR * x", "before Q1": "FACTOR = 0.5"},
    "other constant": {"Q1": "return FACTOR * x", "before Q1": "FACTOR = 2"},
    "reflects": {"Q2": "return sum(map(globals()['halve'], values)) / len(values)"},
    "by name": {"Q2": "import __main__\nreturn sum(map(getattr(__main__, 'hal' + 've'), values)) / len(values)"},
    "on its own": {"Q2": ON_ITS_OWN},
    "decorated": {"before Q2": "def twice(f): return lambda x: 2 * f(x)\nhalve = twice(halve)"},
    "both": {"Q1": NEARLY, "Q2": "return sum(values) / len(values) / 2"},
    "none": {"Q1": "raise NotImplementedError"},
}


def write_submission(home: Path, folder: Path, changed: Mapping[str, str]) -> Path:
    """Write the reference's notebook with these answers; `before Q1` is a cell that is added above an answer."""
    assignment = load_assignment("tiny", home)
    released = load_released(assignment)
    answers: dict[str, str | corpus.Answer] = dict(reference_cells(assignment, released))
    bodies = json.loads((home / "solutions/tiny/reference.json").read_text())["answers"]
    for key in ("Q1", "Q2"):
        if key in changed or f"before {key}" in changed:
            body = changed.get(key) or "\n".join(line[4:] for line in bodies[key].split("\n"))
            before = changed.get(f"before {key}", "")
            answers[key] = corpus.Answer(question=key, right=True, name="", expect="", body=body, before=before)
    return corpus.write(folder, corpus.submission(corpus.released_tables(assignment), released, answers))


def write_batch(home: Path, folder: Path) -> Path:
    for student, changed in {"reference": {}, **ANSWERS}.items():
        write_submission(home, folder / student, changed)
    return folder


def autograder(home: Path, verb: str, *arguments: object, expect: int = 0) -> None:
    jobs = ("--jobs", "1") if verb in ("grade", "rescore") else ()
    assert main([verb, *map(str, arguments), *jobs, "--course", str(home)]) == expect


def all_saved(out: Path) -> list[Saved]:
    with open_gradebook(out, writing=False) as gradebook:
        return [replace(one, run=0) for one in gradebook.saved()]


def points(out: Path) -> dict[str, float]:
    return {one.result.student.id: one.result.total for one in all_saved(out)}


def test_a_batch_is_rescored_and_corrected_and_every_view_agrees(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch, out = tmp_path / "batch", tmp_path / "out"
    for student in ("reference", "nearly", "down", "changes"):
        write_submission(home, batch / student, ANSWERS.get(student, {}))
    autograder(home, "grade", batch, "--out", out)
    assert points(out) == {"changes": 4.0, "down": 4.0, "nearly": 3.0, "reference": 5.0}

    edit(home, TESTS, '"result", mistakes', '"result", tolerance=0.01, mistakes')
    edit(home, TESTS, '"Q2", points=2', '"Q2", points=1')
    edit(home, TESTS, '"Q2", points=1, hint="Does', '"Q2", points=2, hint="Does')
    capsys.readouterr()
    autograder(home, "rescore", "--out", out, "--dry-run")
    dry = capsys.readouterr()
    assert points(out)["nearly"] == 3.0, "a dry run publishes nothing"
    autograder(home, "rescore", "--out", out)
    told = capsys.readouterr()
    assert told.err.splitlines() == ["4 of 4 results are concerned"]
    lines = told.out.splitlines()
    assert dry.out.splitlines()[: len(lines)] == lines
    assert lines == [
        "changes Q2: 2 -> 1",
        "    mean of several halves: 2 of 2 -> 1 of 1",
        "nearly Q1: 0 -> 2",
        "    half of an even number: your result is 3.001 where 3 was expected (x=6.0) -> passed",
        "    half of an odd number: your result is 3.501 where 3.5 was expected -> passed",
        "1 up, 1 down, 2 unchanged",
    ]
    assert points(out) == {"changes": 3.0, "down": 4.0, "nearly": 5.0, "reference": 5.0}
    assert (out / "changes.csv").read_text() == (
        "student,question,before,after,why\nchanges,Q2,2,1,tests\nnearly,Q1,0,2,tests\n"
    )

    autograder(home, "override", "changes", "Q2", "2.5", "--comment", "the list is a copy", "--by", "ta", "--out", out)
    edit(home, TESTS, '"Q2", points=1', '"Q2", points=1.5')
    edit(home, TESTS, '"Q2", points=2', '"Q2", points=1.5')
    capsys.readouterr()
    autograder(home, "rescore", "--out", out)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["no score changed", "look again: changes Q2: the tests gave 1, now 1.5"]
    assert not (out / "changes.csv").exists()
    autograder(home, "show", "changes", "--out", out)
    assert "changes: 4.5 of 5" in capsys.readouterr().out
    table = json.loads((out / "results" / "changes.json").read_text())
    assert (table["total"], table["questions"]["Q2"]["computed"]) == (4.5, 1.5)
    assert "\nchanges,changes/tiny.ipynb,graded,4.5,5.0,2.0,2.5,Q2: 2.5 by hand" in (out / "grades.csv").read_text()
    with open_gradebook(out, writing=False) as gradebook:
        assert {one.student.id: one.total for one in views.current(gradebook)}["changes"] == 4.5
        assert [run.kind for run in gradebook.runs()] == ["grade", "rescore", "rescore"]
        (first,) = gradebook.saved(run=1, student="nearly")
        assert first.result.total == 3.0, "earlier runs stay readable"


ODD = """

@question("Q1", points=1, hint="Which of the two divisions rounds?")
def test_half_of_an_odd_number(observe: Observe) -> None:
    seen = observe("halve", x=7.0)
    assert_close(seen["returned"], 3.5, "result", mistakes={"the half rounded down": 3.0})
"""
ADDED = """

@question("Q1", points=0.5, hint="?")
def test_added(observe: Observe) -> None:
    assert_close(observe("halve", x=X)["returned"], X / 2, "result")
"""


def change_points(home: Path) -> None:
    edit(home, TESTS, '"Q2", points=2', '"Q2", points=3')
    edit(home, TESTS, '"Q2", points=1', '"Q2", points=2')
    edit(home, TOML, "points = 3", "points = 5")


def change_tolerance(home: Path) -> None:
    edit(home, TESTS, '"result", mistakes', '"result", tolerance=0.01, mistakes')


def drop_a_test(home: Path) -> None:
    edit(home, TESTS, ODD, "")
    edit(home, TESTS, '"Q1", points=1', '"Q1", points=2')


def add_on_recorded_requests(home: Path) -> None:
    edit(home, TESTS, ODD, ADDED.replace("X", "7.0") + ODD.replace("points=1", "points=0.5"))


def add_on_new_requests(home: Path) -> None:
    edit(home, TESTS, ODD, ADDED.replace("X", "9.0") + ODD.replace("points=1", "points=0.5"))


def change_a_hint_and_a_message(home: Path) -> None:
    edit(home, TESTS, 'hint="Which of', 'hint="What of')
    edit(home, TESTS, '"the half rounded down"', '"the floor of the half"')


def change_a_probe(home: Path) -> None:
    edit(home, PROBES, '{"returned": student.halve(x)}', '{"returned": student.halve(x + 0)}')


CHANGES = (
    change_points,
    change_tolerance,
    drop_a_test,
    add_on_recorded_requests,
    add_on_new_requests,
    change_a_hint_and_a_message,
    change_a_probe,
)


@pytest.fixture(scope="module")
def graded(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All submissions, graded with the tests as they were."""
    folder = tmp_path_factory.mktemp("graded")
    autograder(finished, "grade", write_batch(finished, folder / "batch"), "--out", folder / "out")
    return folder


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_rescoring_equals_grading_anew(home: Path, graded: Path, tmp_path: Path, change: object) -> None:
    assert callable(change)
    out, anew = tmp_path / "out", tmp_path / "anew"
    shutil.copytree(graded / "out", out)
    change(home)
    autograder(home, "rescore", "--out", out)
    autograder(home, "grade", graded / "batch", "--out", anew)
    assert all_saved(out) == all_saved(anew)
    with open_gradebook(out) as gradebook:
        assert len(list(gradebook.saved())) == len(ANSWERS) + 1


def test_a_tolerance_runs_nobodys_code(
    home: Path, graded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(graded / "out", out)
    change_tolerance(home)
    capsys.readouterr()
    autograder(home, "rescore", "--out", out, "--dry-run")
    concerned, again = capsys.readouterr().err.splitlines()
    assert concerned == f"{len(ANSWERS) + 1} of {len(ANSWERS) + 1} results are concerned"
    assert int(again.split()[0]) <= 3, "only code that keeps state, or was never asked after it failed"


def test_a_new_request_is_asked_once(home: Path, graded: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(graded / "out", out)
    add_on_new_requests(home)
    autograder(home, "rescore", "--out", out, "--dry-run")
    with open_gradebook(out) as gradebook:
        before = recordings.size(gradebook)
    autograder(home, "rescore", "--out", out)
    with open_gradebook(out) as gradebook:
        assert recordings.size(gradebook) == before


def test_another_release_must_be_graded_again(
    home: Path, graded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(graded / "out", out)
    edit(home, "assignments/tiny/tiny.ipynb", "Expect ten minutes", "Expect five minutes")
    capsys.readouterr()
    before = all_saved(out)
    autograder(home, "rescore", "--out", out)
    assert f"{len(ANSWERS) + 1} were graded with another release" in capsys.readouterr().err
    assert all_saved(out) == before


# Identical work is done once


def submissions(assignment: Assignment, batch: Path) -> Iterator[Submission]:
    for hand_in in take_in([batch], Wanted(notebooks=assignment.notebooks)).hand_ins:
        yield hand_in.load()


def graded_with_memory(assignment: Assignment, gradebook: Gradebook, all_of_them: list[Submission]) -> list[Result]:
    results = []
    with open_grader(assignment, lookup=recordings.Recorded(gradebook)) as grader:
        for one in all_of_them:
            found = grader.graded(one, assignment.questions)
            results.append(found.result)
            with gradebook.writing() as connection:
                recordings.save(connection, found.recordings, "{}", one.student.id)
    return results


def children_of(grader: Grader) -> float:
    return grader.sandbox.children_cpu_s


def test_with_and_without_recordings_the_results_are_equal(finished: Path, tmp_path: Path) -> None:
    """Mixed submissions: each part of a student's work comes from another student's, in a random order."""
    assignment = load_assignment("tiny", finished)
    choice = random.Random(12)
    parts = [{}, *ANSWERS.values()]
    for number in range(40):
        first, second = choice.sample(parts, 2)
        mixed = {key: text for key, text in first.items() if "1" in key}
        mixed |= {key: text for key, text in second.items() if "2" in key}
        write_submission(finished, tmp_path / "batch" / f"s{number}", mixed)
    everything = list(submissions(assignment, tmp_path / "batch"))
    with open_grader(assignment) as grader:
        plain = [grader.grade(one, assignment.questions) for one in everything]
    choice.shuffle(order := list(range(len(everything))))
    with open_gradebook(tmp_path / "out") as gradebook:
        shuffled = graded_with_memory(assignment, gradebook, [everything[number] for number in order])
        again = graded_with_memory(assignment, gradebook, everything)
    assert [shuffled[order.index(number)] for number in range(len(everything))] == plain
    assert again == plain
    with open_gradebook(tmp_path / "of one student") as gradebook:
        handed_in = [replace(everything[number], student=Student(id="ada")) for number in order]
        resubmitted = graded_with_memory(assignment, gradebook, handed_in)
    assert resubmitted == [replace(plain[number], student=Student(id="ada")) for number in order]


@pytest.mark.parametrize(
    ("changed", "asked"),
    [({"Q2": ON_ITS_OWN}, {"mean_of_halves"}), ({"Q1": "return x * 0.5"}, {"halve", "mean_of_halves"})],
)
def test_a_resubmission_with_one_changed_answer_costs_that_answer_and_what_uses_it(
    changed: Mapping[str, str], asked: set[str], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assignment = load_assignment("tiny", finished)
    first, second = (
        of_files(Student(id="ada"), sorted(write_submission(finished, tmp_path / name, changed).glob("*.ipynb")))
        for name, changed in (("first", {}), ("second", changed))
    )
    probes: set[str] = set()
    ask = Run.ask

    def noted(run: Run, request: bytes, question: str = "") -> Frame | Failure:
        probes.update({probe_of(request)} - {""})
        return ask(run, request, question)

    with open_gradebook(tmp_path / "out") as gradebook:
        graded_with_memory(assignment, gradebook, [first])
        monkeypatch.setattr(Run, "ask", noted)
        (result,) = graded_with_memory(assignment, gradebook, [second])
    assert result.total == assignment.max_points
    assert probes == asked


def test_the_same_answers_of_another_student_start_no_child(finished: Path, tmp_path: Path) -> None:
    assignment = load_assignment("tiny", finished)
    path = write_submission(finished, tmp_path / "ada", {"Q2": "return sum(values) / len(values) / 2"})
    files = sorted(path.glob("*.ipynb"))
    with (
        open_gradebook(tmp_path / "out") as gradebook,
        open_grader(assignment, lookup=recordings.Recorded(gradebook)) as grader,
    ):
        first = grader.graded(of_files(Student(id="ada"), files), assignment.questions)
        with gradebook.writing() as connection:
            recordings.save(connection, first.recordings, "{}")
        before = children_of(grader)
        assert before > 0
        second = grader.graded(of_files(Student(id="bob"), files), assignment.questions)
        assert children_of(grader) == before
        assert second.recordings == ()
        assert replace(second.result, student=Student(id="ada")) == first.result
