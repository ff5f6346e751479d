"""Reading files that nobody vouches for, and finding the regions in their cells."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.notebook import MAX_LINES, Cell, NotANotebook, parse_notebook
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
        (b"hello", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"cells": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b"\x89PNG\r\n\x1a\n\x00", "not text in UTF-8"),
        (b"PK\x03\x04\xff\xfe", "not text in UTF-8"),
        (b"[]", "no notebook cells"),
        (b"null", "no notebook cells"),
        (b'{"worksheets": []}', "no notebook cells"),
        (b'{"cells": {}}', "no notebook cells"),
        (notebook(3), "cell 1 is damaged"),
        (notebook({"source": 3}), "the text of cell 1 is damaged"),
        (notebook({"source": ["x", 3]}), "the text of cell 1 is damaged"),
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
