"""The upload to Canvas against a fake one: paging, refusals, failures in the middle, and a token that nobody sees."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.cli import main
from autograder.errors import UsageError
from autograder.gradebook.store import open_gradebook
from autograder.platforms import canvas_upload
from autograder.platforms.canvas_upload import CanvasAssignment, CanvasGone, Posting, read_token
from autograder.results import LmsIdentity, Override, QuestionScore, Result, Status, Student, SubmissionStatus
from tests.fake_canvas import PAGE, TOKEN, FakeCanvas, serving, submission

COUNT = 2 * PAGE + 5
PAGE_OF = "/courses/7/assignments/42"


def result(number: int, *, lms: bool = True, status: str = "graded", points: float | None = None) -> Result:
    score = QuestionScore(
        computed=number + 0.5 if points is None else points,
        max_points=100,
        status=Status.FAILED,
        dependencies="own",
        tests=(),
    )
    identity = LmsIdentity(system="canvas", user=str(number)) if lms else None
    return Result(
        student=Student(id=f"s{number}", name=f"Name {number}", lms=identity),
        submission="x",
        sha256="1",
        assignment="hw",
        version="1",
        status=SubmissionStatus(status),
        max_points=100,
        questions={"B1": score},
    )


@pytest.fixture
def canvas() -> Iterator[FakeCanvas]:
    with serving(FakeCanvas(submissions={number: submission(number) for number in range(1, COUNT + 1)})) as opened:
        yield opened


RESULTS = [result(number) for number in range(1, COUNT + 1)]
WANTED = [(number, f"{number + 0.5:.2f}") for number in range(1, COUNT + 1)]


def upload(canvas: FakeCanvas, waits: list[float] | None = None) -> dict[str, str]:
    opened = CanvasAssignment(canvas.address + PAGE_OF, TOKEN, (waits if waits is not None else []).append)
    return {posting.student: why for posting, why in opened.post(opened.compare(RESULTS, {}).postings)}


def test_every_page_is_read_and_everyone_is_posted_once(canvas: FakeCanvas) -> None:
    assert set(upload(canvas).values()) == {""}
    assert canvas.puts == WANTED
    assert len([one for one in canvas.asked if one.startswith("GET") and "/submissions?" in one]) == 3
    canvas.puts.clear()
    assert upload(canvas) == {}
    assert canvas.puts == []


@pytest.mark.parametrize("trouble", ["busy", "busy 403", "fails", "lost"])
def test_trouble_in_the_middle_costs_time_and_nothing_is_posted_twice(canvas: FakeCanvas, trouble: str) -> None:
    canvas.trouble = {7: trouble, 8: "busy" if trouble == "busy" else ""}
    waits: list[float] = []
    assert set(upload(canvas, waits).values()) == {""}
    assert canvas.puts == WANTED
    assert waits == list(canvas_upload.PATIENCE[: 2 if trouble == "busy" else 1])


def test_refusals_while_reading(canvas: FakeCanvas) -> None:
    canvas.busy_reads = 2
    waits: list[float] = []
    assert set(upload(canvas, waits).values()) == {""}
    assert waits == list(canvas_upload.PATIENCE[:2])


def test_one_refused_student_stops_nobody(canvas: FakeCanvas) -> None:
    canvas.trouble = {3: "refused", 4: "refused", 5: "refused"}
    outcome = upload(canvas)
    assert [student for student, why in outcome.items() if why] == ["s3", "s4", "s5"]
    assert "Canvas refuses (no …)" in outcome["s3"]
    assert len(canvas.puts) == COUNT - 3


def test_a_server_that_is_gone_is_given_up_and_the_next_run_goes_on(canvas: FakeCanvas) -> None:
    canvas.trouble = dict.fromkeys(range(11, 1000), "fails")
    outcome = upload(canvas)
    assert list(outcome.values())[:10] == [""] * 10
    assert list(outcome.values())[10:12] == ["Canvas failed (Encountered an error: status code 502)"] * 2
    assert list(outcome.values())[12:] == ["not tried"] * (COUNT - 12)
    canvas.trouble.clear()
    assert list(upload(canvas)) == [f"s{number}" for number in range(11, COUNT + 1)]
    assert canvas.puts == WANTED


def test_a_canvas_that_never_answers_is_one_error(canvas: FakeCanvas) -> None:
    canvas.busy_reads = 1000
    with pytest.raises(CanvasGone, match="rate limit"):
        upload(canvas)


def test_who_is_left_as_they_are(canvas: FakeCanvas) -> None:
    canvas.points_possible = 50
    canvas.submissions = {
        1: submission(1, score=1.5),
        2: submission(2, excused=True),
        3: submission(3, score=1.0, entered_score=3.5),
        4: submission(4),
        5: submission(5),
        6: submission(6, sis="s6"),
        8: submission(8),
        10: submission(10),
    }
    by_hand = Override(points=7.5, comment="read on paper", by="tess", at="now", computed=0.0)
    results = [replace(result(10, status="unreadable"), override=by_hand)]
    results += [*RESULTS[:3], result(4, status="unreadable"), result(5, status="not_submitted")]
    results += [result(6, lms=False), result(7), result(9, lms=False)]
    opened = CanvasAssignment(canvas.address + PAGE_OF, TOKEN)
    found = opened.compare(results, {"s6": 5.25})
    assert found.postings == [
        Posting(student="s6", user="6", before=None, points=5.25),
        Posting(student="s10", user="10", before=None, points=7.5),
    ]
    assert (found.same, found.kept) == (["s1", "s3"], ["s2 (excused)"])
    assert (found.unreadable, found.absent) == (["s4"], ["s5"])
    assert (found.without, found.unknown) == (["Name 8"], ["s7", "s9"])
    assert found.warnings == ["in Canvas the maximum is 50, that of the results 100"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    with open_gradebook(tmp_path / "out") as gradebook:
        run = gradebook.begin_run("grade", "{}", "grade")
        for one in RESULTS[:12]:
            gradebook.save(run, one, {})
    return tmp_path / "out"


def command(canvas: FakeCanvas, out: Path, *more: str) -> list[str]:
    return ["export", "--to", "canvas", "--upload", canvas.address + PAGE_OF, "--out", str(out), *more]


def test_the_verb_shows_first_and_posts_when_asked(
    canvas: FakeCanvas, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CANVAS_TOKEN", TOKEN)
    assert main(command(canvas, out)) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "Homework 6 (Deep Learning): 12 to post, 13 in Canvas but not in the results"
    assert "s1: — -> 1.5" in shown
    assert shown[-1] == "nothing was posted; add --yes to post"
    assert canvas.puts == []
    assert main(command(canvas, out, "--yes")) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("Homework 6 (Deep Learning): 12 posted, ")
    assert sorted(canvas.puts) == WANTED[:12]


def test_a_failed_student_is_exit_code_1(
    canvas: FakeCanvas, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CANVAS_TOKEN", TOKEN)
    canvas.trouble = {2: "refused"}
    assert main(command(canvas, out, "--yes")) == 1
    shown = capsys.readouterr().out
    assert "11 posted, 1 failed" in shown
    assert "(failed: Canvas refuses (no …))" in shown
    assert shown.endswith("run the same command again: it posts only what is not there yet\n")


def test_the_token_is_in_no_output_and_no_file(
    canvas: FakeCanvas, out: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    canvas.trouble = {2: "refused", 3: "fails"}
    with caplog.at_level("DEBUG"):
        main([*command(canvas, out, "--yes", "--token-file", str(tmp_path / "token")), "--verbose"])
    shown = capfd.readouterr()
    assert "posted" in shown.out
    for text in (shown.out, shown.err, caplog.text):
        assert TOKEN not in text
        assert TOKEN[-4:] not in text
    assert not [path for path in out.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://canvas.example.edu/courses/7/assignments/42", "without encryption"),
        ("https://canvas.example.edu/courses/7", "not the address of an assignment"),
        ("courses/7/assignments/42", "not the address of an assignment"),
        ("https://me:pw@canvas.example.edu/courses/7/assignments/42", "not the address of an assignment"),
    ],
)
def test_a_wrong_address_sends_nothing(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CanvasAssignment(address, TOKEN)


def test_a_wrong_token_or_course_is_one_line(canvas: FakeCanvas) -> None:
    with pytest.raises(UsageError, match="refuses the access token"):
        CanvasAssignment(canvas.address + PAGE_OF, "other")
    with pytest.raises(UsageError, match="refuses"):
        CanvasAssignment(canvas.address + "/courses/8/assignments/42?module_item_id=3", TOKEN)


@pytest.mark.parametrize("text", ["", " \n", "two words", "wörd"])
def test_what_is_no_token(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(UsageError, match="token") as error:
        read_token(tmp_path / "token", {"CANVAS_TOKEN": TOKEN})
    assert text.strip() == "" or text not in str(error.value)
    assert read_token(None, {"CANVAS_TOKEN": f" {TOKEN} "}) == TOKEN


@pytest.mark.parametrize(
    "options",
    [
        ["--to", "canvas"],
        ["--to", "canvas", "--template", "x.csv"],
        ["--to", "canvas", "--template", "x.csv", "--write", "y.csv", "--upload", "https://x/courses/1/assignments/2"],
        ["--to", "moodle", "--upload", "https://x/courses/1/assignments/2"],
        ["--to", "csv", "--template", "x.csv", "--write", "y.csv", "--with-late"],
    ],
)
def test_options_that_do_not_fit(out: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--out", str(out), *options]) == 2
    assert capsys.readouterr().err.count("\n") == 1
