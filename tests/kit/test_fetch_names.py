"""The script that fetches or checks a names file, and both scripts as commands. No test uses the network."""

import os
import subprocess
import sys
from pathlib import Path

import build_names
import fetch_names
import pytest
from hypothesis import given
from requests import exceptions as http

from tests.names import DATA, LAW, NAME_LISTS, assert_one_line, no_download


def answers(content: bytes) -> fetch_names.Download:
    """A download that brings this content."""
    return lambda url: content


def fails(error: OSError) -> fetch_names.Download:
    """A download that ends in this error."""

    def download(url: str) -> bytes:
        raise error

    return download


def status(code: int) -> http.HTTPError:
    """The error that requests raises for a status of the server."""
    from requests import Response

    response = Response()
    response.status_code = code
    return http.HTTPError(response=response)


@pytest.mark.parametrize(
    ("download", "told"),
    [
        pytest.param(fails(http.ConnectionError(60 * "long\n")), "no connection", id="offline"),
        pytest.param(fails(http.ConnectTimeout()), "no answer within 30 s", id="time-out at connecting"),
        pytest.param(fails(http.ReadTimeout()), "no answer within 30 s", id="time-out at reading"),
        pytest.param(fails(http.ProxyError()), "the proxy refused", id="proxy"),
        pytest.param(fails(http.SSLError()), "the secure connection failed", id="certificate"),
        pytest.param(fails(status(404)), "the server answered 404", id="not found"),
        pytest.param(fails(http.ChunkedEncodingError()), "ChunkedEncodingError", id="broken off"),
        pytest.param(fails(OSError(28, "No space left on device")), "No space left on device", id="disk full"),
        pytest.param(answers(b"<html>log in</html>"), "not the classic names file", id="login page"),
        pytest.param(answers(b""), "not the classic names file", id="empty answer"),
    ],
)
def test_a_failed_download_is_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], download: fetch_names.Download, told: str
) -> None:
    assert fetch_names.main(["--out", str(tmp_path / "classic.txt")], download) == 2
    assert_one_line(capsys, "fetch_names: ", fetch_names.URL, told, "--from PATH")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "options", "parts"),
    [
        pytest.param(b"emma\n", [], ["not the classic names file", "--any"], id="checksum"),
        pytest.param(None, [], ["No such file", "--from"], id="missing"),
        pytest.param(None, ["--any"], ["No such file", "--from"], id="missing, any"),
        pytest.param(b"emma\nAva\n", ["--any"], ["line 2: 'Ava'", "lower case"], id="capital"),
        pytest.param("emma\nzoë\n".encode(), ["--any"], ["line 2: 'zoë'"], id="accent"),
        pytest.param("zoë\n".encode("latin-1"), ["--any"], ["UTF-8"], id="not UTF-8"),
        pytest.param(b"", ["--any"], ["no name"], id="empty"),
    ],
)
def test_a_bad_file_is_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, options: list[str], parts: list[str]
) -> None:
    source, out = tmp_path / "given.txt", tmp_path / "out.txt"
    if content is not None:
        source.write_bytes(content)
    assert fetch_names.main(["--from", str(source), "--out", str(out), *options], no_download) == 2
    assert_one_line(capsys, "fetch_names: ", str(source), *parts)
    assert not out.exists()


def test_any_without_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch_names.main(["--any", "--out", str(tmp_path / "out.txt")], no_download) == 2
    assert_one_line(capsys, "--any", "--from PATH")


def test_a_folder_given_as_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch_names.main(["--from", str(tmp_path), "--out", str(tmp_path / "out.txt")], no_download) == 2
    assert_one_line(capsys, str(tmp_path), "cannot be read")


@pytest.mark.parametrize("out", ["no/such/folder/out.txt", "file/out.txt", "folder"])
def test_an_output_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    (tmp_path / "own.txt").write_bytes(b"emma\n")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    target = str(tmp_path / out)
    assert fetch_names.main(["--from", str(tmp_path / "own.txt"), "--any", "--out", target], no_download) == 2
    assert_one_line(capsys, target, "cannot be written", "--out")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.txt").write_bytes(b"emma\n")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    arguments = ["--from", str(tmp_path / "own.txt"), "--any", "--out", str(locked / "out.txt")]
    assert fetch_names.main(arguments, no_download) == 2
    assert_one_line(capsys, "cannot be written (Permission denied)", "--out")


def test_a_failed_fetch_leaves_the_former_file(tmp_path: Path) -> None:
    out = tmp_path / "classic.txt"
    out.write_bytes(b"emma\n")
    assert fetch_names.main(["--out", str(out)], fails(http.ConnectionError())) == 2
    assert out.read_bytes() == b"emma\n"


def test_success_is_one_line_that_says_how_to_use_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "own.txt", tmp_path / "my names.txt"
    source.write_bytes(b"emma\nava\n")
    assert fetch_names.main(["--from", str(source), "--any", "--out", str(out)], no_download) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.count("\n") == 1
    assert f"{out}: 2 names" in printed.out
    assert f"NAMES='{out}' make grade" in printed.out
    assert sorted(tmp_path.iterdir()) == [out, source]


@pytest.mark.parametrize(
    ("content", "written"),
    [
        pytest.param(b"emma\nava", b"emma\nava\n", id="no last line end"),
        pytest.param(b"emma\r\nava\r\n", b"emma\nava\n", id="Windows line ends"),
        pytest.param(b"\xef\xbb\xbfemma\n", b"emma\n", id="byte order mark"),
        pytest.param(b"emma\n\n\n", b"emma\n", id="empty lines at the end"),
        pytest.param(b"emma\nemma\n", b"emma\nemma\n", id="repeats stay"),
    ],
)
def test_own_names_are_made_plain(content: bytes, written: bytes) -> None:
    assert fetch_names.own(content, "own.txt") == written


@LAW
@given(NAME_LISTS)
def test_own_names_come_back_as_they_were_given(names: list[str]) -> None:
    content = fetch_names.own("\n".join(names).encode(), "own.txt")
    assert content.decode().splitlines() == names
    assert fetch_names.own(content, "own.txt") == content


def test_the_classic_file_is_known_by_its_checksum_alone() -> None:
    with pytest.raises(build_names.DataError, match="not the classic names file"):
        fetch_names.classic((DATA / "names.txt").read_bytes(), "names.txt", "no matter")


def test_pooch_fetches_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    def transport(url: str, file: str, pooch: object) -> None:
        Path(file).write_bytes(url.encode())

    assert fetch_names.download_with_pooch("https://names.invalid/a.txt", transport) == b"https://names.invalid/a.txt"
    assert capfd.readouterr() == ("", "")


def test_the_scripts_run_from_any_folder(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.txt")
    ran = subprocess.run(
        [sys.executable, str(DATA / "fetch_names.py"), "--from", missing],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert missing in ran.stderr


@pytest.mark.parametrize(("script", "package"), [("build_names.py", "Faker"), ("fetch_names.py", "pooch")])
def test_a_missing_package_is_one_line(tmp_path: Path, script: str, package: str) -> None:
    # -S hides every installed package, -E those that PYTHONPATH would bring back.
    ran = subprocess.run(
        [sys.executable, "-S", "-E", str(DATA / script), "--out", str(tmp_path / "out.txt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert f"the package {package} is not installed" in ran.stderr
    assert "pip install" in ran.stderr
