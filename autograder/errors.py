"""The errors that the kit raises, as a tree:

KitError                what happened, where, and how to mend it; printed as one line
├── UsageError          a wrong path, option or folder (exit code 2)
├── MasterError         a mistake in an authored file: master, assignment.toml, hidden test (exit code 2)
└── GraderFault         a fault of the kit itself: the sandbox does not start, a hidden test is broken (exit code 3)

A student's failure is never an exception: it is a `Status` in a score. Whatever text of theirs is shown goes through
`printable`.
"""


class KitError(Exception):
    """An error to print as one line: what happened, where, what to do next."""

    exit_code = 3

    def __init__(self, what: str, where: object, fix: str) -> None:
        super().__init__(what, where, fix)
        self.what = what
        self.where = str(where)
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.fix}"


class UsageError(KitError):
    """The command was given something that it cannot use."""

    exit_code = 2


class MasterError(KitError):
    """An authored file holds a mistake; `where` is file:line where that is known."""

    exit_code = 2


class GraderFault(KitError):
    """The grader itself failed; no submission is to blame."""

    exit_code = 3


def printable(text: str) -> str:
    """The text with every control character shown as an escape, so that it can stand in a terminal or a table."""
    return "".join(c if c.isprintable() else " " if c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
