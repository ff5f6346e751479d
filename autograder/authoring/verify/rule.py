"""One check of the release check, and its outcome."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from autograder.errors import KitError

Evidence = TypeVar("Evidence", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Generic[Evidence]):
    """Something that must hold. `reasons` yields a plain line for each violation; none means that it passed."""

    name: str
    reasons: Callable[[Evidence], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of one check."""

    rule: str
    reasons: tuple[str, ...]

    @property
    def kept(self) -> bool:
        return not self.reasons


def judge(rules: Sequence[Rule[Evidence]], evidence: Evidence, done: Callable[[Outcome], None]) -> list[Outcome]:
    """Apply these rules, calling `done` after each. An error while collecting their evidence counts as a reason."""
    outcomes = []
    for rule in rules:
        try:
            reasons = tuple(rule.reasons(evidence))
        except KitError as error:
            reasons = (str(error),)
        outcomes.append(Outcome(rule=rule.name, reasons=reasons))
        done(outcomes[-1])
    return outcomes
