"""Downloads of every form -> who handed in what, with and without a roster."""

import os
import re
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.errors import UsageError
from autograder.results import Student
from autograder.submissions.intake import Intake, Wanted, take_in
from autograder.submissions.roster import read_roster
from tests import downloads
from tests.downloads import CLASS, NOTEBOOKS, PRESENT, Files, Member, notebook, packed, write, zipped

WANTED = Wanted(notebooks=NOTEBOOKS)


def make(root: Path, *names: str) -> Path:
    return write(root, dict.fromkeys(names, notebook("x")))


def students(intake: Intake) -> list[str]:
    return [student.id for one in intake.hand_ins for student in one.students]


def lms_key(member: Member) -> str:
    return f"{downloads.canvas_name(member)}_{member.user}"


def moodle_key(member: Member) -> str:
    return f"{downloads.moodle_name(member)}_{member.user}"


FORMS: dict[str, tuple[Callable[[], Files], str, Callable[[Member], str]]] = {
    "canvas": (downloads.canvas, "canvas", lms_key),
    "canvas anonymous": (lambda: downloads.canvas(True), "canvas", lambda m: f"anon_{downloads.anonymous_id(m)}"),
    "moodle": (downloads.moodle, "moodle", moodle_key),
    "moodle flat": (lambda: downloads.moodle(flat=True), "moodle", moodle_key),
    "moodle before 4.1": (lambda: downloads.moodle(old=True), "moodle", moodle_key),
    "moodle blind": (lambda: downloads.moodle(blind=True), "moodle", lambda m: f"Participant_{m.user}"),
    "gradescope": (downloads.gradescope, "gradescope", lambda m: m.id),
    "gradescope without colons": (lambda: downloads.gradescope(colon=""), "gradescope", lambda m: m.id),
    "gradescope without sid": (
        lambda: downloads.gradescope(keys=("name", "email")),
        "gradescope",
        lambda m: m.email,
    ),
    "nbgrader": (downloads.nbgrader, "nbgrader", lambda m: m.id),
    "nbgrader inbound": (downloads.inbound, "nbgrader", lambda m: m.id),
    "folders": (downloads.folders, "folder", lambda m: m.id),
    "flat files": (downloads.flat, "folder", lambda m: m.id),
}
ANONYMOUS = {"canvas anonymous"}


@pytest.mark.parametrize("packing", ["folder", "zip", "zip in a folder"])
@pytest.mark.parametrize("form", FORMS)
def test_a_class_in_every_form(tmp_path: Path, form: str, packing: str) -> None:
    make_files, name, key = FORMS[form]
    if packing == "folder":
        if max(map(len, make_files())) > 255:
            pytest.skip("no file system holds this name")
        path = write(tmp_path / "download", make_files())
    else:
        path = zipped(tmp_path / "download.zip", make_files())
    intake = take_in([tmp_path if packing == "zip in a folder" else path], WANTED)
    assert intake.forms == [name]
    assert sorted(students(intake)) == sorted(unicodedata.normalize("NFC", key(one)) for one in PRESENT)
    assert intake.left_out == []
    check_files(intake, {unicodedata.normalize("NFC", key(one)): one for one in PRESENT}, form)


def check_files(intake: Intake, members: dict[str, Member], form: str) -> None:
    """Everyone has their own files, with the newest attempt last, their lateness and their time."""
    for one in intake.hand_ins:
        member = members[one.students[0].id]
        submission = one.load()
        texts = [file.content for file in submission.notebooks]
        if form != "nbgrader inbound":
            assert sorted(texts) == sorted(downloads.handed_in(member).values())
            newest = notebook(f"batchnorm {member.id}{' 10' if member.resubmitted else ''}")
            assert [text for text in texts if b"batchnorm" in text][-1] == newest
        else:
            assert [text for text in texts if b"batchnorm" in text][-1] == notebook("batchnorm 10")
        assert one.late == ("late" if member.late and form.startswith("canvas") else None)
        time = {
            "gradescope": f"2026-11-{member.number % 20 + 1:02}T23:59:00.123456+00:00",
            "nbgrader": "2026-11-20T23:59:00.500000+00:00",
        }.get(form.split(" ")[0])
        assert one.submitted == ("2026-11-10T12:00:00+00:00" if form == "nbgrader inbound" else time)


