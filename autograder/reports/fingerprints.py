"""What two answers have in common although names, comments and order differ: winnowed runs of normalised tokens.

Source: Schleimer, Wilkerson and Aiken (2003), "Winnowing: local algorithms for document fingerprinting". Only text is
looked at, so any answer may be handed in, also one that is not Python.
"""

import builtins
import hashlib
import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RUN = 8
"""Tokens in a run: shorter ones are common to independent answers."""
WINDOW = 4
"""Runs of which at least one is kept, so that RUN + WINDOW - 1 equal tokens are always found."""
MOST_SOURCE = 30_000
"""Characters of an answer that are looked at."""
TOKEN = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<string>[rRbBuUfF]{0,2}(?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'))"
    r"|(?P<name>[^\W\d]\w*)|(?P<number>\d[\w.]*)|(?P<sign>[^\s\w])"
)
FIXED = frozenset(keyword.kwlist) | frozenset(dir(builtins)) | {"self", "cls"}
"""Names that nobody chooses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token: its normalised text, and its text and line as written, from 1."""

    text: str
    written: str
    line: int
    kind: str


def tokens(source: str) -> list[Token]:
    """Return the tokens of a source: names that a student chose are alike, and so are strings; white space is nothing.

    Attributes keep their names, as they mostly belong to a library, except those of `self`.
    """
    found: list[Token] = []
    line, last = 1, 0
    before = ["", ""]
    source = source[:MOST_SOURCE]
    for match in TOKEN.finditer(source):
        line += source.count("\n", last, match.start())
        last = match.start()
        kind, written = str(match.lastgroup), match[0]
        found.append(Token(text=_normal(kind, written, before), written=written, line=line, kind=kind))
        before = [before[1], written]
    return found


def _normal(kind: str, written: str, before: Sequence[str]) -> str:
    if kind == "string":
        return '""'
    if kind != "name" or written in FIXED:
        return written
    attribute = before[1] == "." and before[0] not in ("self", "")
    return written if attribute else "v"


def fingerprints(found_tokens: Iterable[Token]) -> dict[int, frozenset[int]]:
    """Return the fingerprints of a source's tokens, each with the lines that it spans."""
    code = [token for token in found_tokens if token.kind != "comment"]
    runs = [_hash([token.text for token in code[i : i + RUN]]) for i in range(len(code) - RUN + 1)]
    found: dict[int, frozenset[int]] = {}
    for start in range(max(1, len(runs) - WINDOW + 1)):
        window = runs[start : start + WINDOW]
        if not window:
            break
        place = start + min(range(len(window)), key=lambda i: (window[i], -i))
        lines = frozenset(range(code[place].line, code[place + RUN - 1].line + 1))
        found[runs[place]] = found.get(runs[place], frozenset()) | lines
    return found


def all_runs(source: str) -> frozenset[int]:
    """Return every run of a source, not only those that winnowing keeps: what is to be subtracted."""
    code = [token.text for token in tokens(source) if token.kind != "comment"]
    return frozenset(_hash(code[i : i + RUN]) for i in range(len(code) - RUN + 1))


def _hash(run: Sequence[str]) -> int:
    return int.from_bytes(hashlib.blake2b(" ".join(run).encode(errors="replace"), digest_size=8).digest(), "big")
