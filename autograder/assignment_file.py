"""`assignment.toml` -> Assignment, and the course that contains it.

A course is a folder with `solutions/*/assignment.toml`, found by walking up from the working directory.

Every value is type-checked; an error is one MasterError with the line number.
"""

import keyword
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

from autograder.assignment import Assignment, Gate, Gradescope, LatePolicy, Limits, Question, RubricLine
from autograder.errors import MasterError, UsageError

TOML = "solutions/*/assignment.toml"
QUESTION_ID = re.compile(r"[A-Z]+[0-9]+")
DATA_NAME = re.compile(r"[a-z][a-z0-9_]*")
VISIBILITIES = ("hidden", "after_due_date", "after_published", "visible")
REQUIRED: Any = object()
KINDS = {str: "a text", float: "a number", int: "a whole number", list: "a list of texts", dict: "a table"}
KINDS |= {datetime: "a date with a time, such as 2026-11-20T23:59:00", date: "a date, such as 2026-11-20"}
KINDS[bool] = "true or false"


class TomlTable:
    """One table of a file. Values are read by key and type; `finish` rejects keys that were never read."""

    def __init__(self, path: Path, text: str, name: str, values: Mapping[str, Any]) -> None:
        self._path = path
        self._text = text
        self.name = name
        self.values = values
        self._taken: set[str] = set()

    def text(self, key: str, default: str = REQUIRED) -> str:
        return str(self._take(key, str, default))

    def number(self, key: str, default: float = REQUIRED) -> float:
        """Return a number greater than 0."""
        return self._positive(key, float(self._take(key, float, default)))

    def whole(self, key: str, default: int = REQUIRED) -> int:
        """Return an integer greater than 0."""
        return int(self._positive(key, self._take(key, int, default)))

    def from_0(self, key: str, default: float = REQUIRED) -> float:
        """A number that is 0 or above."""
        value = float(self._take(key, float, default))
        if not 0 <= value < float("inf"):
            raise self.error(f"{self._full(key)} is {value:g}", "give a number that is not below 0", key)
        return value

    def flag(self, key: str) -> bool:
        """Return true or false; false if there is no such key."""
        return bool(self._take(key, bool, False))

    def moment(self, key: str) -> datetime:
        return self._take(key, datetime, REQUIRED)  # type: ignore[no-any-return]

    def day(self, key: str) -> date | None:
        """Return a date, None if there is none."""
        return self._take(key, date, None)  # type: ignore[no-any-return]

    def texts(self, key: str, default: tuple[str, ...] = REQUIRED) -> tuple[str, ...]:
        return tuple(self._take(key, list, default))

    def table(self, key: str, default: Mapping[str, Any] = REQUIRED) -> "TomlTable":
        """Return the table with this key, or the default if there is none."""
        values = self._take(key, dict, default)
        return TomlTable(self._path, self._text, f"{self.name}.{key}" if self.name else key, values)

    def entries(self, key: str) -> list["TomlTable"]:
        """Return the tables of a list, none if there is no such key."""
        self._taken.add(key)
        values = self.values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(entry, dict) for entry in values):
            raise self.error(f"{self._full(key)} is not a list of tables", "use a list of tables", key)
        return [TomlTable(self._path, self._text, self._full(key), entry) for entry in values]

    def tables(self) -> dict[str, "TomlTable"]:
        """Return all entries of this table, each of which must be a table."""
        return {key: self.table(key) for key in self.values}

    def all_texts(self) -> dict[str, str]:
        """Return all entries of this table, each of which must be a string."""
        return {key: self.text(key) for key in self.values}

    def finish(self) -> None:
        """Raise MasterError for the first key that was never read."""
        for key in self.values:
            if key not in self._taken:
                known = ", ".join(sorted(self._taken)) or "none"
                raise self.error(f"unknown key {self._full(key)}", f"remove or correct it (known keys: {known})", key)

    def error(self, what: str, fix: str, key: str = "") -> MasterError:
        """Return a MasterError at the line of this key, or of the table if no key is given."""
        return MasterError(what, f"{self._path}:{line_of(self._text, self.name, key)}", fix)

    def _take(self, key: str, kind: type, default: Any) -> Any:
        self._taken.add(key)
        if key not in self.values and default is not REQUIRED:
            return default
        if key not in self.values:
            raise self.error(f"{self._full(key)} is missing", f"add {KINDS[kind]}")
        value = self.values[key]
        if not _is_a(value, kind):
            raise self.error(f"{self._full(key)} is not {KINDS[kind]}", f"use {KINDS[kind]}", key)
        return value

    def _positive(self, key: str, value: float) -> float:
        if not 0 < value < float("inf"):
            raise self.error(f"{self._full(key)} is {value:g}", "use a number greater than 0", key)
        return value

    def _full(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key


def line_of(text: str, table: str, key: str = "") -> int:
    """Return the line of a key of a table, else the line that opens the table, else 1."""
    full = f"{table}.{key}" if table and key else table or key
    current, opened = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([^\[\]]+?)\s*\]", line):
            current = header[1].replace('"', "")
            if current in (table, full):
                opened = number
        if key and current == table and re.match(rf'\s*"?{re.escape(key)}"?\s*[=.]', line):
            return number
    return opened or 1


