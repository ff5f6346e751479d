"""Versions: what is kept of each, what changed between two, and submissions made from an older one."""

import copy
import dataclasses
import json
import random
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.errors import KitError, MasterError, UsageError
from autograder.grading.grader import Grader
from autograder.notebook import Cell, NotebookFile, parse_notebook
from autograder.program import Program
from autograder.release import versions
from autograder.release.released import ReleasedNotebook, load_released, released_notebook
from autograder.release.versions import Version
from autograder.results import Status, Student
from autograder.submissions.reassemble import reassemble
from autograder.submissions.submission import of_files
from tests import corpus

NAME = "batchnorm"
OLD = "2025.3"
TODAY = date(2031, 4, 5)
ASSIGNMENT = corpus.assignment()
CURRENT = load_released(ASSIGNMENT)[NAME]
Notebook = dict[str, Any]


def old_text(cell_id: str, source: str) -> str:
    """The text of a released cell as the older version of these tests had it."""
    if cell_id == "B3-answer":  # another stub, another docstring, another def line
        source = source.replace(
            'raise NotImplementedError("B3")', 'y = ...  # your code\n    raise NotImplementedError("B3")'
        )
        source = re.sub(r'""".*?"""', '"""Normalise a batch."""', source, flags=re.DOTALL)
        return source.replace("(x, gamma, beta, eps=1e-5)", "(batch, gamma, beta, eps=1e-5)")
    if cell_id == "B5-answer":  # a line of ours between the docstring and the marker
        return source.replace("    ####", "    n = len(dout)\n    ####", 1)
    # Two questions in the other order
    swapped = {"B8": "B9", "B9": "B8"}
    source = re.sub(r"\bB[89]\b", lambda found: swapped[found[0]], source)
    return source.replace("uniform_loss", "loss_of_a_guess").replace("import math\n", "import math\nimport time\n")


def old_notebook(answers: dict[str, str]) -> Notebook:
    """A submission made from the older version: answers by today's ids, put into the regions of then."""
    notebook = copy.deepcopy(dict(corpus.released()[NAME]))
    swapped = {"B8": "B9", "B9": "B8"}
    for number, cell in enumerate(notebook["cells"]):
        source = old_text(cell["id"], "".join(cell["source"]))
        homework = cell["metadata"]["homework"]
        if homework["role"] == "answer" and (body := answers.get(homework["question"])):
            lines = source.split("\n")
            first, last = (next(i for i, line in enumerate(lines) if mark in line) for mark in ("*START", "*END"))
            source = "\n".join([*lines[: first + 1], body, *lines[last:]])
        if "question" in homework:
            homework["question"] = swapped.get(homework["question"], homework["question"])
        cell["source"] = source
        cell["id"] = f"then-{number}"
    return notebook


def file_of(notebook: Notebook) -> NotebookFile:
    return NotebookFile(name="n.ipynb", cells=cells_of(notebook))


def cells_of(notebook: Notebook) -> tuple[Cell, ...]:
    return parse_notebook(json.dumps(notebook).encode())


def with_old(released: ReleasedNotebook) -> ReleasedNotebook:
    defines = {one.id: one.defines for one in ASSIGNMENT.questions}
    old = Version(
        name=OLD,
        points={one.id: one.points for one in ASSIGNMENT.questions},
        defines=defines | {"B8": defines["B9"], "B9": defines["B8"]},
        notebooks={NAME: cells_of(old_notebook({}))},
        files={},
    )
    return released_notebook(
        released.name, released.version, released.cells, ASSIGNMENT.in_notebook(released.name), [old]
    )


RELEASED = with_old(CURRENT)
BODIES = {
    question: "\n".join(
        corpus.reference()[question].split("\n")[region.first : len(cell.lines) * -1 + region.last or None]
    )
    for question, (cell, region) in CURRENT.regions.items()
}


def program(*notebooks: Notebook) -> Program:
    return reassemble(RELEASED, [file_of(notebook) for notebook in notebooks], ASSIGNMENT)


