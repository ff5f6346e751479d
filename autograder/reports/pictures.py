"""Draws the pictures of hidden tests as SVG, with the same in words.

Numbers of the picture only decide where something is drawn; all text is escaped.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from autograder.pictures import Kind, Picture
from autograder.reports.html import visible

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 24, 36
REACH = 1.5
"""How far the y axis follows values beyond the band, relative to all that the band covers; the rest is at the edge."""
DECADES = 2.0
"""The same for a logarithmic axis, at least."""
TICKS = 6
DOTS = 40
"""A curve of at most as many values has a dot at each."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps the numbers from low to high, or their logarithms, to places from start to end."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value; one that is off the axis is placed at its end."""
        share = (self._of(value) - self._of(self.low)) / (self._of(self.high) - self._of(self.low))
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)

    def _of(self, value: float) -> float:
        if not self.log:
            return value
        return math.log10(value) if value > 0 else -math.inf

    def ticks(self) -> list[float]:
        """Return round numbers on the axis."""
        if self.log:
            return _decades(self.low, self.high)
        step = _step((self.high - self.low) / TICKS)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [step * count for count in range(first, last + 1)]


def _step(least: float) -> float:
    """Return the next number of the form 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, round((last - first) / TICKS))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    found = [factor * 10.0**power for power in range(first, last + 1, every) for factor in factors]
    return [one for one in found if low * (1 - 1e-9) <= one <= high * (1 + 1e-9)]


def figure(one: Picture) -> Markup:
    """Return a picture with its title, a legend and what it shows in words."""
    x, y = _axes(one)
    beyond = any(value is not None and not y.low <= value <= y.high for value in one.yours)
    inside = Markup("").join([*_grid(one, x, y), *_band(one, x, y), *_values(one, x, y)])
    drawing = Markup('<svg class="picture" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, visible(in_words(one)), inside
    )
    return Markup(
        '<figure><figcaption>{}</figcaption>{}<p class="small legend">{}</p><p class="small">{}</p></figure>'
    ).format(visible(one.title), drawing, _legend(one, beyond), verdict(one))


def verdict(one: Picture) -> str:
    """Return in a sentence or two how many values lie outside the band, and how many cannot be drawn."""
    count, outside = len(one.yours), one.above + one.below
    if one.missing == count:
        return f"None of your {count} values is a finite number, so there is nothing of yours to draw."
    said = []
    if outside:
        where = "above it" if one.above else "below it"
        if one.above and one.below:
            where = f"{one.above} above and {one.below} below"
        elif outside > 1:
            where = f"all {where}"
        lie = "lies" if outside == 1 else "lie"
        said.append(f"{outside} of your {count} values {lie} outside the band of right answers, {where}.")
    if one.missing:
        are = "is" if one.missing == 1 else "are"
        said.append(f"{one.missing} of your {count} values {are} NaN or infinite and not drawn.")
    return " ".join(said)


def in_words(one: Picture) -> str:
    """Return what the picture shows, for those who cannot see it."""
    first, last = (_range(one, place) for place in (0, -1))
    drawn = [value for value in one.yours if value is not None]
    yours = f"Yours begin at {drawn[0]:.3g} and end at {drawn[-1]:.3g}. " if drawn else ""
    along = f"from {one.at[0]:.4g} to {one.at[-1]:.4g}"
    right = f"Right answers begin between {first} and end between {last}."
    return f"{one.title}: {one.y} against {one.x}, {along}. {yours}{right}"


def _range(one: Picture, place: int) -> str:
    return f"{one.low[place]:.2g} and {one.high[place]:.2g}"


def _axes(one: Picture) -> tuple[Axis, Axis]:
    """Return axes that show the whole band, and values beyond it as far as the band stays readable."""
    low, high = min([*one.low, *one.line]), max([*one.high, *one.line])
    if one.kind is Kind.BARS:
        low, high = min(low, 0.0), max(high, 0.0)
    if one.log:
        reach = 10.0 ** max(REACH * math.log10(high / low), DECADES)
        least, most = low / reach, high * reach
    else:
        least, most = low - REACH * (high - low), high + REACH * (high - low)
    seen = [min(max(value, least), most) for value in one.yours if value is not None]
    low, high = min([low, *seen]), max([high, *seen])
    edge = 0.04 * (high - low)
    if one.log:
        low, high = low / 1.15, high * 1.15
    elif one.kind is Kind.BARS:
        low, high = low - edge * (low < 0), high + edge
    else:
        low, high = low - edge, high + edge
    beside = 0.5 * _apart(one) if one.kind is Kind.BARS else 0.04 * (one.at[-1] - one.at[0]) or 1.0
    x = Axis(one.at[0] - beside, one.at[-1] + beside, LEFT, WIDTH - RIGHT)
    return x, Axis(low, high, HEIGHT - BOTTOM, TOP, one.log)


def _apart(one: Picture) -> float:
    """Return the least distance of two places."""
    return min((after - before for before, after in pairwise(one.at)), default=1.0)


