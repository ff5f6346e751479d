"""The public checks of the lecture, outside of a notebook: what they say of unanswered, right and wrong answers."""

import contextlib
import importlib.util
import io
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch

from autograder.assignment import Question
from autograder.authoring.corpus import answer_cell, read_answers
from autograder.notebook import Role
from autograder.release.released import load_released
from tests import corpus

ASSIGNMENT = corpus.assignment()
RELEASED = load_released(ASSIGNMENT)
ANSWER_LIMIT_S = 60
CAUGHT = 0.89
"""The least share of the corpus's wrong answers that the public checks catch; the rest is left to the hidden tests."""
MAGIC = re.compile(r"^\s*[%!]", re.MULTILINE)
SAID = {
    "B1": ("the comparison should be strict",),
    "B2": ("do not set a seed inside the function", "draw from torch's global generator"),
    "B3": (
        "adding eps to the standard deviation; eps belongs inside the square root",
        "normalising with the variance over N - 1",
        "swapping gamma and beta",
        "treating the mean and the variance as constants",
        "the returned var is cut off from the autograd graph",
        "your code calls PyTorch's batch normalization",
    ),
    "B4": (
        "the running statistics are attached to the autograd graph",
        "detaching the statistics of the batch",
        "storing the biased variance",
        "swapping the momentum and 1 - momentum",
        "using the statistics of the batch; use the running ones",
    ),
    "B5": ("the direct path only; two more paths are missing", "leaving out x_hat", "your code calls autograd"),
    "B6": ("normalising after the tanh", "self.bn 2 times"),
    "B7": ("using bn1 in both layers", "normalising after the tanh"),
    "B8": ("averaging the batch means", "using the model in training mode", "let it propagate to the caller"),
    "B9": ("leaving out the running mean", "had training=True before the call"),
    "B10": ("the model is in training mode while it generates", "only 5 occur", "multiplying the logits by the temp"),
    "R1": ("a `.grad` that was there before", "leaving out the square root"),
    "R2": ("leaving out the skip path", "a detached skip path", "adding the branch to the normalised stream"),
    "R3": ("the blocks are not all different objects", "leaving out norm_f"),
    "R4": ("it does not write to the stream",),
    "R5": ("dividing by N - 1", "measuring in evaluation mode", "fc1.weight changed; scale only fc2.weight"),
    "R6": (
        "a block with its norm on the stream returned True",
        "a block of another class that returns its input returned False",
        "normalising in the branch, as in ResidualBlock",
    ),
    "R7": ("the streams; return their differences", "was the model in evaluation mode?"),
    "R8": ("leaving out norm_f", "adding the constant k", "hard-coding eps"),
    "R9": ("not clearing the gradients between the steps", "training in evaluation mode"),
    "R10": ("the first one whose cumulative probability is greater", "the model was not in evaluation mode"),
}
"""What the checks must be able to say: each about at least one wrong answer of the corpus."""


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


@pytest.mark.parametrize("question", ASSIGNMENT.tested, ids=lambda question: question.id)
def test_an_unanswered_question_says_what_to_do(question: Question) -> None:
    stubs = {name: stub(one.id) for one in ASSIGNMENT.tested for name in one.defines}
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


@contextlib.contextmanager
def silent_and_limited() -> Iterator[None]:
    """Discard what is printed and warned of, end what takes too long, and switch autograd on again afterwards."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {ANSWER_LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(ANSWER_LIMIT_S)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of an answer are its author's
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        torch.set_grad_enabled(True)


def run(source: str, env: dict[str, Any]) -> None:
    exec(compile(source, "<cell>", "exec"), env)


def solved(notebook: str) -> dict[str, Any]:
    """What a notebook defines with the reference answers, without its demonstrations."""
    env: dict[str, Any] = {"__name__": "__main__"}
    with silent_and_limited():
        for cell in RELEASED[notebook].given():
            run(corpus.reference()[cell.question] if cell.role == Role.ANSWER else cell.source, env)
    return env


def said(sources: tuple[str, ...], env: Mapping[str, Any], tests: list[Any]) -> list[str]:
    """What the checks say of an answer: the cells are run on top of `env`."""
    scope, messages = dict(env), []
    try:
        with silent_and_limited():
            for source in sources:
                run(source, scope)
    except Exception as error:
        return [str(error)]
    for test in tests:
        try:
            with silent_and_limited():
                test.test_func(scope)
        except Exception as error:
            messages.append(str(error))
    return messages


@pytest.mark.parametrize("notebook", ASSIGNMENT.notebooks)
def test_checks_tell_right_answers_from_wrong_ones(notebook: str, subtests: pytest.Subtests) -> None:
    """Mutation test: no right answer of the corpus fails a check, nearly every wrong one does, and is named."""
    env = solved(notebook)
    missed, wrong = [], 0
    for question in (one for one in ASSIGNMENT.tested if one.notebook == notebook):
        tests, everything = checks(question), ""
        for answer in read_answers(ASSIGNMENT.corpus_dir / f"{question.id}.txt"):
            cell = answer_cell(RELEASED[notebook], question.id, answer.body)
            if MAGIC.search("\n".join((answer.before, cell, answer.after))):
                continue  # it needs a notebook; tests of cells and of grading run it
            messages = said(tuple(filter(None, (answer.before, cell, answer.after))), env, tests)
            if answer.right:
                with subtests.test(answer.id):
                    assert not messages
            else:
                wrong += 1
                missed += [answer.id] * (not messages)
                everything += "\n".join(messages)
        for phrase in SAID[question.id]:
            with subtests.test(f"{question.id}: {phrase}"):
                assert phrase in everything
    assert len(missed) <= (1 - CAUGHT) * wrong, missed
