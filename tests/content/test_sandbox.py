"""The sandbox: whatever student code does is a value, and the next child is not touched by it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from autograder.assignment import Limits
from autograder.grading.grader import Grader, open_grader
from autograder.program import Step
from autograder.results import Status
from autograder.sandbox.client import Run, waited_s
from autograder.sandbox.replies import Failure, probe_request, read_reply
from tests import corpus

X = torch.arange(12.0, dtype=torch.float64).reshape(4, 3)
ONES, ZEROS = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
INPUTS = {"x": X, "gamma": ONES, "beta": ZEROS, "eps": None}
REQUEST = probe_request("batchnorm_forward_plain", INPUTS, seed=1)
LIMITS = Limits(wall_s=20, cpu_s=4, memory_mib=1024)
DEFINES = {"B3": ("batchnorm_forward",)}


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    """A grader with little patience."""
    with open_grader(replace(corpus.assignment(), limits=LIMITS)) as opened:
        yield opened


def answer(body: str) -> Step:
    lines = ["def batchnorm_forward(x, gamma, beta, eps=1e-5):", *(f"    {line}" for line in body.split("\n"))]
    return Step(label="B3", source="\n".join(lines), question="B3")


def start(grader: Grader, *steps: Step) -> Run:
    return grader.sandbox.start("batchnorm", steps, DEFINES, seed=1)


def observe(grader: Grader, *steps: Step) -> Any:
    run = start(grader, *steps)
    try:
        return read_reply(run.ask(REQUEST))
    finally:
        run.close()


def test_a_probe_returns_what_the_code_returned(grader: Grader) -> None:
    seen = observe(grader, answer("return x + 1, x.mean(0), None"))
    assert torch.equal(seen["returned"][0], X + 1)
    assert seen["returned"][2] is None
    assert torch.equal(seen["x"], X)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("return 1 / 0", Status.ERROR, r"ZeroDivisionError: division by zero \(line 2 of B3: return 1 / 0\)"),
        ("raise KeyboardInterrupt", Status.ERROR, "KeyboardInterrupt"),
        ("import sys; sys.exit(3)", Status.ERROR, "SystemExit"),
        ("return batchnorm_forward(x, gamma, beta)", Status.ERROR, "RecursionError"),
        ("class Odd(Exception):\n    def __str__(self): raise self\nraise Odd", Status.ERROR, "no message"),
        ("raise Exception('\\x1b[31m\\x00')", Status.ERROR, r"\\x1b\[31m\\x00"),
        ("return torch.zeros(1 << 40)", Status.ERROR, "RuntimeError"),
        ("return bytearray(8 << 30)", Status.ERROR, "MemoryError"),
        ("import os; os._exit(0)", Status.CRASHED, r"exited \(exit code 0\)"),
        ("import os; os.kill(os.getpid(), 11)", Status.CRASHED, "SIGSEGV"),
        ("import ctypes; ctypes.string_at(0)", Status.CRASHED, "SIGSEGV"),
        ("import os; os.close(3)\nreturn x", Status.CRASHED, ""),
        ("import os; os.write(3, b'junk' * 100)\nreturn x", Status.CRASHED, "malformed"),
        (
            "import os, struct; os.write(3, struct.pack('<4sIQ', b'AGK1', 9, 1 << 60))\nreturn x",
            Status.CRASHED,
            "malformed",
        ),
        ("while True: pass", Status.TIMED_OUT, "infinite loop"),
        ("import time; time.sleep(1000)", Status.TIMED_OUT, "infinite loop"),
    ],
)
def test_failures_are_values(grader: Grader, body: str, kind: Status, message: str) -> None:
    seen = observe(grader, answer(body))
    assert isinstance(seen, Failure)
    assert seen.status is kind
    assert_matches(message, seen.message)
    again = observe(grader, answer("return x, x, x"))
    assert torch.equal(again["returned"][0], X)


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text


def test_a_forged_reply_of_the_wrong_form_is_a_crash(grader: Grader) -> None:
    forge = "from autograder.sandbox import channel\nchannel.send(3, channel.encode({'seen': 3}), 1e18)\nreturn x, x, x"
    seen = observe(grader, answer(forge))
    assert isinstance(seen, Failure)
    assert seen.status is Status.CRASHED


def test_an_error_in_a_step_does_not_stop_the_program(grader: Grader) -> None:
    run = start(
        grader,
        Step(label="added code 1", source="x = (", added=True),
        Step(label="added code 2", source="%matplotlib inline\n!pip install torch\nfactor = 3", added=True),
        answer("return x * factor, x, x"),
        Step(label="added code 3", source="raise SystemExit", added=True),
    )
    seen = read_reply(run.ask(REQUEST))
    run.close()
    assert not isinstance(seen, Failure)
    assert torch.equal(seen["returned"][0], X * 3)
    assert set(run.errors) == {"added code 1", "added code 3"}
    assert "SyntaxError" in run.errors["added code 1"]


def test_added_code_that_does_not_end_is_stopped(grader: Grader) -> None:
    run = start(grader, Step(label="added code 1", source="while True: pass", added=True), answer("return x, x, x"))
    seen = read_reply(run.ask(REQUEST))
    run.close()
    assert not isinstance(seen, Failure)
    assert "stopped after" in run.errors["added code 1"]


def test_the_answer_counts_where_added_code_binds_its_name_again(grader: Grader) -> None:
    again = Step(label="added code 1", source="def batchnorm_forward(*a): return 0, 0, 0", added=True)
    assert torch.equal(observe(grader, answer("return x, x, x"), again)["returned"][0], X)


LOADED = """from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
class Ten(IterableDataset):
    def __iter__(self): return iter(range(10))