@pytest.mark.parametrize("roster", downloads.ROSTERS)
@pytest.mark.parametrize("form", FORMS)
def test_a_class_with_a_roster(tmp_path: Path, form: str, roster: str) -> None:
    make_files, _, key = FORMS[form]
    people = read_roster(downloads.roster(tmp_path / "roster.csv", roster))
    intake = take_in([zipped(tmp_path / "download.zip", make_files())], WANTED, people)
    ids = set(students(intake))
    expected = {one.id for one in PRESENT}
    unknown = {key(one) for one in PRESENT} if form in ANONYMOUS else set()
    if roster == "gradescope roster" and form.startswith(("canvas", "moodle")):
        # It holds no LMS ids: people are known by names, except for two of one name and names an LMS has changed.
        unknown = unknown or {key(one) for one in PRESENT if key(one) in ids}
        twins = {key(one) for one in CLASS[:2]}
        assert form in ANONYMOUS or "blind" in form or (twins <= unknown and len(unknown) < 7)
        expected -= {one.id for one in PRESENT if key(one) in unknown}
    if form in ANONYMOUS:
        expected = set()
    assert ids == expected | unknown
    assert len(intake.unmatched) == len(unknown)
    assert {"s016", "s030"} <= {one.id for one in intake.absent}
    assert len(ids) == len(students(intake)) == len(PRESENT)
    names = {student.id: student.name for one in intake.hand_ins for student in one.students}
    assert {key: names[key] for key in expected} == {
        one.id: " ".join(one.name.split()) if "gradebook" not in roster else f"{one.last}, {one.first}"
        for one in PRESENT
        if one.id in expected
    }


def test_a_group_of_gradescope_is_one_hand_in(tmp_path: Path) -> None:
    intake = take_in([zipped(tmp_path / "x.zip", downloads.gradescope())], WANTED)
    (group,) = [one for one in intake.hand_ins if len(one.students) > 1]
    assert [student.id for student in group.students] == ["s021", "s022"]


@pytest.mark.parametrize(
    ("system", "name"), [("moodle", "Team Blue_12_assignsubmission_file/"), ("canvas", "teamblue_5_77_")]
)
def test_a_group_counts_for_all_members_on_the_roster(tmp_path: Path, system: str, name: str) -> None:
    (tmp_path / "r.csv").write_text("id,name,lms id,group\na,Ann,11,Team Blue\nb,Bob,12,Team Red\nc,Cem,5,Team Blue\n")
    path = zipped(tmp_path / "x.zip", {f"{name}batchnorm.ipynb": notebook("x")})
    intake = take_in([path], WANTED, read_roster(tmp_path / "r.csv"))
    assert intake.forms == [system]
    (one,) = intake.hand_ins
    assert [(student.id, student.group) for student in one.students] == [("a", "Team Blue"), ("c", "Team Blue")]
    assert [student.id for student in intake.absent] == ["b"]


