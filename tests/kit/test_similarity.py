"""Places to look: copies are found however they are disguised, and nothing that everybody has counts."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.reports.fingerprints import RUN, WINDOW, all_runs, fingerprints, tokens
from autograder.reports.html import visible
from autograder.reports.side_by_side import write_similarity
from autograder.reports.similarity import LEAST, Similarity, similarity
from autograder.results import Result, Student
from benchmarks.planted_copies import DISGUISES, measure
from tests.classroom import HOSTILE, result, score, small
from tests.html_text import Page

MEAN = """
def f_Q1(x):
    total = 0.0
    for index, value in enumerate(x):
        total = total + value * 2 if index else total - value
    return total / max(1, len(x)) ** 0.5
"""
RENAMED = """
def f_Q1(x):
    # my own idea
    s = 0.0
    for i, v in enumerate(x):
        s = s + v * 2 if i else s - v
    return s / max(1, len(x)) ** 0.5
"""
OTHER = """
def f_Q1(x):
    return sum(map(float, reversed(x))) if any(x) else min([None, False], default=print)
"""


def one(student: str, source: str, message: str = "") -> Result:
    """A student with this answer to Q1 and none to other questions."""
    answer = score("Q1", {"halves_a_number": message} if message else {}, source=source)
    return result(student, {"Q1": answer}, questions={"Q1": answer})


def compare(*results: Result, known: tuple[str, ...] = ()) -> Similarity:
    return similarity(results, small(), known)


# --- measured ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_planted_copies_are_among_the_first_pairs(seed: int) -> None:
    """The figure of docs/reports.md, on smaller classes."""
    measured = measure(independent=30, copies=1, seed=seed)
    assert measured.pairs == 35 * 34 // 2
    assert set(measured.expected) == set(DISGUISES)
    assert measured.recall >= 0.95


# --- fingerprints -----------------------------------------------------------------------------------------------------


def test_names_comments_strings_and_white_space_do_not_count() -> None:
    plain, disguised = "total = x.mean(0) + f('a')", 't=y . mean( 0 )+g( "b" )  # other'
    texts = [[token.text for token in tokens(source) if token.kind != "comment"] for source in (plain, disguised)]
    assert texts[0] == texts[1]
    assert "mean" in texts[0]


CODE = st.lists(st.sampled_from(["a", "= b", "+", "1;", "f(", "c)", ".mean", "[2]", "*", "if"]), max_size=40).map(
    " ".join
)


@given(CODE, CODE, CODE, CODE)
def test_a_long_enough_common_run_is_always_found(head: str, other_head: str, tail: str, other_tail: str) -> None:
    """Winnowing guarantees it for RUN + WINDOW - 1 tokens."""
    common = "return x * 2 - y / 3 + len ( z )"
    assert len(tokens(common)) >= RUN + WINDOW - 1
    ours, theirs = (tokens(f"{a} {common} {b}") for a, b in ((head, tail), (other_head, other_tail)))
    assert fingerprints(ours).keys() & fingerprints(theirs).keys()


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("'" + "\\'" * 3 + "\nz", ["'\\'\\'\\'", "z"]),
        ("x = 'open\ny", ["x", "=", "'open", "y"]),
        ('"""never\nclosed \' x', ['"""never\nclosed \' x']),
        ("rb\"a\" 'b\\'c' d", ['rb"a"', "'b\\'c'", "d"]),
    ],
)
def test_a_string_that_is_never_closed_is_one_token(source: str, written: list[str]) -> None:
    assert [token.written for token in tokens(source)] == written


@given(st.text(max_size=200))
def test_any_text_has_fingerprints_within_its_lines(source: str) -> None:
    marks = fingerprints(tokens(source))
    assert marks.keys() <= all_runs(source)
    assert {line for lines in marks.values() for line in lines} <= set(range(1, source.count("\n") + 2))


# --- pairs ------------------------------------------------------------------------------------------------------------


def test_a_renamed_copy_is_the_first_pair_with_its_lines_marked() -> None:
    found = compare(one("a", MEAN), one("b", RENAMED), one("c", OTHER))
    assert (found.students, found.compared) == (3, 3)
    first = found.pairs[0]
    assert (first.left, first.right) == ("a", "b")
    (match,) = first.matches
    assert match.shared == 1.0
    assert (min(match.left), max(match.left)) == (2, 6)
    assert (min(match.right), max(match.right)) == (2, 7)


@pytest.mark.parametrize("known", [MEAN, RENAMED])
def test_what_everybody_may_have_does_not_count(known: str) -> None:
    assert compare(one("a", MEAN), one("b", RENAMED), known=(known,)).pairs == ()


@pytest.mark.parametrize("count", [LEAST, LEAST + 1])
def test_what_many_answers_share_does_not_count(count: int) -> None:
    class_ = [one(f"s{n}", MEAN) for n in range(count)] + [one(f"t{n}", f"x{n} = {n}") for n in range(20)]
    assert bool(compare(*class_).pairs) == (count <= LEAST)


