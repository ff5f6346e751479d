"""Figures of the two notebooks as SVG, in the colour of the surrounding text, so that they suit light and dark themes.

Each function returns a Figure, which a notebook shows as a picture.
"""

import math
from collections.abc import Sequence

ACCENT = "#D55E00"
FONT = "font-family='sans-serif' font-size='13' fill='currentColor' text-anchor='middle'"
HEAD = 7
"""Length of an arrow's head."""
SMALLEST = 0.8
"""Down to this share of its size a figure shrinks with the window; its text stays readable."""


class Figure:
    """An SVG that a notebook shows when it is the last value of a cell."""

    def __init__(self, svg: str, title: str) -> None:
        self.svg, self.title = svg, title

    def __repr__(self) -> str:
        return f"Figure: {self.title}"

    def _repr_html_(self) -> str:
        return self.svg


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> Figure:
    body = "".join(parts)
    size = f"width='{width}' style='max-width:100%;min-width:{SMALLEST * width:.0f}px'"  # a narrow window scrolls
    return Figure(
        f"<div style='overflow-x:auto'><svg viewBox='0 0 {width} {height}' {size} role='img' "
        f"aria-label='{title}' xmlns='http://www.w3.org/2000/svg'>{body}</svg></div>",
        title,
    )


def _text(x: float, y: float, text: str, color: str = "currentColor", size: int = 13) -> str:
    return f"<text x='{x}' y='{y}' {FONT.replace('currentColor', color)} style='font-size:{size}px'>{text}</text>"


def _box(x: float, y: float, width: float, text: str, color: str = "currentColor", height: float = 30) -> str:
    """A box with its middle at (x, y)."""
    frame = f"x='{x - width / 2}' y='{y - height / 2}' width='{width}' height='{height}' rx='5'"
    return f"<rect {frame} fill='none' stroke='{color}' stroke-width='1.5'/>" + _text(x, y + 4.5, text, color)


def _arrow(points: Sequence[tuple[float, float]], color: str = "currentColor") -> str:
    """A line along these points with a head at the last one."""
    (x0, y0), (x1, y1) = points[-2:]
    length = math.hypot(x1 - x0, y1 - y0)
    along = (x1 - x0) / length * HEAD, (y1 - y0) / length * HEAD
    back = x1 - along[0], y1 - along[1]
    wings = [(back[0] - s * along[1] / 2, back[1] + s * along[0] / 2) for s in (1, -1)]
    line, head = (
        " ".join(f"{x:.1f},{y:.1f}" for x, y in shape) for shape in ([*points[:-1], back], [(x1, y1), *wings])
    )
    return (
        f"<polyline points='{line}' fill='none' stroke='{color}' stroke-width='1.5'/>"
        f"<polygon points='{head}' fill='{color}'/>"
    )


def _chain(boxes: Sequence[tuple[str, float, str]], y: float, gap: float = 26, start: float = 10) -> list[str]:
    """Boxes (text, width, colour) from left to right with arrows between them."""
    parts, x = [], start
    for index, (text, width, color) in enumerate(boxes):
        if index:
            parts.append(_arrow([(x, y), (x + gap - 2, y)]))
            x += gap
        parts.append(_box(x + width / 2, y, width, text, color))
        x += width
    return parts


def mlp_with_norm() -> Figure:
    """MLP and MLPv2: the same chain, with a normalization before the tanh."""
    plain = "currentColor"
    ends = [("h W2 + b2", 90, plain), ("logits", 64, plain)]
    begin = [("3 characters", 96, plain), ("C: 3 × 16", 84, plain), ("x W1 + b1", 90, plain)]
    parts = [_text(40, 24, "MLP"), *_chain([*begin, ("tanh", 56, plain), *ends], 48)]
    parts += [_text(46, 100, "MLPv2"), *_chain([*begin, ("BN", 48, ACCENT), ("tanh", 56, plain), *ends], 124)]
    parts += [_text(358, 160, "mean 0, variance 1 over the batch, then γ and β", ACCENT, 12)]
    return _svg(720, 172, parts, "The network of the lecture without and with batch normalization before the tanh")


def batchnorm_graph() -> Figure:
    """The computation graph of batch normalization: three paths from x to y."""
    plain = "currentColor"
    parts = [
        _box(40, 110, 56, "x"),
        _box(170, 40, 64, "μ"),
        _box(290, 110, 110, "c = x − μ"),
        _box(420, 40, 60, "σ²"),
        _box(560, 40, 150, "r = 1 / √(σ² + ε)"),
        _box(560, 110, 110, "x̂ = c · r"),
        _box(720, 110, 120, "y = γ x̂ + β"),
        _arrow([(68, 110), (233, 110)], plain),
        _arrow([(54, 95), (54, 40), (136, 40)], ACCENT),
        _arrow([(202, 40), (270, 40), (270, 93)], ACCENT),
        _arrow([(310, 95), (310, 40), (388, 40)], ACCENT),
        _arrow([(450, 40), (483, 40)], ACCENT),
        _arrow([(560, 55), (560, 93)], ACCENT),
        _arrow([(345, 110), (503, 110)], plain),
        _arrow([(615, 110), (658, 110)], plain),
        _text(92, 76, "mean over", ACCENT, 11),
        _text(96, 89, "the batch", ACCENT, 11),
        _text(346, 30, "mean of c²", ACCENT, 11),
        _text(400, 165, "Backward: walk every arrow from right to left; where two arrows leave a box, add their gradients.", plain, 12),
    ]
    return _svg(790, 180, parts, "Computation graph of batch normalization")


def residual_stream() -> Figure:
    """A stream from the embedding to the head, and two blocks that read, compute and write."""
    y, parts = 40, []
    for x, width, text in ((52, 88, "embedding"), (150, 50, "inp"), (640, 64, "norm_f"), (724, 56, "head")):
        parts.append(_box(x, y, width, text))
    parts += [_arrow([(96, y), (123, y)]), _arrow([(672, y), (694, y)]), _text(790, y + 4.5, "logits")]
    parts += [_arrow([(752, y), (768, y)]), _arrow([(175, y), (606, y)], ACCENT), _text(395, 22, "the stream", ACCENT)]
    for index, x in enumerate((225, 425)):
        add = x + 130
        parts += [
            f"<circle cx='{add}' cy='{y}' r='9' fill='none' stroke='{ACCENT}' stroke-width='1.5'/>",
            _text(add, y + 4.5, "+", ACCENT, 15),
            _arrow([(x, y), (x, 88)]),
            _box(x, 104, 60, "norm"),
            _arrow([(x, 119), (x, 143), (x + 12, 143)]),
            _box(x + 66, 143, 106, "fc1, tanh, fc2"),
            _arrow([(x + 119, 143), (add, 143), (add, 51)]),
            _text(x + 20, 74, "read", size=11),
            _text(x + 66, 174, f"block {index}: compute", size=11),
            _text(add + 22, 74, "write", size=11),
        ]
    return _svg(820, 190, parts, "A residual stream with two blocks that read, compute and write")
