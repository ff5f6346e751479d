"""Pictures of the pages over a class of 300 made from the corpus: `make screenshots` writes docs/pictures/."""

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urljoin

from PIL import Image
from playwright.sync_api import sync_playwright

from autograder.gradebook.store import open_gradebook
from autograder.reports.feedback import write_feedback
from autograder.reports.report import write_report
from autograder.reports.side_by_side import FILE, write_similarity
from tests import HOME, corpus
from tests.classroom import lecture_class

PICTURES = HOME / "docs" / "pictures"
PAGES = {
    "feedback": "feedback/s0001.html",
    "report": "report/index.html",
    "question": "report/question-B3.html",
    "similarity": f"report/{FILE}",
}
REVIEW = "/question/B3/next?order=group"
STUDENTS = 300
WIDTHS = (360, 800, 1280)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
HEIGHT = 900
COLOURS = 64


def main() -> int:
    """Write a picture of each page at each width, light and dark."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("chromium is not installed; run `apt-get install chromium`", file=sys.stderr)
        return 2
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright, reviewed(Path(name)) as review:
        write_pages(Path(name))
        addresses = {page: (Path(name) / path).as_uri() for page, path in PAGES.items()}
        addresses["review"] = urljoin(review, REVIEW)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for width in WIDTHS:
            for scheme in SCHEMES:
                context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
                view = context.new_page()
                view.goto(review)  # exchanges the token for a cookie
                for page, address in addresses.items():
                    view.goto(address)
                    save(view.screenshot(), PICTURES / f"{page}-{width}-{scheme}.png")
                context.close()
        browser.close()
    print(f"{len(addresses) * len(WIDTHS) * len(SCHEMES)} pictures in {PICTURES}")
    return 0


@contextmanager
def reviewed(folder: Path) -> Iterator[str]:
    """Serve the review page over a class; its address."""
    with open_gradebook(folder) as gradebook:
        run = gradebook.begin_run("grade", "{}", "grade")
        for result in lecture_class(STUDENTS):
            gradebook.save(run, result, {})
        gradebook.end_run(run)
    command = [sys.executable, "-m", "autograder", "review", "--out", str(folder), "--by", "a TA"]
    with subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None or (found := re.search(r"http://\S+", server.stdout.readline())) is None:
            raise RuntimeError("`autograder review` printed no address")
        yield found[0]
        server.terminate()


def save(picture: bytes, path: Path) -> None:
    """Write a picture with few colours."""
    small = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def write_pages(folder: Path) -> None:
    """Write every page of the class."""
    class_ = lecture_class(STUDENTS)
    assignment = corpus.assignment()
    write_feedback(class_[:4], assignment, folder)
    write_report(class_, assignment, folder, (), {FILE: "Similarity"})
    write_similarity(class_, assignment, corpus.reference().values(), folder)


if __name__ == "__main__":
    sys.exit(main())
