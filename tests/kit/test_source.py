"""Python source as text: strings, comments, statements and what they bind, however broken or hostile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.source import Kind, Parser, defined_names, is_python, layout

PIECES = (
    """def f(x):|x = 1|@a|%time y = 2|class A:|return|!ls|foo?|%%time|async |lambda: 0|if x:|f'{x}'|else:|import """
)
SNIPPETS = st.lists(
    st.sampled_from([*PIECES.split("|"), "    ", *"\n\"'#\\()]{ :=,\t;", "'''", '"""']), max_size=40
).map("".join)


@pytest.mark.parametrize(
    ("source", "code", "comments", "inside"),
    [
        ("x = 1  # one", ["x = 1  "], set(), set()),
        ("# a\n  # b\nx", ["", "  ", "x"], {0, 1}, set()),
        ("'# a'\n\"it's\" # b", ["''", '"" '], set(), set()),
        ('"""\n# a\n""" # b\n# c', ['""""""', "", " ", ""], {3}, {1, 2}),
        ("'''a\\'''\n# b'''\n# c", ["''''''", "", ""], {2}, {1}),
        ("f(1,\n# a\n2)\ny", ["f(1,", "", "2)", "y"], {1}, {1, 2}),
        ("x = 1 + \\\n2", ["x = 1 + ", "2"], set(), {1}),
        ('x = "open\n# a', ["x = open", ""], {1}, set()),
        ("'''open\n# a", ["open", ""], {1}, set()),
        ("f((\ndef g():\n  pass", ["f((", "def g():", "  pass"], set(), set()),
    ],
)
def test_layout(source: str, code: list[str], comments: set[int], inside: set[int]) -> None:
    seen = layout(source)
    assert (list(seen.code), set(seen.comments), set(seen.inside)) == (code, comments, inside)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(x): ...", {"f"}),
        ("async def f(x):\n    await x", {"f"}),
        ("@a\n@b(1)\ndef f(x):\n    y = 1", {"f"}),
        ("class A:\n    f = 1", {"A"}),
        ("f = g = 1", {"f", "g"}),
        ("f: int = 1", {"f"}),
        ("a, (b, *c) = 1, 2", {"a", "b", "c"}),
        ("x.f = 1\nx[0] = 2", set()),
        ("import a.b, c as d", {"a", "d"}),
        ("from a import f as g", {"g"}),
        ("from a import *", {"*"}),
        ("if x:\n    def f(): ...\nelse: g = 1", {"f", "g"}),
        ("try:\n    import f\nexcept E:\n    g = 1\nfinally:\n    h = 2", {"f", "g", "h"}),
        ("with a as b:\n    f = 1", {"b", "f"}),
        ("for i in x:\n    f = i", {"i", "f"}),
        ("f = 1; g = 2", {"f", "g"}),
        ("    f = 1\n    def g(): ...", {"f", "g"}),
        ("%time f = 1\n!ls\ng?\nh = 2", {"f", "h"}),
        ("%%time\nf = 1", {"f"}),
        ("def f(x)\n    return x\ng = 1", {"f", "g"}),
        ("f = (1\n\ndef g():\n    pass", {"f", "g"}),
        ("f(x)\nprint(g)", set()),
        ("'''\ndef f(): ...\n'''\n# g = 1", set()),
    ],
)
def test_what_statements_bind(source: str, names: set[str]) -> None:
    assert {name for one in Parser().statements(source) for name in one.names} == names


@pytest.mark.parametrize(
    "source",
    ["def f(x): ...", "@a\ndef f(x):\n    y = 1", "class A:\n    f = 1", "f = 1\n\nif x:\n    g = 2", "f: int = 1"],
)
def test_text_beyond_the_limit_is_split_by_lines_to_the_same_names(source: str) -> None:
    by_parser, by_lines = Parser().statements(source), Parser(tokens=0).statements(source)
    assert [one.names for one in by_lines] == [one.names for one in by_parser]
    assert [one.text(source.split("\n")).strip() for one in by_lines] == [
        one.text(source.split("\n")).strip() for one in by_parser
    ]


def test_the_limit_is_on_all_texts_together() -> None:
    parser = Parser(tokens=10)
    assert parser.statements("def f(x):\n    g")[0].kind is Kind.FUNCTION
    assert parser.statements("def g(x):\n    f")[0].kind is Kind.BLOCK


@pytest.mark.parametrize(
    ("source", "empty"),
    [
        ("pass", True),
        ("...", True),
        ('"""Doc."""\npass', True),
        ("raise NotImplementedError('B3')", True),
        ('def f(x):\n    """Doc."""\n    raise NotImplementedError', True),
        ("class A:\n    def f(self): pass\n    def g(self):\n        ...", True),
        ("# nothing", True),
        ("return", False),
        ("raise ValueError", False),
        ("class A:\n    def f(self): pass\n    x = 1", False),
        ("pass; x = 1", False),
    ],
)
def test_what_does_nothing(source: str, empty: bool) -> None:
    assert all(one.is_empty for one in Parser().statements(source)) is empty


@pytest.mark.parametrize(
    ("source", "python"),
    [
        ("x = 1", True),
        ("%%time\nx = 1", True),
        ("\n%%capture out\nx", True),
        ("%%bash\nls", False),
        ("%%writefile a.py\nx", False),
    ],
)
def test_cell_magics(source: str, python: bool) -> None:
    assert is_python(source) is python


def test_parameters_and_header() -> None:
    (one,) = Parser().statements(
        "@a\ndef f(\n    x: dict[str, int] = {},  # (\n    *args, y=lambda z: 0, **more\n) -> int:\n    return 1"
    )
    assert (one.first, one.header, one.parameters) == (0, (1, 5), ("x", "args", "y", "more"))


@given(SNIPPETS | st.text(max_size=80))
def test_any_text_has_statements_in_order(source: str) -> None:
    lines = source.split("\n")
    seen = layout(source)
    assert len(seen.code) == len(lines)
    defined_names(seen.code)
    for parser in (Parser(), Parser(tokens=0)):
        end = 0
        for one in parser.statements(source):
            assert end <= one.first < one.last <= len(lines)
            end = one.last


@pytest.mark.parametrize(
    "piece", ["(", "'''", "'", "if x:\n ", "x.", "-", "not ", "lambda:", "f'{", "\\\n", "@a\n", "\t"]
)
def test_a_flood_is_read(piece: str) -> None:
    Parser().statements(piece * 3000)
