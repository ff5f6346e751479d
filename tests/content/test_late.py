"""The late policy: read from assignment.toml, counted in minutes that pass, reported in grades.csv."""

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autograder.assignment import Assignment, LatePolicy
from autograder.assignment_file import load_assignment
from autograder.errors import MasterError, UsageError
from autograder.gradebook import run as runs
from autograder.gradebook.late import deduction
from autograder.gradebook.store import open_gradebook
from autograder.platforms.times import iso_time
from autograder.results import QuestionScore, Result, Status, Student, SubmissionStatus
from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.roster import read_roster
from tests import corpus, downloads
from tests.downloads import notebook, write

TOML = (corpus.assignment().toml).read_text(encoding="utf-8")
BERLIN = 'deadline = 2026-11-20T23:59:00\nzone = "Europe/Berlin"'
POLICY = "grace_minutes = 15\npercent_per_day = 10\nmost_percent = 50\ncutoff_minutes = 14400\n"


def load(home: Path, lines: str) -> Assignment:
    folder = home / "solutions" / "hw"
    folder.mkdir(parents=True)
    (folder / "assignment.toml").write_text(f"{TOML}\n[late]\n{lines}\n", encoding="utf-8")
    return load_assignment("hw", home)


def policy(home: Path, lines: str) -> LatePolicy:
    late = load(home, lines).late
    assert late is not None
    return late


def result(submitted: str | None, student: Student | None = None, points: float = 10) -> Result:
    score = QuestionScore(computed=points, max_points=10, status=Status.FAILED, dependencies="own", tests=())
    return Result(
        student=student or Student(id="ada"),
        submission="x",
        sha256="1",
        assignment="hw",
        version="1",
        status=SubmissionStatus.GRADED,
        max_points=10,
        questions={"B1": score},
        submitted=submitted,
    )


@pytest.mark.parametrize(
    ("lines", "deadline"),
    [
        (BERLIN, datetime(2026, 11, 20, 22, 59, tzinfo=UTC)),
        ("deadline = 2026-11-20T23:59:00+01:00", datetime(2026, 11, 20, 22, 59, tzinfo=UTC)),
        ("deadline = 2026-11-20T23:59:00Z", datetime(2026, 11, 20, 23, 59, tzinfo=UTC)),
        ('deadline = 2026-07-20T23:59:00\nzone = "America/New_York"', datetime(2026, 7, 21, 3, 59, tzinfo=UTC)),
        ('deadline = 2026-07-20T00:00:00\nzone = "Asia/Kolkata"', datetime(2026, 7, 19, 18, 30, tzinfo=UTC)),
    ],
)
def test_a_deadline_has_a_zone(tmp_path: Path, lines: str, deadline: datetime) -> None:
    assert policy(tmp_path, lines) == LatePolicy(deadline=deadline)


