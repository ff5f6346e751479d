"""The review page, its gradebook and the files that it writes; the verb."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.cli import main
from autograder.gradebook.store import FILE, open_gradebook
from autograder.review.publish import Publisher
from tests import HOME
from tests.classroom import small
from tests.html_text import Page
from tests.kit.review.session import CLASS, Session, mark


def removed(path: Path) -> None:
    for one in path.parent.glob(f"{FILE}*"):
        one.unlink()


def damaged(path: Path) -> None:
    removed(path)
    path.write_bytes(b"not a database" * 100)


@pytest.mark.parametrize("harm", [removed, damaged])
def test_a_gradebook_that_goes_away_is_one_clear_message(tess: Session, harm: Callable[[Path], None]) -> None:
    form = tess.form("ada", comment="x")
    path = tess.folder / FILE
    kept = path.read_bytes()
    harm(path)
    before = path.read_bytes() if path.exists() else None
    answers = [
        tess.client.get("/"),
        tess.client.get("/question/Q1"),
        tess.post("/decide", form),
        mark(tess, "ada", "flag"),
    ]
    for answer in answers:
        assert answer.status_code == 503
        assert "The gradebook cannot be used" in Page(answer.text).text
        assert "may not be saved" in answer.text
        assert "Traceback" not in answer.text
    assert (path.read_bytes() if path.exists() else None) == before
    path.write_bytes(kept)
    assert tess.post("/decide", form).status_code == 200


def test_a_gradebook_by_url_that_goes_away_is_not_made_anew(folder: Path) -> None:
    url = f"sqlite:///{folder / FILE}"
    session = Session(folder, url=url)
    assert "Q1" in session.page("/")
    removed(folder / FILE)
    assert session.client.get("/").status_code == 503
    assert not (folder / FILE).exists()


def test_decisions_do_not_wait_for_a_run_that_grades_but_their_files_do(tess: Session) -> None:
    with open_gradebook(tess.folder):
        assert tess.decide("ada", points="2", comment="fine").status_code == 200
        assert "another run is writing" in tess.publisher.flush()
    assert not (tess.folder / "grades.csv").exists()
    assert tess.publisher.flush() == ""
    assert "ada,ada/n.ipynb,graded,6.0," in (tess.folder / "grades.csv").read_text()


def test_the_page_does_not_hold_the_lock(tess: Session) -> None:
    tess.item("ada")
    with open_gradebook(tess.folder) as gradebook:
        assert len(list(gradebook.saved())) == len(CLASS)


def test_files_that_an_earlier_session_could_not_write_are_written_by_the_next(tess: Session) -> None:
    for student in ("ada", "bob", "cy"):
        tess.decide(student, comment="fine")
    assert tess.publisher.flush() == ""
    results = tess.folder / "results"
    for student, second in (("ada", 0), ("bob", 4_000_000_000)):
        (results / f"{student}.json").write_text("{}")
        os.utime(results / f"{student}.json", (second, second))
    (results / "cy.json").unlink()
    following = Publisher(tess.folder, "", small())
    with open_gradebook(tess.folder, writing=False) as gradebook:
        following.catch_up(gradebook)
    assert following.flush() == ""
    assert [(results / f"{one}.json").stat().st_size > 2 for one in ("ada", "bob", "cy")] == [True, False, True]


def test_files_are_not_written_for_a_gradebook_that_is_gone(tess: Session) -> None:
    tess.decide("ada", comment="fine")
    removed(tess.folder / FILE)
    assert "no results here" in tess.publisher.flush()
    assert not (tess.folder / FILE).exists()


def test_without_the_extra_the_verb_says_how_to_install_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "autograder.review.server", raising=False)
    assert main(["review", "--out", str(folder)]) == 2
    error = capsys.readouterr().err
    assert "homework-autograder[review]" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("port", ["-1", "99999"])
def test_a_port_that_cannot_be_used_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert main(["review", "--out", str(folder), "--port", port]) == 2
    assert "the port cannot be used" in capsys.readouterr().err


def test_a_folder_without_results_is_told_before_anything_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", "--out", str(tmp_path)]) == 2
    assert "no results here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_page_needs_no_torch() -> None:
    code = "import sys, autograder.review.app, autograder.commands.review; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=HOME, check=False).returncode == 0
