"""Typed results in, HTML out: one environment for all pages. Whatever is put into a template is escaped.

A page is one file without requests: its policy allows the style in it and, by digest, the one script in it.
"""

import base64
import functools
import hashlib
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from autograder.reports import svg
from autograder.reports.words import of_points, points, sentence

TEMPLATES = Path(__file__).parent / "templates"
INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff"
    "\U000e0000-\U000e007f]"
)
"""Characters that no page shows, or that make text read differently from what it is. Joiners of scripts may stay."""
MACHINE_PATH = re.compile(r"(?<![\w.)\]}/])/(?:[\w.@+-]+/)+(?=([\w.@+-]*))")


def visible(text: str) -> str:
    """Return the text with invisible and reordering characters shown as escapes."""
    return INVISIBLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def without_paths(text: str) -> str:
    """Return the text with absolute paths cut down to their last part: where the grader lies concerns nobody."""
    return MACHINE_PATH.sub("…/", text)


def clipped(text: str, most: int) -> str:
    """Return the text, or its beginning and how much is left out."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"


def coded(text: str) -> Markup:
    """Return the text with what stands between backticks as code; a backtick alone stays as it is."""
    parts = visible(text).split("`")
    if len(parts) % 2 == 0:
        return escape(visible(text))
    pieces = (Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts))
    return Markup("").join(pieces)


def render(template: str, **values: Any) -> str:
    """Return a page. Raises UndefinedError for a value that the template needs and did not get."""
    return environment(TEMPLATES).get_template(template).render(values)


@functools.cache
def environment(*folders: Path) -> Environment:
    """Return the environment of the templates in these folders, the first of which wins."""
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "points": points,
        "sentence": sentence,
        "percent": percent,
        "coded": coded,
        "of_points": of_points,
    }
    environment.globals |= {"bar": svg.bar, "style": _own("style.css"), "digest": _digest, "own": _own}
    return environment


def _finalize(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def percent(share: float) -> str:
    """Return a share as a percentage; what is not nothing is never shown as 0 %."""
    return "< 1 %" if 0 < share < 0.005 else f"{share:.0%}".replace("%", " %")


@functools.cache
def _own(name: str) -> Markup:
    """Return a style or script of the kit, to stand in a page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


@functools.cache
def _digest(name: str) -> str:
    """Return the digest by which a page's policy allows a script of the kit."""
    return base64.b64encode(hashlib.sha256(_own(name).encode()).digest()).decode()
