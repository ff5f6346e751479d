"""An authored TOML file, read with types: every mistake is one MasterError that names the line."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autograder.errors import MasterError

REQUIRED: Any = object()
KINDS = {str: "a text", float: "a number", int: "a whole number", list: "a list of texts", dict: "a table"}


class TomlTable:
    """One table of a file. Values are taken out by key and kind; `finish` refuses the keys that nobody took."""

    def __init__(self, path: Path, text: str, name: str, values: Mapping[str, Any]) -> None:
        self._path = path
        self._text = text
        self.name = name
        self._values = values
        self._taken: set[str] = set()

    def text(self, key: str, default: str = REQUIRED) -> str:
        return str(self._take(key, str, default))

    def number(self, key: str, default: float = REQUIRED) -> float:
        """A number above 0."""
        return self._positive(key, float(self._take(key, float, default)))

    def whole(self, key: str, default: int = REQUIRED) -> int:
        """A whole number above 0."""
        return int(self._positive(key, self._take(key, int, default)))

    def texts(self, key: str, default: tuple[str, ...] = REQUIRED) -> tuple[str, ...]:
        return tuple(self._take(key, list, default))

    def table(self, key: str, default: Mapping[str, Any] = REQUIRED) -> "TomlTable":
        """The table of this key, and the default in its place when there is none."""
        values = self._take(key, dict, default)
        return TomlTable(self._path, self._text, f"{self.name}.{key}" if self.name else key, values)

    def tables(self) -> dict[str, "TomlTable"]:
        """Every key of this table, each of which must be a table."""
        return {key: self.table(key) for key in self._values}

    def finish(self) -> None:
        """Raises MasterError for the first key that was not taken."""
        for key in self._values:
            if key not in self._taken:
                known = ", ".join(sorted(self._taken)) or "none"
                raise self.error(f"unknown key {self._full(key)}", f"take it out, or correct it ({known})", key)

    def error(self, what: str, fix: str, key: str = "") -> MasterError:
        """A MasterError at the line of this key, or of the table when no key is given."""
        return MasterError(what, f"{self._path}:{line_of(self._text, self.name, key)}", fix)

    def _take(self, key: str, kind: type, default: Any) -> Any:
        self._taken.add(key)
        if key not in self._values and default is not REQUIRED:
            return default
        if key not in self._values:
            raise self.error(f"there is no {self._full(key)}", f"give {KINDS[kind]}")
        value = self._values[key]
        if not _is_a(value, kind):
            raise self.error(f"{self._full(key)} is not {KINDS[kind]}", f"give {KINDS[kind]}", key)
        return value

    def _positive(self, key: str, value: float) -> float:
        if not 0 < value < float("inf"):
            raise self.error(f"{self._full(key)} is {value:g}", "give a number above 0", key)
        return value

    def _full(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key


def line_of(text: str, table: str, key: str = "") -> int:
    """Where a key of a table stands: its own line, else the line that opens its table, else the first."""
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
        return False
    if kind is float:
        return isinstance(value, int | float)
    if kind is list:
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    return isinstance(value, kind)


def read_toml(path: Path) -> TomlTable:
    """The file's outermost table. Raises MasterError, with the line, when it is not valid TOML."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise MasterError("not text in UTF-8", path, "save it as UTF-8") from error
    try:
        return TomlTable(path, text, "", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \((?:at line (\d+), column \d+|at end of document)\)$", str(error))
        what = str(error)[: found.start()] if found else str(error)
        line = int(found[1]) if found and found[1] else len(text.splitlines()) or 1
        raise MasterError(f"not valid TOML ({what})", f"{path}:{line}", "mend that line") from error