def test_a_folder_named_after_a_group_counts_for_its_members(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("id,name,group\na,Ann,Team Blue\nb,Bob,Team Red\nc,Cem,Team Blue\n")
    path = make(tmp_path / "s", "Team Blue/batchnorm.ipynb", "b/batchnorm.ipynb")
    group, alone = take_in([path], WANTED, read_roster(tmp_path / "r.csv")).hand_ins
    assert [[student.id for student in one.students] for one in (group, alone)] == [["a", "c"], ["b"]]


def test_two_assignments_of_the_lms_are_one_submission(tmp_path: Path) -> None:
    for number, name in enumerate(NOTEBOOKS):
        zipped(tmp_path / f"{name}.zip", {f"exampleada_LATE_7_{number}_{name}.ipynb": notebook(name)})
    for paths in ([tmp_path], sorted(tmp_path.iterdir())):
        (one,) = take_in(paths, WANTED).hand_ins
        assert [file.file.name for file in one.files] == ["batchnorm.ipynb", "residual_stream.ipynb"]
        assert one.students == (Student(id="exampleada_7", name="exampleada", lms=one.students[0].lms),)
        assert one.students[0].lms is not None
        assert one.late == "late"


def test_an_identity_depends_on_that_student_alone(tmp_path: Path) -> None:
    everyone = take_in([zipped(tmp_path / "a.zip", downloads.canvas())], WANTED)
    for member in PRESENT[:5]:
        own = {name: data for name, data in downloads.canvas().items() if f"_{member.user}_" in name}
        (alone,) = take_in([zipped(tmp_path / "b.zip", own)], WANTED).hand_ins
        assert alone.students[0].id in students(everyone)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["ada/batchnorm.ipynb", "ada/residual_stream.ipynb", "bob/x.ipynb"], {"ada": 2, "bob": 1}),
        (["ada.ipynb", "bob.ipynb", "cem.ipynb.json", "dan.zip"], {"ada": 1, "bob": 1, "cem": 1, "dan": 1}),
        (["ada/deep/er/batchnorm.ipynb"], {"ada": 1}),
        (["ada/.ipynb_checkpoints/batchnorm.ipynb", "ada/batchnorm.ipynb", "__MACOSX/ada/._x.ipynb"], {"ada": 1}),
        (["ada/notes.txt"], {"ada": 1}),
        (["ada.txt", "grades.csv"], {"ada": 1}),
        (["batchnorm.ipynb", "residual_stream.ipynb"], {"batch": 2}),
        (["batchnorm (1).ipynb", "notes.ipynb"], {"batch": 2}),
        ([".DS_Store", "ada.ipynb"], {"ada": 1}),
        (["__ada/batchnorm.ipynb", ".bob/batchnorm.ipynb", ".vscode/settings.txt"], {"__ada": 1, ".bob": 1}),
        (["S1_batchnorm.ipynb", "S1_residual-stream (2).ipynb", "S2-batchnorm-10.ipynb"], {"S1": 2, "S2": 1}),
        (["batchnorm_ada.ipynb", "residual_stream_ada.ipynb", "batchnorm_bob.ipynb"], {"ada": 2, "bob": 1}),
        (["ada/x.ipynb", "ada.zip"], {"ada": 2}),
        (["Müller, Zoë/x.ipynb", "a b/x.ipynb", "a:b/x.ipynb"], {"Müller, Zoë": 1, "a b": 1, "a:b": 1}),
        (["राम/x.ipynb", "रीम/x.ipynb"], {"राम": 1, "रीम": 1}),
        ([unicodedata.normalize("NFD", "Zoë/x.ipynb")], {"Zoë": 1}),
        (["a_b.ipynb", "A_b.ipynb"], {"a_b": 1, "A_b": 1}),
        (
            ["batchnorm_2026_11_20T10_00_00_000000.zip", "residual_stream_2026_11_20T10_00_00_000000.zip"],
            {"batch": 2},
        ),
    ],
)
def test_a_folder(tmp_path: Path, files: list[str], expected: dict[str, int]) -> None:
    intake = take_in([make(tmp_path / "batch", *files)], WANTED)
    assert {one.students[0].id: len(one.files) for one in intake.hand_ins} == expected


@pytest.mark.parametrize(
    ("files", "count"),
    [
        (["hw6/batchnorm.ipynb", "hw6/residual_stream.ipynb"], 1),
        (["batchnorm.ipynb", "notes/x.txt"], 1),
        (["batchnorm/batchnorm.ipynb", "residual/residual_stream.ipynb"], 1),
        (["old/batchnorm.ipynb", "new/batchnorm.ipynb"], 1),
        (["hw6/ada/batchnorm.ipynb", "hw6/bob/batchnorm.ipynb"], 2),
        (["ada_batchnorm.ipynb", "bob_batchnorm.ipynb"], 2),
        (["ann_11_21_batchnorm.ipynb", "bob_LATE_12_22_batchnorm.ipynb"], 2),
    ],
)
def test_a_zip_of_one_student_and_of_a_class(tmp_path: Path, files: list[str], count: int) -> None:
    path = zipped(tmp_path / "lms.zip", dict.fromkeys(files, notebook("x")))
    assert len(take_in([path], WANTED).hand_ins) == count


def test_paths_that_a_shell_pattern_gave_are_one_download(tmp_path: Path) -> None:
    make(
        tmp_path, "s/ada/batchnorm.ipynb", "s/bob/batchnorm.ipynb", "f/S1_batchnorm.ipynb", "f/S1_residual_stream.ipynb"
    )
    write(tmp_path / "c", {name: data for name, data in downloads.canvas().items() if len(name) < 200})
    assert students(take_in(sorted((tmp_path / "s").iterdir()), WANTED)) == ["ada", "bob"]
    assert students(take_in(sorted((tmp_path / "f").iterdir()), WANTED)) == ["S1"]
    assert len(take_in(sorted((tmp_path / "c").iterdir()), WANTED).hand_ins) == len(PRESENT) - 1


def test_the_notebooks_of_one_folder_are_one_students(tmp_path: Path) -> None:
    make(tmp_path / "ada", "batchnorm.ipynb", "residual_stream.ipynb")
    assert students(take_in(sorted((tmp_path / "ada").iterdir()), WANTED)) == ["ada"]


