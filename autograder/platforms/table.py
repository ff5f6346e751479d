"""CSV files from spreadsheets and LMSs: read as programs write them, and filled in with every other byte unchanged."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autograder.errors import UsageError
from autograder.results import Result

NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
"""Byte order marks, and the encodings that they declare."""
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How the files of spreadsheet programs begin that are not CSV: .xlsx, .ods, .numbers, and .xls."""
SEPARATOR = re.compile(r"sep=(?P<delimiter>[,;\t])\s*", re.IGNORECASE)
QUOTED = re.compile(r'"[^"]*"')
INVISIBLE = r"[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
EDGES = re.compile(rf"^{INVISIBLE}+|{INVISIBLE}+$")
"""Blanks, and marks that nobody sees and that come along when a text is copied from a page or a chat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """A cell: the position of its text in the file, including quotes, and its value."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A decoded CSV file; `mark` is its byte order mark, `delimiter` separates cells."""

    text: str
    encoding: str
    mark: bytes
    delimiter: str
    rows: tuple[tuple[TableCell, ...], ...]

    def cell(self, row: int, column: int) -> str:
        """Return a cell's text as `plain`, empty if the row is too short."""
        cells = self.rows[row]
        return plain(cells[column].text) if column < len(cells) else ""

    def line(self, row: int) -> int:
        """Return the line of the file in which a row begins, from 1."""
        return _line(self.text, self.rows[row][0].start)

    def header(self) -> list[str]:
        return [plain(cell.text) for cell in self.rows[0]]

    def decimal_mark(self) -> str:
        """Return the decimal mark of the file's numbers, a point if there are none."""
        numbers = [cell.text.strip() for row in self.rows for cell in row if NUMBER.fullmatch(cell.text.strip())]
        commas, points = (sum(mark in number for number in numbers) for mark in ",.")
        return "," if commas > points else "."

    def replaced(self, values: Mapping[tuple[int, int], str]) -> bytes:
        """Return the file's bytes with new texts in these cells, by row and column."""
        pieces, place = [], 0
        for (row, column), value in sorted(values.items()):
            cell = self.rows[row][column]
            quoted = self.delimiter in value or self.text[cell.start : cell.start + 1] == '"'
            pieces += [self.text[place : cell.start], f'"{value}"' if quoted else value]
            place = cell.end
        return self.mark + "".join([*pieces, self.text[place:]]).encode(self.encoding)


@dataclass(slots=True, kw_only=True)
class Filled:
    """A template with points filled in, and who was left out, by name or id.

    kept: cells whose value must stay, such as `EX`; unknown: students with results who are not in the file
    warnings: other things to check before the upload
    """

    data: bytes = b""
    filled: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def plain(text: str) -> str:
    """Return a cell's text as people mean it, in NFC.

    Blanks and invisible marks around it go, and so does `="…"`, which keeps spreadsheets from reading it as a formula.
    """
    text = EDGES.sub("", text)
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    return unicodedata.normalize("NFC", text)


def parse_table(data: bytes, name: str) -> Table:
    """Parse a CSV file: encoding and delimiter are detected, Excel's line `sep=;` is no row.

    Raises UsageError for a file that is empty, a workbook or no text, and for a quote that is never closed.
    """
    if data.startswith(WORKBOOKS):
        raise UsageError("this is a workbook of a spreadsheet program", name, "save it as CSV (UTF-8) and give that")
    mark = next((one for one in MARKS if data.startswith(one)), b"")
    text, encoding = _decoded(data[len(mark) :], MARKS.get(mark, ""), name)
    declared = SEPARATOR.match(text)
    first = re.split(r"[\r\n]", QUOTED.sub("", text[: 1 << 20].lstrip("\r\n")), maxsplit=1)[0]
    delimiter = declared["delimiter"] if declared else max(",;\t", key=first.count)
    try:
        rows = tuple(_rows(text, delimiter))[1 if declared else 0 :]
    except _NeverClosed as error:
        fix = "close or remove it: the rest of the file stands in one cell"
        raise UsageError("a quotation mark is never closed", f"{name}:{_line(text, error.start)}", fix) from None
    if not rows:
        raise UsageError("the file is empty", name, "download it again")
    return Table(text=text, encoding=encoding, mark=mark, delimiter=delimiter, rows=rows)


