"""Stand-ins for an answer: functions that only return, in a region inside of a function and around a class."""

from autograder.authoring.verify.stand_ins import stand_ins
from autograder.release.reference import reference_answers
from autograder.release.released import load_released
from tests import corpus


def bodies(question: str, *, torch: bool) -> dict[str, str]:
    assignment = corpus.assignment()
    released = load_released(assignment)[assignment.question(question).notebook]
    answer = reference_answers(assignment)[question]
    return stand_ins(corpus.reference()[question], released.regions[question][1], answer, torch=torch)


def test_a_region_inside_of_a_function() -> None:
    zeros = "import torch; return torch.zeros_like(x)"
    assert bodies("B3", torch=True) == {"nothing": "return None", "its input": "return x", "zeros": zeros}
    assert set(bodies("B3", torch=False)) == {"nothing", "its input"}


def test_a_region_around_a_class() -> None:
    found = bodies("B4", torch=False)
    lines = [line.strip() for line in found["its input"].splitlines()]
    assert "super().__init__()" in lines
    assert "return x" in lines
    assert not any("self.gamma" in line for line in lines)
