"""Written, bonus, zero-point and optional questions, from the master to the grades."""

import contextlib
import csv
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment import RubricLine
from autograder.assignment_file import load_assignment
from autograder.authoring import corpus, run_notebook
from autograder.authoring.build import release_files
from autograder.authoring.verify.files import RULES, Files
from autograder.authoring.verify.rule import judge
from autograder.cli import main
from autograder.errors import KitError
from autograder.gradebook import overrides, rubric
from autograder.gradebook.store import FILE, open_gradebook
from autograder.notebook import NotebookFile, parse_notebook
from autograder.program import Program
from autograder.release.reference import reference_answers, reference_cells
from autograder.release.released import load_released
from autograder.results import Status
from autograder.submissions.reassemble import reassemble
from autograder.written import find_parts
from tests import kinds
from tests.html_text import Page
from tests.tiny import NAME

Cells = list[dict[str, Any]]
HOSTILE = "It rounds <script>alert(1)</script> **down**.\n\n```python\ndef halve(x):\n    return 0\n```"


@pytest.fixture(scope="module")
def kinds_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("kinds")
    kinds.write_kinds(home)
    return home


@pytest.fixture
def home(kinds_home: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(kinds_home, tmp_path / "home", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "home"


def cells_of(home: Path, answers: Mapping[str, str]) -> Cells:
    """The cells of a submission with these answers, the rest as released."""
    assignment = load_assignment(NAME, home)
    released = load_released(assignment)
    whole = {key: corpus.answer_cell(released[NAME], key, body) for key, body in answers.items()}
    found: Cells = corpus.submission(corpus.released_tables(assignment), released, whole)[NAME]["cells"]
    return found


def notebook(cells: Cells) -> bytes:
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def read(home: Path, *files: Cells) -> Program:
    assignment = load_assignment(NAME, home)
    handed_in = [
        NotebookFile(name=f"{number}.ipynb", cells=parse_notebook(notebook(cells)))
        for number, cells in enumerate(files)
    ]
    return reassemble(load_released(assignment)[NAME], handed_in, assignment)


def place(cells: Cells, question: str, role: str = "answer") -> int:
    return next(
        number
        for number, cell in enumerate(cells)
        if cell["metadata"].get("homework") == {"role": role, "question": question}
    )


def text_cell(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


# How an answer is found.


def bare(cells: Cells) -> Cells:
    """As from an editor that keeps neither ids nor metadata."""
    return [{key: value for key, value in cell.items() if key != "id"} | {"metadata": {}} for cell in cells]


def with_text(cells: Cells, text: str) -> Cells:
    cells[place(cells, "W1")]["source"] = text
    return cells


def moved(cells: Cells) -> Cells:
    answer = cells.pop(place(cells, "W1"))
    return [answer, *cells]


def split(cells: Cells) -> Cells:
    """As by "Split cell": both parts keep the metadata."""
    at = place(cells, "W1")
    lines = "".join(cells[at]["source"]).split("\n")
    half = next(number for number, line in enumerate(lines) if "rounds" in line) + 1
    parts = ["\n".join(lines[:half]), "\n".join(lines[half:])]
    return [*cells[:at], *[cells[at] | {"source": part} for part in parts], *cells[at + 1 :]]


def merged(cells: Cells) -> Cells:
    """As by "Merge cells": the prompt and both answers are one cell."""
    first, last = place(cells, "W1", "prompt"), place(cells, "W2")
    together = "\n\n".join("".join(cell["source"]) for cell in cells[first : last + 1])
    return [*cells[:first], cells[first] | {"source": together}, *cells[last + 1 :]]


def below(cells: Cells) -> Cells:
    at = place(cells, "W1")
    return [*cells[: at + 1], text_cell("It rounds down."), *cells[at + 1 :]]


def instead(cells: Cells) -> Cells:
    at = place(cells, "W1")
    return [*cells[:at], text_cell("It rounds down."), *cells[at + 1 :]]


def in_the_prompt(cells: Cells) -> Cells:
    at = place(cells, "W1", "prompt")
    cells[at]["source"] = "".join(cells[at]["source"]) + "\n\nIt rounds down."
    return cells


def as_code(cells: Cells) -> Cells:
    cells[place(cells, "W1")] |= {"cell_type": "code", "outputs": [], "execution_count": None}
    return cells


def copied(cells: Cells) -> Cells:
    at = place(cells, "W1")
    stub = cells_as_released(cells, at)
    return [*cells[: at + 1], stub, *cells[at + 1 :]]


def cells_as_released(cells: Cells, at: int) -> dict[str, Any]:
    source = "".join(cells[at]["source"]).replace("It rounds down.", "*Your answer to W1: double-click*")
    return cells[at] | {"source": re.sub(r"\*Your answer.*", "", source)}


def as_script(cells: Cells) -> Cells:
    """As a paragraph of a script that `jupytext --to py:light` wrote."""
    at = place(cells, "W1")
    lines = "".join(cells[at]["source"]).split("\n")
    cells[at] = {"cell_type": "code", "metadata": {}, "source": "\n".join(f"# {line}".rstrip() for line in lines)}
    return cells


@pytest.mark.parametrize(
    "change",
    [
        lambda cells: cells,
        bare,
        moved,
        lambda cells: bare(moved(cells)),
        as_code,
        lambda cells: bare(as_code(cells)),
        copied,
        lambda cells: bare(copied(cells)),
        as_script,
        lambda cells: with_text(cells, "It rounds down."),
        lambda cells: with_text(cells, "<!-- TODO W1 -->\nIt rounds down."),
    ],
    ids=[
        "as released",
        "no ids",
        "moved",
        "moved, no ids",
        "as code",
        "as code, no ids",
        "copied",
        "copied, no ids",
        "script",
        "no markers",
        "banner alone",
    ],
)
def test_an_answer_is_found(kinds_home: Path, change: Callable[[Cells], Cells]) -> None:
    program = read(kinds_home, change(cells_of(kinds_home, {"W1": "It rounds down."})))
    assert program.written == {"W1": "It rounds down."}
    assert {key for key in program.unanswered if key.startswith("W")} == {"W2"}
    assert program.unanswered["W2"] is Status.NOT_ATTEMPTED
    assert not [flag for flag in program.flags if flag.question.startswith("W")]


@pytest.mark.parametrize("change", [below, instead, in_the_prompt], ids=["below", "instead", "in the prompt"])
def test_an_answer_next_to_its_cell_is_found_with_a_remark(kinds_home: Path, change: Callable[[Cells], Cells]) -> None:
    program = read(kinds_home, change(cells_of(kinds_home, {})))
    assert program.written == {"W1": "It rounds down."}
    assert {flag.kind for flag in program.flags} == {"text_outside_answer"}


def test_a_split_and_a_merged_cell(kinds_home: Path) -> None:
    answers = {"W1": "It rounds\n\ndown.", "W2": "In C."}
    parts = read(kinds_home, split(cells_of(kinds_home, answers))).written
    assert parts["W1"].split() == ["It", "rounds", "down."]
    assert read(kinds_home, bare(merged(cells_of(kinds_home, answers)))).written == answers


def test_the_last_answer_that_says_something_counts(kinds_home: Path) -> None:
    older, newer = ({"W1": text} for text in ("First.", "Second."))
    program = read(kinds_home, cells_of(kinds_home, older), cells_of(kinds_home, newer), cells_of(kinds_home, {}))
    assert (program.written, program.files) == ({"W1": "Second."}, {"W1": "1.ipynb"})
    assert [flag.kind for flag in program.flags if flag.question == "W1"] == ["several_regions"]


def test_a_written_answer_is_never_code(kinds_home: Path) -> None:
    program = read(kinds_home, cells_of(kinds_home, {"W1": HOSTILE}))
    assert program.written == {"W1": HOSTILE}
    assert program.unanswered["Q1"] is Status.NOT_ATTEMPTED
    assert all("alert" not in step.source for step in program.steps)


def test_a_deleted_answer_cell_is_missing_and_one_of_an_optional_question_is_no_remark(kinds_home: Path) -> None:
    cells = cells_of(kinds_home, {})
    del cells[place(cells, "W1")]
    program = read(kinds_home, cells)
    assert program.unanswered["W1"] is Status.MISSING
    assert [(flag.kind, flag.question) for flag in program.flags] == [("region_missing", "W1")]


def test_an_endless_answer_is_cut() -> None:
    (part,) = find_parts(["<!-- TODO W1 -->", "x" * 100_000], {"W1"})
    assert len(part.text) == 20_000


# From a submission to the grades.


def hand_in(folder: Path, students: Mapping[str, Cells]) -> Path:
    for student, cells in students.items():
        (folder / student).mkdir(parents=True)
        (folder / student / f"{NAME}.ipynb").write_bytes(notebook(cells))
    return folder


RIGHT = {
    "Q1": "return x / 2",
    "Q2": "return sum(halve(value) for value in values) / len(values)",
    "Q3": "return 2 * x",
    "Q4": "return -x",
}


@pytest.fixture(scope="module")
def graded(kinds_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A results folder of a class."""
    old = json.loads((kinds_home / "old" / f"{NAME}.ipynb").read_bytes())["cells"]
    students = {
        "all": cells_of(kinds_home, RIGHT | {"W1": HOSTILE, "W2": "In C."}),
        "bonus": cells_of(kinds_home, {"Q3": "return 2 * x", "Q4": "return x", "W2": "In C."}),
        "none": cells_of(kinds_home, {}),
        "old": old,
    }
    folder = tmp_path_factory.mktemp("class")
    hand_in(folder / "in", students)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(kinds_home)
        assert main(["grade", str(folder / "in"), "--out", str(folder / "out"), "--jobs", "1"]) == 0
        yield folder / "out"


@pytest.fixture
def in_course(kinds_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the course's folder."""
    monkeypatch.chdir(kinds_home)


@pytest.fixture
def out(graded: Path, tmp_path: Path) -> Path:
    shutil.copytree(graded, tmp_path / "out")
    return tmp_path / "out"


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def result(out: Path, student: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((out / "results" / f"{student}.json").read_text(encoding="utf-8"))
    return table


def test_totals_and_maxima(graded: Path) -> None:
    found = rows(graded)
    assert {key: (row["total"], row["max_points"]) for key, row in found.items()} == {
        "all": ("7.0", "8.0"),
        "bonus": ("2.0", "8.0"),
        "none": ("0.0", "8.0"),
        "old": ("0.0", "5.0"),
    }
    assert [found["all"][key] for key in ("Q3", "Q4", "W1", "W2")] == ["2.0", "0.0", "", ""]
    assert (found["none"]["W1"], found["old"]["W1"], found["old"]["Q3"]) == ("0.0", "", "0.0")


def test_what_the_json_says(graded: Path) -> None:
    one = result(graded, "all")["questions"]
    assert {key: (score["status"], score["bonus"]) for key, score in one.items()} == {
        "Q1": ("passed", False),
        "Q2": ("passed", False),
        "Q3": ("passed", True),
        "Q4": ("passed", False),
        "W1": ("waiting", False),
        "W2": ("waiting", True),
    }
    assert one["W1"]["answer"] == {"file": f"{NAME}.ipynb", "source": HOSTILE}
    assert result(graded, "bonus")["questions"]["Q4"]["status"] == "failed"
    assert result(graded, "none")["questions"]["W1"]["status"] == "not_attempted"


def test_a_submission_from_an_earlier_version_is_not_asked(graded: Path) -> None:
    one = result(graded, "old")
    assert set(one["questions"]) == {"Q1", "Q2", "Q3", "Q4"}
    assert not [flag for flag in one["flags"] if flag["question"].startswith("W")]


@pytest.mark.usefixtures("in_course")
def test_nothing_is_graded_twice(graded: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (out / "grades.csv").read_bytes()
    assert main(["grade", str(graded.parent / "in"), "--out", str(out), "--jobs", "1"]) == 0
    assert "graded again" not in capsys.readouterr().out
    with open_gradebook(out, writing=False) as gradebook:
        assert {saved.run for saved in gradebook.saved()} == {1}
    assert (out / "grades.csv").read_bytes() == before


@pytest.mark.usefixtures("in_course")
def test_points_by_a_person_count_and_outlive_a_rescore(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for question, given in (("W1", "2"), ("W2", "2")):
        assert main(["override", "all", question, given, "--comment", "fine", "--out", str(out)]) == 0
    assert main(["rescore", "--out", str(out)]) == 0
    one = result(out, "all")
    assert (one["total"], one["max_points"]) == (11.0, 8.0)
    assert [one["questions"][key]["status"] for key in ("W1", "W2")] == ["failed", "passed"]
    assert [rows(out)["all"][key] for key in ("W1", "W2")] == ["2.0", "2.0"]
    assert main(["override", "all", "W1", "4", "--comment", "more", "--out", str(out)]) == 2
    capsys.readouterr()
    assert main(["show", "all", "--out", str(out)]) == 0
    assert "W1: 2 of 3" in capsys.readouterr().out


@pytest.mark.usefixtures("in_course")
def test_a_zero_typed_into_the_table_is_a_decision(out: Path) -> None:
    path = out / "grades.csv"
    table = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    column = table[0].index("W1")
    edited = [[*row[:column], "0", *row[column + 1 :]] if row[0] == "all" else row for row in table]
    text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in edited)
    (out / "mine.csv").write_text(text, encoding="utf-8")
    assert main(["override", "--from", str(out / "mine.csv"), "--out", str(out)]) == 0
    assert result(out, "all")["questions"]["W1"]["status"] == "failed"
    assert result(out, "bonus")["questions"]["W2"]["status"] == "waiting"


def feedback(out: Path, student: str) -> tuple[str, str]:
    assert main(["feedback", "--out", str(out)]) == 0
    page = (out / "feedback" / f"{student}.html").read_text(encoding="utf-8")
    return page, (out / "feedback" / f"{student}.txt").read_text(encoding="utf-8")


@pytest.mark.usefixtures("in_course")
def test_feedback_before_and_after_a_person_looked(out: Path, kinds_home: Path) -> None:
    page, text = feedback(out, "all")
    assert "W1: not graded yet, 3 points" in Page(page).text
    assert "Not graded yet, and not in the total: W1, W2" in text
    assert all(line not in page for line in kinds.RUBRIC)
    assert "<script>alert" not in page
    assert "It rounds &lt;script&gt;" in page
    lines = load_assignment(NAME, kinds_home).question("W1").rubric
    comment = rubric.compose(lines, {1}, "Say rounding.")
    assert main(["override", "all", "W1", "2", "--comment", comment, "--out", str(out)]) == 0
    page, text = feedback(out, "all")
    seen = Page(page).text
    assert "W1: 2 of 3 points" in seen
    assert "no: Names rounding (1)" in seen
    assert "yes: Says in which direction <b>it</b> rounds (2)" in seen
    assert "Comment: Say rounding." in seen
    assert "✗ Names rounding (1)\n✓ Says in which direction <b>it</b> rounds (2)\nComment: Say rounding." in text


@pytest.mark.usefixtures("in_course")
def test_feedback_on_questions_that_cost_nothing(out: Path) -> None:
    page, _ = feedback(out, "none")
    seen = " ".join(Page(page).text.split())
    assert "Q3: left out, which costs nothing (2 bonus points)" in seen
    assert "W1: not attempted (3 points)" in seen
    page, _ = feedback(out, "bonus")
    assert "Q4 negate: 0 of 0 points" in " ".join(Page(page).text.split())


@pytest.mark.usefixtures("in_course")
def test_the_report(out: Path) -> None:
    assert main(["report", "--out", str(out)]) == 0
    seen = " ".join(Page((out / "report" / "index.html").read_text(encoding="utf-8")).text.split())
    assert "not graded yet" in seen
    page = (out / "report" / "question-W1.html").read_text(encoding="utf-8")
    assert "1 student: the same words" in Page(page).text
    assert "<script>alert" not in page


# The review page.


def ticks(html: str) -> list[bool]:
    """Which lines of the rubric are ticked in a form."""
    return ["checked" in box for box in re.findall(r'<input type="checkbox" name="line"[^>]*>', html)]


@pytest.fixture
def tess(out: Path, kinds_home: Path) -> Any:
    """A TA who reviews this class."""
    pytest.importorskip("starlette", reason="the extra `review` is not installed")
    from autograder.review.publish import Publisher
    from tests.kit.test_review import Session

    assignment = load_assignment(NAME, kinds_home)
    publisher = Publisher(out, "", assignment)
    return Session(out, assignment=assignment, reference=reference_answers(assignment), publisher=publisher, names=True)


def test_a_written_answer_stands_beside_the_model_answer_and_the_rubric(tess: Any) -> None:
    html = tess.item("all", "W1")
    seen = Page(html).text
    assert "W1: not graded yet, 3 points" in " ".join(seen.split())
    assert "It rounds &lt;script&gt;alert(1)&lt;/script&gt; **down**." in html
    assert kinds.MODEL in seen
    assert all(line in seen for line in kinds.RUBRIC)
    assert ticks(html) == [False, False]


@pytest.mark.parametrize(
    ("lines", "given", "comment", "points", "recorded"),
    [
        (["0", "1"], "", "", 3.0, "✓ 1 of 1: {0}\n✓ 2 of 2: {1}"),
        (["1"], "", "Say rounding.", 2.0, "✗ 0 of 1: {0}\n✓ 2 of 2: {1}\nSay rounding."),
        ([], "0", "", 0.0, "✗ 0 of 1: {0}\n✗ 0 of 2: {1}"),
        (["0"], "2.5", "nearly", 2.5, "✓ 1 of 1: {0}\n✗ 0 of 2: {1}\nnearly"),
        ([], "", "Please ask me.", None, "Please ask me."),
    ],
    ids=["all lines", "one line", "none", "other points", "a comment only"],
)
def test_ticked_lines_become_points_and_a_comment(
    tess: Any, out: Path, lines: list[str], given: str, comment: str, points: float | None, recorded: str
) -> None:
    answer = tess.decide("all", "W1", rubric="1", line=lines, points=given, comment=comment)
    assert answer.status_code in (200, 303)
    with open_gradebook(out, writing=False) as gradebook:
        (entry,) = overrides.history(gradebook, "all")
    assert (entry.override.points, entry.override.comment) == (points, recorded.format(*kinds.RUBRIC))
    seen = " ".join(Page(tess.item("all", "W1")).text.split())
    assert ("not graded yet" in seen) is (points is None)


def test_other_points_need_a_reason(tess: Any) -> None:
    answer = tess.decide("all", "W1", rubric="1", line=["0"], points="3", comment="")
    assert answer.status_code == 400
    assert "The ticked lines add up to 1 points: give the reason for 3 as a comment." in answer.text
    assert ticks(answer.text) == [True, False]


def test_a_decision_is_given_again_to_the_same_words_only(tess: Any, out: Path) -> None:
    tess.decide("all", "W2", rubric="1", line=["0"], points="", comment="Yes.")
    use = re.search(r"use=(\d+)#decide", tess.item("bonus", "W2"))
    assert use
    html = tess.page(f"/question/W2/{tess.who('bonus')}?use={use[1]}")
    assert ticks(html) == [True]
    assert "Yes.</textarea>" in html
    groups = " ".join(Page(tess.page("/question/W2")).text.split())
    assert "2 students: the same words" in groups
    preview = tess.post("/preview", tess.form("bonus", "W2", rubric="1", line=["0"]))
    shown = " ".join(Page(preview.text).text.split())
    assert "Points: 2" in shown
    assert "✓ 2 of 2: Any reason" in shown
    chosen = re.findall(r'name="chosen" value="([^"]*)"', preview.text)
    group = re.search(r'name="group" value="([^"]*)"', preview.text)
    assert group
    fields = {"question": "W2", "who": tess.who("bonus"), "group": group[1], "points": "2", "chosen": chosen}
    tess.post("/apply", fields | {"comment": "✓ 2 of 2: Any reason", "reviewed": "1"})
    with open_gradebook(out, writing=False) as gradebook:
        assert {entry.student for entry in overrides.history(gradebook, question="W2")} == {"all", "bonus"}


def test_the_page_of_a_student_shows_written_answers(tess: Any) -> None:
    seen = " ".join(Page(tess.page(f"/student/{tess.who('all')}")).text.split())
    assert "W2: not graded yet, 2 bonus points" in seen
    assert "A sum loops in C." in seen


# What an author can get wrong.


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


# Rubrics.

LINES = (RubricLine(points=1, text="one"), RubricLine(points=2.5, text="two: 1 of 2"))


@pytest.mark.parametrize("ticked", [set(), {0}, {1}, {0, 1}], ids=str)
def test_a_rubric_survives_in_the_comment(ticked: set[int]) -> None:
    comment = rubric.compose(LINES, ticked, "and\nso on")
    assert rubric.split(LINES, comment) == ({"one": 0 in ticked, "two: 1 of 2": 1 in ticked}, "and\nso on")
    assert rubric.split(LINES, f"{rubric.compose(LINES, {0, 1}, '')}\n{comment}")[0] == rubric.split(LINES, comment)[0]


def test_a_line_that_the_rubric_no_longer_has_stays_in_the_comment() -> None:
    comment = rubric.compose(LINES, {0}, "x")
    assert rubric.split(LINES[1:], comment) == ({"two: 1 of 2": False}, "✓ 1 of 1: one\nx")


# Gradebooks of earlier versions.


@pytest.mark.usefixtures("in_course")
def test_a_gradebook_from_before_there_were_bonus_questions(out: Path) -> None:
    with contextlib.closing(sqlite3.connect(out / FILE)) as connection:
        connection.execute("ALTER TABLE scores DROP COLUMN bonus")
        connection.execute("UPDATE meta SET value = '3' WHERE key = 'version'")
        connection.commit()
    with open_gradebook(out) as gradebook:
        found = {saved.result.student.id: saved.result for saved in gradebook.saved()}
    assert (out / f"{FILE}.version-3").is_file()
    assert found["all"].questions["Q1"].bonus is False
    assert (found["all"].total, found["all"].waiting) == (7.0, ("W1", "W2"))
