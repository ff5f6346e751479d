"""Pages in a real browser: nothing leaves them, nothing breaks, they fit a phone, and the table filters and sorts."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autograder.gradebook.changes import Change
from autograder.reports.feedback import write_feedback
from autograder.reports.report import write_report
from autograder.reports.side_by_side import write_similarity
from tests import HOME, corpus
from tests.classroom import HOSTILE, lecture_class, result, small
from tests.content.test_feedback import hostile, varied
from tests.kit.test_pictures import PICTURES, pictured

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = HOME / "tests" / "vendor" / "axe.min.js"
WIDTHS = (360, 800, 1280)
SCHEMES = ("light", "dark")
PAGES = (
    "feedback/s0005.html",
    "feedback/s0040.html",
    "feedback/ada.html",
    "feedback/pia.html",
    "report/index.html",
    "report/question-B3.html",
    "report/similarity.html",
)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a class of 60, and feedback full of hostile text."""
    home = tmp_path_factory.mktemp("pages")
    class_ = lecture_class(60)
    changes = [Change(student="s0003", question="B3", before=1.0, after=2.0, why="tests")]
    write_feedback(class_, corpus.assignment(), home)
    write_feedback([varied(), pictured("pia", PICTURES.values())], small(), home)
    write_report(class_, corpus.assignment(), home, changes, {"similarity.html": "Similarity"})
    write_similarity(class_[:15], corpus.assignment(), corpus.reference().values(), home)
    return home


class Watched:
    """A page that remembers what it asked for and what went wrong."""

    def __init__(self, page: "Page", path: Path) -> None:
        self.page = page
        self.requests: list[str] = []
        self.faults: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.faults.append(message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        page.goto(path.as_uri())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_nothing_fits_and_has_no_serious_fault(
    browser: "Browser", folder: Path, name: str, scheme: str
) -> None:
    for width in WIDTHS:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        watched = Watched(page, folder / name)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert watched.requests == [(folder / name).as_uri()]
        assert watched.faults == []
        if width == WIDTHS[0]:
            assert violations(page) == []
        page.close()


def violations(page: "Page") -> list[str]:
    """What axe-core calls serious or critical."""
    page.evaluate("document.querySelectorAll('#table tbody tr:nth-child(n+6)').forEach(row => row.remove())")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })")
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_runs_nowhere(browser: "Browser", tmp_path: Path, text: str) -> None:
    class_ = [hostile(text), result("bob", {"Q1": hostile(text).questions["Q1"]}, name=text)]
    write_feedback(class_, small(), tmp_path)
    write_report(class_, small(), tmp_path)
    write_similarity(class_, small(), (), tmp_path)
    for path in [*tmp_path.glob("feedback/*.html"), *tmp_path.glob("report/*.html")]:
        page = browser.new_page()
        watched = Watched(page, path)
        assert watched.faults == []
        assert watched.requests == [path.as_uri()]
        assert page.title() not in ("owned", "1")
        page.close()


@pytest.fixture
def table(browser: "Browser", folder: Path) -> Iterator["Page"]:
    page = browser.new_page()
    Watched(page, folder / "report" / "index.html")
    yield page
    page.close()


def shown(page: "Page") -> list[str]:
    rows: list[str] = page.eval_on_selector_all(
        "#table tbody tr", "rows => rows.filter(row => row.offsetParent).map(row => row.cells[0].textContent)"
    )
    return rows


CLASS = {one.student.id: one for one in lecture_class(60)}
FILTERS = {
    "B4 < 9": {key for key, one in CLASS.items() if "B4" in one.questions and one.questions["B4"].points < 9},
    "b4>=9 and late": {
        key for key, one in CLASS.items() if "B4" in one.questions and one.questions["B4"].points >= 9 and one.late
    },
    "flag": {key for key, one in CLASS.items() if one.flags},
    "overridden": {"s0005", "s0042"},
    "not-submitted": {"s0040"},
    "s0040": {"s0040"},
    "example s005": {"s0056"},
    "": set(CLASS),
    "nobody is called this": set(),
    "B99 < 3": set(),
}


@pytest.mark.parametrize("text", FILTERS)
def test_the_table_filters(table: "Page", text: str) -> None:
    table.fill("#filter", text)
    assert set(shown(table)) == FILTERS[text]
    said = table.inner_text("#shown")
    assert said == ("There is no column b99." if "B99" in text else f"{len(FILTERS[text])} of 60 students")


def test_the_table_sorts_by_number_both_ways_and_keeps_empty_cells_last(table: "Page") -> None:
    totals = {key: one.total for key, one in CLASS.items() if one.questions}
    for direction in (1, -1):
        table.click("th[data-key=total] button")
        order = shown(table)
        numbers = [totals[key] for key in order[: len(totals)]]
        assert numbers == sorted(numbers, reverse=direction < 0)
        assert set(order[len(totals) :]) == set(CLASS) - set(totals)
    assert table.get_attribute("th[data-key=total]", "aria-sort") == "descending"


def test_without_script_the_table_is_whole_and_has_no_dead_controls(browser: "Browser", folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "report" / "index.html").as_uri())
    assert page.locator("#table tbody tr").count() == 60
    assert not page.locator("#filter").is_visible()
    assert page.locator("button").count() == 0
    context.close()


def test_links_of_the_table_lead_to_feedback(table: "Page") -> None:
    table.click("#table tbody tr:nth-child(6) a")
    assert "Feedback for" in table.inner_text("h1")


@pytest.mark.parametrize(("name", "most"), [("ada", 1), ("pia", 2), ("s0003", 2)])
def test_feedback_prints_on_few_pages(browser: "Browser", folder: Path, name: str, most: int) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto((folder / "feedback" / f"{name}.html").as_uri())
    assert 1 <= page.pdf(format="A4").count(b"/Type /Page\n") <= most
    page.close()
