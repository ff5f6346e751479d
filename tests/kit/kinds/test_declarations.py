"""What an author declares about a question, rubrics among it, and what can be wrong with it."""

import re
from pathlib import Path

import pytest

from autograder.assignment import RubricLine
from autograder.assignment_file import load_assignment
from autograder.authoring import run_notebook
from autograder.authoring.build import release_files
from autograder.authoring.verify.files import RULES, Files
from autograder.authoring.verify.rule import judge
from autograder.errors import KitError
from autograder.gradebook import rubric
from autograder.release.reference import reference_answers, reference_cells
from autograder.release.released import load_released
from tests import kinds
from tests.tiny import NAME


def rubric_of(points: str) -> str:
    return f'rubric = [{{ points = {points}, text = "Any reason" }}]'


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("assignment.toml", rubric_of("2"), rubric_of("1"), "the rubric of W2 adds up to 1 points, not 2"),
        ("assignment.toml", rubric_of("2"), 'rubric = "x"', "questions.W2.rubric is not a list of tables"),
        ("assignment.toml", rubric_of("2"), 'defines = ["f"]', "W2 has `# manual: true` in its BEGIN QUESTION cell"),
        ("assignment.toml", "points = 3\nrubric", 'points = 3\ndefines = ["f"]\nrubric', "W1 is a written question"),
        ("assignment.toml", "bonus = true\noptional", "optional", "Q3 is optional, but leaving it out would cost"),
        ("assignment.toml", "bonus = true\noptional = true\n", "", "Q3 has `# bonus: true` in its BEGIN QUESTION cell"),
        (
            "assignment.toml",
            'defines = ["negate"]',
            'defines = ["negate"]\ndepends = ["W1"]',
            "a written question 'W1'",
        ),
        ("tiny.py", "# manual: true", "# manual: yes", "manual is yes; write true or false"),
        ("tiny.py", "(2 bonus points)", "(2 points)", "W2 has points that are no bonus in its heading"),
        ("tiny.py", "# A sum loops in C.\n#\n# It stays exact for `x < 2**53`.", "#", "W2 has no model answer"),
        ("tiny.py", "# %% [markdown]\n# A sum", "# %%\n# A sum", "the answer to the written question W2 is not text"),
        ("tiny.py", "# bonus: true\n# optional: true", "# optional: true", "Q3 has `bonus = true` in assignment.toml"),
    ],
    ids=str,
)
def test_a_mistake_in_a_declaration_is_one_line_with_its_place(
    home: Path, file: str, old: str, new: str, what: str
) -> None:
    path = home / "solutions" / NAME / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(KitError, match=re.escape(what)) as error:
        release_files(load_assignment(NAME, home))
    assert re.search(r"\.(py|toml):\d+: ", str(error.value))


def test_a_hidden_test_of_a_written_question_is_refused(home: Path) -> None:
    from autograder.grading.hidden_tests import collect

    path = home / "solutions" / NAME / "hidden_tests" / "test_questions.py"
    text = path.read_text(encoding="utf-8")
    more = '\n\n@question("W1", points=3, hint="?")\ndef test_words(observe: Observe) -> None:\n    pass\n'
    path.write_text(text + more, encoding="utf-8")
    with pytest.raises(KitError, match="W1 is a written question, which people grade"):
        collect(load_assignment(NAME, home))


def test_the_checks_on_files_pass_and_name_a_model_answer_that_leaks(home: Path) -> None:
    assignment = load_assignment(NAME, home)
    outcomes = judge(RULES, Files(assignment), lambda outcome: None)
    assert [outcome for outcome in outcomes if not outcome.kept] == []
    path = assignment.release_dir / "notes.txt"
    path.write_text(f"remember: {kinds.MODEL}", encoding="utf-8")
    found = [reason for outcome in judge(RULES, Files(assignment), lambda outcome: None) for reason in outcome.reasons]
    assert [reason for reason in found if "notes.txt:1: contains a line of the solution of W1" in reason]


def test_students_get_the_prompt_and_the_solution_the_folded_model_answer(kinds_home: Path) -> None:
    assignment = load_assignment(NAME, kinds_home)
    released = load_released(assignment)
    assert reference_answers(assignment)["W1"] == kinds.MODEL
    assert kinds.MODEL.split("\n")[0] in reference_cells(assignment, released)["W1"]
    cells = {cell["id"]: cell["source"] for cell in run_notebook.solution(assignment, NAME)["cells"]}
    assert f"<details><summary>Model answer</summary>\n\n{kinds.MODEL}\n\n</details>" in cells["W1-answer"]


LINES = (RubricLine(points=1, text="one"), RubricLine(points=2.5, text="two: 1 of 2"))


@pytest.mark.parametrize("ticked", [set(), {0}, {1}, {0, 1}], ids=str)
def test_a_rubric_survives_in_the_comment(ticked: set[int]) -> None:
    comment = rubric.compose(LINES, ticked, "and\nso on")
    assert rubric.split(LINES, comment) == ({"one": 0 in ticked, "two: 1 of 2": 1 in ticked}, "and\nso on")
    assert rubric.split(LINES, f"{rubric.compose(LINES, {0, 1}, '')}\n{comment}")[0] == rubric.split(LINES, comment)[0]


def test_a_line_that_the_rubric_no_longer_has_stays_in_the_comment() -> None:
    comment = rubric.compose(LINES, {0}, "x")
    assert rubric.split(LINES[1:], comment) == ({"two: 1 of 2": False}, "✓ 1 of 1: one\nx")
