"""The page with the mutants of lecture06 and the record of the version that it is about have the same figures."""

import re

from autograder.release import versions
from tests import HOME, corpus


def test_the_page_has_the_figures_on_record() -> None:
    page = (HOME / "docs/mutants.md").read_text(encoding="utf-8")
    title = re.match(r"# Mutants of (\w+) (\S+)\n", page)
    assert title
    assignment = corpus.assignment()
    assert title[1] == assignment.name
    (record,) = [one for one in versions.recorded(assignment) if one.name == title[2]]
    assert record.mutants is not None
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    found = {row[0]: row[1:] for row in rows if len(row) == 7 and row[0] in record.points}
    assert {key: [*row[:3], *row[4:]] for key, row in found.items()} == {
        key: [str(number) for number in (one.made, one.equivalent, one.noticed, one.survivors, one.by_check)]
        for key, one in record.mutants.items()
    }
    assert list(record.mutants) == [one.id for one in assignment.tested]
