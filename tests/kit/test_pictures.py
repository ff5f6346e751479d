"""Pictures: made of whatever student code returned, drawn inside their frame, and only where they tell something."""

import math
import os
import re
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.assignment_file import load_assignment
from autograder.authoring.verify import pictures as picture_check
from autograder.authoring.verify.grading import Grading
from autograder.errors import MasterError
from autograder.gradebook.store import FILE, open_gradebook
from autograder.grading.hidden_tests import collect
from autograder.grading.pictures import MOST_PLACES, band_of, bars, curve, measured_band, points
from autograder.pictures import Kind, Picture
from autograder.reports.feedback import MOST_PAGE, feedback_html, feedback_text
from autograder.reports.pictures import HEIGHT, WIDTH, figure, in_words, verdict
from autograder.results import Result, Status, from_json, to_json
from autograder.sandbox.channel import Opaque
from tests import HOME, old_gradebooks
from tests.classroom import HOSTILE, result, score, small
from tests.html_text import Page
from tests.kit.test_rescore import TESTS, all_saved, autograder, edit, write_submission

GOLDEN = HOME / "tests" / "golden" / "pictures.html"
NAN, INF = math.nan, math.inf
BAND = (np.array([1.0, 1.5, 2.0]), np.array([2.0, 2.5, 3.0]))


def drawn(yours: Any, **changed: Any) -> Picture:
    return curve("Loss", **({"x": "step", "y": "loss", "yours": yours, "band": BAND} | changed))


PICTURES = {
    "a curve that leaves the band and diverges": curve(
        "Training loss",
        x="step",
        y="loss",
        at=(10, 20, 30, 40, 50),
        yours=[3.1, 3.3, 1e12, NAN, INF],
        band=(np.linspace(3.0, 2.2, 5), np.linspace(3.4, 2.6, 5)),
    ),
    "a logarithmic curve": curve(
        "Gradient norms",
        x="block",
        y="norm",
        yours=[1e-4, 1e-2, 0.0],
        band=(np.full(3, 0.5), np.full(3, 2.0)),
        log=True,
    ),
    "points": points(
        "Running variances",
        x="variance of the population",
        y="running_var",
        at=(0.25, 1.0, 4.0),
        yours=[0.2, 0.7, 2.1],
        band=(np.array([0.2, 0.8, 3.0]), np.array([0.3, 1.2, 5.0])),
        line=("equal to the population's", (0.25, 1.0, 4.0)),
    ),
    "bars": bars("Writes", x="block", y="norm", yours=[1.5, -0.5, 40.0], band=BAND),
}

# --- what student code returned ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "yours",
    [
        None,
        "nan",
        b"123",
        True,
        7,
        {"losses": [1, 2, 3]},
        {},
        [],
        [1.0, 2.0],
        [1.0, 2.0, 3.0, 4.0],
        [1.0] * 1_000_000,
        [1.0, None, 3.0],
        [1.0, "2", 3.0],
        [1.0, True, 3.0],
        [[1.0, 2.0, 3.0]],
        [1.0, [2.0], 3.0],
        [1.0, Opaque(type_name="Tensor"), 3.0],
        Opaque(type_name="<script>"),
        np.ones((3, 1)),
        np.ones((3, 3)),
        np.array(1.0),
        np.array(["a", "b", "c"]),
        np.array([1j, 2.0, 3.0]),
        np.array([None, 1, 2], dtype=object),
        np.zeros(0),
        lambda: 1,
    ],
    ids=lambda one: str(one)[:20],
)
def test_what_is_no_series_is_not_drawn(yours: Any) -> None:
    with pytest.raises(AssertionError):
        drawn(yours)


@pytest.mark.parametrize(
    ("yours", "kept"),
    [
        ([1, 2.5, 10**400], (1.0, 2.5, float(f"{1 << 62:.4g}"))),
        ((1.0, -0.0, 3.0), (1.0, 0.0, 3.0)),
        ([NAN, INF, -INF], (None, None, None)),
        ([1.23456789, 1e300, 5e-324], (1.235, 1e300, 5e-324)),
        (np.array([[1.0, 2.0, NAN]]), (1.0, 2.0, None)),
        (np.array([1, 2, 3], dtype=np.int8), (1.0, 2.0, 3.0)),
        (np.array([6e4, INF, 1], dtype=np.float16), (6e4, None, 1.0)),
        (np.array([True, False, True]), (1.0, 0.0, 1.0)),
    ],
)
def test_what_is_not_finite_is_left_out_and_the_rest_rounded(yours: Any, kept: tuple[float | None, ...]) -> None:
    assert drawn(yours).yours == kept


