"""Reassembly: the answers of a submission, put into a fresh copy of the release.

What a student edited, deleted, duplicated or reordered outside the TODO regions therefore does no harm. What a student
added is kept: whole cells, imports and helpers beside an answer, decorators, renamed parameters. Only text is handled;
nothing of the submission is executed, imported or compiled.
"""

import difflib
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autograder.assignment import Assignment, Question
from autograder.notebook import Cell, NotebookFile, Role
from autograder.program import Program, Step
from autograder.regions import DEFINITION, Region, header_end
from autograder.release.released import ReleasedNotebook, normal, origins
from autograder.results import Flag, Status

MAX_HEADER = 50
MAX_COPIES = 100
"""Of a region; only the last ones are looked at."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The source of a question's answer cell, and the code beside it that the student added."""

    source: str
    attempted: bool
    before: str = ""
    after: str = ""
    flags: tuple[Flag, ...] = ()
    file: str = ""


_NOTHING = _Answer("", attempted=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A region in a cell of a submitted file, and the version of the release that the file was made from."""

    file: str
    cell: Cell
    region: Region
    base: ReleasedNotebook


@dataclass(slots=True)
class _Added:
    """Code to run before and after a cell of the release, in the order in which it stood in the submission."""

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def reassemble(released: ReleasedNotebook, submitted: Sequence[NotebookFile], assignment: Assignment) -> Program:
    """Put the answers found in the submitted notebooks into the release.

    submitted: the files that belong to this notebook; usually one.
    """
    questions = assignment.in_notebook(released.name)
    flags: list[Flag] = []
    found: dict[str, list[_Found]] = {question.id: [] for question in questions}
    added: dict[str, _Added] = {}
    loose: list[tuple[str, Cell]] = []
    for file in submitted:
        cells = file.cells
        base, matches = origins(released, cells)
        if base.version != released.version:
            text = f"{released.name}: made from version {base.version}"
            flags.append(Flag(kind="made_from_version", text=text))
        anchor = ""
        for cell, match in zip(cells, matches, strict=True):
            place = released.place_of(match) if match else None
            if cell.kind != "code":
                anchor = place or anchor
                continue
            regions = base.regions_in(cell)
            if regions:
                for region in regions:
                    found[region.question].append(_Found(file=file.name, cell=cell, region=region, base=base))
                anchor = released.regions[regions[-1].question][0].id
            elif match is None or match.role == Role.ANSWER:
                loose.append((file.name, cell))
                added.setdefault(anchor, _Added()).after.append(cell.source)
            else:
                anchor = place or anchor
                if inserted := _inserted(match, cell):
                    added.setdefault(anchor, _Added()).after.append(inserted)

    answers: dict[str, _Answer] = {}
    unanswered: dict[str, Status] = {}
    for question in questions:
        answers[question.id], status, notes = _choose(released, question, found[question.id], loose)
        if status:
            unanswered[question.id] = status
        flags.extend(notes)
    return Program(
        notebook=released.name,
        steps=tuple(_steps(released, answers, added)),
        unanswered=unanswered,
        files={key: answer.file for key, answer in answers.items() if answer.file},
        flags=tuple(dict.fromkeys(flags)),
    )


def _choose(
    released: ReleasedNotebook, question: Question, regions: Sequence[_Found], loose: Sequence[tuple[str, Cell]]
) -> tuple[_Answer, Status | None, list[Flag]]:
    """Return the answer that counts: the last attempted region, else a definition of that name in an added cell.

    The status is that of an unanswered question, None for an answered one.
    """
    found = [_answer(released, one) for one in regions[-MAX_COPIES:]]
    attempted = [answer for answer in found if answer.attempted]
    if attempted:
        chosen = attempted[-1]
        notes = list(chosen.flags)
        if len(regions) > 1:
            which = "the last of them" if len(attempted) > 1 else "the one that was filled in"
            text = f"{len(regions)} regions found; {which} was graded"
            notes.append(Flag(kind="several_regions", question=question.id, text=text))
        return chosen, None, notes
    stub = replace(found[-1] if found else _NOTHING, source=released.regions[question.id][0].source)
    elsewhere = [one for one in loose if _defines(one[1], question) and not _is_stub(one[1], question, released)]
    if elsewhere:
        where = "the region is as released" if found else "no region found"
        text = f"{where}; the definition of {question.defines[0]} in another cell was graded"
        note = Flag(kind="definition_elsewhere", question=question.id, text=text)
        file, cell = elsewhere[-1]
        answer = _Answer(cell.source, attempted=True, before=stub.before, after=stub.after, file=file)
        return answer, None, [note]
    if found:
        return stub, Status.NOT_ATTEMPTED, []
    text = "no region found in the submission"
    return stub, Status.MISSING, [Flag(kind="region_missing", question=question.id, text=text)]


def _defines(cell: Cell, question: Question) -> bool:
    return any((d := DEFINITION.match(line)) and not d[1] and d[2] in question.defines for line in cell.lines)


def _is_stub(cell: Cell, question: Question, released: ReleasedNotebook) -> bool:
    stubs = [one.regions[question.id][0] for one in released.versions() if question.id in one.regions]
    return any(normal(cell.lines) == normal(stub.lines) for stub in stubs)


def _answer(released: ReleasedNotebook, found: _Found) -> _Answer:
    """The released answer cell with this region's text in it.

    What stood in the cell in the version that the submission was made from is no code of the student's.
    """
    region, lines = found.region, found.cell.lines
    released_cell, target = released.regions[region.question]
    old_cell, old_target = found.base.regions.get(region.question, (released_cell, target))
    given, old = released_cell.lines, old_cell.lines
    flags = list(region.flags)
    body = lines[region.first : region.last]
    if region.indent != target.indent:
        body = textwrap.indent(textwrap.dedent("\n".join(body).expandtabs(4)), target.indent).split("\n")
    above = _code_above(lines, given, region, target)
    own_above = _code_above(lines, old, region, target)
    tail_end = region.after
    if target.indent:
        while tail_end < len(lines) and (not lines[tail_end].strip() or lines[tail_end][0] in " \t"):
            tail_end += 1
    tail = lines[region.after : tail_end]
    if not any(normal([line]) for line in tail):
        tail, tail_end = [], region.after
    if own_above:
        text = "code above the START line was taken as part of the answer"
        flags.append(Flag(kind="code_above_marker", question=region.question, text=text))
    if tail:
        text = "code below the END line was taken as part of the answer"
        flags.append(Flag(kind="code_below_marker", question=region.question, text=text))
    top = given[: target.first]
    decorators = [line for line in lines[region.top : region.first] if line.startswith("@")]
    if renamed := _renamed(lines[: region.first], given[: target.first]):
        place, end, header = renamed
        top[place:end] = header
        if _renamed(lines[: region.first], old[: old_target.first]):
            text = "the def line was changed; the submission's was used"
            flags.append(Flag(kind="header_changed", question=region.question, text=text))
    top[target.top : target.top] = [line for line in decorators if line not in given and line not in old]
    source = "\n".join([*top, *above, *body, *tail, *given[target.last :]])
    stubs = [one.regions[region.question] for one in released.versions() if region.question in one.regions]
    as_released = [normal(cell.lines[stub.first : stub.last]) for cell, stub in stubs]
    released_lines = {*normal(given), *normal(old)}
    before = [line for line in lines[: region.top] if not line.lstrip().startswith("#")]
    after = lines[tail_end:]
    return _Answer(
        source=source,
        attempted=normal([*own_above, *body, *tail]) not in as_released,
        before="" if set(normal(before)) <= released_lines else "\n".join(before),
        after="" if set(normal(after)) <= released_lines else "\n".join(after),
        flags=tuple(flags),
        file=found.file,
    )


def _code_above(lines: Sequence[str], given: Sequence[str], region: Region, target: Region) -> list[str]:
    """Code between the definition's docstring and the start marker that the release does not have there."""
    if not target.indent:
        return []
    definition = _nearest_definition(lines, region.first)
    if definition is None:
        return []
    between = lines[header_end(lines, definition) : region.first]
    known = set(normal(given[: target.first]))
    return [line for line in between if normal([line]) and normal([line])[0] not in known]


def _nearest_definition(lines: Sequence[str], before: int) -> int | None:
    return next((i for i in range(before - 1, -1, -1) if DEFINITION.match(lines[i])), None)


def _renamed(lines: Sequence[str], given: Sequence[str]) -> tuple[int, int, list[str]] | None:
    """Where in `given` the def line above the region stands and the submission's in its place, if parameters differ."""
    mine, theirs = _nearest_definition(lines, len(lines)), _nearest_definition(given, len(given))
    if mine is None or theirs is None:
        return None
    (my_header, my_end), (their_header, their_end) = _header(lines, mine), _header(given, theirs)
    same_function = (
        my_header.split("(")[0].split() == their_header.split("(")[0].split() and "def" in their_header.split()
    )
    if not same_function or _parameters(my_header) == _parameters(their_header):
        return None
    return theirs, their_end, list(lines[mine:my_end])


def _header(lines: Sequence[str], index: int) -> tuple[str, int]:
    """The text of the def line at `index` with its continuation lines, and the line after it."""
    text, end = "", index
    while end < len(lines):
        text += lines[end].split("#")[0]
        end += 1
        if sum(map(text.count, "([{")) <= sum(map(text.count, ")]}")) or end - index == MAX_HEADER:
            break
    return text, end


def _parameters(header: str) -> list[str]:
    """The names of a def line's parameters, without annotations and defaults."""
    inside = header[header.find("(") + 1 : header.rfind(")")]
    names, depth, current = [], 0, ""
    for character in inside + ",":
        if character == "," and depth == 0:
            names.append(re.split(r"[:=]", current)[0].strip())
            current = ""
            continue
        depth += (character in "([{") - (character in ")]}")
        current += character
    return [name for name in names if name]


def _inserted(released: Cell, cell: Cell) -> str:
    """Imports and definitions that the student put into a cell of the release."""
    if cell.source == released.source:
        return ""
    old, new = released.lines, cell.lines
    kept: list[str] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, _, _, start, end in matcher.get_opcodes():
        if kind not in ("insert", "replace"):
            continue
        keep = False
        for line in new[start:end]:
            if line.strip() and line[0] not in " \t)]}":
                statement = line.startswith(("import ", "from ", "@"))
                keep = statement or (kind == "insert" and bool(DEFINITION.match(line)))
            if keep:
                kept.append(line)
    return "\n".join(kept)


def _steps(released: ReleasedNotebook, answers: Mapping[str, _Answer], added: Mapping[str, _Added]) -> list[Step]:
    steps: list[Step] = []
    count = 0

    def add(source: str, beside: str = "") -> None:
        nonlocal count
        if source.strip():
            count += 1
            steps.append(Step(label=f"added code {count}", source=source, added=True, beside=beside))

    pending: list[str] = list(added.get("", _Added()).after)
    executed = {cell.id for cell in released.given()}
    by_cell = {cell.id: question for question, (cell, _) in released.regions.items()}
    position = 0
    for cell in released.cells:
        extra = added.get(cell.id, _Added()).after
        if cell.id not in executed:
            pending.extend(extra)
            continue
        if position >= released.prologue:
            for source in pending:
                add(source)
            pending = []
        position += 1
        question = by_cell.get(cell.id)
        if question is None:
            steps.append(Step(label=cell.id, source=cell.source))
        else:
            answer = answers[question]
            add(answer.before, question)
            steps.append(Step(label=question, source=answer.source, question=question))
            add(answer.after, question)
        pending.extend(extra)
    for source in pending:
        add(source)
    return steps
