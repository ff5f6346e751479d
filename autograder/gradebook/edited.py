"""Points by hand from a file: a copy of grades.csv that somebody edited, or a table of overrides.

Nothing that was written into the file is passed over in silence: it is a decision, a note, or an error with its line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import select

from autograder.errors import UsageError, printable
from autograder.gradebook import schema, views
from autograder.gradebook.overrides import COLUMNS, WHOLE, Decision, Entry, history, read_points
from autograder.gradebook.store import Gradebook
from autograder.platforms.table import Table, parse_table
from autograder.results import Result, Status

NOW = "~"
"""Sorts after every ISO time."""
MAX_MOMENTS = 100
"""How many earlier states of the gradebook a copy is compared with, the newest first."""

Key = tuple[str, str]
"""A student and a question, or * for the whole submission."""


@dataclass(slots=True, kw_only=True)
class Edited:
    """What a file says: decisions in its order, and notes for the person who gave it."""

    decisions: list[Decision] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the points were at earlier times.

    computed: by student and question, the points by the tests with the time from which they counted, None while nobody
    had graded the question; entries: the overrides of the same; questions: by student, all that were ever graded
    """

    computed: Mapping[Key, list[tuple[str, float | None]]]
    entries: Mapping[Key, list[Entry]]
    questions: Mapping[str, set[str]]

    def moments(self) -> list[str]:
        """Return the times at which something changed, the newest first; the first of all is now."""
        found = {at for steps in self.computed.values() for at, _ in steps}
        for entry in (one for entries in self.entries.values() for one in entries):
            found |= {entry.override.at, *([_undone_at(entry)] if entry.undone else [])}
        return [NOW, *sorted(found, reverse=True)[1:MAX_MOMENTS]]

    def points(self, key: Key, moment: str) -> float | None:
        """Return the points that counted at a moment, None where there were none."""
        for entry in reversed(self.entries.get(key, [])):
            undone = entry.undone and _undone_at(entry) <= moment
            if entry.override.points is not None and entry.override.at <= moment and not undone:
                return entry.override.points
        return next((value for at, value in reversed(self.computed.get(key, [])) if at <= moment), None)


def _undone_at(entry: Entry) -> str:
    return entry.undone.rpartition(", ")[2]


def past(gradebook: Gradebook) -> Past:
    """Return what the gradebook says about earlier points."""
    computed: dict[Key, list[tuple[str, float | None]]] = {}
    asked: dict[str, set[str]] = {}
    for run in gradebook.runs():
        at = run.finished or run.started
        with gradebook.engine.connect() as connection:
            query = select(schema.results.c.student).where(schema.results.c.run == run.id).distinct()
            students = list(connection.execute(query.order_by(schema.results.c.student)).scalars())
        for saved in gradebook.saved(run.id, tests=False, among=students):
            student, scores = saved.result.student.id, saved.result.questions
            known = asked.setdefault(student, set())
            for question in known - scores.keys():
                computed[student, question].append((at, None))
            known.update(scores)
            for question, score in scores.items():
                value = None if score.status is Status.WAITING else score.computed
                computed.setdefault((student, question), []).append((at, value))
    entries: dict[Key, list[Entry]] = {}
    for entry in history(gradebook):
        entries.setdefault((entry.student, entry.question), []).append(entry)
    return Past(computed=computed, entries=entries, questions=asked)


