"""One check of the release check, and its outcome."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from autograder.errors import KitError

Evidence = TypeVar("Evidence", contravariant=True)


@dataclass(frozen=True, slots=True)
class Note:
    """A figure that a rule found, to show whether the rule holds or not."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Generic[Evidence]):
    """Something that must hold. `reasons` yields a plain line for each violation; none means that it passed.

    Among the reasons there may be notes, which are no violations.
    """

    name: str
    reasons: Callable[[Evidence], Iterable[str | Note]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of one check."""

    rule: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        return not self.reasons


def judge(
    rules: Sequence[Rule[Evidence]],
    evidence: Evidence,
    done: Callable[[Outcome], None],
    placed: Callable[[str], str] = str,
) -> list[Outcome]:
    """Apply these rules, calling `done` after each. An error while collecting their evidence counts as a reason.

    placed: puts the place that a reason speaks of before it
    """
    outcomes = []
    for rule in rules:
        reasons: list[str] = []
        notes: list[str] = []
        try:
            for found in rule.reasons(evidence):
                if isinstance(found, Note):
                    notes.append(found.text)
                else:
                    reasons.append(placed(found))
        except KitError as error:
            reasons.append(placed(str(error)))
        outcomes.append(Outcome(rule=rule.name, reasons=tuple(reasons), notes=tuple(notes)))
        done(outcomes[-1])
    return outcomes
