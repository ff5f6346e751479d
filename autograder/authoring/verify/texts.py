"""All text in the files that students get, and where each line of it is."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The text of a file; places: of each of its lines the line in the file and, in a notebook, the cell's id."""

    name: str
    lines: list[str] = field(default_factory=list)
    places: list[tuple[int, str]] = field(default_factory=list)

    def where(self, line: int) -> str:
        """Return `file:line: ` of a line of the text, with the cell where it is in one."""
        number, cell = self.places[line]
        return f"{self.name}:{number}: " + (f"cell {cell} " if cell else "")

    def find(self, cell: str, line: str) -> int:
        """Return the number of a line of a cell, from 0."""
        return next(number for number, one in enumerate(self.lines) if one == line and self.places[number][1] == cell)


def read(files: Mapping[str, bytes]) -> Iterator[Text]:
    """Yield the text of each file and of each member of an archive; its first line is the file's name."""
    for name, data in unpacked(files):
        text = data.decode("utf-8", errors="replace")
        found = Text(name=name, lines=[name], places=[(1, "")])
        if name.endswith(".ipynb"):
            _read_notebook(text, found)
        else:
            for number, line in enumerate(text.split("\n"), start=1):
                found.lines.append(line)
                found.places.append((number, ""))
        yield found


def unpacked(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the files; a zip is replaced by its members, named `archive.zip/member`."""
    for name, data in files.items():
        if data.startswith(ZIP):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                yield from unpacked({f"{name}/{one.filename}": archive.read(one) for one in archive.infolist()})
        else:
            yield name, data


def _read_notebook(text: str, found: Text) -> None:
    """Add every string of a notebook, including outputs and metadata, in the order in which they are in the file."""
    raw = text.split("\n")
    at = 0
    for cell, string in _strings(json.loads(text), ""):
        for line in string.split("\n"):
            written = {json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1]}
            hits = (number for number in range(at, len(raw)) if any(one in raw[number] for one in written))
            at = next(hits, at)
            found.lines.append(line)
            found.places.append((at + 1, cell))


def _strings(value: Any, cell: str) -> Iterator[tuple[str, str]]:
    """Yield each text of a JSON value with the id of its cell; a list of texts is one."""
    if isinstance(value, str):
        yield cell, value
    elif isinstance(value, list) and all(isinstance(part, str) for part in value):
        yield cell, "".join(value)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part, cell)
    elif isinstance(value, dict):
        inner = str(value["id"]) if "cell_type" in value and "id" in value else cell
        for part in value.values():
            yield from _strings(part, inner)
