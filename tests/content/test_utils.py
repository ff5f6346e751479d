"""src/utils.py, which the notebooks read the names with."""

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import fetch_names
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.names import DATA, LAW, no_download

UTILS = DATA.parent / "solutions" / "lecture06" / "src" / "utils.py"


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


def test_find_data_looks_next_to_src(
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


def test_numerical_gradient_of_a_cubic(utils: ModuleType) -> None:
    x = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    before = x.clone()
    found = utils.numerical_gradient(lambda x: (x**3).sum(), x)
    assert torch.allclose(found, 3 * x**2, atol=1e-8)
    assert torch.equal(x, before)


def test_numerical_gradient_refuses_single_precision(utils: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"torch\.float32; use x\.double\(\)"):
        utils.numerical_gradient(torch.sum, torch.ones(2))


def test_cmp_table(utils: ModuleType) -> None:
    target = torch.tensor([1.0, 2.0])
    rows = {
        "same": (target.clone(), target),
        "close": (target + 1e-6, target),
        "far": (target + 1, target),
        "shape": (target[None], target),
        "open": (None, target),
    }
    _, *lines = utils.cmp_table(rows).splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["same", "True", "True", "0.0e+00"],
        ["close", "False", "True", "9.5e-07"],
        ["far", "False", "False", "1.0e+00"],
    ]
    assert lines[3].endswith("has shape (1, 2); it should have shape (2,)")
    assert lines[4].endswith("not filled in")


@pytest.mark.parametrize("name", ["mlp_with_norm", "batchnorm_graph", "residual_stream"])
def test_figures_take_the_colour_of_the_page(name: str) -> None:
    figure = getattr(load(UTILS.with_name("figures.py")), name)()
    svg = figure._repr_html_()
    ElementTree.fromstring(svg)
    assert set(re.findall(r"(?:stroke|fill)='([^']+)'", svg)) == {"currentColor", "none", "#D55E00"}
    assert repr(figure).startswith("Figure: ")
