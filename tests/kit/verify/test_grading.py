"""Rules that grade: each is broken, and says why."""

import re
from dataclasses import replace
from pathlib import Path

from autograder.assignment import Limits
from autograder.assignment_file import load_assignment
from autograder.authoring.verify import answers, grading
from autograder.authoring.verify.rule import judge
from tests.kit.verify.breaking import ANSWERS, MASTER, TESTS, edit, reasons, write_reference


def test_broken_rules_of_grading(home: Path) -> None:
    """One home with a mistake for each rule, because a sandbox takes seconds to start."""
    edit(home, MASTER, "x / 2", "x / 3")  # the reference; Q2 builds on it
    edit(home, TESTS, "values = [4.0, 1.0, 7.0]", "return")  # a hidden test that looks at nothing
    edit(home, TESTS, 'hint="Which of the two divisions rounds?"', 'hint=" "')
    edit(home, ANSWERS, "=== wrong: rounded down\nexpect: the half rounded down\nreturn x // 2", "")
    write_reference(home)
    assignment = load_assignment("tiny", home)
    slow = replace(assignment, limits=Limits(wall_s=20, cpu_s=1e-4, memory_mib=512))
    with grading.Grading(slow) as graded:
        found = reasons(grading.RULES, graded)
    complete, reference, release, time, teeth, _, _, corpus = (found[rule.name] for rule in grading.RULES)
    assert complete == ("Q1: the hidden test half_of_an_odd_number has no hint",)
    assert reference[0].startswith(
        "Q1: the reference gets 0 of 2 points (half_of_an_even_number: your result is 2 where 3"
    )
    assert release == ("Q2: the hidden test the_values_are_left_as_they_are passes on the released stub",)
    assert set(teeth) == {
        f"Q2: the hidden test the_values_are_left_as_they_are passes on a function that returns {what}"
        for what in ("nothing", "its input")
    }
    assert re.fullmatch(
        r"Q1: the reference took 0\.\d s of CPU, more than 1/2 of limits\.cpu_s = 0\.0001; raise the limit", time[0]
    )
    assert (
        "Q2: no wrong answer in solutions/tiny/corpus/Q2.txt fails the hidden test the_values_are_left_as_they_are"
        in corpus
    )


def test_answers_that_would_take_too_long_are_left_out(home: Path) -> None:
    with grading.Grading(load_assignment("tiny", home), most=0) as graded:
        outcomes = judge(answers.RULES, graded, lambda outcome: None)
    assert [(one.kept, one.notes) for one in outcomes] == [
        (True, ("skipped, as there are 26 answers to grade; `autograder verify --mutants` grades them all",)),
        (True, ("skipped, as there are 6 answers to grade; `autograder verify --mutants` grades them all",)),
    ]


def test_points_of_hidden_tests_that_do_not_add_up(home: Path) -> None:
    edit(home, TESTS, 'question("Q2", points=2', 'question("Q2", points=3')
    with grading.Grading(load_assignment("tiny", home)) as graded:
        found = reasons(grading.RULES[:1], graded)
    ((reason,),) = found.values()
    assert re.search(r"test_questions\.py:\d+: the hidden tests of Q2 add up to 4 points, not 3; correct", reason)