@pytest.mark.parametrize("inside", ["submitted/ada/hw6", "submitted/ada", "submitted"])
def test_a_single_folder_of_nbgrader_has_the_students_name(tmp_path: Path, inside: str) -> None:
    make(tmp_path, "submitted/ada/hw6/batchnorm.ipynb")
    assert students(take_in([tmp_path / inside], WANTED)) == ["ada"]


def test_the_results_folder_is_no_student(tmp_path: Path) -> None:
    make(tmp_path, "ada/x.ipynb", "before/grades.csv", "before/results/ada.json")
    (tmp_path / "out").mkdir()
    for _ in range(2):
        intake = take_in([tmp_path], Wanted(notebooks=NOTEBOOKS, out=tmp_path / "out"))
        assert students(intake) == ["ada"]
        assert [name for name, _ in intake.left_out] == ["before", "out"]
        make(tmp_path, "out/results/ada.json")


def test_an_empty_folder_is_a_student_without_files(tmp_path: Path) -> None:
    make(tmp_path, "ada/x.ipynb")
    (tmp_path / "bob").mkdir()
    _, bob = take_in([tmp_path], WANTED).hand_ins
    assert [file.reason for file in bob.load().files] == ["the folder is empty"]


def test_an_own_form_by_a_pattern(tmp_path: Path) -> None:
    pattern = re.compile(r"--(?P<student>s\d+)--(?P<attempt>\d+)--")
    path = write(tmp_path / "x", downloads.own_form() | {"other.txt": b""})
    intake = take_in([path], Wanted(notebooks=NOTEBOOKS, pattern=pattern))
    assert students(intake) == [one.id for one in PRESENT]
    assert intake.left_out == [("x/other.txt", "it does not match the pattern")]


def test_one_name_for_two_folders_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "one/ada/batchnorm.ipynb", "two/ada/batchnorm.ipynb", "three/ada/residual_stream.ipynb")
    with pytest.raises(UsageError, match="two submissions are called ada"):
        take_in([tmp_path / "one", tmp_path / "two"], WANTED)
    (one,) = take_in([tmp_path / "one", tmp_path / "three"], WANTED).hand_ins
    assert len(one.files) == 2


