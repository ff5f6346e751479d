"""Notebooks as plain data: the cells of an untrusted file.

Only text is examined here. Nothing is executed, imported or compiled, so any bytes are safe to read. Whatever Jupyter
or an editor would still show is read; a damaged cell affects only that cell, and `remarks` say so.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_BYTES = 128 << 20
MAX_CELLS = 5000
MAX_BRACKETS = 1 << 20
"""Bytes of the whole file: parsed JSON can take twenty times its size in memory."""
MAX_CODE = 2 << 20
MAX_LINES = 3000
"""Lines of one cell; the rest is ignored. These limits keep every search over a notebook short."""
LARGE = 8 << 20
"""Bytes above which a file is reduced before it is parsed."""
SMALL_INTEGER = 16
"""Digits of an integer: outputs may contain some that take Python minutes to parse, and they do not matter here."""

BASE64 = re.compile(rb'"(?:[A-Za-z0-9+/=]|\\n){65536,}+"')
ASTRAL = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
CONFLICT = re.compile(r"^(?:<{7}|>{7})(?: |$)", re.MULTILINE)
SETUP_START, SETUP_END = "#@title Setup, run this cell first", "# End of the setup"
"""Around the code with which a single file brings along what the assignment consists of; no answer is in it."""
SETUP = re.compile(rf"^{SETUP_START}.*?(?:^{SETUP_END}[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
LOGIN = re.compile(r"log[ -]?in|sign[ -]?in|password|anmeld|single sign", re.IGNORECASE)


class Role(StrEnum):
    """What a cell of the release is for. Cells of any other role are not executed in grading."""

    ANSWER = "answer"
    GIVEN = "given"
    DEMO = "demo"
    CHECK = "check"
    PROMPT = "prompt"
    TEXT = "text"
    SETUP = "setup"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedNotebook:
    """The cells of a file that could be read, and what was damaged in it."""

    cells: tuple[Cell, ...]
    remarks: tuple[str, ...] = ()


class NotANotebook(Exception):
    """The bytes are not a notebook; the message is a plain reason for the student."""


def parse_notebook(data: bytes) -> tuple[Cell, ...]:
    """Return the cells of an .ipynb file. Raises NotANotebook with the reason if it cannot be read."""
    return read_notebook(data).cells


def read_notebook(data: bytes) -> ParsedNotebook:
    """Read an .ipynb file of format 3 or 4, in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises NotANotebook with a plain reason, whatever is wrong with the bytes.
    """
    if len(data) > MAX_BYTES:
        raise too_large(len(data))
    if not data.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise NotANotebook("the file is empty; save the notebook and hand it in again")
    if reason := _other_kind(data[:4096]):
        raise NotANotebook(reason)
    if data.count(b"[") + data.count(b"{") > MAX_BRACKETS:
        raise NotANotebook("the file contains too many values for a notebook; clear all outputs and save it again")
    table, remarks = _load(data)
    entries = _entries(table)
    if len(entries) > MAX_CELLS:
        raise NotANotebook(
            f"the notebook has {len(entries)} cells, more than {MAX_CELLS}; delete those you do not need"
        )
    cells = []
    for number, entry in enumerate(entries, start=1):
        cell, remark = _cell(entry, number)
        cells += [cell] if cell else []
        remarks += [remark] if remark else []
    if sum(len(cell.source) for cell in cells if cell.kind == "code") > MAX_CODE:
        raise NotANotebook(f"the cells contain more than {MAX_CODE >> 20} MiB of code; delete what is not your code")
    return ParsedNotebook(cells=tuple(cells), remarks=tuple(remarks))


def too_large(size: int) -> NotANotebook:
    """Return the reason why a file of so many bytes is not read."""
    limit = f"the limit of {MAX_BYTES >> 20} MiB"
    return NotANotebook(
        f"the file is {size / (1 << 20):.1f} MiB, more than {limit}; clear all outputs and save it again"
    )


def _other_kind(head: bytes) -> str:
    """Return what the file is instead of a notebook, with the fix, judged by its first bytes; empty when unknown."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    lower = start[:200].lower()
    if start.startswith(b"%PDF"):
        return "the file is a PDF, not a notebook; hand in the .ipynb file itself"
    if start.startswith(b"PK\x03\x04"):
        return "the file is a zip archive or an Office document, not a notebook; hand in the .ipynb file itself"
    if lower.startswith((b"<!doctype html", b"<html", b"<head", b"<!--")) or b"<html" in lower:
        page = "a login page" if LOGIN.search(head.decode("latin-1")) else "a web page"
        return f"the file is {page} (HTML) saved under the notebook's name; download the notebook itself"
    if start.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        return "the file is a compressed archive, not a notebook; hand in the .ipynb file itself"
    if start.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8")):
        return "the file is an image, not a notebook; hand in the .ipynb file itself"
    if start.startswith(b"version https://git-lfs"):
        return "the file is a Git LFS pointer, not the notebook; run `git lfs pull` and hand in the notebook"
    return ""


