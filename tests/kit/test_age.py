"""Which of several files is the newest."""

from pathlib import Path

import pytest

from autograder.platforms.age import age_of
from autograder.submissions.intake import Wanted, take_in
from tests.downloads import notebook, packed


@pytest.mark.parametrize(
    "names",
    [
        ["batchnorm.ipynb", "batchnorm (1).ipynb", "batchnorm (2).ipynb", "batchnorm (10).ipynb"],
        ["batchnorm.ipynb", "batchnorm-1.ipynb", "batchnorm-9.ipynb", "batchnorm-10.ipynb"],
        ["batchnorm_backup.ipynb", "batchnorm_old.ipynb", "batchnorm.ipynb"],
        ["batchnorm-Copy1.ipynb", "batchnorm.ipynb"],
        ["batchnorm-checkpoint.ipynb", "batchnorm.ipynb"],
        ["batchnormOld (7).ipynb", "batchnorm.ipynb"],
        ["old/batchnorm (3).ipynb", "batchnorm.ipynb"],
        ["hw_2026_11_19T23_59_00_000001 (1).zip/x.ipynb", "hw_2026_11_20T08_00_00_000000.zip/x.ipynb"],
        ["batchnorm-1 (1).ipynb", "batchnorm-1 (2).ipynb", "batchnorm-2.ipynb"],
        ["batchnorm_v9.ipynb", "batchnorm_v10.ipynb"],
        ["batchnorm (9).py", "batchnorm.ipynb"],
        ["BATCHNORM.IPYNB.JSON", "batchnorm (1).ipynb.txt"],
    ],
)
def test_names_from_oldest_to_newest(names: list[str]) -> None:
    assert sorted(names, key=age_of) == names


@pytest.mark.parametrize("name", ["goldfish.ipynb", "scopy.ipynb", "bakery.ipynb", "batchnorm.ipynb"])
def test_a_word_that_only_contains_old_is_current(name: str) -> None:
    assert age_of(name).current


def test_the_lms_knows_better_than_names() -> None:
    assert age_of("x.ipynb", attachment="10002") > age_of("x (5).ipynb", attachment="9998")
    assert age_of("x.ipynb", attempt=10, attachment="1") > age_of("x.ipynb", attempt=9, attachment="2")


def test_the_name_inside_an_exported_zip_survives_a_renaming() -> None:
    older = age_of("final.zip/x.ipynb", exported="x_2026_11_19T10_00_00_000000.zip")
    assert age_of("hw.zip/x.ipynb", exported="x_2026_11_20T10_00_00_000000.zip") > older


def test_times_in_an_archive_decide_between_equal_names() -> None:
    assert age_of("b/x.ipynb", changed="2026-11-19T10:00:00") < age_of("a/x.ipynb", changed="2026-11-20T10:00:00")


@pytest.mark.parametrize("name", ["x" + "-1" * 40_000, "9" * 5000, "", "///", "\ud800.ipynb"])
def test_hostile_names_have_an_age(name: str) -> None:
    assert age_of(name, attachment="7" * 5000) >= age_of("old.ipynb")


@pytest.mark.parametrize("student", ["i06-backup", "Copy", "old", "s-2026", "checkpoint (3)"])
@pytest.mark.parametrize("form", ["{}/batchnorm{}.ipynb", "{}_batchnorm{}.ipynb", "{}.zip"])
def test_the_students_own_name_says_nothing_about_a_file(tmp_path: Path, student: str, form: str) -> None:
    """Of two versions the newer counts, whatever the student is called, and an old one stays old."""
    for number in ("", " (1)", "_old"):
        path = tmp_path / form.format(student, number)
        path.parent.mkdir(exist_ok=True)
        inner = {f"batchnorm{one}.ipynb": notebook(one) for one in ("", " (1)", "_old")}
        path.write_bytes(packed(inner) if path.suffix == ".zip" else notebook(number))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "batchnorm.ipynb").write_bytes(notebook(""))
    hand_ins = take_in([tmp_path], Wanted(notebooks=("batchnorm",))).hand_ins
    (own,) = [one for one in hand_ins if one.students[0].id == student]
    assert [file.content for file in own.load().notebooks] == [notebook(one) for one in ("_old", "", " (1)")]
    for attached in own.files:
        age = age_of(attached.file.name, owner=attached.owner)
        assert age.current == ("_old" not in attached.file.name)
