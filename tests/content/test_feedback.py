"""What students read: complete, short enough, harmless whatever they wrote, and without what is not theirs to see."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.gradebook.files import file_stem
from autograder.gradebook.late import Deduction
from autograder.grading.grader import Grader
from autograder.program import Program, Step
from autograder.reports.code import code_lines, failing_line, own_lines
from autograder.reports.feedback import MOST_PAGE, MOST_TEXT, feedback_html, feedback_text, write_feedback
from autograder.reports.html import INVISIBLE, coded, visible, without_paths
from autograder.results import Audience, Flag, GradedAnswer, Override, Result, Status, SubmissionStatus, SubmittedFile
from tests import HOME, corpus
from tests.classroom import HOSTILE, TESTS, lecture_class, result, score, small, unanswered
from tests.html_text import Page

GOLDEN = HOME / "tests" / "golden"
STAFF = "Tess Assistant"


def varied() -> Result:
    """A result with something of everything."""
    source = "def f_Q2(values):\n    total = 0\n    return total / len(value)\n"
    place = "NameError: name 'value' is not defined (line 3 of Q2: return total / len(value))"
    messages = {"adds_up": place, "leaves_the_list_alone": place}
    return result(
        scores={
            "Q1": score(
                "Q1",
                {"halves_an_odd_number": "your result matches the half rounded down (x=7)"},
                override=Override(points=1.5, comment="The idea is right.", by=STAFF, at="2026-11-22T10:00:00+00:00"),
            ),
            "Q2": score("Q2", messages, status=Status.ERROR, source=source, dependencies="reference"),
            "Q3": unanswered("Q3"),
        },
        name="Ada Example",
        late=90.0,
        flags=(
            Flag(kind="several_files", text="two files were handed in; the newer one counts"),
            Flag(kind="hidden_test_raised", text="for staff alone", audience=Audience.STAFF),
        ),
        files=(
            SubmittedFile(name="n.ipynb", notebook="n"),
            SubmittedFile(name="old.ipynb", notebook="n", counts=False, why="an older copy"),
        ),
    )


def test_the_text_for_a_comment_field() -> None:
    path = GOLDEN / "feedback.txt"
    text = feedback_text(varied(), small())
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "told",
    [
        "Ada Example",
        "1.5 of 6 points",
        "90 minutes late",
        "2026-11-20, 23:59 +01:00",
        "old.ipynb: an older copy",
        "two files were handed in; the newer one counts",
        "Set by hand to 1.5; the tests gave 1. The idea is right.",
        "halves an odd number",
        "your result matches the half rounded down (x=7)",
        "a hint for halves_an_odd_number",
        "Graded with the reference's Q1, because yours falls short: a mistake there costs points there only.",
        "Q3: not attempted",
    ],
)
def test_the_page_tells_what_counted_and_why(told: str) -> None:
    assert told in Page(feedback_html(varied(), small())).text


def test_an_error_that_several_tests_ran_into_is_told_once() -> None:
    assert Page(feedback_html(varied(), small())).text.count("NameError") == 1


@pytest.mark.parametrize("render", [feedback_html, feedback_text])
@pytest.mark.parametrize("secret", [STAFF, "for staff alone", "hidden_test_raised"])
def test_nothing_for_staff_reaches_a_student(render: Any, secret: str) -> None:
    assert secret not in render(varied(), small())


def test_an_override_is_told_once() -> None:
    flag = Flag(kind="override", question="Q1", text="1.5 by hand (1 by the tests): The idea is right.")
    page = Page(feedback_html(replace(varied(), flags=(flag,)), small()))
    assert page.text.count("The idea is right.") == 1


def test_lateness_is_taken_off_the_total() -> None:
    deduction = Deduction(points=0.5, reason="90 min late: 10 percent")
    assert "Total: 1 of 6" in feedback_text(varied(), small(), deduction)
    text = Page(feedback_html(varied(), small(), deduction)).text
    assert "0.5 of 1.5 points: 90 min late: 10 percent" in text


@pytest.mark.parametrize("render", [feedback_html, feedback_text])
@pytest.mark.parametrize(
    ("status", "told"),
    [(SubmissionStatus.UNREADABLE, "could not be read"), (SubmissionStatus.NOT_SUBMITTED, "Nothing was handed in")],
)
def test_what_was_not_graded_says_so(render: Any, status: SubmissionStatus, told: str) -> None:
    text = render(result(status=status, questions={}, submitted=None), small())
    assert told in text
    assert "Total" not in text


# --- code -------------------------------------------------------------------------------------------------------------


def test_the_line_that_raised_is_marked_and_no_other() -> None:
    html = feedback_html(varied(), small())
    assert html.count('class="l marked"') == 1
    assert 'class="l marked" data-n="3"' in html


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("ValueError: no (line 12 of Q2: return x)", 12),
        ("ValueError: no (line 12 of Q1: return x)", 0),
        ("ValueError: (line 4 of Q2: f(g(x))) (n=2)", 4),
        ("ValueError: no (line 99999999999 of Q2: x)", 0),
        ("no place", 0),
    ],
)
def test_a_message_names_a_line_of_its_own_question(message: str, line: int) -> None:
    assert failing_line(message, "Q2") == line


def test_only_the_students_own_lines_are_shown_and_a_marked_one_outside_of_them() -> None:
    source = corpus.answer_cell("B3", "mean = x.mean(0)\nreturn mean")
    own = own_lines(source, "B3", corpus.assignment())
    lines = source.split("\n")
    assert [lines[n - 1].strip() for n in own] == ["mean = x.mean(0)", "return mean"]
    assert [line.number for line in code_lines(source, own)] == list(own)
    assert [line.number for line in code_lines(source, own, marked={1})] == [1, 0, *own]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_python_counts_them(ending: str) -> None:
    lines = code_lines(ending.join(["a = 1", "", 'b = """', "two", '"""', "c = 3"]), range(1, 7))
    assert [line.number for line in lines] == [1, 2, 3, 4, 5, 6]
    assert Page(lines[5].html).text == "c = 3"


def test_a_long_answer_keeps_the_line_that_matters() -> None:
    source = "\n".join(f"x{n} = {n}" for n in range(1, 3001))
    lines = code_lines(source, range(1, 3001), marked={2500}, most=300)
    shown = [line.number for line in lines if line.number]
    assert {1, 2498, 2499, 2500, 2501, 2502} <= set(shown)
    gaps = sum(int(line.html.split()[1]) for line in lines if not line.number)
    assert len(shown) + gaps == 3000


@given(st.text(max_size=300), st.sets(st.integers(-2, 9)))
def test_any_text_survives_as_code(source: str, marked: set[int]) -> None:
    lines = code_lines(source, range(1, 400), marked)
    said = "\n".join(Page(line.html).text for line in lines if line.number)
    expected = visible(source.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n"))
    assert said == expected


# --- harmless ---------------------------------------------------------------------------------------------------------


def hostile(text: str) -> Result:
    """A result with this text wherever a student's text can stand."""
    flags = (Flag(kind="k", text=text),)
    files = (SubmittedFile(name=text, why=text), SubmittedFile(name=text, counts=False, why=text))
    bad = score("Q1", {name: text for name, _ in TESTS["Q1"]}, source=text, answer=GradedAnswer(file=text, source=text))
    remark = Override(points=None, comment=text, by="t", at="2026")
    scores = {"Q1": bad, "Q2": replace(score("Q2"), override=remark)}
    return result(text, scores, name=text, flags=flags, files=files, submission=text, submitted=text, override=remark)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(text: str) -> None:
    html = feedback_html(hostile(text), small())
    page = Page(html)
    assert page.active == []
    assert visible(text) in page.text
    assert not INVISIBLE.search(html.replace("\n", ""))
    html.encode()
    assert not INVISIBLE.search(feedback_text(hostile(text), small()).replace("\n", ""))


