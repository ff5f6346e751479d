"""The value that a worker returns for one submission."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from autograder.grading.recording import Recording
from autograder.program import Program
from autograder.results import Audience, Flag, Result, SubmissionStatus
from autograder.submissions.submission import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A result with the programs behind it, one per notebook, and the recordings made.

    notes: for each notebook that was to be graded, the flags that came of scoring it, or that say it is not there
    not_asked: the written questions that the submission's version did not have: they have no score
    failed: whether the result says that the grader itself failed
    """

    result: Result
    programs: tuple[Program, ...] = ()
    notes: Mapping[str, tuple[Flag, ...]] = field(default_factory=dict)
    recordings: tuple[Recording, ...] = ()
    not_asked: tuple[str, ...] = ()
    failed: bool = False


def gave_up(submission: Submission) -> Graded:
    """Return the result of a submission on which a worker process died twice; it says that the grader failed."""
    text = "not graded: the grader's own process ended twice while it graded this submission; run the command again"
    result = Result(
        student=submission.student,
        submission=submission.label,
        sha256=submission.sha256,
        submitted=submission.submitted,
        late=submission.late,
        assignment="",
        version="",
        status=SubmissionStatus.UNREADABLE,
        max_points=0.0,
        flags=(Flag(kind="grader_failed", text=text, audience=Audience.STAFF),),
    )
    return Graded(result=result, failed=True)
