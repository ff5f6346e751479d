"""Reassembly: the answers of a submission, put into a fresh copy of the release.

Anything edited, deleted, duplicated or reordered outside the TODO regions therefore does no harm. Additions are kept:
whole cells, imports, constants and helpers in released cells or next to an answer. Only text is processed; nothing of
the submission is executed, imported or compiled.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from autograder.assignment import Assignment, Question
from autograder.notebook import Cell, NotebookFile, Role
from autograder.program import Program, Step
from autograder.regions import Region
from autograder.release.released import ReleasedNotebook, origins
from autograder.results import Flag, Status
from autograder.source import Parser, defined_names, is_python, layout
from autograder.submissions.answer_cell import answer_end
from autograder.submissions.answers import Candidate, Choice, FoundRegion, Place, choose, from_code
from autograder.submissions.own_code import (
    Addition,
    NumberedCell,
    ReleasedCode,
    additions,
    around,
    is_merged,
    joined,
)
from autograder.submissions.written_answers import WrittenReader

WORD = re.compile(r"\w+")
WRITTEN = re.compile(r"%%(?:writefile|file)\s+(?:\./)?(\w+)\.py\s*\n")
NO_CODE = Cell(id="", kind="markdown", source="")
"""Stands for the cell of a written answer where code is looked for."""
FENCE = re.compile(r"^\s*(```|~~~)")


def reassemble(
    released: ReleasedNotebook,
    submitted: Sequence[NotebookFile],
    assignment: Assignment,
    modules: Mapping[str, str] | None = None,
) -> Program:
    """Put the answers found in the submitted notebooks into the release.

    submitted: the files that belong to this notebook; usually one
    modules: the text of the Python files submitted with it, by import name
    """
    questions = assignment.in_notebook(released.name)
    reader = _Reader(released, questions, modules or {})
    for file in submitted:
        reader.read(file)
    answers: dict[str, Choice] = {}
    unanswered: dict[str, Status] = {}
    for question in (one for one in questions if not one.written):
        choice = choose(released, question, reader.found[question.id], reader.parser)
        answers[question.id] = choice
        if choice.status:
            unanswered[question.id] = choice.status
        reader.flags.extend(choice.flags)
    written = reader.written.answers()
    return Program(
        notebook=released.name,
        steps=tuple(_steps(released, answers, _needed(reader.added, answers))),
        unanswered=unanswered | dict(written.unanswered),
        files={key: answer.file for key, answer in answers.items() if answer.file} | dict(written.files),
        flags=tuple(dict.fromkeys([*reader.flags, *written.flags])),
        alternatives={key: answer.alternatives for key, answer in answers.items() if answer.alternatives},
        modules=dict(modules or {}),
        version=reader.version,
        written=written.texts,
        not_asked=written.not_asked,
    )


class _Reader:
    """Collects possible answers and other additions from submitted files.

    found: by question, in the order of the notebook; added: by the released cell after which it runs
    """

    def __init__(self, released: ReleasedNotebook, questions: Sequence[Question], modules: Mapping[str, str]) -> None:
        self.parser = Parser()
        self.flags: list[Flag] = []
        self.found: dict[str, list[FoundRegion | Candidate]] = {question.id: [] for question in questions}
        self.added: dict[str, list[Addition]] = {}
        self.written = WrittenReader(released, questions)
        self.version = released.version
        self._released, self._questions = released, questions
        self._code = ReleasedCode(released)
        self._modules = dict(modules)

    def read(self, file: NotebookFile) -> None:
        base, matches = origins(self._released, file.cells)
        self.version = base.version
        self.written.read(file.name, base, file.cells, matches)
        of_text = [self.written.holds(*pair) for pair in zip(file.cells, matches, strict=True)]
        cells = [NO_CODE if text else cell for cell, text in zip(file.cells, of_text, strict=True)]
        if base.version != self._released.version:
            text = f"{self._released.name}: made from version {base.version}"
            self.flags.append(Flag(kind="made_from_version", text=text))
        anchor = ""
        for one in joined(cells, matches, base.names):
            place = Place(file=file.name, number=one.number, cell=one.cell, base=base)
            if one.last > one.number:
                text = f"cells {one.number} to {one.last} of {file.name} were read as one: an answer is split over them"
                self.flags.append(Flag(kind="split_answer", text=text))
            anchor = self._read_cell(place, one, anchor)

    def _read_cell(self, place: Place, one: NumberedCell, anchor: str) -> str:
        """Collect the contents of a cell, and return the released cell after which the following code runs."""
        cell, match = one.cell, one.match
        if place.as_text:
            self._read_text(place, match)
        elif not is_python(cell.source):
            self._read_other_language(cell, match, anchor)
        elif regions := self._regions(place, match):
            self._read_regions(place, regions)
            if not all(region.defines for region in regions) and defined_names(layout(cell.source).code):
                self._read_added(place, anchor)  # a renamed copy, which other code may call
            return self._released.regions[regions[-1].question][0].id
        elif match is None or match.role == Role.ANSWER:
            self._read_added(place, anchor)
            return anchor
        else:
            anchor = self._released.place_of(match) or anchor
            for addition in additions(match, cell, self._code, self.parser):
                self._add(place, addition, anchor)
            return anchor
        return (self._released.place_of(match) if match else None) or anchor

    def _regions(self, place: Place, match: Cell | None) -> list[Region]:
        """Return the regions of a cell, except those with a whole definition instead of a function body."""
        cell = place.cell
        answers = match.question if match is not None and match.role == Role.ANSWER else ""
        regions = place.base.regions_in(replace(cell, question=answers) if answers and not cell.question else cell)
        return [region for region in regions if not self._is_whole(cell, region)]

    def _is_whole(self, cell: Cell, region: Region) -> bool:
        _, target = self._released.regions[region.question]
        if region.indent or not target.indent:
            return False
        code = layout(cell.source).code[region.first : region.last]
        question = next(one for one in self._questions if one.id == region.question)
        return not defined_names(code).isdisjoint(question.defines)

    def _read_regions(self, place: Place, regions: Sequence[Region]) -> None:
        lines = place.cell.lines
        merged = len(regions) > 1
        end = 0
        for index, region in enumerate(regions):
            cell, target = self._released.regions[region.question]
            old, _ = place.base.regions.get(region.question, (cell, target))
            stubs = {*cell.lines, *old.lines}
            before = self._around(place, lines[end : region.top], stubs, merged=merged)
            end = max(end, answer_end(lines, region, target))
            self.found[region.question].append(FoundRegion(place=place, region=region, before=before))
            if index + 1 == len(regions):
                after = self._around(place, lines[end:], stubs, merged=merged)
                found = FoundRegion(place=place, region=region, before=before, after=after)
                mine = self.found[region.question]
                mine[next(i for i in range(len(mine) - 1, -1, -1) if isinstance(mine[i], FoundRegion))] = found

    def _around(self, place: Place, lines: Sequence[str], stubs: set[str], *, merged: bool) -> str:
        if all(line in stubs for line in lines):
            return ""
        source = around(lines, self._code, self.parser, merged=merged)
        self._look_for_answers(place, source)
        return source

    def _read_added(self, place: Place, anchor: str) -> None:
        cell = place.cell
        if not any(line.strip() for line in layout(cell.source).code):
            return
        merged = is_merged(cell, self._code, self.parser)
        source = around(cell.lines, self._code, self.parser, merged=True) if merged else cell.source
        self._add(place, Addition(source=source), anchor)

    def _read_other_language(self, cell: Cell, match: Cell | None, anchor: str) -> None:
        """Keep a cell whose magic makes it something other than Python; a file it writes may be imported."""
        if match is None:
            if written := WRITTEN.match(cell.source):
                self._modules[written[1]] = cell.source[written.end() :]
            self.added.setdefault(anchor, []).append(Addition(source=cell.source))

    def _read_text(self, place: Place, match: Cell | None) -> None:
        """Look for answers in a cell that was turned into text."""
        cell = place.cell
        released, _ = self._released.regions.get(cell.question, (None, None))
        is_answer = cell.role == Role.ANSWER or (released is not None and released.id == cell.id)
        lines = ["" if FENCE.match(line) else line for line in cell.lines]
        place = replace(place, cell=replace(cell, source="\n".join(lines)))
        regions = self._regions(place, match)
        for region in regions:
            self.found[region.question].append(FoundRegion(place=place, region=region, before=""))
        if is_answer and not regions:
            self._look_for_answers(place, place.cell.source)

    def _add(self, place: Place, addition: Addition, anchor: str) -> None:
        if addition.source.strip():
            self._look_for_answers(place, addition.source)
            self.added.setdefault(anchor, []).append(addition)

    def _look_for_answers(self, place: Place, source: str) -> None:
        for question in self._questions:
            found = from_code(self._released, question, place, source, self.parser, self._modules)
            if found:
                self.found[question.id].append(found)


def _needed(added: Mapping[str, Sequence[Addition]], answers: Mapping[str, Choice]) -> dict[str, list[str]]:
    """Leave out code that runs only if used, unless other code of the student's uses it."""
    everything = [addition for additions in added.values() for addition in additions]
    texts = [text for choice in answers.values() for text in (choice.source, *choice.before, *choice.after)]
    texts += [other.source for choice in answers.values() for other in choice.alternatives]
    texts += [addition.source for addition in everything if not addition.names]
    words = {word for text in texts for word in WORD.findall(text)}
    left_out: set[int] = set()
    for addition in reversed(everything):  # an addition can only use what is above it
        if addition.names and addition.names.isdisjoint(words):
            left_out.add(id(addition))
        elif addition.names:
            words.update(WORD.findall(addition.source))
    return {
        anchor: [addition.source for addition in additions if id(addition) not in left_out]
        for anchor, additions in added.items()
    }


def _steps(
    released: ReleasedNotebook, answers: Mapping[str, Choice], added: Mapping[str, Sequence[str]]
) -> Iterator[Step]:
    count = 0

    def steps_of(sources: Sequence[str], beside: str = "") -> Iterator[Step]:
        nonlocal count
        for source in sources:
            if source.strip():
                count += 1
                yield Step(label=f"added code {count}", source=source, added=True, beside=beside)

    pending: list[str] = list(added.get("", ()))
    executed = {cell.id for cell in released.given()}
    by_cell = {cell.id: question for question, (cell, _) in released.regions.items()}
    position = 0
    for cell in released.cells:
        if cell.id in executed:
            if position >= released.prologue:
                yield from steps_of(pending)
                pending = []
            position += 1
            question = by_cell.get(cell.id)
            if question is None:
                yield Step(label=cell.id, source=cell.source)
            else:
                answer = answers[question]
                yield from steps_of(answer.before, question)
                yield Step(label=question, source=answer.source, question=question)
                yield from steps_of(answer.after, question)
        pending.extend(added.get(cell.id, ()))
    yield from steps_of(pending)
