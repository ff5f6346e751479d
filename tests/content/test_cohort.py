"""What a lecturer reads: the numbers, the groups, the pages, and the verbs that write them."""

import argparse
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.commands import reports as verbs
from autograder.errors import UsageError
from autograder.gradebook.changes import Change
from autograder.gradebook.files import file_stem
from autograder.gradebook.store import open_gradebook
from autograder.reports.cohort import (
    BINS,
    ENOUGH,
    clusters,
    cohort,
    discrimination,
    histogram,
    without_case,
    without_place,
)
from autograder.reports.html import visible
from autograder.reports.report import index_html, question_html, write_report
from autograder.results import Flag, LmsIdentity, Override, QuestionScore, Result, Status, Student, SubmissionStatus
from tests import HOME, corpus
from tests.classroom import HOSTILE, TESTS, lecture_class, result, score, small, unanswered
from tests.html_text import Page

WRONG = {"halves_a_number": "your result matches the double (x=2)"}


def people(*scores: QuestionScore) -> list[Result]:
    """A student for each of these scores of Q1."""
    return [result(f"s{number}", {"Q1": one}) for number, one in enumerate(scores)]


@given(st.lists(st.floats(-5, 25)), st.sampled_from([0.0, 0.5, 6.0, 20.0]))
def test_every_total_has_its_place_in_the_distribution(totals: list[float], most: float) -> None:
    counts = histogram(totals, most)
    assert len(counts) == BINS
    assert sum(counts) == len(totals)


@pytest.mark.parametrize(("total", "place"), [(0, 0), (9.99, 0), (10, 1), (99, 9), (100, 9), (-1, 0), (105, 9)])
def test_a_total_counts_in_its_tenth(total: float, place: int) -> None:
    assert histogram([total], 100)[place] == 1


@pytest.mark.parametrize(
    ("passed", "rest", "expected"),
    [
        ([True, False], [1.0, 0.0], 1.0),
        ([False, True], [1.0, 0.0], -1.0),
        ([True, True, False, False], [4.0, 2.0, 3.0, 1.0], 1 / 5**0.5),
        ([True, True], [1.0, 0.0], None),
        ([True, False], [1.0, 1.0], None),
        ([], [], None),
    ],
)
def test_discrimination_is_the_correlation_with_the_rest(
    passed: Sequence[bool], rest: Sequence[float], expected: float | None
) -> None:
    assert discrimination(passed, rest) == (expected if expected is None else pytest.approx(expected))


def test_shares_count_those_who_answered() -> None:
    wrong = score("Q1", WRONG)
    figures = cohort(people(score("Q1"), wrong, unanswered("Q1"), unanswered("Q1", Status.MISSING)), small())
    one = figures.questions[0]
    assert (one.answered, one.full, one.mean) == (0.5, 0.5, 0.75)
    assert one.without_answer == ("s2", "s3")
    assert [(test.name, test.passed) for test in one.tests] == [("halves_a_number", 0.5), ("halves_an_odd_number", 1.0)]


def test_only_graded_submissions_count() -> None:
    absent = result("absent", status=SubmissionStatus.NOT_SUBMITTED, questions={})
    unreadable = result("broken", status=SubmissionStatus.UNREADABLE, questions={})
    figures = cohort([*people(score("Q1")), absent, unreadable], small())
    assert sum(figures.counts) == 1
    assert [one.student.id for one in figures.not_submitted] == ["absent"]
    assert [one.student.id for one in figures.unreadable] == ["broken"]


def test_a_class_without_anyone_has_a_report() -> None:
    figures = cohort([], small())
    assert figures.questions == ()
    assert "0 students" in index_html(figures, small())


@pytest.mark.parametrize("count", [ENOUGH - 1, ENOUGH])
def test_tests_that_tell_nobody_apart_are_called_out(count: int) -> None:
    figures = cohort(people(*[score("Q1", WRONG)] * count), small())
    suspicious = {(one.name, one.passed) for one in figures.suspicious if one.question == "Q1"}
    expected = {("halves_a_number", 0.0), ("halves_an_odd_number", 1.0)}
    assert suspicious == (expected if count == ENOUGH else set())
    text = Page(index_html(figures, small())).text
    assert ("1 failed by everyone" in text) == ("never failed by anyone" in text) == (count == ENOUGH)