def _grid(one: Picture, x: Axis, y: Axis) -> Iterator[Markup]:
    """Yield lines and numbers of the axes, and what they show."""
    for value in y.ticks():
        place = y(value)
        yield _line("grid", (LEFT, place), (WIDTH - RIGHT, place))
        yield _text(LEFT - 5, place + 4, "end", f"{value:.4g}")
    for value in _places(one, x):
        yield _line("grid", (x(value), HEIGHT - BOTTOM), (x(value), HEIGHT - BOTTOM + 4))
        yield _text(x(value), HEIGHT - BOTTOM + 16, "middle", f"{value:.4g}")
    yield _text(2, 12, "start", one.y)
    yield _text(WIDTH - RIGHT, HEIGHT - 3, "end", one.x)


def _places(one: Picture, x: Axis) -> Sequence[float]:
    """Return where numbers stand on the x axis: at each value where they are few, and never between whole ones."""
    if one.kind is not Kind.POINTS and len(one.at) <= 12:
        return one.at
    return [value for value in x.ticks() if one.kind is Kind.POINTS or one.at[0] <= value <= one.at[-1]]


def _band(one: Picture, x: Axis, y: Axis) -> Iterator[Markup]:
    """Yield where right answers lie, an area or an interval at each place, and the line."""
    if one.kind is Kind.CURVE and len(one.at) > 1:
        there = [(x(at), y(high)) for at, high in zip(one.at, one.high, strict=True)]
        back = [(x(at), y(low)) for at, low in zip(one.at, one.low, strict=True)]
        yield Markup('<polygon class="band" points="{}"/>').format(_joined([*there, *reversed(back)]))
    else:
        yield from _intervals(one, x, y)
    if one.line:
        places = _joined([(x(at), y(value)) for at, value in zip(one.at, one.line, strict=True)])
        yield Markup('<polyline class="line" points="{}"/>').format(places)


def _intervals(one: Picture, x: Axis, y: Axis) -> Iterator[Markup]:
    slot = x(one.at[0] + _apart(one)) - x(one.at[0])
    for at, low, high in zip(one.at, one.low, one.high, strict=True):
        wide = 0.8 * slot if one.kind is Kind.BARS else 10.0
        yield _box("band", x(at), max(min(wide, 40.0), 3.0), y(high), y(low))


def _values(one: Picture, x: Axis, y: Axis) -> Iterator[Markup]:
    """Yield the values of the answer; one beyond the y axis is a triangle at its end."""
    drawn = [
        (x(at), y(value), value) if value is not None else None for at, value in zip(one.at, one.yours, strict=True)
    ]
    if one.kind is Kind.CURVE:
        yield from _curve(drawn)
    slot = x(one.at[0] + _apart(one)) - x(one.at[0])
    for place in drawn:
        if place is None:
            continue
        across, up, value = place
        if one.kind is Kind.BARS:
            yield _box("yours", across, max(min(0.4 * slot, 20.0), 1.5), *sorted((up, y(0.0))))
        if not y.low <= value <= y.high:
            yield _triangle(across, up, 1 if value > y.high else -1)
        elif one.kind is Kind.POINTS or (one.kind is Kind.CURVE and len(drawn) <= DOTS):
            size = 4 if one.kind is Kind.POINTS else 2.5
            yield Markup('<circle class="yours" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(across, up, size)


def _curve(drawn: Sequence[tuple[float, float, float] | None]) -> Iterator[Markup]:
    """Yield a line through the values, broken where one is missing."""
    run: list[tuple[float, float]] = []
    for place in [*drawn, None]:
        if place is not None:
            run.append(place[:2])
        elif run:
            yield Markup('<polyline class="yours" points="{}"/>').format(_joined(run))
            run = []


def _legend(one: Picture, beyond: bool) -> Markup:
    """Return what stands for what."""
    swatch = '<svg class="swatch" viewBox="0 0 20 10" aria-hidden="true" focusable="false">{}</svg>'
    mark = {
        Kind.CURVE: '<polyline class="yours" points="0,5 20,5"/>',
        Kind.POINTS: '<circle class="yours" cx="10" cy="5" r="4"/>',
        Kind.BARS: '<rect class="yours" x="6" y="0" width="8" height="10"/>',
    }[one.kind]
    band = '<rect class="band" x="0.5" y="0.5" width="19" height="9"/>'
    entries = [(mark, "yours"), (band, "right answers")]
    if one.line:
        entries.append(('<polyline class="line" points="0,5 20,5"/>', visible(one.line_is)))
    if beyond:
        entries.append(('<polygon class="beyond" points="5,10 15,10 10,1"/>', "beyond the axis"))
    return Markup(" ").join(Markup("<span>" + swatch + " {}</span>").format(Markup(svg), said) for svg, said in entries)


def _joined(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{across:.1f},{up:.1f}" for across, up in places)


def _line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> Markup:
    line = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    return line.format(kind, *start, *end)


def _box(kind: str, middle: float, wide: float, top: float, bottom: float) -> Markup:
    box = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
    return box.format(kind, middle - wide / 2, top, wide, max(bottom - top, 0.5))


def _triangle(across: float, up: float, direction: int) -> Markup:
    corners = [(across - 5, up + 8 * direction), (across + 5, up + 8 * direction), (across, up)]
    return Markup('<polygon class="beyond" points="{}"/>').format(_joined(corners))


def _text(across: float, up: float, anchor: str, text: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(across, up, anchor, visible(text))