@given(st.text(max_size=80))
def test_any_text_does_nothing(text: str) -> None:
    assert Page(feedback_html(hostile(text), small())).active == []


def test_names_that_need_joiners_keep_them() -> None:
    name = "می\u200cخواهم"
    assert name in feedback_html(result(name=name), small())


@pytest.mark.parametrize(
    "text",
    ["<" * 1_000_000, "x = '" + "a" * 1_000_000, "\n" * 1_000_000, '"' * 400_000, "\u202e" * 100_000, "&\n" * 200_000],
)
def test_pages_stay_small_whatever_is_in_them(text: str) -> None:
    assert len(feedback_html(hostile(text), small()).encode()) < MOST_PAGE
    assert len(feedback_text(hostile(text), small())) <= MOST_TEXT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("No such file: '/home/grader/kit/data/names.txt'", "No such file: '…/names.txt'"),
        ("/usr/lib/python3.11/site-packages/torch/nn/modules/module.py", "…/module.py"),
        ("dy/dx and 1/2/3, a/b, https://example.org/a/b", "dy/dx and 1/2/3, a/b, https://example.org/a/b"),
        ("in (/tmp/x/)", "in (…/)"),
    ],
)
def test_paths_of_the_machine_are_cut(text: str, shown: str) -> None:
    assert without_paths(text) == shown


