"""Mutants of reference answers: which changes are made, what they are called, and the list of equivalent ones."""

from pathlib import Path

import pytest

from autograder.assignment_file import load_assignment
from autograder.authoring.master import reference_answers
from autograder.authoring.mutants import equivalent, mutants
from autograder.errors import MasterError
from tests import corpus

TORCH = "    n = x.shape[0]\n    with torch.no_grad():\n        for i in range(n):\n            h += x.mean(dim=0)\n"
ENTRY = "[[mutant]]\nquestion = 'Q1'\nline = 'a'\nbecomes = 'b'\nreason = 'c'\n"


def names(answer: str, *, torch: bool = False) -> set[tuple[str, str]]:
    return {(one.line, one.becomes) for one in mutants("Q1", answer, torch=torch)}


@pytest.mark.parametrize(
    ("answer", "becomes"),
    [
        (
            "return 3 * x",
            {"return 4 * x", "return 2 * x", "return -3 * x", "return x", "return 3", "return 3 / x", "pass"},
        ),
        ("return a < b", {"return a <= b", "return a >= b"}),
        ("return f(a, b, k=True)", {"return f(b, a, k=True)", "return f(a, b)", "return f(a, b, k=False)", "return a"}),
        ("return m.sum(1)", {"return m.mean(1)", "return m.sum()", "return m.sum(1, keepdim=True)", "return m"}),
        ("return s[1:]", {"return s[2:]", "return s[0:]", "return s[-1:]"}),
        ("return -x", {"return x"}),
        ("return a, b", {"return (b, a)"}),
        ("return zeros.std() + eps", {"return zeros.std(correction=0) + eps", "return zeros.std() + 1"}),
        ("x = 1", {"x = 1; x = 1", "pass", "x = 2"}),
        ("x |= y", {"x &= y", "x += y", "x |= y; x |= y"}),
    ],
)
def test_changes_of_one_line(answer: str, becomes: set[str]) -> None:
    found = names(answer)
    assert becomes <= {after for _, after in found}
    assert not any("detach" in after or "no_grad" in after for _, after in found)


def test_what_empty_memory_holds_is_no_mutant() -> None:
    assert {"w = torch.zeros(3)", "w = torch.ones(3)", "w = torch.randn(3)"} <= {
        after for _, after in names("w = torch.empty(3)", torch=True)
    }
    for name in ("zeros", "ones", "randn"):
        assert not any("empty" in after for _, after in names(f"w = torch.{name}(3)", torch=True))


def test_changes_of_statements_in_blocks() -> None:
    assert {
        ("with torch.no_grad():", "if True:"),
        ("with torch.no_grad():", "with torch.no_grad(): ...; with torch.no_grad(): ..."),
        ("for i in range(n):", "for i in range(n - 1):"),
        ("for i in range(n):", "for i in range(n + 1):"),
        ("for i in range(n):", "pass"),
        ("for i in range(n):", "with torch.no_grad(): for i in range(n): ..."),
        ("h += x.mean(dim=0)", "h += x.mean(dim=1)"),
        ("h += x.mean(dim=0)", "h *= x.mean(dim=0)"),
        ("n = x.shape[0]", "with torch.no_grad(): n = x.shape[0]"),
    } <= names(TORCH, torch=True)
    assert ("@torch.no_grad()", "pass") in names("@torch.no_grad()\ndef f(x):\n    return x\n", torch=True)
    assert ("if a:", "if not a:") in names("if a:\n    b()\n")


def test_each_mutant_is_another_program_with_its_line() -> None:
    found = mutants("Q1", TORCH, torch=True)
    assert len({one.body for one in found}) == len({one.key for one in found}) == len(found)
    assert {one.number for one in found if one.line == "h += x.mean(dim=0)"} == {4}


def test_what_nothing_can_notice_is_trivial() -> None:
    answer = "a = b + 1\nc = f(b)\nd = d + 1\ne.f = b"
    assert {one.becomes for one in mutants("Q1", answer, torch=False) if one.trivial} == {"a = b + 1; a = b + 1"}


def test_every_listed_mutant_of_the_lecture_is_made() -> None:
    assignment = corpus.assignment()
    made = {
        mutant.key
        for question, answer in reference_answers(assignment).items()
        if not assignment.question(question).written
        for mutant in mutants(question, answer, torch=True)
    }
    assert set(equivalent(assignment)) - made == set()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{ENTRY}\n{ENTRY}", r"equivalent_mutants\.toml:7: the same mutant is listed twice; see line 1"),
        (ENTRY.replace("reason = 'c'\n", ""), r"equivalent_mutants\.toml:1: an incomplete entry; give question, line"),
        (ENTRY.replace("'c'", "' '"), r"equivalent_mutants\.toml:1: an incomplete entry"),
        (ENTRY.replace("[[mutant]]", "[[mutants]]"), r"equivalent_mutants\.toml:1: not a list of mutants"),
    ],
)
def test_a_list_with_a_mistake(finished: Path, text: str, message: str) -> None:
    assignment = load_assignment("tiny", finished)
    path = assignment.masters_dir / "equivalent_mutants.toml"
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(MasterError, match=message):
            equivalent(assignment)
    finally:
        path.write_text(before, encoding="utf-8")