NUMBER = st.floats() | st.integers() | st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324])


@given(st.lists(NUMBER, min_size=3, max_size=3), st.sampled_from(list(Kind)), st.booleans())
def test_any_numbers_are_drawn_within_the_frame(yours: list[float], kind: Kind, log: bool) -> None:
    one = replace(drawn(yours), kind=kind, log=log and kind is not Kind.BARS)
    html = figure(one)
    assert Picture.from_json(one.to_json()) == one
    assert Page(html).active == []
    assert "nan" not in html
    assert "inf" not in html.replace("infinite", "")
    assert places(html)
    assert all(-0.1 <= across <= WIDTH + 0.1 and -0.1 <= up <= HEIGHT + 0.1 for across, up in places(html))


def places(html: str) -> list[tuple[float, float]]:
    """Every place that something of the drawing has."""
    drawing = html[html.index("<svg") : html.index("</svg>")]
    found = [pair.split(",") for group in re.findall(r'points="([^"]*)"', drawing) for pair in group.split()]
    for across, up in (("x", "y"), ("x1", "y1"), ("x2", "y2"), ("cx", "cy")):
        found += re.findall(rf' {across}="([^"]*)" {up}="([^"]*)"', drawing)
    for x, y, wide, tall in re.findall(r'x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"', drawing):
        found.append([str(float(x) + float(wide)), str(float(y) + float(tall))])
    return [(float(across), float(up)) for across, up in found]


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_a_picture_do_nothing(words: str) -> None:
    one = replace(PICTURES["points"], title=words, x=words, y=words, line_is=words)
    assert Page(figure(one)).active == []
    assert "<script" not in figure(one)


# --- what an author declares ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"band": (BAND[0], BAND[0])}, "tells the expected values"),
        ({"band": (np.array([1.0, 1.5, 2.0]), np.array([1.0001, 2.5, 9.0]))}, "tells the expected values"),
        ({"band": (BAND[1], BAND[0])}, "tells the expected values"),
        ({"band": (BAND[0], BAND[1][:2])}, "equal lengths"),
        ({"band": (np.zeros(0), np.zeros(0))}, "equal lengths"),
        ({"band": (np.zeros(MOST_PLACES + 1), np.ones(MOST_PLACES + 1))}, "at most 200"),
        ({"band": (BAND[0], np.array([2.0, INF, 3.0]))}, "must be finite"),
        ({"at": (1, 1, 2)}, "ascending"),
        ({"at": (1, 2)}, "equal lengths"),
        ({"line": ("population", (1.0,))}, "line of a picture"),
        ({"line": ("population", (1.0, NAN, 2.0))}, "line of a picture"),
        ({"log": True, "band": (np.array([0.0, 1.0, 1.0]), BAND[1])}, "must be positive"),
        ({"log": True, "line": ("population", (1.0, 0.0, 2.0))}, "line of a picture"),
    ],
)
def test_a_band_that_is_wrong_or_tells_too_much_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        drawn([1.0, 2.0, 3.0], **changed)


def test_a_band_covers_right_answers_with_a_margin() -> None:
    low, high = band_of([np.array([1.0, 4.0]), np.array([2.0, 2.0])], margin=0.5)
    assert (low.tolist(), high.tolist()) == ([0.5, 1.0], [2.5, 5.0])
    low, high = band_of([np.array([1.0]), np.array([100.0])], margin=0.5, log=True)
    assert (low.tolist(), high.tolist()) == ([pytest.approx(0.1)], [pytest.approx(1000.0)])


def test_a_measured_band_covers_every_data_file(tmp_path: Path) -> None:
    lines = ["question,test,names,place,low,high"]
    lines += ["Q1,t,a,1,1.0,2.0", "Q1,t,a,2,2.0,3.0", "Q1,t,b,1,0.5,1.5", "Q1,t,b,2,2.5,3.5", "Q1,u,b,1,9,9"]
    (tmp_path / "bands.csv").write_text("\n".join(lines), encoding="utf-8")
    low, high = measured_band(str(tmp_path / "test_x.py"), "Q1", "t")
    assert (low.tolist(), high.tolist()) == ([0.5, 2.0], [2.0, 3.5])
    with pytest.raises(ValueError, match="run `autograder calibrate`"):
        measured_band(str(tmp_path / "test_x.py"), "Q2", "t")


