"""Links and images in the text of notebooks: every target in the release must exist.

The network is used only on request: `unreachable` asks every web address whether it is still there.
"""

import re
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
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
HOST = re.compile(r"(?!-)[\w-]{1,63}(\.(?!-)[\w-]{1,63})+(:\d{1,5})?")
RESERVED = frozenset({"example", "internal", "invalid", "lan", "local", "localhost", "test"})
"""Top-level domains under which no public host exists (RFC 2606, RFC 6762, and the customary private ones)."""
GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
ANSWER_S = 20
ASKED_AT_ONCE = 8

Cells = Sequence[Mapping[str, Any]]


def broken_links(notebooks: Mapping[str, Cells], files: Iterable[PurePosixPath]) -> list[str]:
    """Return the broken links and images of these notebooks (by file name).

    files: every file of the release, by its path in it
    """
    present = {str(path) for path in files}
    present |= {str(parent) for path in files for parent in path.parents}
    anchors = {name: _anchors(cells) for name, cells in notebooks.items()}
    return [
        _reason(name, cell, target, wrong)
        for name, cell, target in _links(notebooks)
        if (wrong := _wrong(target, name, cell, present, anchors))
    ]


def unreachable(notebooks: Mapping[str, Cells]) -> tuple[list[str], list[str]]:
    """Ask every web address of these notebooks; return the broken ones, and those that gave no clear answer."""
    links = [one for one in _links(notebooks) if urlsplit(one[2]).scheme in ("http", "https")]
    addresses = sorted({urlsplit(target)._replace(fragment="").geturl() for _, _, target in links})
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        answers = dict(zip(addresses, pool.map(_ask, addresses), strict=True))
    broken: list[str] = []
    unclear: list[str] = []
    for name, cell, target in links:
        gone, what = answers[urlsplit(target)._replace(fragment="").geturl()]
        if what:
            (broken if gone else unclear).append(_reason(name, cell, target, what))
    return broken, unclear


def _ask(address: str) -> tuple[bool, str]:
    """Return whether a page is certainly gone, and what is wrong with it; empty if it answers."""
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0 (link check)"})
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S):  # only http and https come here
            return False, ""
    except urllib.error.HTTPError as error:
        return error.code in GONE, f"answers {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return False, f"cannot be asked ({reason})"


def _links(notebooks: Mapping[str, Cells]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield notebook, cell and target of every link and image."""
    for name, cells in notebooks.items():
        for cell in cells:
            if cell["cell_type"] != "markdown":
                continue
            text = NO_TEXT.sub("", "".join(cell["source"]))
            for found in TARGET.finditer(text):
                yield name, cell, next((part for part in found.groups() if part is not None), "")


def _reason(notebook: str, cell: Mapping[str, Any], target: str, wrong: str) -> str:
    where = f"{notebook}, cell {cell['id']}" if cell["id"] else notebook
    return f"{where}: the link to {target!r} {wrong}"


def _wrong(
    target: str, notebook: str, cell: Mapping[str, Any], present: set[str], anchors: Mapping[str, set[str]]
) -> str:
    """Return what is wrong with a target; empty if it resolves."""
    parts = urlsplit(target)
    if parts.scheme in ("http", "https"):
        return _wrong_host(parts.netloc)
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


def _wrong_host(host: str) -> str:
    if not HOST.fullmatch(host):
        return "has no valid host"
    top = host.partition(":")[0].rpartition(".")[2]
    return f"has a host that cannot exist (.{top})" if top.lower() in RESERVED else ""


def _anchors(cells: Cells) -> set[str]:
    """Return the anchors of a notebook: its headings as Jupyter names them, and explicit ones."""
    found: set[str] = set()
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            found |= {heading.replace(" ", "-") for heading in HEADING.findall(text)}
            found |= set(ANCHOR.findall(text))
    return found