@pytest.mark.parametrize("group", ["g", None])
def test_a_group_that_handed_in_together_is_not_compared(group: str | None) -> None:
    team = [replace(one(n, MEAN), student=Student(id=n, group=group), sha256="same") for n in "ab"]
    found = compare(*team, one("c", OTHER))
    assert bool(found.pairs) == (group is None)


def test_a_group_with_two_submissions_is_compared() -> None:
    team = [replace(one(n, MEAN), student=Student(id=n, group="g")) for n in "ab"]
    assert compare(*team, one("c", OTHER)).pairs


def test_pairs_are_ranked_over_all_questions_together() -> None:
    def two(student: str, first: str, second: str) -> Result:
        scores = {"Q1": score("Q1", source=first), "Q2": score("Q2", source=second)}
        return result(student, questions=scores)

    class_ = [two("a", MEAN, OTHER), two("b", MEAN, OTHER), two("c", OTHER, MEAN), two("d", "x = 1", MEAN)]
    first = compare(*class_).pairs[0]
    assert (first.left, first.right) == ("a", "b")
    assert {match.question for match in first.matches} == {"Q1", "Q2"}


SIGNALS = [
    ("wrong value", "x = 1", "y = 2", "your result is 3.14159 where 2 was expected (x=2)", "3.14159"),
    ("comment", "# half an onion a day\nx = 1", "y = 2 # half an onion a day", "", "half an onion a day"),
    ("name", "wobble = 1", "return wobble", "", "wobble"),
    (
        "dead code",
        "unused = x * 7 - 3\nreturn x",
        "def g(x):\n    unused = x*7-3\n    return 1",
        "",
        "unused = x * 7 - 3",
    ),
    ("dead code", "return x\nprint(x, 41)", "def g(x):\n    return x\n    print(x,41)", "", "print(x, 41)"),
]


@pytest.mark.parametrize(("kind", "left", "right", "message", "text"), SIGNALS, ids=[f"{s[0]} {s[4]}" for s in SIGNALS])
def test_signals_beside_the_text(kind: str, left: str, right: str, message: str, text: str) -> None:
    """They stand beside a pair that shares something else, in another question."""
    class_ = [
        result(name, questions={"Q2": score("Q2", source=MEAN), "Q1": answer.questions["Q1"]})
        for name, answer in (("a", one("a", left, message)), ("b", one("b", right, message)))
    ]
    class_.append(one("c", OTHER, "your result is 2.71828"))
    first = compare(*class_).pairs[0]
    signals = [signal for match in first.matches if match.question == "Q1" for signal in match.signals]
    assert [kind for signal in signals if signal.kind == kind and text in signal.text] == [kind]


@pytest.mark.parametrize("source", ["f(keepdim=3)", "x.wobble", "self.x = torch", "int(print)"])
def test_names_that_nobody_chose_are_no_signal(source: str) -> None:
    class_ = [result(n, questions={"Q1": score("Q1", source=source), "Q2": score("Q2", source=MEAN)}) for n in "ab"]
    first = compare(*class_, one("c", OTHER), known=("torch",)).pairs[0]
    assert not [signal for match in first.matches if match.question == "Q1" for signal in match.signals]


@pytest.mark.parametrize(
    "source", ["(" * 5000, "1+" * 5000 + "1", "x = '\\d'", "\x00", "return", '"' * 50_000, "'''" * 9999]
)
def test_answers_that_are_not_python_are_compared_too(source: str) -> None:
    assert compare(one("a", source + MEAN), one("b", source + MEAN), one("c", OTHER)).compared == 3


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_does_nothing_in_the_page(tmp_path: Path, text: str) -> None:
    source = f"{MEAN}\n# {text} {text}\nname = 3.5  # {text}"
    class_ = [one(f"{text}{n}", source, f"{text} 3.1415") for n in range(2)]
    path = write_similarity([*class_, one("c", OTHER)], small(), (), tmp_path)
    page = Page(path.read_text(encoding="utf-8"))
    assert page.active == []
    assert visible(text) in page.text


def test_the_page_says_what_it_is_and_marks_what_is_shared(tmp_path: Path) -> None:
    path = write_similarity([one("a", MEAN), one("b", RENAMED), one("c", OTHER)], small(), (), tmp_path)
    html = path.read_text(encoding="utf-8")
    assert "places to look, not a verdict" in Page(html).text
    assert 'class="l same" data-n="4"' in html


def test_a_class_in_which_nothing_is_alike_has_a_page(tmp_path: Path) -> None:
    path = write_similarity([one("a", MEAN)], small(), (), tmp_path)
    assert "No two answers have anything unusual in common" in path.read_text(encoding="utf-8")