# --- what a page shows ------------------------------------------------------------------------------------------------


def test_the_drawings() -> None:
    html = "\n".join(f"<!-- {name} -->\n{figure(one)}" for name, one in PICTURES.items()) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(html, encoding="utf-8")
    assert html == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("yours", "said"),
    [
        ([3.0, 2.0, 2.5], "1 of your 3 values lies outside the band of right answers, above it."),
        ([0.0, 0.0, 2.5], "2 of your 3 values lie outside the band of right answers, all below it."),
        ([9.0, 0.0, 9.0], "3 of your 3 values lie outside the band of right answers, 2 above and 1 below."),
        ([NAN, 2.0, 9.0], "above it. 1 of your 3 values is NaN or infinite and not drawn."),
        ([NAN, INF, 2.5], "2 of your 3 values are NaN or infinite and not drawn."),
        ([NAN, NAN, NAN], "None of your 3 values is a finite number, so there is nothing of yours to draw."),
    ],
)
def test_the_sentence_below_a_picture(yours: Sequence[float], said: str) -> None:
    assert verdict(drawn(yours)).endswith(said)


def test_a_screen_reader_hears_where_the_values_and_the_band_begin_and_end() -> None:
    said = in_words(PICTURES["a curve that leaves the band and diverges"])
    assert said == (
        "Training loss: loss against step, from 10 to 50. Yours begin at 3.1 and end at 1e+12. "
        "Right answers begin between 3 and 3.4 and end between 2.2 and 2.6."
    )
    assert "Yours" not in in_words(drawn([NAN] * 3))


def pictured(student: str, pictures: Iterable[Picture]) -> Result:
    """A result whose first question failed tests with these pictures, and one without."""
    failing = score("Q1", {"halves_a_number": "it is wrong", "halves_an_odd_number": "this is wrong too"})
    first, second = failing.tests
    tests = [replace(first, picture=one, message=f"it is wrong {i}") for i, one in enumerate(pictures)]
    return result(student, {"Q1": replace(failing, tests=(*tests, second))})


ONE = pictured("ada", [PICTURES["points"]])


def test_a_page_shows_the_picture_of_a_failed_test_and_the_text_does_not() -> None:
    html = feedback_html(ONE, small())
    assert html.count("<figure>") == 1
    assert verdict(PICTURES["points"]) in Page(html).text
    assert "svg" not in feedback_text(ONE, small())
    assert "<figure>" not in feedback_html(result(), small())


def test_many_pictures_never_make_a_page_too_large() -> None:
    assert len(feedback_html(pictured("ada", [*PICTURES.values()] * 20), small()).encode()) < MOST_PAGE


def test_the_results_file_has_no_pictures() -> None:
    table = to_json(ONE)
    assert "picture" not in str(table)
    assert from_json(table).questions["Q1"].tests[0].picture is None


# --- from the hidden test to the page ---------------------------------------------------------------------------------

