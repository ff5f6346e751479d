"""The public checks of the lecture, called outside of a notebook: an unwritten answer is told what to do next."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autograder.assignment import Question
from tests import corpus

ASSIGNMENT = corpus.assignment()


@pytest.fixture(autouse=True)
def in_the_release(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Checks import `src` from the student's folder."""
    monkeypatch.syspath_prepend(str(ASSIGNMENT.release_dir))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "src"]:
        del sys.modules[name]


def checks(question: Question) -> list[Any]:
    path = ASSIGNMENT.release_dir / "tests" / f"{question.id}.py"
    spec = importlib.util.spec_from_file_location(f"check_{question.id}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [value for name, value in vars(module).items() if name.startswith("test_") and name != "test_case"]


def stub(question_id: str) -> Callable[..., None]:
    """What the release defines: a call says which question is open."""

    def raises(*values: object, **named: object) -> None:
        raise NotImplementedError(question_id)

    return raises


@pytest.mark.parametrize("question", ASSIGNMENT.questions, ids=lambda question: question.id)
def test_an_unanswered_question_says_what_to_do(question: Question) -> None:
    stubs = {name: stub(one.id) for one in ASSIGNMENT.questions for name in one.defines}
    found = checks(question)
    assert found
    for check in found:
        for env, advice in (
            ({}, "run the cell of question"),
            (stubs, "is not answered yet: replace|run the given cell"),
        ):
            with pytest.raises(Exception, match=advice) as caught:
                check.test_func(env)
            assert type(caught.value).__name__ in ("NotWritten", "Mismatch")
