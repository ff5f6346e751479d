"""Write the sample batch as a folder of submissions: `python -m tests.corpus FOLDER`."""

import random
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import corpus

SAMPLE = corpus.assignment().masters_dir / "sample.toml"


def sample() -> dict[str, dict[str, Any]]:
    """The table of the sample batch, by student."""
    return tomllib.loads(SAMPLE.read_text(encoding="utf-8"))


def expected_statuses(entry: Mapping[str, Any]) -> dict[str, str]:
    """The status of every question that the table demands for a student who handed in notebooks."""
    usual = "passed" if entry["answers"] == "reference" else "not_attempted"
    return {question.id: entry.get("verdict", {}).get(question.id, usual) for question in corpus.assignment().questions}


def write_sample(folder: Path) -> None:
    """Write one folder a student. A folder that is there already is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    for student, entry in sample().items():
        if "text" in entry:
            (folder / student).mkdir(parents=True)
            (folder / student / "homework.ipynb").write_text(entry["text"], encoding="utf-8")
            continue
        answers = dict(corpus.reference()) if entry["answers"] == "reference" else {}
        own = {q.id: entry[q.id] for q in corpus.assignment().questions if q.id in entry}
        answers |= {question: corpus.answer_cell(question, body.strip("\n")) for question, body in own.items()}
        notebooks = corpus.submission(answers)
        if "change" in entry:
            mess_up(notebooks)
        corpus.write(folder / student, notebooks)


def mess_up(notebooks: Mapping[str, corpus.Notebook]) -> None:
    """What editors and students do: ids and metadata lost, cells out of order, answer cells duplicated."""
    for notebook in notebooks.values():
        cells = []
        for cell in notebook["cells"]:
            plain = {key: value for key, value in cell.items() if key != "id"} | {"metadata": {}}
            copies = 2 if cell["metadata"]["homework"]["role"] == "answer" else 1
            cells += [plain] * copies
        random.Random(6).shuffle(cells)
        notebook["cells"] = cells


if __name__ == "__main__":
    write_sample(Path(sys.argv[1]))