DRAWING = """
import numpy as np
from autograder.testing import Picture, bars, picture

BAND = (np.array([PLACES]) - 1.0, np.array([PLACES]) + 1.0)


def halves(observe: Observe, x: float) -> Picture:
    return bars("Halves", x="call", y="result", yours=YOURS, band=BAND)


@picture(halves)
@question("Q1", points=1, hint="Did"""


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of the smallest assignment to change."""
    shutil.copytree(finished, tmp_path / "home", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "home"


def declare(home: Path, yours: str = '[observe("halve", x=x)["returned"]]', places: str = "3.0") -> None:
    drawing = DRAWING.replace("YOURS", yours).replace("PLACES", places)
    edit(home, TESTS, '\n@question("Q1", points=1, hint="Did', drawing)


def graded(home: Path, tmp_path: Path, body: str, out: str = "out") -> Result:
    write_submission(home, tmp_path / "batch" / "ada", {"Q1": body})
    autograder(home, "grade", tmp_path / "batch", "--out", tmp_path / out)
    return all_saved(tmp_path / out)[0].result


def test_a_failed_test_has_its_picture_in_the_gradebook_and_on_the_page(home: Path, tmp_path: Path) -> None:
    declare(home)
    first = graded(home, tmp_path, "return 2 * x").questions["Q1"].tests[0]
    assert first.picture
    assert (first.picture.kind, first.picture.yours, first.picture.low) == (Kind.BARS, (12.0,), (2.0,))
    assert "picture" not in (tmp_path / "out" / "results" / "ada.json").read_text(encoding="utf-8")
    autograder(home, "feedback", "--out", tmp_path / "out")
    html = (tmp_path / "out" / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert html.count("<figure>") == 1
    edit(home, TESTS, '"Halves"', '"Half of a number"')
    autograder(home, "rescore", "--out", tmp_path / "out")
    again, anew = all_saved(tmp_path / "out"), graded(home, tmp_path, "return 2 * x", "anew")
    assert again[0].result == anew
    assert anew.questions["Q1"].tests[0].picture == replace(first.picture, title="Half of a number")


@pytest.mark.parametrize(
    ("body", "yours"),
    [
        ("return x / 2", '[observe("halve", x=x)["returned"]]'),
        ("return x / 2 + 0.5", '[observe("halve", x=x)["returned"]]'),
        ("return str(x)", '[observe("halve", x=x)["returned"]]'),
        ("return x / two", '[observe("halve", x=x)["returned"]]'),
        ("return 2 * x", '[observe("halve", x=x)["other"]]'),
        ("return 2 * x", '[observe("halve", x=1234.0)["returned"]]'),
        ("return 2 * x", '[observe("mean_of_halves", values=[1.0])["returned"]]'),
    ],
    ids=["passed", "within the band", "a text", "raises", "no such name", "not asked", "not asked of another probe"],
)
def test_no_picture_where_nothing_can_be_seen(home: Path, tmp_path: Path, body: str, yours: str) -> None:
    declare(home, yours)
    found = graded(home, tmp_path, body)
    assert [test.picture for test in found.questions["Q1"].tests] == [None, None]
    assert not [flag for flag in found.flags if flag.kind == "hidden_test_raised"]


@pytest.mark.parametrize(
    ("yours", "places", "told"),
    [
        ("undefined", "3.0", "the picture of hidden test test_half_of_an_even_number raised NameError"),
        ("[1.0]", "float('nan')", "raised ValueError: the band of a picture must be finite"),
    ],
)
def test_a_picture_that_raises_costs_nothing_and_is_told_to_staff(
    home: Path, tmp_path: Path, yours: str, places: str, told: str
) -> None:
    declare(home, yours, places)
    found = graded(home, tmp_path, "return 2 * x")
    assert found.questions["Q1"].tests[0].status is Status.FAILED
    (flag,) = (flag for flag in found.flags if flag.kind == "hidden_test_raised")
    assert told in flag.text


def test_a_picture_takes_the_parameters_of_its_test(home: Path) -> None:
    declare(home)
    edit(home, TESTS, "def halves(observe: Observe, x: float)", "def halves(observe: Observe)")
    with pytest.raises(MasterError, match="its picture cannot be called"):
        collect(load_assignment("tiny", home))


@pytest.mark.parametrize(
    ("yours", "told"),
    [
        ('[observe("halve", x=6.0)["returned"]]', "(x=-8.0) cannot be drawn for the reference (NoObservation"),
        ('[observe("halve", x=x)["returned"]]', "(x=-8.0) shows the reference outside of its band: 1 values"),
        ("undefined", "(x=6.0) cannot be drawn for the reference (NameError"),
    ],
)
def test_the_release_check_draws_the_reference(home: Path, yours: str, told: str) -> None:
    declare(home, yours)
    with Grading(load_assignment("tiny", home)) as grading:
        found = list(picture_check.pictures_show_the_reference(grading))
    assert any(told in one for one in found)


def test_a_gradebook_without_pictures_is_brought_up_to_date(tmp_path: Path, database: str) -> None:
    with open_gradebook(tmp_path, database) as gradebook:
        gradebook.save(gradebook.begin_run("grade", "{}", ""), ONE, {})
        with gradebook.writing() as connection:
            old_gradebooks.to_version_2(connection)
    with open_gradebook(tmp_path, database) as gradebook:
        (old,) = gradebook.saved()
        assert old.result.questions["Q1"].tests[0].picture is None
        gradebook.save(gradebook.begin_run("grade", "{}", ""), ONE, {})
        (new,) = gradebook.saved()
        assert new.result.questions["Q1"].tests[0].picture == PICTURES["points"]
    if not database:
        with sqlite3.connect(tmp_path / f"{FILE}.version-2") as copy:
            assert copy.execute("select count(*) from tests").fetchone() is not None