def _load(data: bytes) -> tuple[Any, list[str]]:
    """Return the file's JSON value with long numbers replaced by 0, and remarks on what was repaired."""
    text, remarks = _decode(data)
    decoder = json.JSONDecoder(parse_int=_integer, parse_constant=lambda name: None, strict=False)
    text = text.lstrip("\ufeff \t\r\n")
    try:
        table, end = decoder.raw_decode(text)
    except json.JSONDecodeError as error:
        raise NotANotebook(_why_not_json(text, error)) from None
    except (ValueError, RecursionError):
        raise NotANotebook("the file's JSON is nested too deeply for a notebook; hand in the .ipynb file") from None
    if text[end:].strip("\0 \t\r\n"):
        remarks.append("there is text after the end of the notebook; it was ignored")
    return table, remarks


def _decode(data: bytes) -> tuple[str, list[str]]:
    encoding = json.detect_encoding(data)
    if len(data) > LARGE and encoding.startswith("utf-8"):
        # Images are never code. A single character beyond the BMP would make the text four times as large as the file.
        data = BASE64.sub(b'""', data)
        data = ASTRAL.sub(_escaped, data)
    try:
        return data.decode(encoding, "surrogatepass"), []
    except UnicodeDecodeError:
        pass
    text = data.decode("utf-8-sig", "replace")
    if not text.lstrip().startswith("{"):
        raise NotANotebook("the file is binary data, not a notebook; hand in the .ipynb file itself")
    return text, ["some characters are not UTF-8; they were replaced"]


def _escaped(found: re.Match[bytes]) -> bytes:
    """Return one UTF-8 character as JSON escapes, or as it is when it is not valid."""
    try:
        return json.dumps(found[0].decode()).encode()[1:-1]
    except UnicodeDecodeError:
        return found[0]


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < SMALL_INTEGER else 0


def _why_not_json(text: str, error: json.JSONDecodeError) -> str:
    if conflict := CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start()) + 1
        return (
            f"the file contains merge conflict markers ({conflict[0].strip()} in line {line}); it is not a notebook; "
            "resolve the conflict and hand it in again"
        )
    if not text.startswith(("{", "[")):
        return "the file is not JSON, so it is not a notebook; hand in the .ipynb file itself"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return "the file is cut off in the middle; save or upload the notebook again"
    return f"the file is not valid JSON (line {error.lineno}: {error.msg}); open the notebook in Jupyter and save it"


def _entries(table: Any) -> list[Any]:
    """Return the raw cells. Format 3 keeps them in worksheets."""
    if isinstance(table, dict) and isinstance(table.get("cells"), list):
        return list(table["cells"])
    sheets = table.get("worksheets") if isinstance(table, dict) else None
    if isinstance(sheets, list):
        inside = [one.get("cells") for one in sheets if isinstance(one, dict)]
        return [cell for cells in inside if isinstance(cells, list) for cell in cells]
    raise NotANotebook("the file is JSON, but contains no notebook cells; hand in the .ipynb file itself")


def _cell(entry: Any, number: int) -> tuple[Cell | None, str]:
    """Return the cell, or None if nothing of it can be read, and a remark if it is damaged."""
    if not isinstance(entry, dict):
        return None, f"cell {number} is damaged and was left out"
    kind = entry.get("cell_type")
    if not isinstance(kind, str):
        kind = "code" if "outputs" in entry or "execution_count" in entry else ""
    source = entry.get("input" if kind == "code" and "source" not in entry else "source")
    remark = ""
    if isinstance(source, list):
        parts = [part for part in source if isinstance(part, str)]
        remark = f"parts of the text of cell {number} are damaged" if len(parts) < len(source) else ""
        source = "".join(parts)
    if not isinstance(source, str):
        return None, f"the text of cell {number} is damaged or missing; the cell was left out"
    if kind == "heading":
        level = entry.get("level")
        kind, source = "markdown", "#" * (level if isinstance(level, int) and 0 < level < 7 else 1) + f" {source}"
    cell_id = entry.get("id")
    metadata = entry.get("metadata")
    homework = metadata.get("homework") if isinstance(metadata, dict) else None
    homework = homework if isinstance(homework, dict) else {}
    cell = Cell(
        id=cell_id if isinstance(cell_id, str) else "",
        kind=kind,
        source=plain_text(source),
        question=_text(homework, "question"),
        role=_text(homework, "role"),
    )
    return cell, remark


def plain_text(source: str) -> str:
    """Return a cell's text with Unix line ends, without lone surrogates, and cut to the lines that are examined."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return LONE_SURROGATE.sub("\ufffd", "\n".join(lines[:MAX_LINES]))


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""