def lose_ids(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        cell.pop("id")
        cell["metadata"] = {}


def shuffle(notebook: Notebook) -> None:
    random.Random(1).shuffle(notebook["cells"])


def nothing(notebook: Notebook) -> None:
    pass


MESSES = [nothing, lose_ids, shuffle]


@pytest.mark.parametrize("mess", MESSES)
def test_an_old_release_is_not_attempted(mess: Callable[[Notebook], None]) -> None:
    notebook = old_notebook({})
    mess(notebook)
    found = program(notebook)
    assert found.unanswered == dict.fromkeys([*CURRENT.regions, *CURRENT.written], Status.NOT_ATTEMPTED)
    assert [step.source for step in found.steps if step.added] == []
    assert [str(flag) for flag in found.flags] == [f"{NAME}: made from version {OLD}"]
    assert [step.source for step in found.steps] == [cell.source for cell in CURRENT.given()]


@pytest.mark.parametrize("mess", MESSES)
@pytest.mark.parametrize("notebook", ASSIGNMENT.notebooks)
@pytest.mark.parametrize("version", ["2026.1", "2026.2", "2026.3"])
def test_a_version_without_written_questions_is_not_asked_them(
    version: str, notebook: str, mess: Callable[[Notebook], None]
) -> None:
    released = load_released(ASSIGNMENT)[notebook]
    kept = next(one for one in versions.recorded(ASSIGNMENT) if one.name == version)
    cells = [
        {"cell_type": cell.kind, "id": cell.id, "source": cell.source}
        | {"metadata": {"homework": {"role": cell.role, "question": cell.question}}}
        for cell in kept.notebooks[notebook]
    ]
    made: Notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    mess(made)
    file = NotebookFile(name="x.ipynb", cells=parse_notebook(json.dumps(made).encode()))
    found = reassemble(released, [file], ASSIGNMENT)
    assert found.unanswered == dict.fromkeys(released.regions, Status.NOT_ATTEMPTED)
    assert (found.version, set(found.not_asked), found.written) == (version, set(released.written), {})
    assert [flag.kind for flag in found.flags] == ["made_from_version"]


@pytest.mark.parametrize("mess", MESSES)
@pytest.mark.parametrize("question", list(CURRENT.regions))
def test_an_answer_in_an_old_region_counts(question: str, mess: Callable[[Notebook], None]) -> None:
    notebook = old_notebook({question: BODIES[question]})
    mess(notebook)
    found = program(notebook)
    assert [key for key in CURRENT.regions if key not in found.unanswered] == [question]
    (step,) = [step for step in found.steps if step.question == question]
    assert BODIES[question] in step.source
    if question == "B3":
        assert "(batch, gamma, beta, eps=1e-5)" in step.source  # the old body may use the old name
    elif question == "B5":
        assert "n = len(dout)" in step.source
    else:
        assert step.source == corpus.reference()[question]
    assert [step.source for step in found.steps if step.added] == []
    assert [str(flag) for flag in found.flags] == [f"{NAME}: made from version {OLD}"]


def test_what_a_student_added_to_an_old_notebook_is_kept_in_its_place() -> None:
    notebook = old_notebook({"B3": BODIES["B3"]})
    place = next(i for i, cell in enumerate(notebook["cells"]) if "def batchnorm_forward" in "".join(cell["source"]))
    notebook["cells"].insert(place, corpus.added_cell("half = 0.5"))
    labels = [step.source if step.added else step.label for step in program(notebook).steps]
    assert labels.index("B2") < labels.index("half = 0.5") < labels.index("B3")


def test_files_of_two_versions_together() -> None:
    new = corpus.submission({"B4": corpus.reference()["B4"]})[NAME]
    found = program(old_notebook({"B3": BODIES["B3"]}), new)
    assert set(CURRENT.regions) - set(found.unanswered) == {"B3", "B4"}
    assert not any(step.added for step in found.steps)


def test_old_cells_pasted_into_a_new_notebook_are_not_run() -> None:
    new = corpus.submission({"B4": corpus.reference()["B4"]})[NAME]
    new["cells"] += [cell for cell in old_notebook({})["cells"] if "loss_of_a_guess" in "".join(cell["source"])]
    found = program(new)
    assert not any(step.added for step in found.steps)


def test_a_question_that_is_gone_is_left_out() -> None:
    version = dataclasses.replace(
        RELEASED.earlier[0], now={k: v for k, v in RELEASED.earlier[0].now.items() if k != "B1"}
    )
    released = dataclasses.replace(CURRENT, earlier=(version,))
    found = reassemble(released, [file_of(old_notebook({"B3": BODIES["B3"]}))], ASSIGNMENT)
    assert found.unanswered["B1"] is Status.MISSING
    assert "B3" not in found.unanswered


def test_answers_made_from_an_old_version_are_graded(grader: Grader, tmp_path: Path) -> None:
    older = dataclasses.replace(grader, released={**grader.released, NAME: RELEASED})
    answers = {key: BODIES[key] for key in ("B1", "B3", "B5", "B8")}
    answers["B3"] = re.sub(r"\bx\b", "batch", answers["B3"])
    path = tmp_path / "batchnorm.ipynb"
    path.write_text(json.dumps(old_notebook(answers)))
    questions = ASSIGNMENT.select(["B1", "B2", "B3", "B5", "B8", "B9"])
    result = older.grade(of_files(Student(id="s"), [path]), questions)
    full = {one.id: one.points if one.id in answers else 0 for one in questions}
    assert {key: score.points for key, score in result.questions.items()} == full
    assert {key: str(score.status) for key, score in result.questions.items()} == {
        key: "passed" if points else "not_attempted" for key, points in full.items()
    }


# Records


def files_of(assignment: Assignment) -> dict[PurePosixPath, bytes]:
    folder = assignment.release_dir
    return {PurePosixPath(path.name): path.read_bytes() for path in folder.glob("*.ipynb")}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the lecture's assignment.toml and release, and no record."""
    for folder, name in (
        (ASSIGNMENT.masters_dir, "assignment.toml"),
        *((ASSIGNMENT.release_dir, f"{n}.ipynb") for n in ASSIGNMENT.notebooks),
    ):
        target = tmp_path / folder.relative_to(ASSIGNMENT.home) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((folder / name).read_bytes())
    return tmp_path


def test_a_record_can_be_read_back(home: Path) -> None:
    assignment = load_assignment(home=home)
    version = versions.current(assignment, files_of(assignment))
    path = versions.keep(assignment, version)
    assert path == home / f"solutions/lecture06/versions/{assignment.version}.json"
    assert versions.recorded(assignment) == [version]
    assert versions.keep(assignment, version) == path


def test_a_record_is_never_changed(home: Path) -> None:
    assignment = load_assignment(home=home)
    version = versions.current(assignment, files_of(assignment))
    versions.keep(assignment, version)
    with pytest.raises(UsageError, match="is on record with different contents; choose a new --version"):
        versions.keep(assignment, dataclasses.replace(version, points=dict(version.points) | {"B3": 7.0}))


def test_figures_of_mutants_are_no_reason_to_change_a_record(home: Path) -> None:
    assignment = load_assignment(home=home)
    version = versions.current(assignment, files_of(assignment))
    figures = {"B1": versions.MutantFigures(made=9, equivalent=2, noticed=6, by_check=5)}
    figures["B2"] = dataclasses.replace(figures["B1"], by_check=None)
    measured = dataclasses.replace(version, mutants=figures)
    path = versions.keep(assignment, measured)
    before = path.read_bytes()
    assert json.loads(before)["mutants"]["B1"]["survivors"] == 1
    assert versions.recorded(assignment) == [measured]
    versions.keep(assignment, version)
    assert path.read_bytes() == before


def test_records_of_older_kits_have_no_figures() -> None:
    assert {one.name: one.mutants for one in versions.recorded(ASSIGNMENT)}["2026.1"] is None


def test_versions_are_ordered_by_their_numbers(home: Path) -> None:
    assignment = load_assignment(home=home)
    for name in ("2026.10", "2026.9", "2025.1", "2026"):
        chosen = dataclasses.replace(assignment, version=name)
        versions.keep(chosen, versions.current(chosen, files_of(chosen)))
    assert [version.name for version in versions.recorded(assignment)] == ["2025.1", "2026", "2026.9", "2026.10"]
    newest = versions.choose(assignment, "2026.11", TODAY)
    assert newest.version == "2026.11"
    assert versions.names(newest) == ["2025.1", "2026", "2026.9", "2026.10", "2026.11"]
    before = versions.previous(newest)
    assert before is not None
    assert before.name == "2026.10"


def test_choosing_a_version_changes_two_lines(home: Path) -> None:
    path = home / "solutions/lecture06/assignment.toml"
    before = path.read_text().splitlines()
    assert versions.choose(load_assignment(home=home), "2031.4", TODAY).version == "2031.4"
    after = path.read_text().splitlines()
    assert [line for line in after if line not in before] == ['version = "2031.4"', "released = 2031-04-05"]
    assert [line for line in before if line not in after and not line.startswith(("version", "released"))] == []


def test_a_version_on_record_keeps_its_day(home: Path) -> None:
    assignment = versions.choose(load_assignment(home=home), "2031.4", TODAY)
    assert assignment.released == TODAY
    versions.keep(assignment, versions.current(assignment, files_of(assignment)))
    assert versions.choose(assignment, "2031.4", date(2031, 5, 6)).released == TODAY
    assert versions.choose(assignment, "2031.5", date(2031, 5, 6)).released == date(2031, 5, 6)
    assert (home / "solutions/lecture06/assignment.toml").read_text().count("released =") == 1


def test_a_wrong_version_is_one_line(home: Path) -> None:
    assignment = load_assignment(home=home)
    for name in ("next", ""):
        with pytest.raises(UsageError, match=f"'{name}' is not a valid version; use numbers"):
            versions.choose(assignment, name, TODAY)
    versions.keep(assignment, versions.current(assignment, files_of(assignment)))
    with pytest.raises(UsageError, match=f"2020.1 is older than {assignment.version}, which students have"):
        versions.choose(assignment, "2020.1", TODAY)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"version": "1", "questions": [], "files": {}, "notebooks": {}}', '{"version": "2"}']
)
def test_a_damaged_record_is_one_line(home: Path, text: str) -> None:
    folder = home / "solutions/lecture06/versions"
    folder.mkdir()
    (folder / "1.json").write_text(text)
    with pytest.raises(MasterError, match="not a valid version record") as error:
        versions.recorded(load_assignment(home=home))
    assert isinstance(error.value, KitError)
    assert "\n" not in str(error.value)
