"""Hidden tests that depend on chance, the day or the machine."""

import random
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from autograder.assignment_file import load_assignment
from autograder.authoring.verify import chance, grading
from tests.kit.verify.breaking import TESTS, edit


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import random\nrandom.shuffle(x)", 2),
        ("random.Random()", 1),
        ("np.random.default_rng()", 1),
        ("torch.rand(3)", 1),
        ("datetime.now()", 1),
        ("datetime.date.today()", 1),
        ("time.perf_counter()", 1),
        ("x = 1\nhash('x')", 2),
        ("for one in {1, 2} & set(x):\n    pass", 1),
        ("[one for one in frozenset(x)]", 1),
        ("list(\n{one for one in x})", 2),
    ],
)
def test_chance_and_time_in_a_hidden_test(source: str, line: int) -> None:
    assert [number for number, _ in chance.found(source)] == [line]


@pytest.mark.parametrize(
    "source",
    [
        "random.Random(3).shuffle(x)",
        "np.random.default_rng(seed=3).normal()",
        "torch.rand(3, generator=g)",
        "x.random()",
        "time.sleep(0)",
        "now()",
        "x.hash('x')",
        "sorted({1, 2})",
        "for one in sorted({1, 2} - set(x)):\n    assert one in {1, 2}",
    ],
)
def test_what_is_seeded_is_no_chance(source: str) -> None:
    assert list(chance.found(source)) == []


PROBES = "solutions/tiny/hidden_tests/probes.py"


@pytest.fixture
def of_another_process(home: Path) -> dict[str, str]:
    """Hidden tests of Q1 that pass in grading, by name; each depends on something that it must not depend on."""
    hashed = subprocess.run(
        [sys.executable, "-c", "print(hash('half'))"], env={"PYTHONHASHSEED": "0"}, capture_output=True, check=True
    )
    edit(
        home,
        PROBES,
        'return {"returned": student.halve(x)}',
        """import random, time
    from datetime import datetime
    seen = {"hash": hash("half"), "zone": time.strftime("%z"), "drawn": random.random()}
    seen |= {"clock": time.time(), "date": datetime.now().timestamp()}
    return {"returned": student.halve(x), **seen}""",
    )
    random.seed(zlib.crc32(b"Q1"))  # as student code is seeded in grading
    soon = time.time() + 9 * 86_400
    return {
        "hash_seed": f'assert seen["hash"] == {int(hashed.stdout)}',
        "zone": 'assert seen["zone"] != "+0545"',
        "clock": f'assert seen["clock"] < {soon}',
        "date": f'assert seen["date"] < {soon}',
        "seed": f'assert seen["drawn"] == {random.random()!r}',
        "twice": 'BEFORE.append("x"); assert BEFORE.count("x") < 2',
        "inputs": 'BEFORE.append("y"); observe("halve", x=float(len(BEFORE)))',
    }


def test_a_hidden_test_that_is_not_steady(home: Path, of_another_process: dict[str, str]) -> None:
    """Each mistake is told once, with the name of the test and what differs; those that are steady are not told."""
    more = "".join(
        f'\n\n@question("Q1", points=0, hint="?")\ndef test_{name}(observe: Observe) -> None:\n'
        f'    seen = observe("halve", x=7.0)\n    {line}\n'
        for name, line in of_another_process.items()
    )
    with (home / TESTS).open("a", encoding="utf-8") as file:
        file.write(f"\n\nBEFORE: list[str] = []\n{more}")
    with grading.Grading(load_assignment("tiny", home)) as graded:
        assert all(one.score.full for one in graded.reference.values())
        found = list(grading.tests_are_steady(graded))
    told = {
        "hash_seed": "passed, and failed with another hash seed, time zone and date",
        "zone": "passed, and failed with another hash seed, time zone and date",
        "clock": "passed, and failed with another hash seed, time zone and date",
        "date": "passed, and failed with another hash seed, time zone and date",
        "seed": "passed, and failed with other random numbers",
        "twice": "passed, and failed when it judges the same observations again",
        "inputs": "asking a probe for something else each time",
    }
    assert [one.partition(" (")[0].partition(";")[0] for one in found] == [
        f"Q1: the hidden test {name} is {what}" for name, what in told.items()
    ]
