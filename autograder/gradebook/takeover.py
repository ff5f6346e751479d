"""Results of the kit's first version, which were JSON files only: taken over when the gradebook is created."""

import json
from pathlib import Path

from autograder.errors import UsageError
from autograder.gradebook import edited, views
from autograder.gradebook.store import Gradebook, save_result
from autograder.results import Result, from_json


def take_over(gradebook: Gradebook, folder: Path) -> list[str]:
    """Keep the results in a folder as a run of kind `import`, where the gradebook has no runs yet; what to tell of it.

    They are shown as they are, and graded again by the next run. A grades.csv that differs from them is kept.
    """
    paths = sorted((folder / views.RESULTS).glob("*.json"))
    if not paths or gradebook.runs():
        return []
    found: dict[str, Result] = {}
    lines = []
    for path in paths:
        try:
            result = from_json(json.loads(path.read_text(encoding="utf-8")))
            found[result.student.id] = result
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            lines.append(f"{path}: not taken over, as it holds no result ({type(error).__name__})")
    run = gradebook.begin_run("import", "{}", "import")
    with gradebook.writing() as connection:
        for result in found.values():
            save_result(connection, run, result, {})
    gradebook.end_run(run)
    lines.append(f"results of an earlier version taken over into the gradebook: {len(found)}")
    if kept := _keep_edited(folder, gradebook):
        lines.append(f"grades.csv had been edited; the edited copy is {kept}")
    return lines


def _keep_edited(folder: Path, gradebook: Gradebook) -> Path | None:
    """Keep a grades.csv whose points differ from the results; its new path."""
    path = folder / views.GRADES
    if not path.is_file():
        return None
    data = path.read_bytes()
    try:
        if not edited.read_edited(data, str(path), gradebook).decisions:
            return None
    except UsageError:
        pass  # other students, or no numbers: somebody wrote into it
    return views.keep(folder, data)
