"""The written answers of a submission, put together from its text cells.

An answer cell is known by its metadata, its place in the release or its banner, whatever its type is now. What students
write into the prompt, or into text cells of their own right below, belongs to the answer: a person reads it anyway.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autograder.assignment import Question
from autograder.notebook import Cell, Role
from autograder.release.released import ReleasedNotebook
from autograder.results import Flag, Status
from autograder.written import MOST, find_parts, words

MAX_COPIES = 100
"""Answer cells of one question; earlier ones are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The written answers of a notebook. not_asked: questions that the submission's version did not have"""

    texts: Mapping[str, str]
    files: Mapping[str, str]
    unanswered: Mapping[str, Status]
    not_asked: tuple[str, ...]
    flags: tuple[Flag, ...]


@dataclass(slots=True, kw_only=True)
class _Copy:
    """One answer cell with what continues it. own: lines that the student wrote into other cells"""

    file: str
    opens: bool
    texts: list[str] = field(default_factory=list)
    elsewhere: bool = False

    @property
    def text(self) -> str:
        return "\n\n".join(self.texts)[:MOST]


def _telling(released: ReleasedNotebook, question: str) -> frozenset[str]:
    """Return the texts of cells that only versions with this question have; none if all versions have it.

    Where none of them was handed in, a bonus counts as not asked: that costs nothing, and most cells of a notebook may
    be the same in a version without it.
    """
    texts: dict[bool, set[str]] = {True: set(), False: set()}
    for one in released.versions():
        texts[question in one.written].update(cell.source.strip() for cell in one.cells)
    return frozenset(texts[True] - texts[False]) if texts[False] else frozenset()


class WrittenReader:
    """Collects the written answers of the files that belong to one notebook."""

    def __init__(self, released: ReleasedNotebook, questions: Sequence[Question]) -> None:
        self._questions = [one for one in questions if one.written]
        self._ids = frozenset(one.id for one in self._questions)
        self._copies: dict[str, list[_Copy]] = {one: [] for one in self._ids}
        self._asked: set[str] = set()
        self._cells: dict[str, str] = {}
        self._released: frozenset[str] = frozenset()
        self._stubs: dict[str, set[str]] = {one: {""} for one in self._ids}
        self._telling: dict[str, frozenset[str]] = {}
        if self._ids:
            self._read_release(released)

    def _read_release(self, released: ReleasedNotebook) -> None:
        self._telling = {one.id: _telling(released, one.id) for one in self._questions if one.bonus}
        texts = [cell for one in released.versions() for cell in one.cells if cell.kind != "code"]
        self._released = frozenset(line.strip() for cell in texts for line in cell.lines)
        for one in released.versions():
            for question, cell in one.written.items():
                self._cells[cell.id] = question
                for part in find_parts(cell.lines, self._ids, question):
                    self._stubs[question].update(map(words, (part.text, *part.text.split("\n"))))

    def read(self, file: str, base: ReleasedNotebook, cells: Sequence[Cell], matches: Sequence[Cell | None]) -> None:
        """Read the text cells of a file. base: the version it was made from; matches: the released cells behind it."""
        own = {cell.source.strip() for cell in cells}
        self._asked.update(one for one in base.written if not self._telling.get(one) or own & self._telling[one])
        last = {question: len(copies) for question, copies in self._copies.items()}
        after = ""
        for cell, match in zip(cells, matches, strict=True):
            owner = self.owner(cell, match)
            if parts := find_parts(cell.lines, self._ids, owner, self._released):
                for part in parts:
                    self._add(part.question, file, part.text, opens=part.opens, first=last[part.question])
                after = parts[-1].question
            elif match is not None and match.question in self._ids and match.role == Role.PROMPT:
                after = match.question
                changed = [line for line in cell.lines if line.strip() not in self._released]
                self._add_own(after, file, "\n".join(changed).strip(), last[after])
            elif match is not None:
                after = ""
            elif after and cell.kind == "markdown":
                self._add_own(after, file, cell.source.strip(), last[after])

    def owner(self, cell: Cell, match: Cell | None) -> str:
        """Return the question whose answer cell this is, by metadata, place or text; empty for any other cell."""
        if cell.role == Role.ANSWER and cell.question in self._ids:
            return cell.question
        if match is not None and self._cells.get(match.id) == match.question and match.question:
            return match.question
        return self._cells.get(cell.id, "")

    def holds(self, cell: Cell, match: Cell | None) -> bool:
        """Return whether a cell is a written answer, so that it is never taken for code."""
        return bool(self._ids and find_parts(cell.lines, self._ids, self.owner(cell, match)))

    def _add(self, question: str, file: str, text: str, *, opens: bool, first: int) -> None:
        copies = self._copies[question]
        if opens or len(copies) == first:
            copies.append(_Copy(file=file, opens=opens))
        copies[-1].texts += [text] if words(text) not in self._stubs[question] else []

    def _add_own(self, question: str, file: str, text: str, first: int) -> None:
        """Add what stands in another cell than the answer cell."""
        if words(text) not in self._stubs[question]:
            self._add(question, file, text, opens=False, first=first)
            self._copies[question][-1].elsewhere = True

    def answers(self) -> Written:
        """Return what was found: of several answer cells, the last one with an answer."""
        texts: dict[str, str] = {}
        files: dict[str, str] = {}
        flags: list[Flag] = []
        unanswered: dict[str, Status] = {}
        not_asked: list[str] = []
        for one in self._questions:
            copies = list(self._merged(one.id))[-MAX_COPIES:]
            answered = [copy for copy in copies if copy.texts]
            if answered:
                texts[one.id], files[one.id] = self._without_stub(one.id, answered[-1].text), answered[-1].file
                flags += self._remarks(one.id, answered)
            elif copies:
                unanswered[one.id] = Status.NOT_ATTEMPTED
            elif one.id in self._asked:
                unanswered[one.id] = Status.MISSING
                if not one.optional:
                    text = "no answer cell found in the submission"
                    flags.append(Flag(kind="region_missing", question=one.id, text=text))
            else:
                not_asked.append(one.id)
        return Written(texts=texts, files=files, unanswered=unanswered, not_asked=tuple(not_asked), flags=tuple(flags))

    def _merged(self, question: str) -> Iterator[_Copy]:
        """Yield the answer cells; what was written above the first of a file goes with it."""
        waiting: _Copy | None = None
        for copy in self._copies[question]:
            if waiting and copy.opens and waiting.file == copy.file:
                copy = replace(copy, texts=[*waiting.texts, *copy.texts], elsewhere=waiting.elsewhere or copy.elsewhere)
                waiting = None
            elif waiting:
                yield waiting
                waiting = None
            if copy.opens:
                yield copy
            else:
                waiting = copy
        if waiting:
            yield waiting

    def _without_stub(self, question: str, text: str) -> str:
        lines = [line for line in text.split("\n") if not line.strip() or words(line) not in self._stubs[question]]
        return "\n".join(lines).strip()

    def _remarks(self, question: str, answered: Sequence[_Copy]) -> Iterator[Flag]:
        if len({words(copy.text) for copy in answered}) > 1:
            text = f"{len(answered)} answer cells with text found; the last of them is what people read"
            yield Flag(kind="several_regions", question=question, text=text)
        if answered[-1].elsewhere:
            text = "text in the prompt or in cells of its own was taken as part of the answer"
            yield Flag(kind="text_outside_answer", question=question, text=text)
