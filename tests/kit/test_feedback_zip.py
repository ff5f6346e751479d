"""Feedback for the LMS: each file is named so that the LMS finds its owner, by the LMS's own rules."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.platforms.feedback_zip import FeedbackZip, feedback_zip
from autograder.results import Result, Student, SubmissionStatus
from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.roster import read_roster
from tests import downloads
from tests.downloads import NOTEBOOKS, PRESENT, Files, notebook, write, zipped

WANTED = Wanted(notebooks=NOTEBOOKS)


def results_of(folder: Path, files: Files, *, roster: bool = False) -> list[Result]:
    people = read_roster(downloads.roster(folder / "roster.csv")) if roster else ()
    intake = take_in([zipped(folder / "download.zip", files)], WANTED, people)
    return [result(student) for one in intake.hand_ins for student in one.students]


def result(student: Student) -> Result:
    return Result(
        student=student,
        submission="x",
        sha256="1",
        assignment="hw",
        version="1",
        status=SubmissionStatus.GRADED,
        max_points=1,
    )


def pages(results: list[Result]) -> dict[str, bytes]:
    return {one.student.id: f"<p>{one.student.id}".encode() for one in results}


def members(made: FeedbackZip) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def canvas_owner(name: str) -> tuple[str, str]:
    """Return the user and the attachment that Canvas reads from a file's name."""
    parts = [part for part in name.split("/")[-1].split("_") if part != "LATE"]
    if parts[0] == "anon":
        return parts[1], parts[2]
    numbers = [part for part in parts if part.isdigit()]
    return numbers[0], numbers[1]


def moodle_owner(path: str) -> tuple[str, str]:
    """Return the participant and the file's name that Moodle reads from a path."""
    folder, _, name = path.partition("/")
    parts = folder.split("_", 4)
    assert len(parts) >= 4
    assert parts[1].isdigit()
    assert parts[2:4] == ["assignsubmission", "file"]
    assert not name.startswith((".", "~"))
    return parts[1], name


@pytest.mark.parametrize("roster", [False, True], ids=["without roster", "with roster"])
def test_canvas_finds_every_owner(tmp_path: Path, roster: bool) -> None:
    results = results_of(tmp_path, downloads.canvas(), roster=roster)
    made = feedback_zip("canvas", results, pages(results))
    assert (made.files, made.without) == (len(PRESENT), ())
    attachments = {canvas_owner(name) for name in downloads.canvas()}
    owners = {canvas_owner(name): page for name, page in members(made).items()}
    assert set(owners) <= attachments
    ids = {one.student.lms.user: one.student.id for one in results if one.student.lms}
    assert {user: page for (user, _), page in owners.items()} == {
        user: f"<p>{student}".encode() for user, student in ids.items()
    }
    stems = {
        name.rsplit(f"_{attachment}_", 1)[0] for name in downloads.canvas() for _, attachment in [canvas_owner(name)]
    }
    assert {name.rsplit("_", 2)[0] for name in members(made)} == stems


def test_canvas_of_anonymous_students(tmp_path: Path) -> None:
    results = results_of(tmp_path, downloads.canvas(anonymous=True))
    made = feedback_zip("canvas", results, pages(results))
    assert {canvas_owner(name)[0] for name in members(made)} == {downloads.anonymous_id(one) for one in PRESENT}
    assert {canvas_owner(name) for name in members(made)} <= {
        canvas_owner(name) for name in downloads.canvas(anonymous=True)
    }


@pytest.mark.parametrize("form", [{}, {"flat": True}, {"old": True}, {"blind": True}], ids=str)
def test_moodle_finds_every_owner(tmp_path: Path, form: dict[str, bool]) -> None:
    results = results_of(tmp_path, downloads.moodle(**form))
    made = feedback_zip("moodle", results, pages(results))
    assert (made.files, made.without) == (len(PRESENT), ())
    assert {moodle_owner(name) for name in members(made)} == {(one.user, "feedback.html") for one in PRESENT}
    pages_of = {moodle_owner(name)[0]: page for name, page in members(made).items()}
    assert all(pages_of[one.student.lms.user] == pages([one])[one.student.id] for one in results if one.student.lms)


def test_a_name_that_breaks_moodles_fields(tmp_path: Path) -> None:
    """A group may have an underscore in its name; only the id is read."""
    write(tmp_path / "s", {"Team_1 a_77_assignsubmission_file/batchnorm.ipynb": notebook("x")})
    (one,) = take_in([tmp_path / "s"], WANTED).hand_ins
    made = feedback_zip("moodle", [result(one.students[0])], {one.students[0].id: b"x"})
    assert [moodle_owner(name) for name in members(made)] == [("77", "feedback.html")]


@pytest.mark.parametrize("system", ["canvas", "moodle"])
def test_a_group_gets_one_file(tmp_path: Path, system: str) -> None:
    name = "team1_77_10_batchnorm.ipynb" if system == "canvas" else "Team 1_77_assignsubmission_file/batchnorm.ipynb"
    (tmp_path / "r.csv").write_text("id,name,group\nada,Ada,Team 1\nbob,Bob,Team 1\n")
    write(tmp_path / "s", {name: notebook("x")})
    intake = take_in([tmp_path / "s"], WANTED, read_roster(tmp_path / "r.csv"))
    results = [result(student) for one in intake.hand_ins for student in one.students]
    assert [one.student.id for one in results] == ["ada", "bob"]
    assert (
        members(feedback_zip(system, results, {"bob": b"b"})).keys()
        == members(feedback_zip(system, results, pages(results))).keys()
    )
    assert list(members(feedback_zip(system, results, pages(results))).values()) == [b"<p>ada"]


def test_who_has_no_file_in_the_lms_is_listed(tmp_path: Path) -> None:
    files = downloads.canvas() | {"example_99_text.html": b"<p>sorry"}
    results = results_of(tmp_path, files)
    results.append(result(Student(id="walk-in")))
    made = feedback_zip("canvas", results, pages(results))
    assert made.without == (
        ("example_99", "Canvas has no file of theirs to attach feedback to"),
        ("walk-in", "was not handed in over Canvas"),
    )
    assert made.files == len(PRESENT)


def test_who_has_no_page_is_left_out_and_bytes_are_the_same_in_any_order(tmp_path: Path) -> None:
    results = results_of(tmp_path, downloads.canvas())
    some = {one.student.id: b"x" for one in results[:3]}
    made = feedback_zip("canvas", results, some)
    assert (made.files, made.without) == (3, ())
    assert feedback_zip("canvas", reversed(results), some) == made


def test_a_result_of_an_earlier_kit_has_no_stem(tmp_path: Path) -> None:
    (first, *_) = results_of(tmp_path, downloads.canvas())
    assert first.student.lms is not None
    old = replace(first, student=replace(first.student, lms=replace(first.student.lms, stem="")))
    assert feedback_zip("canvas", [old], pages([old])).files == 0
