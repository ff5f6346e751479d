"""Results of the kit's first version."""

import json
from pathlib import Path

from autograder.gradebook import views
from autograder.gradebook.store import open_gradebook
from autograder.gradebook.takeover import take_over
from autograder.results import (
    Result,
    to_json,
)
from tests.kit.gradebook.entries import result


def first_version(folder: Path, *results: Result) -> None:
    """What the kit's first version wrote: flags as text, no answers, and no database."""
    (folder / views.RESULTS).mkdir()
    for one in results:
        table = to_json(one) | {"flags": ["Q1: odd"], "grader": {"engine": "e"}}
        for key in ("name", "group", "lms", "submitted", "late", "files", "override"):
            del table[key]
        for score in table["questions"].values():
            for key in ("computed", "override", "answer"):
                del score[key]
        (folder / views.RESULTS / f"{one.student.id}.json").write_text(json.dumps(table))
    (folder / views.GRADES).write_text(views.grades_csv(results, ["Q1", "Q2"]))


def test_results_of_the_first_version_are_taken_over(tmp_path: Path, database: str) -> None:
    first_version(tmp_path, result("ada"), result("bob"))
    (tmp_path / views.RESULTS / "broken.json").write_text("{}")
    with open_gradebook(tmp_path, database) as gradebook:
        broken, line = take_over(gradebook, tmp_path)
        assert "broken.json: not taken over" in broken
        assert line == "results of an earlier version taken over into the gradebook: 2"
        assert [run.kind for run in gradebook.runs()] == ["import"]
        found = [(one.result.student.id, one.result.total, one.grader) for one in gradebook.saved()]
        assert found == [("ada", 3.0, {}), ("bob", 3.0, {})]
        assert [str(flag) for one in gradebook.saved() for flag in one.result.flags] == ["Q1: odd"] * 2
        assert take_over(gradebook, tmp_path) == [], "once"


def test_an_edited_grades_csv_of_the_first_version_is_kept(tmp_path: Path) -> None:
    first_version(tmp_path, result("ada"))
    path = tmp_path / views.GRADES
    path.write_text(path.read_text().replace(",4.0,1.0,", ",4.0,1.5,"))
    with open_gradebook(tmp_path) as gradebook:
        assert take_over(gradebook, tmp_path)[-1].endswith(views.EDITED)
    assert ",4.0,1.5," in (tmp_path / views.EDITED).read_text()
