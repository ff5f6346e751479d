"""Points in the files that an LMS imports: Canvas's gradebook, Moodle's worksheet, any CSV table with ids.

Only the cells of one column change. People are matched by ids, never by names. Students who are excused, did not submit
or could not be graded keep the file's value; they never get 0.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from autograder.errors import UsageError, printable
from autograder.platforms.headers import HEADERS
from autograder.platforms.table import NUMBER, Filled, Table, choose, fill, parse_table
from autograder.results import Result

CANVAS_COLUMN = re.compile(r"(?P<title>.*)\s\((?P<id>\d+)\)", re.DOTALL)
CHANGEABLE = "grade can be changed"
EXCUSED = ("EX", "N/A")
SYSTEMS = ("canvas", "moodle", "csv")
POINTS = ("points", "total", "score", "grade")


def fill_in(
    system: str,
    template: bytes,
    results: Iterable[Result],
    title: str,
    column: str,
    name: str,
    points: Mapping[str, float] | None = None,
) -> Filled:
    """Fill in a template of this system.

    title: of the assignment; column: the column's name, where the title does not tell it; name: of the file, for errors
    points: to write for a student, by id, instead of the total
    Raises UsageError for a file of another kind, and when the column is not clear.
    """
    table = parse_table(template, name)
    known, other = list(results), points or {}
    if system == "canvas":
        return _canvas(table, known, [column] if column else [title], name, other)
    if system == "moodle":
        return _moodle(table, known, column, name, other)
    return _plain(table, known, column, name, other)


def _canvas(
    table: Table, results: list[Result], wanted: list[str], name: str, points_of: Mapping[str, float]
) -> Filled:
    header = table.header()
    if ("Student" not in header[0] and "LastName" not in header[0]) or "ID" not in header:
        raise UsageError("not a Canvas gradebook", name, "export it in Canvas: Grades, Export")
    points = next((row for row in range(1, len(table.rows)) if "Points Possible" in table.cell(row, 0)), None)
    titles: dict[int, str] = {}
    for place, text in enumerate(header):
        found = CANVAS_COLUMN.fullmatch(text)
        if not found or (points is not None and "read only" in table.cell(points, place)):
            continue
        exact = text in wanted or found["id"] in wanted
        titles[place] = wanted[0] if exact else found["title"]
    column = choose(titles, wanted, name)
    ids = {kind: header.index(kind) for kind in ("ID", "SIS User ID", "SIS Login ID") if kind in header}
    rows = {}
    for row in range(1 if points is None else points + 1, len(table.rows)):
        user = table.cell(row, ids["ID"])
        if user:
            own = [table.cell(row, ids[kind]) for kind in ("SIS User ID", "SIS Login ID") if kind in ids]
            rows[row] = [f"canvas:{user}", *(f"id:{one}" for one in own if one), f"id:{user}"]
    report = fill(table, column, rows, by_keys(results, "canvas"), points_of, EXCUSED)
    possible = table.cell(points, column) if points is not None else ""
    report.warnings += _other_maximum(possible, results)
    return report


def _moodle(table: Table, results: list[Result], wanted: str, name: str, points: Mapping[str, float]) -> Filled:
    """Find the columns by place: headers come in the site's language. The grade stands before one constant number."""
    header = table.header()
    identifiers = {row: re.search(r"(\d+)\s*$", table.cell(row, 0)) for row in range(1, len(table.rows))}
    if not any(identifiers.values()):
        raise UsageError("not a Moodle grading worksheet", name, "download it in Moodle: Grading worksheet")
    if wanted:
        column = choose(dict(enumerate(header)), [wanted], name)
    elif header.count("Grade") == 1:
        column = header.index("Grade")
    else:
        places = [place for place in range(1, len(header) - 1) if _is_constant(table, place + 1)]
        column = choose({place: header[place] for place in places}, [header[place] for place in places] or [""], name)
    own = [place for place, text in enumerate(header) if re.sub(r"\W", "", text).lower() == "idnumber"]
    rows = {
        row: [f"moodle:{found[1]}", *(f"id:{table.cell(row, place)}" for place in own if table.cell(row, place))]
        for row, found in identifiers.items()
        if found
    }
    report = fill(table, column, rows, by_keys(results, "moodle"), points)
    report.warnings += [
        *_other_maximum(table.cell(next(iter(rows)), column + 1), results),
        *_skipped(table, rows, column),
    ]
    return report


