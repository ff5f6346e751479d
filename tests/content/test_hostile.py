"""Hostile files: each gets a row and a reason, stays in its place, costs little memory, and changes no neighbour."""

import io
import os
import stat
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.notebooks import ReadFiles, read_files
from tests import corpus
from tests.downloads import packed, write

WANTED = Wanted(notebooks=corpus.assignment().notebooks)
RELEASED = (corpus.assignment().release_dir / "batchnorm.ipynb").read_bytes()


def special(kind: int) -> bytes:
    """A zip whose member says that it is a link or a device."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        info = zipfile.ZipInfo("batchnorm.ipynb")
        info.external_attr = (kind | 0o777) << 16
        target.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def wrong_crc() -> bytes:
    data = bytearray(packed({"batchnorm.ipynb": RELEASED}))
    place = data.index(b"PK\x01\x02") + 16
    data[place] ^= 0xFF
    return bytes(data)


BOMB = packed({"batchnorm.ipynb": b" " * (200 << 20)})
CASES: dict[str, tuple[dict[str, bytes], str]] = {
    "zip slip": ({"x.zip": packed({"../../../../tmp/evil.ipynb": b"{"})}, "cut off"),
    "absolute name": ({"x.zip": packed({"/etc/cron.d/evil.ipynb": b"{"})}, "cut off"),
    "bomb": ({"x.zip": BOMB}, "200.0 MiB, more than the limit of 128 MiB"),
    "bomb in a zip": ({"x.zip": packed({"y.zip": BOMB})}, "more than the limit"),
    "link in a zip": ({"x.zip": special(stat.S_IFLNK)}, "a link or a device"),
    "device in a zip": ({"x.zip": special(stat.S_IFCHR)}, "a link or a device"),
    "wrong checksum": ({"x.zip": wrong_crc()}, "damaged"),
    "formula": ({"=cmd().ipynb": b"hello"}, "=cmd().ipynb: the file is not JSON"),
    "line break in a name": ({"a\nb\x1b[31m.ipynb": b"hello"}, r"a b\x1b[31m.ipynb: the file is not JSON"),
    "zero bytes": ({"batchnorm.ipynb": b"\0" * 1000}, "the file is empty"),
    "deep JSON": ({"batchnorm.ipynb": b'{"cells": ' + b"[" * 500_000}, "nested too deeply"),
    "many brackets": ({"batchnorm.ipynb": b"[" * (3 << 20)}, "too many values"),
    "truncated": ({"batchnorm.ipynb": RELEASED[: len(RELEASED) // 2]}, "cut off"),
    "truncated zip": ({"x.zip": packed({"batchnorm.ipynb": RELEASED})[:2000]}, "damaged"),
    "10,000 members": ({"x.zip": packed({f"{n}.txt": b"" for n in range(10_000)})}, "more than 1000 files"),
    "log of Otter": (
        {"x.zip": packed({".OTTER_LOG": b"cos\nsystem\n(S'touch evil'\ntR."})},
        "no notebook was handed in",
    ),
    "nothing": ({}, "the folder is empty"),
}


def take(folder: Path, files: dict[str, bytes]) -> tuple[ReadFiles, ReadFiles]:
    """What is read of a hostile student's files, and of a neighbour's."""
    write(folder, {"ada/batchnorm.ipynb": RELEASED} | {f"bob/{name}": data for name, data in files.items()})
    (folder / "bob").mkdir(exist_ok=True)
    ada, bob = take_in([folder], WANTED).hand_ins
    assert (ada.students[0].id, bob.students[0].id) == ("ada", "bob")
    return read_files(bob.load(), corpus.assignment()), read_files(ada.load(), corpus.assignment())


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_file_has_a_reason_and_no_effect(tmp_path: Path, case: str) -> None:
    files, reason = CASES[case]
    folder = tmp_path / "s"
    folder.mkdir()
    before = sorted(path.name for path in tmp_path.rglob("*") if "bob" not in path.parts and "ada" not in path.parts)
    hostile, neighbour = take(folder, files)
    reasons = [str(flag) for flag in hostile.flags] + [file.why for file in hostile.files]
    assert any(reason in text for text in reasons), reasons
    assert not hostile.notebooks
    assert (list(neighbour.notebooks), neighbour.flags) == (["batchnorm"], [])
    after = {path.name for path in tmp_path.iterdir()} | {path.name for path in folder.iterdir()}
    assert after == {*before, "ada", "bob"}


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"ada/batchnorm.ipynb": RELEASED, "bob/batchnorm.ipynb": b"{"})
    os.truncate(tmp_path / "bob/batchnorm.ipynb", 8 << 30)
    tracemalloc.start()
    try:
        _, bob = take_in([tmp_path], WANTED).hand_ins
        (file,) = bob.load().files
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert file.reason.startswith("the file is 8192.0 MiB, more than the limit")


def test_a_class_download_with_hostile_names(tmp_path: Path) -> None:
    names = [
        "../../a_1_1_x.ipynb",
        "/b_2_2_x.ipynb",
        "c\n_3_3_x.ipynb",
        "=d()_4_4_x.ipynb",
        "e" * 5000 + "_5_5_x.ipynb",
    ]
    (tmp_path / "x.zip").write_bytes(packed(dict.fromkeys(names, RELEASED)))
    found = take_in([tmp_path / "x.zip"], WANTED).hand_ins
    assert sorted(one.students[0].id[-2:] for one in found) == ["_1", "_2", "_3", "_4", "_5"]
    assert max(len(one.students[0].id) for one in found) < 260
