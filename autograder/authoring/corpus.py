"""Submissions made from text: the release with given answers in its regions, and the corpus of such answers.

`solutions/<assignment>/corpus/<question>.txt` contains right and wrong answers, each with its expected verdict:

    === wrong: the unbiased variance
    expect: matches the unbiased variance
    mean, var = x.mean(0), x.var(0)
    ...

An entry is `right` or `wrong`. `expect` is a pattern that the message of a failed test must match; every wrong answer
needs one. The lines up to the next entry are the answer, without the region's indent. `--- cell before`, `--- cell
after` and `--- answer` lines distribute it over added cells.
"""

import copy
import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.errors import MasterError
from autograder.release.released import ReleasedNotebook

ENTRY = re.compile(r"^=== (right|wrong): (.+)$")
PART = re.compile(r"^--- (cell before|answer|cell after)$")

Notebook = dict[str, Any]
"""A notebook as its JSON table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer to one question, with the verdict that the hidden tests must give."""

    question: str
    right: bool
    name: str
    expect: str
    body: str
    before: str = ""
    after: str = ""

    @property
    def id(self) -> str:
        return f"{self.question} {'right' if self.right else 'wrong'}: {self.name}"


def read_answers(path: Path) -> list[Answer]:
    """Return the answers in one file, none if there is no file.

    Raises MasterError for a line outside any entry, a wrong answer without `expect` or a right one with it.
    """
    if not path.is_file():
        return []
    answers: list[Answer] = []
    kind, name, expect, part, start = "", "", "", "answer", 0
    parts: dict[str, list[str]] = {}

    def finish() -> None:
        if not name:
            return
        if (kind == "wrong") != bool(expect):
            what = f"{name}: a wrong answer needs `expect:`, a right one must not have it"
            raise MasterError(what, f"{path}:{start}", "correct the entry")
        text = {key: textwrap.dedent("\n".join(lines)).strip("\n") for key, lines in parts.items()}
        answers.append(
            Answer(
                question=path.stem,
                right=kind == "right",
                name=name,
                expect=expect,
                body=text.get("answer", ""),
                before=text.get("cell before", ""),
                after=text.get("cell after", ""),
            )
        )

    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if entry := ENTRY.match(line):
            finish()
            kind, name, expect, part, start, parts = entry[1], entry[2], "", "answer", number, {}
        elif found := PART.match(line):
            part = found[1]
        elif line.startswith("expect: ") and not parts:
            expect = line.removeprefix("expect: ").strip()
        elif name:
            parts.setdefault(part, []).append(line)
        elif line.strip() and not line.startswith("#"):
            raise MasterError(f"{line!r} before the first entry", f"{path}:{number}", "start with a line `=== `")
    finish()
    return answers


def released_tables(assignment: Assignment) -> dict[str, Notebook]:
    """Return the released notebooks as JSON tables. Raises OSError if one is missing."""
    folder = assignment.release_dir
    return {name: json.loads((folder / f"{name}.ipynb").read_bytes()) for name in assignment.notebooks}


def answer_cell(notebook: ReleasedNotebook, question: str, body: str) -> str:
    """Return the released answer cell with this text between its markers, indented like the region."""
    cell, region = notebook.regions[question]
    text = textwrap.indent(body, region.indent)
    return "\n".join([*cell.lines[: region.first], text, *cell.lines[region.last :]])


def submission(
    tables: Mapping[str, Notebook], released: Mapping[str, ReleasedNotebook], answers: Mapping[str, str | Answer]
) -> dict[str, Notebook]:
    """Return the notebooks with these answers: whole answer cells, or corpus entries; the rest is as released."""
    notebooks = copy.deepcopy(dict(tables))
    for name, notebook in notebooks.items():
        cells = []
        for cell in notebook["cells"]:
            homework = cell["metadata"]["homework"]
            answer = answers.get(homework.get("question", "")) if homework["role"] == "answer" else None
            if isinstance(answer, Answer):
                cells += [added_cell(answer.before)] * bool(answer.before)
                cells.append(cell | {"source": answer_cell(released[name], answer.question, answer.body)})
                cells += [added_cell(answer.after)] * bool(answer.after)
            else:
                cells.append(cell | ({"source": answer} if answer is not None else {}))
        notebook["cells"] = cells
    return notebooks


def added_cell(source: str) -> dict[str, Any]:
    """Return a code cell as a student would add it."""
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}


def write(folder: Path, notebooks: Mapping[str, Notebook]) -> Path:
    """Write a submission's notebooks into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, notebook in notebooks.items():
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook, indent=1), encoding="utf-8")
    return folder
