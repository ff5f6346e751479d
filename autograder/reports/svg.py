"""Pictures in a page, drawn from numbers alone."""

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT, FOOT = 640, 150, 22


def bar(share: float) -> Markup:
    """Return a bar that is filled from 0 to 1. The number stands next to it, so it is hidden from screen readers."""
    filled = round(100 * min(max(share, 0.0), 1.0), 1)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="track" width="100" height="8"/><rect class="fill" width="{:g}" height="8"/></svg>'
    ).format(filled)


def histogram(counts: Sequence[int], highest: float) -> Markup:
    """Return bars over equal parts of 0 to `highest`, each with its count."""
    step = WIDTH / max(1, len(counts))
    most = max([1, *counts])
    pieces = []
    for place, count in enumerate(counts):
        tall = (HEIGHT - 20) * count / most
        x, y = place * step, HEIGHT - tall
        low = highest * place / len(counts)
        pieces.append(
            f'<rect class="fill" x="{x + 2:.1f}" y="{y:.1f}" width="{step - 4:.1f}" height="{tall:.1f}"/>'
            f'<text x="{x + step / 2:.1f}" y="{y - 4:.1f}" text-anchor="middle">{count or ""}</text>'
            f'<text x="{x + 2:.1f}" y="{HEIGHT + 16}">{low:.4g}</text>'
        )
    pieces.append(f'<text x="{WIDTH}" y="{HEIGHT + 16}" text-anchor="end">{highest:.4g}</text>')
    said = ", ".join(
        f"{highest * i / len(counts):.4g} to {highest * (i + 1) / len(counts):.4g}: {count}"
        for i, count in enumerate(counts)
    )
    return Markup('<svg class="histogram" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT + FOOT, f"Students by total. {said}", Markup("".join(pieces))
    )