@pytest.mark.parametrize(
    ("message", "bare"),
    [
        ("your var matches the unbiased variance (n=2, eps=0.1)", "your var matches the unbiased variance"),
        ("ValueError: no (line 3 of B3: return f(x)) (n=2)", "ValueError: no"),
        ("work on a new tensor (x = x - m, not x -= m)", "work on a new tensor (x = x - m, not x -= m)"),
        ("it is wrong (N - 1) (case (6, 6) {})", "it is wrong (N - 1)"),
    ],
)
def test_a_mistake_is_the_same_in_every_case_and_line(message: str, bare: str) -> None:
    assert without_case(message) == bare


def test_the_commonest_mistakes_come_with_the_shortest_example() -> None:
    long, short = "def f(x):\n    y = 2 * x\n    return y", "def f(x):\n    return 2 * x"
    other = {"halves_a_number": "your result matches the double (x=3)"}
    rare = {"halves_a_number": "your result is 7"}
    class_ = people(score("Q1", WRONG, source=long), score("Q1", other, source=short), score("Q1", rare))
    (mistake,) = cohort(class_, small()).mistakes
    assert (mistake.message, mistake.count, mistake.example) == ("your result matches the double", 2, short)


def test_answers_that_behave_alike_are_one_group_whatever_their_text() -> None:
    place = "ValueError: no (line {} of Q1: x)"
    class_ = people(
        *(score("Q1", {"halves_a_number": place.format(n)}, status=Status.ERROR, source=f"x = {n}") for n in (1, 2, 3)),
        score("Q1", {"halves_a_number": "your result is 3.5 where 2 was expected"}),
        score("Q1", {"halves_a_number": "your result is 4.5 where 2 was expected"}),
        *[score("Q1")] * 4,
    )
    groups = clusters("Q1", class_)
    assert [one.members for one in groups] == [("s0", "s1", "s2"), ("s3",), ("s4",), ("s5", "s6", "s7", "s8")]
    assert groups[0].sources == ("x = 1", "x = 2", "x = 3")
    assert without_place(place.format(1)) == "ValueError: no"


def test_what_to_explain_again_is_what_cost_most() -> None:
    bad = result("a", {"Q1": score("Q1", WRONG), "Q2": score("Q2", {"adds_up": "no", "leaves_the_list_alone": "no"})})
    assert [one.id for one in cohort([bad], small()).explain_again] == ["Q2", "Q1"]


def test_time_outs_and_crashes_are_listed() -> None:
    stopped = [score("Q1", WRONG, status=status) for status in (Status.TIMED_OUT, Status.CRASHED, Status.ERROR)]
    found = cohort(people(*stopped), small()).stopped
    assert found == (("s0", "Q1", Status.TIMED_OUT), ("s1", "Q1", Status.CRASHED))


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_does_nothing_in_a_report(text: str) -> None:
    bad = score("Q1", {name: text for name, _ in TESTS["Q1"]}, source=text)
    class_ = [
        replace(one, flags=(Flag(kind=text, text=text),), late=text)
        for one in (result(f"{text}{n}", {"Q1": bad}, name=text) for n in range(2))
    ]
    class_.append(result(f"{text}2", status=SubmissionStatus.UNREADABLE, flags=(Flag(kind="k", text=text),)))
    figures = cohort(class_, small(), [Change(student=text, question=text, before=1, after=2, why=text)])
    known = {one.student.id: one.student for one in class_}
    own_script = Page(index_html(cohort([], small()), small())).active
    for html, allowed in (
        (index_html(figures, small()), own_script),
        (question_html(figures.questions[0], known, small()), []),
    ):
        page = Page(html)
        assert page.active == allowed
        assert visible(text) in page.text
        html.encode()


def test_examples_are_anonymous_and_links_lead_to_feedback(tmp_path: Path) -> None:
    class_ = [result(f"{n}/a b", {"Q1": score("Q1", WRONG)}, name="Ada Example") for n in range(2)]
    path = write_report(class_, small(), tmp_path)
    html = path.read_text(encoding="utf-8")
    (part,) = [one for one in html.split("<section") if 'id="mistakes"' in one]
    assert "your result matches the double" in part
    assert "Ada" not in part
    assert "a b" not in part
    assert f'href="../feedback/{quote(file_stem("0/a b"))}.html"' in html
    assert (tmp_path / "report" / "question-Q1.html").is_file()


def test_changes_since_the_last_run_are_told() -> None:
    change = Change(student="ada", question="Q1", before=1.0, after=2.0, why="tests")
    text = Page(index_html(cohort(people(score("Q1")), small(), [change]), small())).text
    assert "1 changed score" in text
    assert "Changes since" not in Page(index_html(cohort(people(score("Q1")), small()), small())).text


