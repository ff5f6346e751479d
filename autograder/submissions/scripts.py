"""Notebooks exported as Python files, read as cells: jupytext's percent and light formats, nbconvert's scripts.

Only text is examined. Magics stay comments, as written by the exporters.
"""

import re
from collections.abc import Sequence

from autograder.notebook import MAX_CELLS, Cell, plain_text
from autograder.regions import START

PERCENT = re.compile(r"^#[ \t]?%%(?P<rest>.*)$")
PROMPT = re.compile(r"^# In ?\[[ \d*]*\]:\s*$")
LIGHT_START, LIGHT_END = re.compile(r"^# \+(?:\s.*)?$"), re.compile(r"^# -\s*$")
HEADER = re.compile(r"\A(?:#![^\n]*\n)?(?:#[^\n]*coding[^\n]*\n)?\s*# ---\n(?:#[^\n]*\n)*?# ---\n")
FORMAT = re.compile(r"^#\s+format_name:\s*(\w+)", re.MULTILINE)


def read_script(text: str) -> tuple[Cell, ...] | None:
    """Return the cells of a Python file exported from a notebook, None if it is an ordinary module.

    A file without marks of an exporter counts as an export if it contains a TODO region of the assignment.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    header = HEADER.match(text)
    named = FORMAT.search(header[0]) if header else None
    lines = text[header.end() if header else 0 :].split("\n")
    if sum(bool(PERCENT.match(line)) for line in lines) >= 2:
        return _percent(lines)
    if any(PROMPT.match(line) for line in lines):
        return _prompts(lines)
    light = (named and named[1] == "light") or sum(bool(LIGHT_START.match(line)) for line in lines) >= 2
    if light or any(START.match(line) for line in lines):
        return light_cells(lines)
    return None


def light_cells(lines: Sequence[str]) -> tuple[Cell, ...]:
    """Return the paragraphs of a script: a blank line ends a cell, unless indented code follows.

    `# +` and `# -` lines keep everything between them in one cell, as in jupytext's light format.
    """
    cells: list[Cell] = []
    current: list[str] = []
    held, quotes = False, 0

    def finish() -> None:
        cells.append(_of_lines(current))
        current.clear()

    for place, line in enumerate(lines):
        if LIGHT_START.match(line) or (held and LIGHT_END.match(line)):
            finish()
            held = bool(LIGHT_START.match(line))
            continue
        current.append(line)
        quotes += line.count('"""')
        following = next((one for one in lines[place + 1 : place + 20] if one.strip()), "")
        inside = following[:1] in (" ", "\t", ")", "]", "}") or quotes % 2 == 1
        if not line.strip() and not held and not inside:
            finish()
    finish()
    return _kept(cells)


def _percent(lines: Sequence[str]) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    current: list[str] = []
    kind = "code"
    for line in lines:
        if mark := PERCENT.match(line):
            cells.append(_cell(kind, current))
            current = []
            found = re.search(r"\[(markdown|md|raw)\]", mark["rest"])
            kind = {"md": "markdown", "markdown": "markdown", "raw": "raw"}[found[1]] if found else "code"
        else:
            current.append(line)
    return _kept([*cells, _cell(kind, current)])


def _prompts(lines: Sequence[str]) -> tuple[Cell, ...]:
    """Return the cells between nbconvert's `# In[3]:` lines; text cells are comments after two blank lines."""
    cells: list[Cell] = []
    current: list[str] = []
    kind = "markdown"
    for line in [*lines, "# In[ ]:"]:
        if not PROMPT.match(line):
            current.append(line)
            continue
        split = len(current)
        while split and (not current[split - 1].strip() or current[split - 1].startswith("#")):
            split -= 1
        gap = next((i for i in range(split, len(current) - 1) if not any(map(str.strip, current[i : i + 2]))), None)
        end = len(current) if kind == "markdown" or gap is None else gap
        cells += [_cell(kind, current[:end]), _cell("markdown", current[end:])]
        current, kind = [], "code"
    return _kept(cells)


def _of_lines(lines: Sequence[str]) -> Cell:
    code = any(line.strip() and not line.startswith("#") for line in lines)
    marked = any("YOUR CODE" in line.upper() or "TODO" in line for line in lines)
    return _cell("code" if code or marked else "markdown", lines)


def _cell(kind: str, lines: Sequence[str]) -> Cell:
    if kind != "code":
        lines = [re.sub(r"^# ?", "", line) for line in lines]
    return Cell(id="", kind=kind, source=plain_text("\n".join(lines).strip("\n")))


def _kept(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return tuple(cell for cell in cells if cell.source.strip())[:MAX_CELLS]
