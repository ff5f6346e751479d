"""The names files, the scripts that make them, and what the notebooks read them with. No test uses the network."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import exceptions as http

# The scripts import each other as neighbours, as they do when they are run.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "data"))

import build_names
import fetch_names

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
UTILS = ROOT / "solutions" / "lecture06" / "src" / "utils.py"

# The same cases on every run, and no verdict by the clock.
LAW = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
NAME_LISTS = st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20), min_size=1)


def no_download(url: str) -> bytes:
    raise AssertionError(f"nothing may be downloaded here, but {url} was")


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


# names.txt and SOURCES.md


@pytest.fixture(scope="module")
def rebuilt() -> str:
    return build_names.build(build_names.faker_entries())


@pytest.fixture(scope="module")
def sources() -> str:
    return (DATA / "SOURCES.md").read_text(encoding="utf-8")


def test_a_rebuild_gives_the_same_bytes(rebuilt: str) -> None:
    assert build_names.difference((DATA / "names.txt").read_bytes().decode(), rebuilt) == ""


def test_a_rebuild_does_not_depend_on_the_order_of_the_lists(rebuilt: str) -> None:
    assert build_names.build(reversed(list(build_names.faker_entries()))) == rebuilt


def test_every_line_of_names_txt_keeps_the_rules() -> None:
    text = (DATA / "names.txt").read_bytes().decode("ascii")
    names = text.removesuffix("\n").split("\n")
    assert text.endswith("\n")
    assert [name for name in names if not re.fullmatch("[a-z]{2,15}", name)] == []
    assert names == sorted(set(names))
    assert not build_names.NOT_NAMES.intersection(names)
    build_names.check_names(text)


def test_sources_states_checksum_size_and_version_of_names_txt(sources: str) -> None:
    content = (DATA / "names.txt").read_bytes()
    assert f"{hashlib.sha256(content).hexdigest()}  names.txt" in sources
    assert f"| {len(content.splitlines()):,} | {len(content):,} |" in sources
    assert f"Faker=={build_names.FAKER_VERSION}" in sources
    assert f"version {build_names.FAKER_VERSION}" in sources


def test_sources_states_the_checksum_of_the_classic_file(sources: str) -> None:
    assert f"{fetch_names.CLASSIC_SHA256}  classic_names.txt" in sources


# From an entry of a list to a name


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        pytest.param("Emma", "emma", id="plain"),
        pytest.param("EMMA", "emma", id="capitals"),
        pytest.param("MacKenzie", "mackenzie", id="capital inside"),
        pytest.param("José", "jose", id="acute"),
        pytest.param("Jose\u0301", "jose", id="accent already apart"),
        pytest.param("Åsa", "asa", id="ring"),
        pytest.param("Günther", "gunther", id="umlaut"),
        pytest.param("Đurđica", "durdica", id="d with stroke"),
        pytest.param("Łukasz", "lukasz", id="l with stroke"),
        pytest.param("Jørgen", "jorgen", id="o with stroke"),
        pytest.param("\u01fejvind", "ojvind", id="o with stroke and acute"),
        pytest.param("Lærke", "laerke", id="ae"),
        pytest.param("Cœlia", "coelia", id="oe"),
        pytest.param("Voß", "voss", id="sharp s"),
        pytest.param("S\u0131la", "sila", id="i without a dot"),
        pytest.param("\u0130smail", "ismail", id="capital I with a dot"),
        pytest.param("Hương", "huong", id="two marks on a letter"),
        pytest.param("Ja\u2019far", "jafar", id="apostrophe"),
        pytest.param("Ulug\u2018bek", "ulugbek", id="turned apostrophe"),
        pytest.param("S'fiso", "sfiso", id="straight apostrophe"),
        pytest.param(" Dadaş ", "dadas", id="spaces around"),
        pytest.param("Li", "li", id="shortest"),
        pytest.param("Abcdefghijklmno", "abcdefghijklmno", id="longest"),
        pytest.param("Prince", "prince", id="title in use as a name"),
        pytest.param("J", None, id="too short"),
        pytest.param("Abcdefghijklmnop", None, id="too long"),
        pytest.param("", None, id="empty"),
        pytest.param("Hans-Peter", None, id="hyphen"),
        pytest.param("Ana Maria", None, id="two words"),
        pytest.param("Emine.", None, id="full stop"),
        pytest.param("N\u02dczamett\u02dcn", None, id="broken encoding"),
        pytest.param("Þórður", None, id="thorn and eth"),
        pytest.param("Fəridə", None, id="schwa"),
        pytest.param("\u0410\u043d\u043d\u0430", None, id="another script"),
        pytest.param("R2d", None, id="digit"),
        pytest.param("Unknown", None, id="placeholder"),
        pytest.param("Wm", None, id="abbreviation"),
        pytest.param("Captain", None, id="rank"),
    ],
)
def test_plain_name(entry: str, name: str | None) -> None:
    assert build_names.plain_name(entry) == name


def test_build_sorts_and_removes_repeats() -> None:
    assert build_names.build(["Zoë", "ZOE", "Ana", "Hans-Peter", "zoe"]) == "ana\nzoe\n"


@LAW
@given(st.text())
def test_a_plain_name_stays_as_it_is(entry: str) -> None:
    name = build_names.plain_name(entry)
    assert name is None or (build_names.plain_name(name) == name and re.fullmatch("[a-z]{2,15}", name))


# check_names


@pytest.mark.parametrize("text", ["ab", "ab\n", "ab\ncd\n", "a\n"])
def test_check_names_passes(text: str) -> None:
    build_names.check_names(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "no name", id="empty"),
        pytest.param("\n\n", "no name", id="line ends only"),
        pytest.param("ab\n\ncd\n", "line 2: ''", id="empty line"),
        pytest.param("ab\n\n", "line 2: ''", id="empty line at the end"),
        pytest.param("ab\ncD\n", "line 2: 'cD'", id="capital"),
        pytest.param("ab\ncd\njosé", "line 3: 'josé'", id="accent"),
        pytest.param("ab cd\n", "line 1: 'ab cd'", id="space"),
        pytest.param("ab\r\ncd\n", r"line 1: 'ab\r'", id="Windows line end"),
        pytest.param("ab\x0ccd\n", r"line 1: 'ab\x0ccd'", id="form feed"),
        pytest.param("a." + 1000 * "b", "line 1: 'a." + 38 * "b" + "'", id="long line, cut"),
    ],
)
def test_check_names_tells_the_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build_names.check_names(text)


# build_names.py as a command


def test_build_writes_what_check_accepts(tmp_path: Path, rebuilt: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "names.txt"
    assert build_names.main(["--out", str(out)]) == 0
    assert out.read_bytes() == rebuilt.encode()
    assert build_names.main(["--out", str(out), "--check"]) == 0
    assert "equals a rebuild" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(lambda text: text.replace("\nanna\n", "\n"), "names missing: 1, too many: 0", id="missing"),
        pytest.param(lambda text: text + "zzzz\n", "names missing: 0, too many: 1", id="too many"),
        pytest.param(lambda text: text + text, "in another order, repeated", id="repeated"),
    ],
)
def test_check_tells_a_difference_and_writes_nothing(
    tmp_path: Path,
    rebuilt: str,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[str], str],
    told: str,
) -> None:
    out = tmp_path / "names.txt"
    out.write_bytes(change(rebuilt).encode())
    before = out.read_bytes()
    assert build_names.main(["--out", str(out), "--check"]) == 1
    assert told in capsys.readouterr().out
    assert out.read_bytes() == before


def test_check_of_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build_names.main(["--out", str(tmp_path / "none.txt"), "--check"]) == 2
    assert_one_line(capsys, "build_names", "none.txt", "python data/build_names.py")


# fetch_names.py


def assert_one_line(capsys: pytest.CaptureFixture[str], *parts: str) -> None:
    """Nothing on stdout, and one line with all the parts on stderr."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err


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