def test_a_report_over_a_thousand_students_is_small() -> None:
    figures = cohort(lecture_class(1000), corpus.assignment())
    assert len(index_html(figures, corpus.assignment()).encode()) < 5_000_000
    assert len(question_html(figures.questions[3], {}, corpus.assignment()).encode()) < 5_000_000


def test_a_large_class_has_several_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everyone is in one of them, and all lead to each other; a smaller class later leaves none behind."""
    monkeypatch.setattr("autograder.reports.report.MOST_STUDENTS", 3)
    students = [f"s{number}" for number in range(8)]
    write_report([result(one) for one in students], small(), tmp_path)
    files = ["index.html", "students-2.html", "students-3.html"]
    pages = [(tmp_path / "report" / name).read_text(encoding="utf-8") for name in files]
    assert [[one for one in students if f"../feedback/{one}.html" in page] for page in pages] == [
        students[:3],
        students[3:6],
        students[6:],
    ]
    for name, page in zip(files, pages, strict=True):
        assert [other for other in files if f'href="{other}#students"' in page] == [one for one in files if one != name]
        assert "8 students in the order of their ids" in page
    write_report([result(one) for one in students[:2]], small(), tmp_path)
    assert not list((tmp_path / "report").glob("students-*"))
    assert "in the order of their ids" not in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_long_answers_do_not_make_a_page_long() -> None:
    class_ = people(*(score("Q1", {"halves_a_number": f"{n}.5"}, source="x" * 300_000 + str(n)) for n in range(200)))
    figures = cohort(class_, small())
    assert len(question_html(figures.questions[0], {}, small())) < 1_000_000


# --- verbs ------------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    verbs.add(parser.add_subparsers())
    options = parser.parse_args([*arguments, "--course", str(HOME)])
    return int(options.run(options))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder after two runs; the second one changed B3 of one student."""
    class_ = lecture_class(4)
    with open_gradebook(tmp_path) as gradebook:
        for number in range(2):
            run = gradebook.begin_run("grade", json.dumps({}), "grade")
            for one in class_ if number == 0 else class_[:1]:
                better = replace(one.questions["B3"], computed=one.questions["B3"].computed + number)
                gradebook.save(run, replace(one, questions={**one.questions, "B3": better}), {})
            gradebook.end_run(run)
    return tmp_path


def test_the_verb_report_writes_every_page_and_says_where(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("report", "--out", str(folder)) == 0
    out = capsys.readouterr().out
    for name in ("report/index.html", "report/similarity.html", "feedback"):
        assert str(folder / name) in out
    index = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "1 changed score" in index
    assert 'href="similarity.html"' in index
    assert len(list((folder / "feedback").glob("*.html"))) == 4


def test_a_report_on_an_earlier_run_tells_how_things_stood(folder: Path) -> None:
    assert run("report", "--out", str(folder), "--run", "1") == 0
    assert "changed score" not in (folder / "report" / "index.html").read_text(encoding="utf-8")


def test_the_verb_feedback_writes_feedback_alone(folder: Path) -> None:
    assert run("feedback", "--out", str(folder)) == 0
    assert len(list((folder / "feedback").iterdir())) == 8
    assert not (folder / "report").exists()


def test_the_zip_for_an_lms_holds_the_pages_as_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from_canvas = LmsIdentity(system="canvas", user="7", attachments=("70",), stem="lovelaceada_7_70")
    with open_gradebook(folder) as gradebook:
        number = gradebook.begin_run("grade", json.dumps({}), "grade")
        one = replace(lecture_class(1)[0], student=Student(id="lms", lms=from_canvas))
        gradebook.save(number, one, {})
        gradebook.end_run(number)
    assert run("feedback", "--zip", "canvas", "--out", str(folder)) == 0
    with zipfile.ZipFile(folder / "feedback-canvas.zip") as archive:
        (name,) = archive.namelist()
        assert archive.read(name) == (folder / "feedback" / "lms.html").read_bytes()
    told = capsys.readouterr()
    assert "(1 files)" in told.out
    assert told.err.count("not in the zip: ") == 4


@pytest.mark.parametrize("wanted", ["0", "3", "-1"])
def test_a_run_that_does_not_exist_is_an_error(folder: Path, wanted: str) -> None:
    with pytest.raises(UsageError, match="no such run"):
        run("report", "--out", str(folder), f"--run={wanted}")


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results here"):
        run("report", "--out", str(tmp_path))


def test_overrides_are_noted_in_the_table() -> None:
    changed = replace(score("Q1"), override=Override(points=None, comment="c", by="t", at="2026"))
    assert "overridden" in Page(index_html(cohort(people(changed), small()), small())).text.split("Students")[-1]