def test_every_value_is_read(tmp_path: Path) -> None:
    late = policy(tmp_path, f"{BERLIN}\n{POLICY}")
    assert (late.grace_minutes, late.percent_per_day, late.most_percent, late.cutoff_minutes) == (15, 10, 50, 14400)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("grace_minutes = 5", "late.deadline is missing"),
        ("deadline = 2026-11-20T23:59:00", "no time zone"),
        ('deadline = "tomorrow"', "late.deadline is not a date with a time"),
        ("deadline = 2026-11-20", "late.deadline is not a date with a time"),
        ('deadline = 2026-11-20T23:59:00\nzone = "Europe/Nowhere"', "not a known time zone"),
        ('deadline = 2026-11-20T23:59:00\nzone = "../../etc/passwd"', "not a known time zone"),
        ('deadline = 2026-11-20T23:59:00Z\nzone = "Europe/Berlin"', "a zone of its own already"),
        ('deadline = 2026-10-25T02:30:00\nzone = "Europe/Berlin"', "occurs twice or never"),
        ('deadline = 2026-03-29T02:30:00\nzone = "Europe/Berlin"', "occurs twice or never"),
        (f"{BERLIN}\npercent_per_day = 101", "late.percent_per_day is 101"),
        (f"{BERLIN}\nmost_percent = -1", "late.most_percent is -1"),
        (f"{BERLIN}\ngrace_minutes = 10\ncutoff_minutes = 5", "ends before the grace period"),
        (f"{BERLIN}\ngrace = 10", "unknown key late.grace"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(MasterError, match=message) as error:
        load(tmp_path, lines)
    assert int(error.value.where.rpartition(":")[2]) > TOML.count("\n")


@pytest.mark.parametrize(
    ("submitted", "extension", "points"),
    [
        pytest.param("2026-11-20T23:59:00+01:00", 0, 0, id="exactly at the deadline"),
        pytest.param("2026-11-20T22:59:00+00:00", 0, 0, id="exactly at the deadline, in another zone"),
        pytest.param("2026-11-20T17:59:00-05:00", 0, 0, id="exactly at the deadline, west of it"),
        pytest.param("2026-11-21T00:14:00+01:00", 0, 0, id="at the end of the grace period"),
        pytest.param("2026-11-21T00:14:01+01:00", 0, 1, id="a second after it"),
        pytest.param("2026-11-21T23:59:00+01:00", 0, 1, id="a day"),
        pytest.param("2026-11-21T23:59:01+01:00", 0, 2, id="a day and a second"),
        pytest.param("2026-11-29T23:59:00+01:00", 0, 5, id="the most that is taken off"),
        pytest.param("2026-11-30T23:59:01+01:00", 0, 10, id="after the cutoff"),
        pytest.param("2026-11-21T23:59:00+01:00", 1440, 0, id="within an extension"),
        pytest.param("2026-11-22T00:30:00+01:00", 1440, 1, id="after an extension"),
    ],
)
def test_what_is_taken_off(tmp_path: Path, submitted: str, extension: float, points: float) -> None:
    late = policy(tmp_path, f"{BERLIN}\n{POLICY}")
    found = deduction(late, result(submitted, Student(id="ada", extension_minutes=extension)))
    assert found is not None
    assert (found.points, found.unknown) == (points, False)


@pytest.mark.parametrize(
    ("submitted", "days"),
    [
        pytest.param("2026-10-25T22:59:00+01:00", 1, id="the day with 25 hours"),
        pytest.param("2026-10-25T23:59:00+01:00", 2, id="the same time on the clock, an hour later"),
    ],
)
def test_minutes_pass_while_clocks_change(tmp_path: Path, submitted: str, days: int) -> None:
    late = policy(tmp_path, 'deadline = 2026-10-24T23:59:00\nzone = "Europe/Berlin"\npercent_per_day = 10')
    found = deduction(late, result(submitted))
    assert found is not None
    assert found.points == days


@pytest.mark.parametrize("submitted", [None, "2026-11-25T10:00:00"], ids=["unknown", "without zone"])
def test_an_unknown_time_costs_nothing_and_says_so(tmp_path: Path, submitted: str | None) -> None:
    found = deduction(policy(tmp_path, f"{BERLIN}\n{POLICY}"), result(submitted))
    assert found is not None
    assert (found.points, found.unknown) == (0, True)
    assert found.reason.startswith("the time of submission ")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("", 0), ("90", 90), ("90 min", 90), ("36 h", 2160), ("1.5 hours", 90), ("2 Days", 2880), ("1 Tag", 1440)],
)
def test_an_extension_in_the_roster(tmp_path: Path, text: str, minutes: float) -> None:
    (tmp_path / "r.csv").write_text(f"id,name,Extension\nada,Ada,{text}\n")
    (one,) = read_roster(tmp_path / "r.csv")
    assert one.extension_minutes == minutes