def read_edited(data: bytes, name: str, gradebook: Gradebook) -> Edited:
    """Read a file of points by hand. Raises UsageError with the line that cannot be used."""
    table = parse_table(data, name)
    current = {result.student.id: result for result in views.current(gradebook)}
    names = table.header()
    reader = _Reader(table=table, name=name, current=current, names=names, header=[one.casefold() for one in names])
    if {"student", "question"} <= set(reader.header):
        return reader.overrides()
    if "student" not in reader.header or not set(reader.questions()) & set(reader.header):
        fix = f"give a copy of grades.csv, or a table with the columns {', '.join(COLUMNS)}"
        raise UsageError("neither a copy of grades.csv nor a table of overrides", f"{name}:{table.line(0)}", fix)
    return reader.edited_copy(past(gradebook))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A row of an edited copy: its number, and by question, or * for the total, the column and the points in it."""

    number: int
    cells: Mapping[str, tuple[int, float | None]]

    def points(self, question: str) -> float | None:
        return self.cells[question][1] if question in self.cells else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """A table, and the results as the views show them now. names: of the columns; header: these in lower case."""

    table: Table
    name: str
    current: Mapping[str, Result]
    names: list[str]
    header: list[str]

    def questions(self) -> dict[str, str]:
        """Return the ids of the questions by their lower-case form, and * by `total`."""
        return {key.casefold(): key for one in self.current.values() for key in one.questions} | {"total": WHOLE}

    def edited_copy(self, then: Past) -> Edited:
        """Compare a copy of grades.csv with the points as they were when it was written."""
        known = self.questions()
        columns = {place: known[one] for place, one in enumerate(self.header) if one in known}
        rows = {
            student: _Row(number=row, cells={key: (place, self._points(row, place)) for place, key in columns.items()})
            for row, student in self._rows()
        }
        moment = _written(rows, then)
        found = Edited()
        kept = 0
        for student, row in rows.items():
            for question, (place, points) in row.cells.items():
                before, now = (_points_at(then, student, question, at) for at in (moment, NOW))
                if points is None and before is not None and question != WHOLE:
                    where = self._place(row.number, place)
                    found.notes.append(f"{where}: empty, so its points stay; write 0 to take them")
                kept += points == before != now and question != WHOLE
                if points is None or points in (before, now) or (question == WHOLE and _is_sum(row)):
                    continue
                if question not in (WHOLE, *self.current[student].questions):
                    what = f"{printable(student)} has no points for {question}: {self.current[student].status.value}"
                    fix = "give the points of the whole in the column total, or empty the cell"
                    raise UsageError(what, self._place(row.number, place), fix)
                comment = self._cell(row.number, "comment")
                found.decisions.append(Decision(student=student, question=question, points=points, comment=comment))
        if kept:
            what = f"written before {kept} of its cells changed in the gradebook; these keep their new points"
            found.notes.append(f"{self.name}: {what}")
        ours = {*known, *views.FIRST, *views.LAST, *views.LATE, "comment", ""}
        unused = [name for name, one in zip(self.names, self.header, strict=True) if one not in ours]
        found.notes += [f"{self.name}: the column {printable(one)!r} is not used" for one in unused]
        return found

    def overrides(self) -> Edited:
        """Return the decisions of a table student, question, points, comment."""
        known = self.questions() | {"": WHOLE}
        place = self.header.index("points") if "points" in self.header else None
        seen: dict[Key, int] = {}
        found = Edited()
        for row, student in self._rows(again=True):
            asked = self._cell(row, "question")
            question = known.get(asked.casefold(), asked)
            if (student, question) in seen:
                first = self.table.line(seen[student, question])
                what = f"{printable(student)} {printable(question)} again, which line {first} decides already"
                raise UsageError(what, self._place(row), "delete one of the lines")
            seen[student, question] = row
            points = None if place is None else self._points(row, place)
            comment = self._cell(row, "comment")
            found.decisions.append(Decision(student=student, question=question, points=points, comment=comment))
        return found

    def _rows(self, *, again: bool = False) -> Iterator[tuple[int, str]]:
        """Yield the rows that are not empty, with their students; again: a student may have several."""
        seen: dict[str, int] = {}
        for row in range(1, len(self.table.rows)):
            if not any(self.table.cell(row, place) for place in range(len(self.table.rows[row]))):
                continue
            student = self._student(row)
            if student in seen and not again:
                what = f"a second line for {printable(student)}; the first is line {self.table.line(seen[student])}"
                raise UsageError(what, self._place(row), "delete one of them")
            seen[student] = row
            yield row, student

    def _student(self, row: int) -> str:
        """Return the student of a row, by id, else by a name that nobody shares; never by a part of either."""
        text = self._cell(row, "student")
        for own in (text, text.removeprefix("'")):
            if own in self.current:
                return own
        named = [key for key, one in self.current.items() if one.student.name.casefold() == text.casefold()]
        if text and len(named) == 1:
            return named[0]
        zeros = [key for key in self.current if text and key.lstrip("0") == text]
        hint = f" (a spreadsheet may have made it of {zeros[0]})" if zeros else ""
        what = f"no student {printable(text)!r}{hint}" if text else "a line without a student"
        raise UsageError(what, self._place(row), "write an id as in grades.csv, or delete the line")

    def _points(self, row: int, place: int) -> float | None:
        text = self.table.cell(row, place)
        try:
            return read_points(text, "") if text else None
        except UsageError as error:
            raise UsageError(error.what, self._place(row, place), error.fix) from None

    def _cell(self, row: int, column: str) -> str:
        return self.table.cell(row, self.header.index(column)) if column in self.header else ""

    def _place(self, row: int, place: int | None = None) -> str:
        return f"{self.name}:{self.table.line(row)}" + ("" if place is None else f", {printable(self.names[place])}")


def _written(rows: Mapping[str, _Row], then: Past) -> str:
    """Return when a copy was written: the newest moment at which the fewest of its cells differ."""
    cells = {
        (student, question): points
        for student, row in rows.items()
        for question, (_, points) in row.cells.items()
        if len(then.computed.get((student, question), ())) + len(then.entries.get((student, question), ())) > 1
    }
    return min(then.moments(), key=lambda at: sum(then.points(key, at) != points for key, points in cells.items()))


def _points_at(then: Past, student: str, question: str, moment: str) -> float | None:
    """Return the points that a cell of the table showed at a moment, None where it was empty."""
    found = then.points((student, question), moment)
    if question != WHOLE or found is not None:
        return found
    values = [then.points((student, one), moment) for one in then.questions.get(student, ())]
    return round(sum(value or 0.0 for value in values), 6) if any(value is not None for value in values) else None


def _is_sum(row: _Row) -> bool:
    """Return whether a total is what the row's other cells add up to, so that nobody set it."""
    others = [points or 0.0 for question, (_, points) in row.cells.items() if question != WHOLE]
    return bool(others) and abs(sum(others) - (row.points(WHOLE) or 0.0)) < 1e-6
