"""Carry out the attacks of the table, each in the sandbox: `python -m tests.attacks.run [--no-namespaces]`.

Prints a JSON table: for each attack how it ended, or why it was skipped, and whether a right answer was still
graded as right after it. An attack is carried out only where the layers that it needs are active.
"""

import dataclasses
import json
import os
import platform
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from autograder.assignment import Limits
from autograder.grading.grader import Grader, open_grader
from autograder.program import Step
from autograder.results import Student, to_json
from autograder.sandbox.replies import Failure, probe_request, read_reply
from autograder.submissions.submission import Submission, of_files
from tests import corpus

TABLE = Path(__file__).parent / "table.toml"
LIMITS = Limits(wall_s=3, cpu_s=1, memory_mib=256)
INPUTS = {"x": torch.arange(12.0).reshape(4, 3), "gamma": torch.ones(3), "beta": torch.zeros(3), "eps": None}
PRELUDE = """
import ctypes, errno, os, platform, signal, struct, threading, time, torch
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == 'x86_64'
def call(number, *arguments):
    done = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    return errno.errorcode[ctypes.get_errno()] if done < 0 else 'done'
def raw(header):
    data = header.encode()
    data = struct.pack('<4sIQ', b'AGK1', len(data), 0) + data
    while data:
        data = data[os.write(3, data):]
"""


def attacks() -> list[dict[str, Any]]:
    return list(tomllib.loads(TABLE.read_text(encoding="utf-8"))["attack"])


def main() -> None:
    namespaces = "--no-namespaces" not in sys.argv
    os.environ["SECRET_OF_THE_GRADER"] = "1"
    assignment = dataclasses.replace(corpus.assignment(), limits=LIMITS)
    with tempfile.TemporaryDirectory() as folder, open_grader(assignment, namespaces=namespaces) as grader:
        Path(folder).chmod(0o755)
        other = Path(folder, "other.ipynb")
        other.write_text("another student's work")
        clean = _submission(Path(folder, "clean"), corpus.reference()["B3"])
        names = _names(grader, other)
        results = {attack["name"]: _carry_out(attack, grader, names, Path(folder), clean) for attack in attacks()}
        results["layers"] = {"active": sorted(grader.sandbox.active)}
    print(json.dumps(results))


def _names(grader: Grader, other: Path) -> str:
    one = grader.assignment
    places = {"HIDDEN": one.hidden_tests_dir, "MASTERS": one.masters_dir, "KIT": one.home / "autograder"}
    places |= {"RELEASE": one.release_dir, "NAMES": one.data_file("names"), "OTHER": other}
    return PRELUDE + "".join(f"{name} = {str(path)!r}\n" for name, path in places.items()) + f"GRADER = {os.getpid()}\n"


def _submission(folder: Path, cell: str) -> Submission:
    corpus.write(folder, corpus.submission({"B3": cell}))
    return of_files(Student(id="s"), [folder / "batchnorm.ipynb"])


def _carry_out(
    attack: Mapping[str, Any], grader: Grader, names: str, folder: Path, clean: Submission
) -> dict[str, object]:
    if lacking := set(attack.get("needs", ())) - grader.sandbox.active:
        return {"skipped": f"needs {', '.join(sorted(lacking))}, not active here"}
    if attack.get("machine", platform.machine()) != platform.machine():
        return {"skipped": f"only on {attack['machine']}"}
    if attack.get("graded"):
        cell = corpus.answer_cell("B3", attack["code"].strip("\n"))
        ended = _graded(grader, _submission(folder / "attack", cell))
    else:
        ended = _ended(grader, names, attack["code"])
        if "then" in attack:
            ended = _ended(grader, names, attack["then"])
    return {"ended": ended, "after": _graded(grader, clean)}


def _ended(grader: Grader, names: str, code: str) -> str:
    """How a call of a function with this body ended: `returns: ...` or the kind of failure with its message."""
    body = "\n    ".join(code.strip("\n").split("\n"))
    source = f"{names}\ndef batchnorm_forward(x, gamma, beta):\n    {body}\n"
    step = Step(label="B3", source=source, question="B3")
    run = grader.sandbox.start("batchnorm", [step], {"B3": ("batchnorm_forward",)}, seed=1)
    try:
        seen = read_reply(run.ask(probe_request("batchnorm_forward_plain", INPUTS, seed=1)))
    finally:
        run.close()
    if isinstance(seen, Failure):
        return f"{seen.status}: {seen.message}"
    return f"returns: {seen['returned']}"


def _graded(grader: Grader, submission: Submission) -> str:
    """The status of B3 with the messages of its tests."""
    table = to_json(grader.grade(submission, grader.assignment.select(["B3"])))["questions"]["B3"]
    return f"{table['status']}: {' / '.join(test['message'] for test in table['tests'])}"


if __name__ == "__main__":
    main()
