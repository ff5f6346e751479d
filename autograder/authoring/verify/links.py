"""Links and images in the text of notebooks: every target in the release must exist. The network is not used."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

NO_TEXT = re.compile(r"```.*?```|~~~.*?~~~|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$", re.DOTALL)
"""Code and formulas, in which brackets are not links."""
TARGET = re.compile(
    r"\]\(\s*<?([^)\s>]*)>?(?:\s+[\"'][^)]*)?\)|(?:href|src)\s*=\s*[\"']([^\"']*)[\"']|<(https?:[^>\s]*)>"
)
ANCHOR = re.compile(r"\b(?:id|name)\s*=\s*[\"']([^\"']+)[\"']")
HEADING = re.compile(r"^#+\s+(.*?)\s*#*$", re.MULTILINE)
HOST = re.compile(r"[\w-]+(\.[\w-]+)+(:\d+)?")

Cells = Sequence[Mapping[str, Any]]


def broken_links(notebooks: Mapping[str, Cells], files: Iterable[PurePosixPath]) -> list[str]:
    """Return the broken links and images of these notebooks (by file name).

    files: every file of the release, by its path in it
    """
    present = {str(path) for path in files}
    present |= {str(parent) for path in files for parent in path.parents}
    anchors = {name: _anchors(cells) for name, cells in notebooks.items()}
    reasons = []
    for name, cells in notebooks.items():
        for cell in cells:
            if cell["cell_type"] != "markdown":
                continue
            text = NO_TEXT.sub("", "".join(cell["source"]))
            for found in TARGET.finditer(text):
                target = next((part for part in found.groups() if part is not None), "")
                if wrong := _wrong(target, name, cell, present, anchors):
                    reasons.append(f"{name}, cell {cell['id']}: the link to {target!r} {wrong}")
    return reasons


def _wrong(
    target: str, notebook: str, cell: Mapping[str, Any], present: set[str], anchors: Mapping[str, set[str]]
) -> str:
    """Return what is wrong with a target; empty if it resolves."""
    parts = urlsplit(target)
    if parts.scheme in ("http", "https"):
        return "" if HOST.fullmatch(parts.netloc) else "has no valid host"
    if parts.scheme == "mailto":
        return "" if "@" in parts.path else "is not a valid address"
    if parts.scheme == "attachment":
        return "" if unquote(parts.path) in cell.get("attachments", {}) else "names a missing attachment"
    if parts.scheme or parts.netloc or parts.path.startswith("/"):
        return "is neither a web address nor a path in the release"
    if not parts.path and not parts.fragment:
        return "is empty"
    path = str(PurePosixPath(unquote(parts.path))) if parts.path else notebook
    if path not in present:
        return "points to no file of the release"
    if parts.fragment and unquote(parts.fragment) not in anchors.get(path, set()):
        return f"points to no heading of {path}"
    return ""


def _anchors(cells: Cells) -> set[str]:
    """Return the anchors of a notebook: its headings as Jupyter names them, and explicit ones."""
    found: set[str] = set()
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            found |= {heading.replace(" ", "-") for heading in HEADING.findall(text)}
            found |= set(ANCHOR.findall(text))
    return found
