"""Pictures of the pages over a class of 300 made from the corpus: `make screenshots` writes docs/pictures/."""

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

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
WIDTHS = (360, 800, 1280)
HEIGHT = 900
COLOURS = 64


def main() -> int:
    """Write a picture of each page at each width, light and dark."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("chromium is not installed; run `apt-get install chromium`", file=sys.stderr)
        return 2
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        write_pages(folder)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for page, path in PAGES.items():
            for width in WIDTHS:
                for scheme in ("light", "dark"):
                    view = browser.new_page(viewport={"width": width, "height": HEIGHT})
                    view.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                    view.goto((folder / path).as_uri())
                    picture = Image.open(io.BytesIO(view.screenshot())).convert("RGB")
                    small = picture.quantize(COLOURS, dither=Image.Dither.NONE)
                    small.save(PICTURES / f"{page}-{width}-{scheme}.png", optimize=True)
                    view.close()
        browser.close()
    print(f"{len(PAGES) * len(WIDTHS) * 2} pictures in {PICTURES}")
    return 0


def write_pages(folder: Path) -> None:
    """Write every page of the class."""
    class_ = lecture_class(300)
    assignment = corpus.assignment()
    write_feedback(class_[:4], assignment, folder)
    write_report(class_, assignment, folder, (), {FILE: "Similarity"})
    write_similarity(class_, assignment, corpus.reference().values(), folder)


if __name__ == "__main__":
    sys.exit(main())
