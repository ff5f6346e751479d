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
from autograder.authored import authored_text
from autograder.errors import MasterError
from autograder.release.released import ReleasedNotebook, load_released
from autograder.written import with_answer

ENTRY = re.compile(r"^=== (right|wrong): (.+)$")
PART = re.compile(r"^--- (cell before|answer|cell after)$")
ALMOST = re.compile(r"^\s*(={3}|-{3}|=+\s*(right|wrong)\b|-+\s*(cell|answer)\b)", re.IGNORECASE)
"""A line that was meant to be one of the above, and would become part of an answer."""

Notebook = dict[str, Any]
"""A notebook as its JSON table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer to one question, with the verdict that the hidden tests must give; line: of its entry, from 1."""

    question: str
    right: bool
    name: str
    expect: str
    body: str
    before: str = ""
    after: str = ""
    line: int = 0

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
                line=start,
            )
        )

    for number, line in enumerate(authored_text(path).splitlines(), start=1):
        if entry := ENTRY.match(line):
            finish()
            kind, name, expect, part, start, parts = entry[1], entry[2], "", "answer", number, {}
        elif found := PART.match(line):
            part = found[1]
        elif ALMOST.match(line):
            fix = "write `=== right: name`, `=== wrong: name`, `--- cell before`, `--- answer` or `--- cell after`"
            raise MasterError(f"{line!r} looks like the start of an entry or part", f"{path}:{number}", fix)
        elif line.startswith("expect: ") and not parts:
            expect = line.removeprefix("expect: ").strip()
        elif name:
            parts.setdefault(part, []).append(line)
        elif line.strip() and not line.startswith("#"):
            raise MasterError(f"{line!r} before the first entry", f"{path}:{number}", "start with a line `=== `")
    finish()
    return answers


def read_corpus(assignment: Assignment) -> dict[str, list[Answer]]:
    """Return the answers of the corpus by question.

    Raises MasterError as `read_answers`, and for a file that belongs to no question.
    """
    files = {f"{one.id}.txt": one.id for one in assignment.tested}
    for path in sorted(assignment.corpus_dir.glob("[!.]*")):
        if path.name not in files:
            what = "a corpus file of no question"
            raise MasterError(what, f"{path}:1", "name it after a question, such as Q1.txt, or delete it")
    return {question: read_answers(assignment.corpus_dir / name) for name, question in files.items()}


def released_tables(assignment: Assignment) -> dict[str, Notebook]:
    """Return the released notebooks as JSON tables. Raises MasterError if one is missing or unusable."""
    load_released(assignment)
    folder = assignment.release_dir
    return {name: json.loads((folder / f"{name}.ipynb").read_bytes()) for name in assignment.notebooks}


def answer_cell(notebook: ReleasedNotebook, question: str, body: str) -> str:
    """Return the released answer cell with this text between its markers, indented like the region."""
    if question in notebook.written:
        return with_answer(notebook.written[question].source, body)
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
