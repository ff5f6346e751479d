"""One case of a hidden test -> a verdict, whatever the test or its picture raises."""

from dataclasses import replace

import pytest

from autograder.errors import GraderFault, printable
from autograder.grading.hidden_tests import Case
from autograder.grading.memory import Verdict
from autograder.grading.observe import NoObservation, Observe, Observer
from autograder.grading.pictures import PictureOf
from autograder.results import Audience, Flag, Status

MAX_MESSAGE = 600

OUTCOMES = (pytest.fail.Exception, pytest.skip.Exception, pytest.exit.Exception, SystemExit)
"""Raised by hidden tests besides ordinary exceptions; none of them may end a batch."""


def judge_case(case: Case, observe: Observe) -> Verdict:
    """Run a case of a hidden test. Whatever it raises becomes a verdict, with a flag for a mistake of its author."""
    try:
        case.function(observe=observe, **case.parameters)
    except NoObservation as nothing:
        return Verdict(nothing.failure.status, nothing.failure.message)
    except GraderFault:
        raise  # such as a fork server that was killed: nobody's verdict
    except (AssertionError, pytest.fail.Exception) as error:
        return Verdict(Status.FAILED, str(error)[:MAX_MESSAGE])
    except (Exception, *OUTCOMES) as error:
        # The reference passes every hidden test (the release check verifies it), so the cause is what the student's
        # code returned: a value of an unexpected type.
        flag = _raised(f"hidden test {case.function.__name__}", error)
        return Verdict(Status.FAILED, f"what your code returned could not be used ({type(error).__name__})", flag)
    return Verdict(Status.PASSED, "")


def with_picture(verdict: Verdict, draw: PictureOf, case: Case, observer: Observer) -> Verdict:
    """Return a verdict with its picture, drawn from what the case asked.

    Without one where the values cannot be drawn, or all lie where right answers do: the mistake is not in the picture.
    """
    try:
        picture = draw(observe=observer.again, **case.parameters)
        return replace(verdict, picture=picture if picture.tells else None)
    except (NoObservation, AssertionError, pytest.fail.Exception):
        return verdict  # the message says what is wrong with the value
    except (Exception, *OUTCOMES) as error:
        raised = _raised(f"the picture of hidden test {case.function.__name__}", error)
        return replace(verdict, flag=verdict.flag or raised)


def _raised(what: str, error: BaseException) -> Flag:
    """Return the flag about a function of a hidden test that raised what it should not."""
    text = f"{what} raised {type(error).__name__}: {printable(str(error))[:200]}"
    return Flag(kind="hidden_test_raised", text=text, audience=Audience.STAFF)