def _is_a(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is date:
        return type(value) is date  # a datetime is a date too
    if kind is float:
        return isinstance(value, int | float)
    if kind is list:
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    return isinstance(value, kind)


def read_toml(path: Path) -> TomlTable:
    """Return the top-level table of a file. Raises MasterError with the line number if it is not valid TOML."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise MasterError("not UTF-8 text", path, "save it as UTF-8") from error
    try:
        return TomlTable(path, text, "", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \((?:at line (\d+), column \d+|at end of document)\)$", str(error))
        what = str(error)[: found.start()] if found else str(error)
        line = int(found[1]) if found and found[1] else len(text.splitlines()) or 1
        raise MasterError(f"not valid TOML ({what})", f"{path}:{line}", "correct that line") from error


def find_course(start: Path | None = None) -> Path:
    """Return the nearest folder, walking up from `start` (the working directory), that contains an assignment.

    Raises UsageError if there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if next(folder.glob(TOML), None):
            return folder
    fix = "change to the course's folder, name it with --course, or create a course with `autograder init`"
    raise UsageError(f"no {TOML} in this folder or its parents", here, fix)


def assignment_names(home: Path) -> list[str]:
    """Return the names of all assignments of a course."""
    return sorted(path.parent.name for path in home.glob(TOML))


def load_assignment(name: str | None = None, home: Path | None = None) -> Assignment:
    """Read `solutions/<name>/assignment.toml`; without a name, the only assignment of the course.

    home: the course's folder (default: the nearest one above the working directory)
    Raises UsageError if there is no such assignment, MasterError if the file is invalid.
    """
    home = home or find_course()
    found = assignment_names(home)
    if name is None:
        if len(found) != 1:
            raise UsageError(
                f"{len(found)} assignments found",
                home / "solutions",
                f"choose one with --assignment ({', '.join(found) or 'none'})",
            )
        name = found[0]
    path = home / "solutions" / name / "assignment.toml"
    if name not in found:
        raise UsageError("no such assignment", path, f"choose from {', '.join(found) or 'none'}")
    return _from_table(read_toml(path), name, home)


def _from_table(root: TomlTable, name: str, home: Path) -> Assignment:
    notebooks = root.texts("notebooks")
    if twice := {notebook for notebook in notebooks if notebooks.count(notebook) > 1}:
        raise root.error(f"the notebook {min(twice)!r} is listed twice", "list it once", "notebooks")
    questions = root.table("questions")
    entries = questions.tables()
    limits, gate, gradescope = root.table("limits"), root.table("gate", {}), root.table("gradescope", {})
    data, late = root.table("data", {}), root.table("late", {})
    assignment = Assignment(
        name=name,
        title=root.text("title"),
        version=root.text("version"),
        released=root.day("released"),
        notebooks=notebooks,
        data=_data(data),
        packages=root.texts("packages", ()),
        questions=tuple(_question(question_id, entry, notebooks) for question_id, entry in entries.items()),
        limits=Limits(
            wall_s=limits.number("wall_s"), cpu_s=limits.number("cpu_s"), memory_mib=limits.whole("memory_mib")
        ),
        gradescope=_gradescope(gradescope),
        late=_late(late) if late.values else None,
        gate=Gate(
            notebook_cpu_s=gate.number("notebook_cpu_s", Gate().notebook_cpu_s), allowed=_patterns(gate, "allowed")
        ),
        home=home,
    )
    for table in (root, limits, gate, gradescope, data, late, *entries.values()):
        table.finish()
    if not entries:
        raise questions.error("no questions", "add a table such as [questions.Q1]")
    _check_names(assignment, entries)
    _check_dependencies(assignment, entries)
    return assignment


def _question(question_id: str, entry: TomlTable, notebooks: tuple[str, ...]) -> Question:
    if not QUESTION_ID.fullmatch(question_id):
        what = f"{question_id!r} is not a valid question id"
        raise entry.error(what, "use capital letters followed by a number, such as Q1")
    notebook = entry.text("notebook")
    if notebook not in notebooks:
        what = f"{question_id} names an unknown notebook {notebook!r}"
        raise entry.error(what, "correct it, or add it to `notebooks`", "notebook")
    rubric = _rubric(question_id, entry)
    question = Question(
        id=question_id,
        notebook=notebook,
        points=entry.from_0("points"),
        defines=() if rubric else entry.texts("defines"),
        depends=() if rubric else entry.texts("depends", ()),
        bonus=entry.flag("bonus"),
        optional=entry.flag("optional"),
        rubric=rubric,
    )
    if question.optional and question.points and not question.bonus:
        what = f"{question_id} is optional, but leaving it out would cost points"
        raise entry.error(what, "add `bonus = true`, or give it 0 points", "optional")
    return question


def _rubric(question_id: str, entry: TomlTable) -> tuple[RubricLine, ...]:
    """Return the rubric of a written question, whose lines add up to its points; nothing for another one."""
    found = []
    for line in entry.entries("rubric"):
        found.append(RubricLine(points=line.from_0("points"), text=" ".join(line.text("text").split())))
        line.finish()
    if "rubric" not in entry.values:
        return ()
    total, points = sum(line.points for line in found), entry.from_0("points")
    if not found or abs(total - points) > 1e-9:
        what = f"the rubric of {question_id} adds up to {total:g} points, not {points:g}"
        raise entry.error(what, "correct the points of its lines", "rubric")
    if len({line.text for line in found}) < len(found) or not all(line.text for line in found):
        raise entry.error(f"the rubric of {question_id} has equal or empty lines", "make them different", "rubric")
    if given := [key for key in ("defines", "depends") if key in entry.values]:
        what = f"{question_id} is a written question, which has no `{given[0]}`"
        raise entry.error(what, f"remove `{given[0]}`, or the rubric", given[0])
    return tuple(found)


def _data(table: TomlTable) -> dict[str, str]:
    """Return the data files by name; the environment variable of the same name selects another file."""
    files = {}
    for name, path in table.all_texts().items():
        if not DATA_NAME.fullmatch(name):
            raise table.error(f"{name!r} is not a valid data name", "use lower-case letters, digits and _", name)
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise table.error(f"{path!r} is outside the course", "use a path inside the course's folder", name)
        files[name] = path
    return files


def _gradescope(table: TomlTable) -> Gradescope:
    settings = Gradescope(
        visibility=table.text("visibility", Gradescope().visibility),
        minutes=table.number("minutes", Gradescope().minutes),
    )
    if settings.visibility not in VISIBILITIES:
        what = f"unknown visibility {settings.visibility!r}"
        raise table.error(what, f"use one of {', '.join(VISIBILITIES)}", "visibility")
    return settings


def _late(table: TomlTable) -> LatePolicy:
    """Read the late policy. The deadline's zone is its own offset, or the `zone` that a local time is in."""
    policy = LatePolicy(
        deadline=_deadline(table),
        grace_minutes=table.from_0("grace_minutes", 0),
        percent_per_day=table.from_0("percent_per_day", 0),
        most_percent=table.from_0("most_percent", 100),
        cutoff_minutes=table.from_0("cutoff_minutes") if "cutoff_minutes" in table.values else None,
    )
    for key in ("percent_per_day", "most_percent"):
        if getattr(policy, key) > 100:
            raise table.error(f"late.{key} is {getattr(policy, key):g}", "give a number from 0 to 100", key)
    if policy.cutoff_minutes is not None and policy.cutoff_minutes < policy.grace_minutes:
        raise table.error("late.cutoff_minutes ends before the grace period", "make it longer", "cutoff_minutes")
    return policy


def _deadline(table: TomlTable) -> datetime:
    deadline, zone = table.moment("deadline"), table.text("zone", "")
    if deadline.tzinfo is not None:
        if zone:
            raise table.error("the deadline has a zone of its own already", "remove one of the two", "zone")
        return deadline.astimezone(UTC)
    if not zone:
        fix = 'add its offset, as in 2026-11-20T23:59:00+01:00, or a line such as zone = "Europe/Berlin"'
        raise table.error("the deadline has no time zone", fix, "deadline")
    try:
        local = deadline.replace(tzinfo=ZoneInfo(zone))
    except (KeyError, ValueError, OSError) as error:
        raise table.error(f"{zone!r} is not a known time zone", "give one such as Europe/Berlin", "zone") from error
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        what = f"the clocks change in {zone} at the deadline, so that this time occurs twice or never"
        raise table.error(what, "give it with its offset, as in 2026-10-25T02:30:00+01:00", "deadline")
    return local.astimezone(UTC)


def _patterns(table: TomlTable, key: str) -> tuple[re.Pattern[str], ...]:
    patterns = []
    for text in table.texts(key, ()):
        try:
            patterns.append(re.compile(text))
        except re.error as error:
            what = f"{text!r} is not a valid regular expression ({error})"
            raise table.error(what, "correct the pattern", key) from error
        if any(patterns[-1].match(anything) for anything in ("", "\0")):
            raise table.error(f"{text!r} matches every line", "write a pattern of lines that give nothing away", key)
    return tuple(patterns)


def _check_names(assignment: Assignment, entries: dict[str, TomlTable]) -> None:
    """Check that each name is defined by one question only, because a name identifies the question of a region."""
    owners: dict[str, str] = {}
    for question in assignment.questions:
        if not question.defines and not question.written:
            fix = "list the functions and classes of its region"
            raise entries[question.id].error(f"{question.id} defines nothing", fix, "defines")
        for name in question.defines:
            if not name.isidentifier() or keyword.iskeyword(name):
                what = f"{question.id} defines {name!r}, which is not a Python name"
                raise entries[question.id].error(what, "list the functions and classes of its region", "defines")
            if name in owners:
                what = f"{question.id} and {owners[name]} both define {name!r}"
                raise entries[question.id].error(what, "rename one of them", "defines")
            owners[name] = question.id


def _check_dependencies(assignment: Assignment, entries: dict[str, TomlTable]) -> None:
    known = {question.id for question in assignment.questions}
    for question in assignment.questions:
        for other in question.depends:
            if other not in known or assignment.question(other).written:
                kind = "a written" if other in known else "an unknown"
                what = f"{question.id} depends on {kind} question {other!r}"
                raise entries[question.id].error(what, "correct the id", "depends")
    for question in assignment.questions:
        if question.id in assignment.dependencies(question):
            circle = ", ".join(sorted(assignment.dependencies(question) | {question.id}))
            what = f"{question.id} depends on itself (cycle: {circle})"
            raise entries[question.id].error(what, "break the dependency cycle", "depends")