@pytest.mark.parametrize(
    ("hint", "html"),
    [
        ("use `x.item()` & `<b>`", "use <code>x.item()</code> &amp; <code>&lt;b&gt;</code>"),
        ("one ` alone <", "one ` alone &lt;"),
        ("`\u202e`", "<code>\\u202e</code>"),
    ],
)
def test_code_in_a_hint_looks_like_code(hint: str, html: str) -> None:
    assert coded(hint) == html


# --- a class ----------------------------------------------------------------------------------------------------------


def test_no_page_holds_reference_code_another_student_or_a_path(tmp_path: Path) -> None:
    assignment = corpus.assignment()
    people = lecture_class(30)
    assert write_feedback(people, assignment, tmp_path) == 30
    secret = secret_lines()
    assert len(secret) > 50
    for one in people:
        own = "\n".join(score.answer.source for score in one.questions.values() if score.answer)
        for kind in ("html", "txt"):
            text = (tmp_path / "feedback" / f"{file_stem(one.student.id)}.{kind}").read_text(encoding="utf-8")
            shown = Page(text).text if kind == "html" else text
            assert not [line for line in secret if line in shown and line not in own]
            assert not [other.student.id for other in people if other is not one and other.student.id in shown]
            assert str(tmp_path) not in text
            assert STAFF not in text


def secret_lines() -> set[str]:
    """The lines of the reference answers that the release does not have."""
    cells = [cell for table in corpus.released().values() for cell in table["cells"]]
    released = {line.strip() for cell in cells for line in "".join(cell["source"]).split("\n")}
    reference = {line.strip() for cell in corpus.reference().values() for line in cell.split("\n")}
    return {line for line in reference - released if len(line) > 20}


def test_feedback_on_what_was_really_graded_leaks_nothing(grader: Grader) -> None:
    """Messages of real hidden tests over wrong answers: no reference line, no list of inputs, no path."""
    assignment = corpus.assignment()
    questions = [one for one in assignment.in_notebook("batchnorm") if one.id in ("B1", "B2", "B3", "B4", "B10")]
    wrong = {
        one.id: next(a for a in corpus.read_answers(assignment.corpus_dir / f"{one.id}.txt") if not a.right)
        for one in questions
    }
    steps = [
        Step(
            label=cell.question,
            source=corpus.answer_cell(cell.question, wrong[cell.question].body),
            question=cell.question,
        )
        if cell.question in wrong
        else Step(label=cell.id, source=cell.source)
        for cell in grader.released["batchnorm"].given()
        if not cell.question or cell.question in wrong
    ]
    scores, flags = grader.scorer.score(Program(notebook="batchnorm", steps=tuple(steps)), questions, lambda *_: None)
    assert all(one.status is not Status.PASSED for one in scores.values())
    graded = result("ada", questions=scores, flags=tuple(flags), max_points=26.0)
    own = "\n".join(answer.body for answer in wrong.values())
    page = Page(feedback_html(graded, assignment)).text
    assert not [test.message for one in scores.values() for test in one.tests if test.message not in page]
    for text in (page, feedback_text(graded, assignment)):
        assert not [line for line in secret_lines() if line in text and line not in own]
        assert not re.search(r"(-?\d+\.\d+[,\s]+){6}", text)
        assert str(HOME) not in text
        assert "site-packages" not in text


def test_every_page_of_a_class_keeps_its_limits() -> None:
    for one in lecture_class(40):
        assert len(feedback_html(one, corpus.assignment()).encode()) < MOST_PAGE
        assert len(feedback_text(one, corpus.assignment())) <= MOST_TEXT


def test_files_are_named_as_results_are(tmp_path: Path) -> None:
    ids = ["ada", "../../etc/x", "a/b", "a_b", "Zoë", "<b>"]
    write_feedback([result(one) for one in ids], small(), tmp_path)
    names = {path.name for path in (tmp_path / "feedback").iterdir()}
    assert names == {f"{file_stem(one)}.{kind}" for one in ids for kind in ("html", "txt")}
    assert len(names) == 2 * len(ids)