class Mine(DataLoader):
    pass
kinds = {{"map": TensorDataset(torch.arange(10)), "iterable": Ten()}}
loader = {kind}(kinds["{data}"], batch_size=3{options})
return [[batch[0] if "{data}" == "map" else batch for batch in loader] for _ in range(2)]"""


@pytest.mark.parametrize("kind", ["DataLoader", "Mine"])
@pytest.mark.parametrize("data", ["map", "iterable"])
@pytest.mark.parametrize(
    "options",
    [
        "",
        ", num_workers=2",
        ", num_workers=2, persistent_workers=True, prefetch_factor=4, pin_memory=True, timeout=30",
        ", num_workers=1, multiprocessing_context='spawn', worker_init_fn=print",
    ],
)
def test_a_data_loader_needs_no_workers(grader: Grader, kind: str, data: str, options: str) -> None:
    run = start(grader, answer(LOADED.format(kind=kind, data=data, options=options)))
    seen = read_reply(run.ask(REQUEST))
    assert not run.disturbed
    assert not run.changed(), "it counts as a change of what all share"
    run.close()
    assert not isinstance(seen, Failure)
    for epoch in seen["returned"]:
        assert [batch.tolist() for batch in epoch] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_a_shuffled_data_loader_gives_the_same_batches_with_workers(grader: Grader) -> None:
    body = """from torch.utils.data import DataLoader
return [[batch for batch in DataLoader(torch.arange(10), batch_size=4, shuffle=True, num_workers=workers,
         generator=torch.Generator().manual_seed(3))] for workers in (0, 2)]"""
    without, with_workers = observe(grader, answer(body))["returned"]
    assert list(map(torch.Tensor.tolist, without)) == list(map(torch.Tensor.tolist, with_workers))


@pytest.mark.parametrize("options", ["num_workers=-1", "prefetch_factor=2", "persistent_workers=True"])
def test_a_data_loader_refuses_what_it_refuses_elsewhere(grader: Grader, options: str) -> None:
    seen = observe(grader, answer(f"return torch.utils.data.DataLoader(x, {options})"))
    assert isinstance(seen, Failure)
    assert_matches("ValueError", seen.message)


def test_nothing_is_left_for_the_next_child(grader: Grader) -> None:
    leave = """import builtins, torch, os
builtins.left = torch.left = 1
os.environ['LEFT'] = '1'
open('left', 'w').write('1')
return x, x, x"""
    observe(grader, answer(leave))
    look = """import builtins, torch, os
return [hasattr(builtins, 'left'), hasattr(torch, 'left'), 'LEFT' in os.environ, os.path.exists('left')]"""
    assert observe(grader, answer(look))["returned"] == [False] * 4


def test_the_environment_of_the_grader_stays_outside(grader: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "1")
    names = observe(grader, answer("import os\nreturn sorted(os.environ)"))["returned"]
    assert "SECRET_TOKEN" not in names
    assert "HOME" in names


def test_random_numbers_are_the_same_in_every_run(grader: Grader) -> None:
    draw = answer("import numpy\nreturn torch.rand(1), numpy.random.rand()")
    first, second = (observe(grader, draw)["returned"] for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert first[1] == second[1]


def test_the_data_part_of_the_notebook_is_there(grader: Grader) -> None:
    assert observe(grader, answer("return len(names), vocab_size, idx2str[1], __name__"))["returned"][1:] == (
        27,
        "a",
        "__main__",
    )


def test_limits_are_those_of_the_assignment() -> None:
    limits = corpus.assignment().limits
    assert limits.cpu_s < limits.wall_s


def test_waiting_for_a_core_is_told_from_sleeping() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as sleeping:
        handle = os.pidfd_open(sleeping.pid)
        try:
            assert 0 <= waited_s(handle) < 60
        finally:
            sleeping.kill()
            os.close(handle)
    assert waited_s(-1) == 0.0
