"""The errors that the kit raises:

KitError                what happened, where, and how to fix it; printed as one line
├── UsageError          a wrong path, option or folder (exit code 2)
├── MasterError         an error in an authored file: master, assignment.toml, hidden test (exit code 2)
└── GraderFault         an error of the kit itself: the sandbox does not start, a hidden test is broken (exit code 3)

A student's failure is never an exception: it is a `Status` in a score. Any text of theirs that is shown goes through
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
    """A command was given something it cannot use."""

    exit_code = 2


class MasterError(KitError):
    """An authored file contains an error; `where` is file:line if known."""

    exit_code = 2


class GraderFault(KitError):
    """The grader itself failed; the submission is not the cause."""

    exit_code = 3


def printable(text: str) -> str:
    """Return the text with control characters escaped, safe to print in a terminal or a table."""
    return "".join(c if c.isprintable() else " " if c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
