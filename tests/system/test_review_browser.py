"""The review page as `autograder review` serves it, in a real browser: keys, no violation of its policy, no script."""

import importlib.util
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autograder.gradebook import overrides, reviews
from autograder.gradebook.reviews import Kind
from autograder.gradebook.store import open_gradebook
from tests import HOME
from tests.classroom import lecture_class
from tests.system.test_pages import ARGUMENTS, CHROMIUM, SCHEMES, WIDTHS, violations

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
    *(
        pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")
        for name in ("playwright", "starlette", "uvicorn", "python_multipart")
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("review")
    with open_gradebook(home) as gradebook:
        run = gradebook.begin_run("grade", "{}", "grade x")
        for one in lecture_class(40):
            gradebook.save(run, one, {})
        gradebook.end_run(run)
    return home


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The address that the verb prints; at the end it is interrupted, and has to end well."""
    command = [sys.executable, "-m", "autograder", "review", "--out", str(folder), "--by", "tess"]
    with subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.fullmatch(r"review: (http://127\.0\.0\.1:\d+/\?token=\S+) \(Ctrl\+C ends it\)\n", line)
        assert found, line
        yield found[1]
        server.send_signal(signal.SIGINT)
        rest, errors = server.communicate(timeout=60)
    assert (rest, errors, server.returncode) == ("", "", 0)
    with open_gradebook(folder, writing=False) as gradebook:
        for entry in overrides.history(gradebook):
            assert entry.undone or entry.override.comment in (folder / f"results/{entry.student}.json").read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


def watched(page: "Page", faults: list[str]) -> "Page":
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    return page


def who(page: "Page") -> str:
    return page.locator("input[name=who]").first.input_value()


def press(page: "Page", key: str) -> None:
    """Press a key that leads to another page, and wait for it."""
    with page.expect_navigation():
        page.keyboard.press(key)


def test_the_keyboard_does_it_all(browser: "Browser", address: str, folder: Path) -> None:
    faults: list[str] = []
    page = watched(browser.new_page(), faults)
    page.goto(address)
    assert "token" not in page.url
    page.click("text=B3")
    press(page, "n")
    first = who(page)
    press(page, "j")
    second = who(page)
    press(page, "k")
    assert (who(page), second != first) == (first, True)
    for key, text in (("p", "1.5"), ("c", "nearly right, j k n")):
        page.keyboard.press(key)
        page.keyboard.type(text)
        page.keyboard.press("Escape")
    press(page, "s")
    assert page.inner_text("[role=status]") == "Saved."
    with open_gradebook(folder, writing=False) as gradebook:
        (entry,) = overrides.history(gradebook)
        assert (entry.override.points, entry.override.comment) == (1.5, "nearly right, j k n")
        assert [one.kind for one in reviews.marks(gradebook, "B3")] == [Kind.REVIEWED]
    press(page, "n")
    assert who(page) == second
    press(page, "1")
    assert page.input_value("textarea") == "nearly right, j k n"
    press(page, "r")
    assert who(page) not in (first, second)
    page.keyboard.press("f")
    assert page.is_visible("input[name=note]")
    page.keyboard.press("c")
    page.keyboard.type("well")
    press(page, "Control+Enter")
    with open_gradebook(folder, writing=False) as gradebook:
        assert [one.override.comment for one in overrides.history(gradebook)] == ["nearly right, j k n", "well"]
    assert faults == []
    page.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pages_fit_and_have_no_serious_fault(browser: "Browser", address: str, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    faults: list[str] = []
    page = watched(context.new_page(), faults)
    page.goto(address)
    home = page.url
    for path in ("", "question/B3", "question/B3/next?order=group"):
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(home + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert faults == []
        assert violations(page) == []
        faults.clear()
    page.click("text=All answers of this student")
    assert violations(page) == []
    page.go_back()
    for _ in range(40):  # which answers behave the same follows from what the corpus holds
        if page.is_visible("text=Preview for all"):
            break
        press(page, "n")
    page.fill("textarea", "for all")
    page.click("text=Preview for all")
    assert violations(page) == []
    context.close()


def test_it_works_without_script(browser: "Browser", address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    page.click("text=B5")
    page.click("text=All in random order")
    assert not page.is_visible("#keys")
    page.fill("input[name=points]", "1")
    page.fill("textarea", "without script")
    page.click("text=Save")
    assert "1 points by tess" in page.inner_text(".history")
    page.click(".history >> text=Undo")
    assert page.inner_text("[role=status]") == "Undone; it stays in the history."
    context.close()


def test_a_script_that_gets_into_a_page_does_not_run(browser: "Browser", address: str) -> None:
    faults: list[str] = []
    page = watched(browser.new_page(), faults)
    page.goto(address)
    page.evaluate("""async () => {
      const script = document.createElement("script");
      script.textContent = "document.title = 'owned'";
      document.body.append(script);
      const bad = document.createElement("div");
      bad.innerHTML = "<img src=x onerror='document.title=1'>";
      const failed = new Promise((resolve) => bad.firstChild.addEventListener("error", resolve));
      document.body.append(bad);
      await failed;
    }""")
    assert page.title().startswith("Review")
    assert any("Content Security Policy" in one for one in faults)
    page.close()
