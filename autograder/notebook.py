"""Notebooks as plain data: the cells of an untrusted file.

Only text is looked at here. Nothing is executed, imported or compiled, so any bytes may be handed in.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_BYTES = 64 << 20
MAX_CELLS = 5000
MAX_BRACKETS = 1 << 20
"""Of the whole file: JSON takes twenty times its size in memory where it holds little else."""
MAX_CODE = 2 << 20
MAX_LINES = 3000
"""Of one cell; what is below is not looked at. These limits keep every search over a notebook short."""


class Role(StrEnum):
    """What a cell of the release is for. Cells of any other role are not executed in grading."""

    ANSWER = "answer"
    GIVEN = "given"
    DEMO = "demo"
    CHECK = "check"
    PROMPT = "prompt"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell; `question` and `role` come from the release's metadata and may be lost or forged in a submission."""

    id: str
    kind: str
    source: str
    question: str = ""
    role: str = ""

    @property
    def lines(self) -> list[str]:
        return self.source.split("\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookFile:
    """The cells of one submitted file, by its name."""

    name: str
    cells: tuple[Cell, ...]


class NotANotebook(Exception):
    """The bytes are no notebook; the message is a plain reason for the student."""


def parse_notebook(data: bytes) -> tuple[Cell, ...]:
    """The cells of an .ipynb file (format 4).

    Raises NotANotebook with the reason, for whatever is wrong with the bytes.
    """
    if len(data) > MAX_BYTES:
        raise NotANotebook(
            f"the file has {len(data) >> 20} MiB, more than {MAX_BYTES >> 20}; clear all outputs and save again"
        )
    if not data.strip():
        raise NotANotebook("the file is empty; save the notebook and hand it in again")
    if data.count(b"[") + data.count(b"{") > MAX_BRACKETS:
        raise NotANotebook("the file holds too many values for a notebook; clear all outputs and save again")
    try:
        table = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise NotANotebook(
            "the file is not text in UTF-8, so it is no notebook; hand in the .ipynb file itself"
        ) from None
    except (ValueError, RecursionError):
        raise NotANotebook("the file is not JSON, so it is no notebook; hand in the .ipynb file itself") from None
    cells = table.get("cells") if isinstance(table, dict) else None
    if not isinstance(cells, list):
        raise NotANotebook("the file is JSON, but holds no notebook cells; hand in the .ipynb file itself")
    if len(cells) > MAX_CELLS:
        raise NotANotebook(f"the notebook has {len(cells)} cells, more than {MAX_CELLS}; delete those you do not need")
    parsed = tuple(_cell(entry, index) for index, entry in enumerate(cells))
    if sum(len(cell.source) for cell in parsed if cell.kind == "code") > MAX_CODE:
        raise NotANotebook(f"the cells hold more than {MAX_CODE >> 20} MiB of code; delete what is no code of yours")
    return parsed


def _cell(entry: Any, index: int) -> Cell:
    if not isinstance(entry, dict):
        raise NotANotebook(f"cell {index + 1} is damaged; open the notebook in Jupyter, save it and hand it in again")
    source = entry.get("source", "")
    if isinstance(source, list) and all(isinstance(part, str) for part in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotANotebook(f"the text of cell {index + 1} is damaged; open the notebook in Jupyter and save it again")
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kind = entry.get("cell_type")
    cell_id = entry.get("id")
    metadata = entry.get("metadata")
    homework = metadata.get("homework") if isinstance(metadata, dict) else None
    homework = homework if isinstance(homework, dict) else {}
    return Cell(
        id=cell_id if isinstance(cell_id, str) else "",
        kind=kind if isinstance(kind, str) else "",
        source="\n".join(lines[:MAX_LINES]),
        question=_text(homework, "question"),
        role=_text(homework, "role"),
    )


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""
