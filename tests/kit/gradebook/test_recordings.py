"""Recordings and programs come back as they were."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from autograder.errors import GraderFault
from autograder.gradebook import programs, recordings, schema
from autograder.gradebook.packing import pack
from autograder.gradebook.programs import Scored
from autograder.gradebook.store import Gradebook
from autograder.grading.recording import LOOK, Facts, Recording, Reply
from autograder.program import Alternative, Program, Step
from autograder.results import (
    Audience,
    Flag,
    Status,
)
from autograder.sandbox.channel import Frame, encode, split
from autograder.sandbox.replies import Failure, Stopped
from tests.kit.gradebook.entries import result, save


def recording(**replies: Failure | bool | Frame) -> Recording:
    facts = Facts(failure=None, errors={"Q1": "no"}, disturbed=False, stopped=(Stopped(statements=1, error="e"),))
    found = Recording(key=b"k" * 16, text='["a"]\n["\udcff"]', facts=facts)
    for name, answer in replies.items():
        request = LOOK if isinstance(answer, bool) else b"r" * 16
        found.add(name.encode().ljust(16), Reply(request=request, answer=answer))
    return found


def keep(gradebook: Gradebook, one: Recording) -> Recording:
    with gradebook.writing() as connection:
        recordings.save(connection, [one], "{}")
    found = recordings.load(gradebook, one.key)
    assert found is not None
    return found


HALVES = torch.full((50, 50), 0.5)
NOISE = torch.randn(50, 50, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("value", [None, {"seen": {"a": HALVES, "b": NOISE, "c": HALVES}}, "text"], ids=str)
def test_replies_come_back_as_they_were(book: Gradebook, value: Any) -> None:
    frame = split(encode(value))
    one = recording(a=frame, b=Failure(status=Status.CRASHED, message="gone\0"), c=True, d=False)
    assert keep(book, one) == one


def test_equal_tensors_are_stored_once_and_a_header_that_lies_as_a_whole(book: Gradebook) -> None:
    keep(book, recording(a=split(encode([HALVES, NOISE])), b=split(encode([NOISE, HALVES]))))
    count = recordings.size(book)[1]
    keep(book, recording(c=split(encode({"x": NOISE}))))
    assert recordings.size(book)[1] - count < 200
    lying = (b'{"value":1,"tensors":[["f8",[3]]]}', bytearray(b"no"))
    assert keep(book, recording(d=lying)).replies[b"d".ljust(16)].answer == lying


def test_a_later_reply_replaces_a_failure_and_no_other(book: Gradebook) -> None:
    crash, first, second = Failure(status=Status.CRASHED, message=""), split(encode(1)), split(encode(2))
    keep(book, recording(a=crash, b=first))
    keep(book, recording(a=second, b=crash))
    found = keep(book, recording(b=second))
    assert [one.answer for one in sorted(found.replies.values(), key=lambda one: one.answer != second)] == [
        second,
        first,
    ]


def test_what_one_child_says_of_what_calls_leave_behind_holds_for_the_program(book: Gradebook) -> None:
    assert not keep(book, recording()).facts.kept  # type: ignore[union-attr]
    kept = recording()
    kept.facts = replace(kept.facts, kept=True)  # type: ignore[type-var]
    keep(book, kept)
    found = keep(book, recording())
    assert found.facts
    assert found.facts.kept
    assert not found.facts.stateless


def test_a_damaged_gradebook_is_one_line(book: Gradebook) -> None:
    one = recording(a=split(encode(HALVES)))
    keep(book, one)
    with book.writing() as connection:
        connection.execute(schema.blobs.update().values(body=pack(b"x" * 99)))
    with pytest.raises(GraderFault, match="damaged"):
        recordings.load(book, one.key)


def test_a_program_comes_back_as_it_was(book: Gradebook) -> None:
    run = save(book, result())
    flag = Flag(kind="k", text="t", question="Q1", audience=Audience.STAFF)
    program = Program(
        notebook="hw",
        steps=(Step(label="Q1", source="def f(): 'ä\n'", question="Q1"), Step(label="x", source="1", added=True)),
        unanswered={"Q2": Status.MISSING},
        files={"Q1": "x.ipynb"},
        flags=(flag,),
        defined={"f": "cell 1"},
        alternatives={"Q1": (Alternative(source="s", file="y.ipynb", flag=flag),)},
        modules={"helper": "x = 1"},
    )
    found = {"hw": Scored(program=program, notes=(flag,)), "other": Scored(program=None, notes=())}
    with book.writing() as connection:
        programs.save(connection, run, "ada", found, whole=True)
    assert programs.load(book, "ada") == found
    with book.writing() as connection:
        programs.save(connection, run, "ada", {"hw": found["other"]}, whole=False)
    assert programs.load(book, "ada") == {"hw": found["other"], "other": found["other"]}
