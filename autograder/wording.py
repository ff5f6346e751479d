"""Wording that more than one stage needs."""


def number_of(count: float, noun: str) -> str:
    """Return a count with its noun, which takes an s unless the count is 1: `1 student`, `2.5 points`."""
    return f"{count:.12g} {noun}{'' if count == 1 else 's'}"
