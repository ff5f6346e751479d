"""Reading files that nobody vouches for, and finding the regions in their cells."""

import contextlib
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.notebook import MAX_BYTES, MAX_LINES, Cell, NotANotebook, parse_notebook, read_notebook
from autograder.regions import MAX_MARKS, find_regions
from autograder.results import Flag

NAMES = {"f": "Q1", "Thing": "Q2", "a": "Q3", "b": "Q3"}
FUNCTION = '''def f(x):
    """Doc."""
    ####
    # TODO Q1 (2 points): do it #
    ####
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    y = x + 1
    return y
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
'''


def notebook(*cells: Any) -> bytes:
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"  \n", "the file is empty"),
        (b"\0" * 100, "the file is empty"),
        (b"hello", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"cells": [{"source": "x', "cut off"),
        (b'{"cells": [{"source": "x"}', "cut off"),
        (b'{"cells": [}', "not valid JSON .line 1"),
        (
            b'{\n "cells": [\n<<<<<<< HEAD\n  {}\n=======\n  []\n>>>>>>> mine\n]}',
            "merge conflict markers .<<<<<<< in line 3",
        ),
        (b"\x89PNG\r\n\x1a\n\x00", "is an image"),
        (b"PK\x03\x04\xff\xfe", "is a zip archive"),
        (b"%PDF-1.7 \xff", "is a PDF"),
        (b"<!DOCTYPE html><html><title>Log in</title>", "is a login page"),
        (b"\n<html><body>404</body>", "is a web page"),
        (b"\x1f\x8b\x08", "is a compressed archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"\x80\xff\x13\x80\x81", "binary data"),
        (b"[]", "no notebook cells"),
        (b"null", "no notebook cells"),
        (b'{"worksheets": {}}', "no notebook cells"),
        (b'{"cells": {}}', "no notebook cells"),
        (notebook(*[{}] * 5001), "5001 cells"),
        (notebook(*[{"cell_type": "code", "source": "x = 1;" * 90_000}] * 4), "more than 2 MiB of code"),
    ],
)
def test_bad_bytes_give_a_plain_reason(data: bytes, reason: str) -> None:
    with pytest.raises(NotANotebook, match=reason):
        parse_notebook(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_cells_or_a_reason(data: bytes) -> None:
    with contextlib.suppress(NotANotebook):
        assert isinstance(parse_notebook(data), tuple)


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@given(st.lists(st.fixed_dictionaries({"source": Json, "metadata": Json, "id": Json, "cell_type": Json}), max_size=3))
def test_any_cells_give_cells_or_a_reason(cells: list[dict[str, Any]]) -> None:
    with contextlib.suppress(NotANotebook):
        for cell in parse_notebook(notebook(*cells)):
            assert isinstance(cell, Cell)
            find_regions(cell.lines, NAMES, cell.question)


def test_source_as_list_line_ends_and_byte_order_mark() -> None:
    data = b"\xef\xbb\xbf" + notebook({"cell_type": "code", "source": ["a\r\n", "b\rc"], "id": "x"})
    assert parse_notebook(data) == (Cell(id="x", kind="code", source="a\nb\nc"),)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings(encoding: str) -> None:
    text = json.dumps({"cells": [{"cell_type": "code", "source": "x = 'é😀'"}]}, ensure_ascii=False)
    assert [cell.source for cell in parse_notebook(text.encode(encoding))] == ["x = 'é😀'"]


def test_what_jupyter_would_still_open() -> None:
    """Long integers and NaN in outputs, nulls where lists belong, a lone surrogate, bytes that are not UTF-8."""
    cells = (
        '{"cell_type": "code", "source": "x = 1", "metadata": null, "outputs": null, "execution_count": null},'
        '{"cell_type": "code", "source": ["y", " = 2"], "outputs": [{"n": '
        + "7"
        * 5000
        + ', "m": NaN, "k": -Infinity}]},'
        '{"source": "z = \'\\ud800\'", "outputs": []}, {"cell_type": "code", "source": "w = \'\xff\'\tok"}'
    )
    parsed = read_notebook(f'{{"cells": [{cells}]}} <<<'.encode("latin-1"))
    assert [cell.source for cell in parsed.cells] == ["x = 1", "y = 2", "z = '\ufffd'", "w = '\ufffd'\tok"]
    assert {cell.kind for cell in parsed.cells} == {"code"}
    assert parsed.remarks == (
        "some characters are not UTF-8; they were replaced",
        "there is text after the end of the notebook; it was ignored",
    )


def test_a_damaged_cell_costs_that_cell() -> None:
    good = {"cell_type": "code", "source": "x = 1"}
    half = {"cell_type": "code", "source": ["y = 2", 3]}
    parsed = read_notebook(notebook(3, good, {"cell_type": "code", "source": None}, {"cell_type": "markdown"}, half))
    assert [cell.source for cell in parsed.cells] == ["x = 1", "y = 2"]
    assert [remark.split(";")[0] for remark in parsed.remarks] == [
        "cell 1 is damaged and was left out",
        "the text of cell 3 is damaged or missing",
        "the text of cell 4 is damaged or missing",
        "parts of the text of cell 5 are damaged",
    ]


def test_format_3() -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Title"]},
        {"cell_type": "code", "input": ["x = 1\n", "y = 2"], "outputs": [], "language": "python"},
        {"cell_type": "markdown", "source": "text"},
    ]
    data = json.dumps({"nbformat": 3, "worksheets": [{"cells": cells[:2]}, {}, {"cells": cells[2:]}]}).encode()
    assert [(cell.kind, cell.source) for cell in parse_notebook(data)] == [
        ("markdown", "## Title"),
        ("code", "x = 1\ny = 2"),
        ("markdown", "text"),
    ]


@pytest.mark.parametrize("what", ["images", "text"])
def test_outputs_take_at_most_four_times_the_file(what: str) -> None:
    piece = "iVBORw0KGgo" * 90_000 if what == "images" else "loss 0.123 " * 90_000 + "!"
    outputs = [{"data": {"image/png": piece}} for _ in range(24)]
    cell = {"cell_type": "code", "source": "x = '😀'", "outputs": outputs}
    data = json.dumps({"cells": [cell]}, ensure_ascii=False).encode()
    tracemalloc.start()
    try:
        assert [cell.source for cell in parse_notebook(data)] == ["x = '😀'"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak + len(data) < 4 * len(data)


def test_a_file_that_is_too_large_says_by_how_much() -> None:
    with pytest.raises(NotANotebook, match=r"the file is 128\.5 MiB, more than the limit of 128 MiB"):
        parse_notebook(b" " * (MAX_BYTES + (1 << 19)))


def body(text: str, fallback: str = "") -> list[tuple[str, str, tuple[Flag, ...]]]:
    lines = text.split("\n")
    return [(r.question, "\n".join(lines[r.first : r.last]), r.flags) for r in find_regions(lines, NAMES, fallback)]


ANSWER = "    y = x + 1\n    return y"
START_LINE = "    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****\n"
END_LINE = "    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****\n"
BANNER = FUNCTION[FUNCTION.index("    ####") : FUNCTION.index(START_LINE)]


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        (FUNCTION, ""),
        (FUNCTION.replace("*****START OF", "** Start of"), ""),
        (FUNCTION.replace(START_LINE, ""), "START line is missing"),
        (FUNCTION.replace(END_LINE, ""), "END line is missing"),
        (FUNCTION.replace(START_LINE, "").replace(END_LINE, ""), "START line is missing"),
        (FUNCTION.replace(BANNER, ""), ""),
        (FUNCTION + "\nprint(f(1))\n", ""),
    ],
    ids=["as released", "marker retyped", "no start", "no end", "only the banner", "only the markers", "code below"],
)
def test_a_damaged_region_is_found(text: str, flag: str) -> None:
    ((question, found, flags),) = body(text)
    assert question == "Q1"
    assert found.strip("\n") == ANSWER
    assert flag in "".join(map(str, flags))
    assert bool(flag) == bool(flags)


def test_a_region_without_banner_and_name_is_found_by_the_metadata_of_its_cell() -> None:
    text = START_LINE + ANSWER + "\n" + END_LINE
    assert [question for question, _, _ in body(text, "Q2")] == ["Q2"]
    assert body(text) == []


def test_two_regions_in_one_cell() -> None:
    second = FUNCTION.replace("Q1", "Q2").replace("def f(x)", "def Thing(x)").replace("x + 1", "x + 2")
    assert [(question, "x + 2" in found) for question, found, _ in body(FUNCTION + second)] == [
        ("Q1", False),
        ("Q2", True),
    ]


def test_a_region_without_end_stops_at_the_next_banner() -> None:
    second = FUNCTION.replace("Q1", "Q2").replace("def f(x)", "def Thing(x)")
    first, _ = body(FUNCTION.replace(END_LINE, "") + second)
    assert "def Thing" not in first[1]


@pytest.mark.parametrize("line", ["# TODO B3", "# START OF YOUR CODE", "# END OF YOUR CODE"])
def test_a_cell_full_of_marks_is_looked_at_up_to_a_limit(line: str) -> None:
    assert len(find_regions([line] * MAX_LINES, {"f": "B3"}, "B3")) <= MAX_MARKS


@pytest.mark.parametrize("value", ["[],", '{"a":0},'])
def test_a_file_that_would_fill_the_memory_is_not_parsed(value: str) -> None:
    with pytest.raises(NotANotebook, match="too many values"):
        parse_notebook(f'{{"cells":[],"x":[{value * (1 << 20)}0]}}'.encode())