# src/utils.py, which the notebooks read the names with


def load(path: Path) -> ModuleType:
    """The module of a file, under a name of its own, because every assignment has a src.utils."""
    spec = importlib.util.spec_from_file_location("utils_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def utils() -> ModuleType:
    return load(UTILS)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data/names.txt, which is the working folder too; NAMES is not set."""
    monkeypatch.delenv("NAMES", raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "names.txt").write_text("emma\nava\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_load_text_reads_the_file_in_the_working_folder(utils: ModuleType, course: Path) -> None:
    assert utils.load_text() == "emma\nava"


def test_find_data_looks_in_the_folders_above(utils: ModuleType, course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = course / "notebooks" / "week 6"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert utils.find_data() == course / "data" / "names.txt"


def test_find_data_prefers_the_nearest_folder(utils: ModuleType, course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nearer = course / "week6" / "data"
    nearer.mkdir(parents=True)
    (nearer / "names.txt").write_text("mia\n")
    monkeypatch.chdir(nearer.parent)
    assert utils.load_text() == "mia"


def test_find_data_looks_beside_src(
    course: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (course / "src").mkdir()
    copied = load(Path(shutil.copy(UTILS, course / "src" / "utils.py")))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert copied.find_data() == course / "data" / "names.txt"


def test_find_data_tells_where_it_looked(utils: ModuleType, course: Path) -> None:
    with pytest.raises(FileNotFoundError, match="unzip the assignment again") as caught:
        utils.find_data("data/no_such_names.txt")
    assert "data/no_such_names.txt" in str(caught.value)
    assert str(course) in str(caught.value)


def test_names_chooses_the_file(utils: ModuleType, course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (course / "other.txt").write_text("mia\n")
    monkeypatch.setenv("NAMES", str(course / "other.txt"))
    assert utils.load_text() == "mia"


def test_names_may_start_with_the_home_folder(utils: ModuleType, course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (course / "other.txt").write_text("mia\n")
    monkeypatch.setenv("HOME", str(course))
    monkeypatch.setenv("NAMES", "~/other.txt")
    assert utils.find_data() == course / "other.txt"


def test_empty_names_is_as_good_as_none(utils: ModuleType, course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMES", "")
    assert utils.load_text() == "emma\nava"


def test_names_without_a_file_is_told_and_not_passed_over(
    utils: ModuleType, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAMES", "no_such_file.txt")
    with pytest.raises(FileNotFoundError, match=r"NAMES is set to no_such_file\.txt"):
        utils.load_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param(" \n\n", "is empty", id="blank"),
        pytest.param("emma\nAva\n", "line 2: 'Ava'", id="capital"),
        pytest.param("emma\nava\nzoë\n", "line 3: 'zoë'", id="accent"),
        pytest.param("emma\n\nava\n", "line 2: ''", id="empty line"),
        pytest.param("emma\nava mia\n", "line 2: 'ava mia'", id="space"),
        pytest.param("emma.\n", "line 1: 'emma.'", id="the token that ends a name"),
    ],
)
def test_load_text_tells_file_and_line(utils: ModuleType, course: Path, text: str, told: str) -> None:
    path = course / "data" / "names.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        utils.load_text()
    assert str(path) in str(caught.value)


def test_load_text_accepts_windows_line_ends(utils: ModuleType, course: Path) -> None:
    (course / "data" / "names.txt").write_bytes(b"emma\r\nava\r\n")
    assert utils.load_text() == "emma\nava"


def test_load_text_reads_the_names_of_this_repository(utils: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAMES", raising=False)
    monkeypatch.chdir(DATA)
    assert utils.load_text() + "\n" == (DATA / "names.txt").read_text()


def test_fetched_names_are_read_by_way_of_names(
    utils: ModuleType, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (course / "own.txt").write_bytes(b"\xef\xbb\xbfmia\r\nzoe\r\n")
    arguments = ["--from", "own.txt", "--any", "--out", "fetched.txt"]
    assert fetch_names.main(arguments, no_download) == 0
    monkeypatch.setenv("NAMES", "fetched.txt")
    assert utils.load_text() == "mia\nzoe"


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        pytest.param([], 60, "", id="empty"),
        pytest.param([1.0], 60, "▁", id="one"),
        pytest.param([2.5, 2.5, 2.5], 60, "▁▁▁", id="constant"),
        pytest.param([0, 1, 2, 3, 4, 5, 6, 7], 60, "▁▂▃▄▅▆▇█", id="rising"),
        pytest.param([7, 6, 5, 4, 3, 2, 1, 0], 60, "█▇▆▅▄▃▂▁", id="falling"),
        pytest.param([0, 1, NAN, 0], 60, "▁██▁", id="nan is drawn as the highest"),
        pytest.param([0, 1, INF, 0], 60, "▁██▁", id="inf is drawn as the highest"),
        pytest.param([NAN, NAN], 60, "██", id="nan only"),
        pytest.param([0, 0, 7, 7], 2, "▁█", id="each character is a mean"),
        pytest.param([0, NAN, 7, 7], 2, "█▁", id="nan marks its share"),
    ],
)
def test_sparkline(utils: ModuleType, values: list[float], width: int, line: str) -> None:
    assert utils.sparkline(values, width) == line


@LAW
@given(values=st.lists(st.floats(-1e6, 1e6) | st.just(NAN) | st.just(INF)), width=st.integers(1, 80))
def test_sparkline_keeps_its_width(utils: ModuleType, values: list[float], width: int) -> None:
    line = utils.sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert set(line) <= set(utils.SPARKS)