def _decoded(data: bytes, declared: str, name: str) -> tuple[str, str]:
    """Return the text, and its encoding, in which it gives the same bytes again."""
    for encoding in [declared] if declared else ["utf-8", "cp1252", "latin-1"]:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
        break
    raise UsageError("this is not a text file in a known encoding", name, "save it as CSV (UTF-8)")


def _line(text: str, place: int) -> int:
    return 1 + len(re.findall(r"\r\n|\r|\n", text[:place]))


class _NeverClosed(Exception):
    """A quotation mark opens a cell that has no end."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.start = start


def _rows(text: str, delimiter: str) -> list[tuple[TableCell, ...]]:
    rows: list[tuple[TableCell, ...]] = []
    row: list[TableCell] = []
    place = 0
    while place < len(text):
        end, said = _cell_end(text, place, delimiter)
        row.append(TableCell(start=place, end=end, text=said))
        ends_row = text[end : end + 1] != delimiter
        place = end + (2 if text.startswith("\r\n", end) else 1)
        if ends_row or place > len(text):
            rows.append(tuple(row))
            row = []
        elif place == len(text):
            row.append(TableCell(start=place, end=place, text=""))
    if row:
        rows.append(tuple(row))
    return rows


def _cell_end(text: str, start: int, delimiter: str) -> tuple[int, str]:
    """Return the end and the value of a cell; a doubled quote inside quotes is one quote."""
    place, quoted = start, ""
    if text.startswith('"', start):
        place = start + 1
        while (place := text.find('"', place)) >= 0 and text.startswith('""', place):
            place += 2
        if place < 0:
            raise _NeverClosed(start)
        quoted = text[start + 1 : place].replace('""', '"')
        place += 1
    found = re.compile(f"[{delimiter}\r\n]").search(text, place)
    end = found.start() if found else len(text)
    return end, quoted + text[place:end]


def fill(
    table: Table,
    column: int,
    rows: Mapping[int, Sequence[str]],
    results: Mapping[str, Result],
    points: Mapping[str, float],
    keep: Sequence[str] = (),
) -> Filled:
    """Fill in the points of one column.

    rows: for each row of a student, the keys under which a result may stand, the surest first
    points: to write for a student, by id, instead of the total
    keep: texts that stay, in capitals; the results by the same keys
    """
    mark = table.decimal_mark()
    report = Filled()
    values: dict[tuple[int, int], str] = {}
    seen: set[int] = set()
    for row, keys in rows.items():
        who = table.cell(row, 0) or next(iter(keys), "")
        result = next((results[key] for key in keys if key in results), None)
        if result is None:
            report.without.append(who)
            continue
        seen.add(id(result))
        old = table.cell(row, column)
        if old.upper() in keep:
            report.kept.append(f"{who} ({old})")
        elif not result.has_points and result.status == "unreadable":
            report.unreadable.append(who)
            report.warnings += [f"{who} is unreadable, but the file says {old}, which was left"] if old else []
        elif not result.has_points:
            report.absent.append(who)
        elif column >= len(table.rows[row]):
            report.warnings.append(f"the row of {who} is too short; it was left unchanged")
        else:
            report.filled.append(who)
            total = round(points.get(result.student.id, result.total), 2)
            if _number(old) != total:
                values[row, column] = f"{total:.2f}".replace(".", mark)
    left = {id(result): result.student.id for result in results.values() if id(result) not in seen}
    report.unknown = sorted(left.values())
    report.data = table.replaced(values)
    return report


def _number(text: str) -> float | None:
    return float(text.replace(",", ".")) if NUMBER.fullmatch(text) else None


def choose(columns: Mapping[int, str], wanted: Sequence[str], name: str) -> int:
    """Return the column with one of these names. Raises UsageError if there is none, or more than one."""
    folded = {one.casefold().strip() for one in wanted}
    found = [place for place, header in columns.items() if header.casefold().strip() in folded]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} columns are called {wanted[0]}" if found else f"no column is called {wanted[0]}"
    headers = "; ".join(columns.values()) or "none"
    raise UsageError(what, name, f"choose one with --column: {headers}")