@pytest.mark.parametrize("text", ["soon", "2 moons", "-5", "2026-11-25"])
def test_an_extension_that_is_no_length_of_time(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.csv").write_text(f"id,name,Extension\nada,Ada,{text}\n")
    with pytest.raises(UsageError, match="the extension of ada is no length of time"):
        read_roster(tmp_path / "r.csv")


def test_a_group_is_late_together_but_extensions_are_personal(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(
        "id,name,group,extension,LMS id,Last modified (submission)\n"
        'ada,Ada A,Team 1,2 days,1,"Saturday, 21 November 2026, 11:59 PM"\n'
        "bob,Bob B,Team 1,,2,\n"
        "eve,Eve E,,,3,\n"
    )
    write(tmp_path / "s", {"Team 1_77_assignsubmission_file/batchnorm.ipynb": notebook("x")})
    intake = take_in([tmp_path / "s"], Wanted(notebooks=("batchnorm",)), read_roster(tmp_path / "r.csv"))
    (hand_in,) = intake.hand_ins
    assert [(one.id, one.extension_minutes) for one in hand_in.students] == [("ada", 2880), ("bob", 0)]
    late = policy(tmp_path, "deadline = 2026-11-20T00:00:00Z\npercent_per_day = 10\nmost_percent = 30")
    taken = {one.id: deduction(late, result(hand_in.load().submitted, one)) for one in hand_in.students}
    assert taken["bob"] is not None
    assert taken["ada"] is not None
    assert hand_in.submitted is not None
    assert taken["bob"].points > taken["ada"].points


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def test_grades_csv_has_points_with_and_without_lateness(tmp_path: Path) -> None:
    assignment = replace(corpus.assignment(), late=policy(tmp_path, f"{BERLIN}\n{POLICY}"))
    with open_gradebook(tmp_path / "out") as gradebook:
        run = runs.begin(gradebook, assignment, assignment.questions, {}, "grade")
        for student, submitted in (("ada", "2026-11-21T12:00:00+01:00"), ("bob", None)):
            gradebook.save(run.id, result(submitted, Student(id=student)), {})
        run.end(tmp_path / "out", finished=True)
    ada, bob = table(tmp_path / "out").values()
    assert (ada["total"], ada["deduction"], ada["total_with_late"]) == ("10.0", "1.0", "9.0")
    assert ada["deduction_reason"] == "12.0 h late: 10 percent"
    assert (bob["deduction"], bob["deduction_reason"]) == ("0.0", "the time of submission is unknown")


def test_a_late_roster_reaches_results_of_an_earlier_run(tmp_path: Path) -> None:
    """The extension and the time are of no concern to the points, so nothing is graded again."""
    files = {"example_1_10_batchnorm.ipynb": notebook("x")}
    write(tmp_path / "s", files)
    assignment, wanted = corpus.assignment(), Wanted(notebooks=("batchnorm",))
    rosters = ["id,name,LMS id,extension\nada,Ada,1,\n", "id,name,LMS id,extension\nada,Ada,1,2 days\n"]
    with open_gradebook(tmp_path / "out") as gradebook:
        for text, to_grade in zip(rosters, (1, 0), strict=True):
            (tmp_path / "r.csv").write_text(text)
            (hand_in,) = take_in([tmp_path / "s"], wanted, read_roster(tmp_path / "r.csv")).hand_ins
            submission = hand_in.load()
            run = runs.begin(
                gradebook, assignment, assignment.select(["B1"]), {"engine": "e", "tests B1": "1"}, "grade"
            )
            students, _ = run.wanted(hand_in, submission)
            assert len(students) == to_grade
            if to_grade:
                graded = replace(
                    result(None, hand_in.students[0]), submission=submission.label, sha256=submission.sha256
                )
                gradebook.save(run.id, graded, run.grader)
            else:
                run.known(hand_in.students[0], submission)
                assert run.known(Student(id="ada"), replace(submission, late=None)).student.name == "Ada"
        (saved,) = gradebook.saved()
    assert (saved.result.student.extension_minutes, saved.result.questions["B1"].points) == (2880, 10)


def test_a_class_on_time_by_its_worksheet(tmp_path: Path) -> None:
    people = read_roster(downloads.roster(tmp_path / "r.csv", "moodle worksheet"))
    path = downloads.zipped(tmp_path / "d.zip", downloads.moodle())
    intake = take_in([path], Wanted(notebooks=downloads.NOTEBOOKS), people)
    assert {datetime.fromisoformat(str(one.load().submitted)).strftime("%d %H:%M") for one in intake.hand_ins} == {
        "20 23:59"
    }


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-11-20 23:59:00.5 UTC", "2026-11-20T23:59:00.500000+00:00"),
        ("2026-11-20 23:59:00 America/New_York", "2026-11-20T23:59:00-05:00"),
        ("2026-11-20 23:59:00", None),
        ("2026-11-20 23:59:00 Middle/Earth", None),
        ("2026-13-20 23:59:00 UTC", None),
    ],
)
def test_a_timestamp_without_a_known_zone_is_unknown(text: str, iso: str | None) -> None:
    assert iso_time(text) == iso
