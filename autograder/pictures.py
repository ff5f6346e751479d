"""Pictures of what student code did next to right answers: numbers and words, which reports draw.

A hidden test declares one (`autograder.testing`); it is made from recorded observations when the test has failed, and
kept in the gradebook. It holds no expected value, only a band that right answers lie in.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How the values are drawn: joined, as points, or as bars from zero."""

    CURVE = "curve"
    POINTS = "points"
    BARS = "bars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The values of one answer, and the band of right answers, at the same places.

    x, y: what the axes show; at: the places on the x axis
    yours: None for what is not a finite number
    line, line_is: values to compare with, none or one at each place, and what they are
    log: whether the y axis is logarithmic
    """

    kind: Kind
    title: str
    x: str
    y: str
    at: tuple[float, ...]
    yours: tuple[float | None, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    line: tuple[float, ...] = ()
    line_is: str = ""
    log: bool = False

    @property
    def above(self) -> int:
        """How many values lie above the band."""
        return sum(one is not None and one > high for one, high in zip(self.yours, self.high, strict=True))

    @property
    def below(self) -> int:
        """How many values lie below the band."""
        return sum(one is not None and one < low for one, low in zip(self.yours, self.low, strict=True))

    @property
    def missing(self) -> int:
        """How many values are not finite numbers."""
        return self.yours.count(None)

    @property
    def tells(self) -> bool:
        """Whether anything is not as in right answers."""
        return bool(self.above or self.below or self.missing)

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Picture":
        table = json.loads(text)
        lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
        return cls(**{**table, **lists, "kind": Kind(table["kind"])})


def four_digits(value: float) -> float:
    """Return a number with the digits that a picture can show, and no more."""
    return float(f"{value:.4g}")