def _skipped(table: Table, rows: Iterable[int], column: int) -> Iterator[str]:
    """Yield what Moodle will not take from a worksheet: points where there is a scale, and grades that are locked."""
    header = [text.casefold() for text in table.header()]
    if "scale" in header[column + 1 : column + 2]:
        yield "the assignment is graded by a scale, of which Moodle takes only its words; give it points in Moodle"
    if CHANGEABLE in header:
        for row in rows:
            if table.cell(row, header.index(CHANGEABLE)).casefold() == "no":
                yield f"{table.cell(row, 0)}: this grade cannot be changed, so Moodle will skip it; unlock it first"


def _is_constant(table: Table, place: int) -> bool:
    values = {table.cell(row, place) for row in range(1, len(table.rows))}
    return len(values) == 1 and bool(NUMBER.fullmatch(values.pop()))


def _plain(table: Table, results: list[Result], wanted: str, name: str, points: Mapping[str, float]) -> Filled:
    header = table.header()
    keys = [place for place, text in enumerate(header) if re.sub(r"\W", "", text).lower() in HEADERS["id"]]
    if len(keys) != 1:
        raise UsageError(f"{len(keys)} columns contain ids", name, "name exactly one column id")
    columns = {place: text for place, text in enumerate(header) if place != keys[0]}
    column = choose(columns, [wanted] if wanted else list(POINTS), name)
    rows = {row: [f"id:{table.cell(row, keys[0])}"] for row in range(1, len(table.rows)) if table.cell(row, keys[0])}
    return fill(table, column, rows, by_keys(results, ""), points)


def by_keys(results: Iterable[Result], system: str) -> Mapping[str, Result]:
    """Return the results by the LMS's id of the student and by ours; an id that two have matches nobody."""
    found: dict[str, Result] = {}
    twice: set[str] = set()
    for result in results:
        lms = result.student.lms
        keys = [f"id:{result.student.id}"]
        if lms and system and lms.system == system:
            keys.append(f"{system}:{lms.user}")
        for key in keys:
            twice |= {key} if key in found else set()
            found[key] = result
    return {key: result for key, result in found.items() if key not in twice}


def _other_maximum(text: str, results: list[Result]) -> list[str]:
    ours = max((result.max_points for result in results), default=0.0)
    if not NUMBER.fullmatch(text) or float(text.replace(",", ".")) == ours:
        return []
    return [f"the file's maximum is {text}, that of the results {ours:g}; correct it in the LMS before you upload"]


def report(filled: Filled) -> Iterator[str]:
    """Yield lines to print: one with counts, then the students who were left unchanged."""
    parts = [
        f"{len(filled.filled)} filled",
        f"{len(filled.unreadable)} unreadable left empty",
        f"{len(filled.absent)} handed in nothing",
        f"{len(filled.kept)} excused",
        f"{len(filled.without)} in the file but not in the results",
        f"{len(filled.unknown)} in the results but not in the file",
    ]
    yield ", ".join(part for place, part in enumerate(parts) if place == 0 or not part.startswith("0 "))
    for title, names in (
        ("unreadable", filled.unreadable),
        ("handed in nothing", filled.absent),
        ("kept", filled.kept),
        ("not in the results", filled.without),
        ("not in the file", filled.unknown),
        ("look at this", filled.warnings),
    ):
        yield from (f"{title}: {printable(name)}" for name in names)
