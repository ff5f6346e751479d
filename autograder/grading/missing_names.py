"""Why a name is missing: explanations added to a NameError in messages for students.

A name may be defined in a cell that grading does not run, or elsewhere in the submission, for example in another
notebook that shared the kernel. Student code is only searched as text.
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autograder.notebook import NotebookFile, Role
from autograder.release.released import ReleasedNotebook
from autograder.results import Flag, QuestionScore
from autograder.sandbox.describe import bound_names

MISSING = re.compile(r"NameError: name '(\w{1,80})' is not defined(?!:)")
BINDS = re.compile(
    r"^[ \t]*(?:async +)?(?:def|class) +(\w+)"
    r"|^(\w+)\b[ \t]*(?:[:,][^=\n]*)?=(?!=)"
    r"|^[ \t]*(?:from\b[^\n]*?)?\bimport\b(?P<imports>[^\n#]*)",
    re.MULTILINE,
)
NAME = re.compile(r"\b\w{1,80}\b")
NOT_RUN = {Role.DEMO: "a demonstration cell", Role.CHECK: "a check cell"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingNames:
    """Explains missing names of one submission.

    not_run: for a name that only cells make which grading does not run, what kind of cell makes it
    defined: for each name that the submission defines anywhere, the last place
    """

    not_run: Mapping[str, str]
    defined: Mapping[str, str]

    def explain(self, text: str) -> str:
        """Return the text with the reason added to a NameError in it, if there is one without a reason."""
        return MISSING.sub(lambda found: f"{found[0]}: {self._reason(found[1])}", text, count=1)

    def in_score(self, score: QuestionScore) -> QuestionScore:
        """Return the score with its tests' messages explained."""
        tests = tuple(replace(test, message=self.explain(test.message)) for test in score.tests)
        return replace(score, tests=tests)

    def in_flags(self, flags: Iterable[Flag]) -> list[Flag]:
        """Return the flags with their texts explained."""
        return [replace(flag, text=self.explain(flag.text)) for flag in flags]

    def _reason(self, name: str) -> str:
        if name in self.not_run:
            return f"`{name}` is made by {self.not_run[name]}, which grading does not run"
        place = self.defined.get(name)
        return f"the submission last defines it in {place}" if place else "no cell of the submission defines it"


def names_not_run(released: ReleasedNotebook) -> dict[str, str]:
    """Return the names that demonstration and check cells of the release define and no executed cell does."""
    made: dict[str, str] = {}
    given: set[str] = set()
    for cell in released.cells:
        if cell.kind != "code":
            continue
        try:
            names = {name for statement in ast.parse(cell.source).body for name in bound_names(statement)}
        except SyntaxError:  # magics
            continue
        if cell.role in NOT_RUN:
            made |= dict.fromkeys(names, NOT_RUN[Role(cell.role)])
        else:
            given |= names
    return {name: kind for name, kind in made.items() if name not in given}


def definitions(files: Sequence[NotebookFile]) -> dict[str, str]:
    """Return for each name that a line of any cell binds the last cell of the last file that does."""
    found: dict[str, str] = {}
    for file in files:
        for number, cell in enumerate(file.cells, start=1):
            if cell.kind == "code":
                place = f"cell {number} of {file.name[:100]}"
                for line in BINDS.finditer(cell.source):
                    found |= dict.fromkeys(NAME.findall(line["imports"] or line[line.lastindex or 0]), place)
    return found
