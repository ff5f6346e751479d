"""The reference judged once more, in fresh processes where everything differs that a verdict must not depend on.

A loader of its own starts with another hash seed, on which the order of sets depends, in another time zone and with
another date (`clock.py`). Fork server and judge are forked from it. The random numbers of all code are others, too.
"""

import os
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.assignment import Assignment, Question
from autograder.assignment_file import load_assignment
from autograder.grading.grader import Grader, open_grader
from autograder.grading.hidden_tests import Case
from autograder.grading.judge import judge_case
from autograder.grading.memory import Verdict, digest
from autograder.grading.observe import Child, Observation, Observer
from autograder.grading.processes import Processes
from autograder.grading.scorer import notebook_seed, seed_of
from autograder.program import Program
from autograder.results import Status
from autograder.sandbox.channel import Value
from autograder.sandbox.loading import Loader
from autograder.sandbox.replies import probe_request

ZONE = "<+0545>-5:45"
"""In the form that needs no list of zones on the machine."""
HASH_SEED = "1"
RESEEDED = 1

Programs = Mapping[str, Program]
"""The reference, by notebook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A case of a hidden test, judged twice on the same observations.

    same_requests: whether it asked for the same both times
    """

    test: str
    case: str
    first: Verdict
    second: Verdict
    same_requests: bool

    @property
    def passed(self) -> bool:
        return self.first.status is Status.PASSED

    def unsteady(self, before: Container[str], *, with_same_numbers: bool) -> str:
        """Return in which way the hidden test gives another verdict than before; empty if it does not.

        before: the hidden tests that the reference passed in grading
        with_same_numbers: whether this case passes with the random numbers of grading
        """
        if self.test in before and not self.passed:
            what = "other random numbers" if with_same_numbers else "another hash seed, time zone and date"
            return f"passed, and {self.first.status} with {what} ({self.first.message})"
        if self.first != self.second:
            again = f"{self.second.status} when it judges the same observations again"
            return f"{self.first.status}, and {again} ({self.second.message or self.first.message})"
        if not self.same_requests:
            return "asking a probe for something else each time; give every generator a seed where it is used"
        return ""


ByQuestion = dict[str, list[Judged]]


def judged(assignment: Assignment, programs: Programs) -> tuple[ByQuestion, ByQuestion]:
    """Return the verdicts on the reference by question, and those with the random numbers of grading where one failed.

    The latter tell whether the random numbers are to blame. Raises KitError if a grader cannot start.
    """
    environment = {"PYTHONHASHSEED": HASH_SEED, "TZ": ZONE}
    first = ["autograder.authoring.verify.clock"]
    with Loader(assignment, environment, first) as loader, Processes(loader, 1) as process:
        found: tuple[ByQuestion, ByQuestion] = process.submit(
            _judge, assignment.name, assignment.home, programs
        ).result()
        return found


def _judge(name: str, home: Path, programs: Programs) -> tuple[ByQuestion, ByQuestion]:
    os.environ["TZ"] = ZONE  # a process of an executor gets the environment of the one that started it
    time.tzset()
    assignment = load_assignment(name, home)
    with open_grader(assignment) as grader:
        every = {one.id: twice(grader, programs[one.notebook], one, RESEEDED) for one in assignment.tested}
        failed = [one for one in assignment.tested if any(not case.passed for case in every[one.id])]
        return every, {one.id: twice(grader, programs[one.notebook], one, 0) for one in failed}


def twice(grader: Grader, program: Program, one: Question, reseeded: int) -> list[Judged]:
    """Judge each case of a question's hidden tests twice, with the observations of the first time.

    reseeded: 0 for the random numbers of grading, any other number for others
    """
    child = Child(grader.scorer.start, [program], notebook_seed(one) ^ reseeded)
    observer = Observer(child, one.id, seed_of(one) ^ reseeded)
    try:
        found = []
        for test in grader.scorer.tests[one.id]:
            for case in test.cases:
                (first, asked), (second, asked_again) = _verdict(case, observer), _verdict(case, observer)
                same = asked == asked_again
                found.append(Judged(test=test.name, case=case.name, first=first, second=second, same_requests=same))
        return found
    finally:
        child.close()


def _verdict(case: Case, observer: Observer) -> tuple[Verdict, list[bytes]]:
    """Return the verdict on a case, and digests of what it asked for."""
    asked: list[bytes] = []

    def observe(probe: str, /, **inputs: Value) -> Observation:
        asked.append(digest(probe_request(probe, inputs, 0)))
        return observer(probe, **inputs)

    return judge_case(case, observe), asked