def test_a_cut_off_class_download_is_refused(tmp_path: Path) -> None:
    data = packed(downloads.canvas())
    (tmp_path / "d").mkdir()
    (tmp_path / "d/lms.zip").write_bytes(data[: len(data) // 2])
    make(tmp_path, "ada/x.ipynb")
    for paths in ([tmp_path / "d/lms.zip"], [tmp_path / "d/lms.zip", tmp_path / "ada"], [tmp_path / "d"]):
        with pytest.raises(UsageError, match=r"truncated or damaged; \d+ of its files are left"):
            take_in(paths, WANTED)


SPOOFS: dict[str, tuple[Files, Files]] = {
    "zip with Canvas's names": (
        {"ada/batchnorm.ipynb": b"{}", "bob.zip": packed({"cem_5_6_batchnorm.ipynb": b"x", "dan_7_8_y.ipynb": b"x"})},
        {"ada": b"{}", "bob": b""},
    ),
    "zips with Canvas's names": (
        {"ada.zip": packed({"batchnorm.ipynb": b"{}"}), "bob.zip": packed({"cem_5_6_batchnorm.ipynb": b"x"})},
        {"ada": b"{}", "bob": b""},
    ),
    "a thousand files with Canvas's names": (
        {"ada/batchnorm.ipynb": b"{}"} | {f"bob/cem_5_{number}_x.ipynb": b"x" for number in range(1000)},
        {"ada": b"{}", "bob": b""},
    ),
    "a tree of nbgrader": (
        {"ada/batchnorm.ipynb": b"{}", "bob/hw6/timestamp.txt": b"x", "bob/submitted/cem/hw6/x.ipynb": b"x"},
        {"ada": b"{}", "bob": b""},
    ),
    "Moodle's words in a file's name": (
        {
            "Ada_1_assignsubmission_file_x.ipynb": b"{}",
            "Bob_2_assignsubmission_file_Ada_1_assignsubmission_file_x.ipynb": b"x",
        },
        {"Ada_1": b"{}", "Bob_2": b""},
    ),
    "Canvas's form in a file's name": (
        {"ada_1_10_x.ipynb": b"{}", "bob_2_11_ada_1_99_x.ipynb": b"x"},
        {"ada_1": b"{}", "bob_2": b""},
    ),
}


@pytest.mark.parametrize("spoof", SPOOFS)
def test_nobody_can_hand_in_for_another(tmp_path: Path, spoof: str) -> None:
    """Files named such as a platform names them change neither the form nor anyone else's row."""
    files, expected = SPOOFS[spoof]
    found = {one.students[0].id: one for one in take_in([write(tmp_path / "s", files)], WANTED).hand_ins}
    assert found.keys() == expected.keys()
    first = next(iter(expected))
    assert [file.content for file in found[first].load().notebooks] == [expected[first]]


def test_a_students_damaged_zip_stops_nobody(tmp_path: Path) -> None:
    make(tmp_path, "ada/x.ipynb")
    (tmp_path / "bob.zip").write_bytes(packed({"batchnorm.ipynb": notebook("x")})[:50])
    ada, bob = take_in([tmp_path], WANTED).hand_ins
    assert [file.reason for file in ada.load().files] == [""]
    assert "damaged" in bob.load().files[0].reason


def test_two_forms_that_fit_equally_well_need_a_choice(tmp_path: Path) -> None:
    name = "Ada_5_assignsubmission_file_/submitted/s/hw6/x.ipynb"
    write(tmp_path, {name: notebook("x"), "submission_metadata.yml": b"", "submission_1/x.ipynb": b""})
    path = write(tmp_path / "x", {name: notebook("x")})
    with pytest.raises(UsageError, match="the names match moodle and nbgrader equally well; choose one"):
        take_in([path], WANTED)
    assert students(take_in([path], Wanted(notebooks=NOTEBOOKS, form="moodle"))) == ["Ada_5"]


@pytest.mark.parametrize("hidden", [False, True], ids=["empty", "only hidden files"])
def test_a_folder_with_nothing_to_grade(tmp_path: Path, hidden: bool) -> None:
    if hidden:
        make(tmp_path, ".DS_Store")
    with pytest.raises(UsageError, match="the folder is empty"):
        take_in([tmp_path], WANTED)


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        take_in([tmp_path / "none"], WANTED)


def test_folders_as_deep_as_the_system_allows_stop_nobody(tmp_path: Path) -> None:
    make(tmp_path, "ada/x.ipynb", "bob/x.ipynb")
    place = os.open(tmp_path / "ada", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=place)
        place, above = os.open("d", os.O_RDONLY, dir_fd=place), place
        os.close(above)
    os.close(place)
    try:
        found = take_in([tmp_path], WANTED).hand_ins
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "ada"], check=True)  # Python's own way to remove a tree is recursive
    assert [(one.students[0].id, len(one.files)) for one in found] == [("ada", 1), ("bob", 1)]


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_download_of_too_many_files_loses_nobody_in_silence(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One student's environment fills the list; who comes after it would count as absent."""
    monkeypatch.setattr("autograder.submissions.intake.MAX_LISTED", 20)
    monkeypatch.setattr("autograder.platforms.files.MAX_LISTED", 20)
    files = {f"ada/{NOTEBOOKS[0]}.ipynb": b"{}", f"zoe/{NOTEBOOKS[0]}.ipynb": b"{}"}
    files |= {f"bob/venv/lib/{number}.py": b"" for number in range(18)}
    path = zipped(tmp_path / "d.zip", files) if form == "zip" else tmp_path / "d"
    if form == "folder":
        write(path, files)
    assert len(take_in([path], WANTED).hand_ins) == 3
    extra = {f"bob/venv/lib/{number}.py": b"" for number in range(18, 30)}
    path = zipped(tmp_path / "e.zip", files | extra) if form == "zip" else path
    if form == "folder":
        write(path, extra)
    with pytest.raises(UsageError, match=r"more than 20 files.*most are in bob/venv/lib: delete"):
        take_in([path], WANTED)


def test_a_students_archive_of_too_many_files_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograder.submissions.intake.MAX_LISTED", 20)
    write(tmp_path / "d", {"ada/a.ipynb": b"{}"})
    zipped(tmp_path / "d" / "bob.zip", {f"{number}.py": b"" for number in range(30)})
    zipped(tmp_path / "d" / "zoe.zip", {"z.ipynb": b"{}"})
    assert [one.students[0].id for one in take_in([tmp_path / "d"], WANTED).hand_ins] == ["ada", "bob", "zoe"]
