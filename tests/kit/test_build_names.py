"""The bundled names, what SOURCES.md says of them, and the script that builds them."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import build_names
import fetch_names
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.names import DATA, LAW, assert_one_line


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
