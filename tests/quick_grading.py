"""A run whose grader runs no code, to be killed by tests: `python -m tests.quick_grading SUBMISSIONS OUT`.

Everything else of it is real: intake, gradebook, resuming, views.
"""

import sys
import time
from pathlib import Path

from autograder.gradebook import run as runs
from autograder.gradebook.store import open_gradebook
from autograder.grading.batch import Batch, InlineExecutor
from autograder.grading.graded import Graded
from autograder.results import QuestionScore, Result, Status, SubmissionStatus, TestScore
from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.submission import Submission
from tests import corpus

QUESTION = corpus.assignment().question("B1")


def grade(submission: Submission, questions: tuple[str, ...]) -> Graded:
    time.sleep(0.003)
    points = int(submission.sha256[:2], 16) % 4
    test = TestScore(name="a", status=Status.PASSED, points=points, max_points=3, message="", hint="")
    score = QuestionScore(computed=points, max_points=3, status=Status.PASSED, dependencies="own", tests=(test,))
    result = Result(
        student=submission.student,
        submission=submission.label,
        sha256=submission.sha256,
        assignment="x",
        version="1",
        status=SubmissionStatus.GRADED,
        max_points=3,
        questions={"B1": score},
    )
    return Graded(result=result)


def main(submissions: Path, out: Path) -> None:
    hand_ins = take_in([submissions], Wanted(notebooks=corpus.assignment().notebooks)).hand_ins
    print("ready", flush=True)
    with open_gradebook(out) as gradebook:
        run = runs.begin(gradebook, corpus.assignment(), (QUESTION,), {"engine": "e", "tests B1": "1"}, "quick")
        run.why(hand_ins)
        Batch(executor=InlineExecutor(), grade=grade, jobs=lambda: 1, wanted=run.wanted, record=run.record).run(
            hand_ins
        )
        run.end(out, finished=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
