"""A rule of the gate, and what came of it."""

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
    """Something that must hold. `reasons` says in plain lines where it does not; none means that it does.

    Among the reasons there may be notes, which break nothing.
    """

    name: str
    reasons: Callable[[Evidence], Iterable[str | Note]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one rule."""

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
    """Judge by these rules, calling `done` after each. An error in gathering what a rule looks at is a reason too.

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
            reasons.append(str(error))
        outcomes.append(Outcome(rule=rule.name, reasons=tuple(reasons), notes=tuple(notes)))
        done(outcomes[-1])
    return outcomes
