"""Rules that run notebooks: each is broken, and says why."""

import json
import re
from dataclasses import replace
from pathlib import Path

from autograder.assignment_file import load_assignment
from autograder.authoring.verify import notebooks
from tests.kit.verify.breaking import MASTER, NOTEBOOK, edit, edit_cell, reasons, write_reference


def test_broken_rules_of_notebooks(home: Path) -> None:
    """One home with a mistake for each rule: each run of a notebook takes seconds."""
    edit(home, "assignments/tiny/tests/Q1.py", "env['halve'](6) == 3", "env")  # it passes whatever the answer is
    edit(home, "assignments/tiny/tests/Q2.py", "== 1.5", "== 2.5")  # it fails whatever the answer is
    edit_cell(home, "Q1-demo", lambda source: source + "\nhalve(1.0)")
    last = 'print(f"Skipped: answer {missing} first, run its cell, then re-run this one.")'
    edit(home, MASTER, last, f"{last}\nhalve(1.0)\n# CLAIM: halve(4.0) == 2\n# CLAIM: halve(4.0) == 3")
    line = (home / MASTER).read_text(encoding="utf-8").split("# CLAIM: halve(4.0) == 3")[0].count("\n") + 1
    write_reference(home)
    runs = notebooks.Runs(load_assignment("tiny", home))
    end, fail, passing, claims = reasons(notebooks.RULES[:4], runs).values()
    assert claims == (f"tiny.ipynb, cell Q1-demo, line {line} of the master: `halve(4.0) == 3` is false",)
    assert end == ("tiny.ipynb as released: cell Q1-demo raised NotImplementedError: Q1",)
    assert fail[0].startswith("Q1: its check does not fail on the release; its output is ")
    assert passing[-1].startswith("Q2: its check does not pass on the solution; its output is ")
    runs.assignment = replace(runs.assignment, gate=replace(runs.assignment.gate, notebook_cpu_s=0.01))
    ((slow,),) = reasons(notebooks.RULES[4:], runs).values()
    assert re.fullmatch(
        r"tiny\.ipynb with solutions took \d+ s of CPU, more than gate\.notebook_cpu_s = 0\.01; shorten it", slow
    )


def test_a_cell_that_does_not_end_is_stopped(home: Path) -> None:
    assignment = load_assignment("tiny", home)
    hasty = replace(assignment, gate=replace(assignment.gate, notebook_cpu_s=1))
    table = json.loads((home / NOTEBOOK).read_text(encoding="utf-8"))
    table["cells"] = [cell | {"source": "while True: pass"} for cell in table["cells"] if cell["id"] == "Q1-demo"]
    assert notebooks.run(hasty, table).stopped == "cell Q1-demo took more than 5 s"
