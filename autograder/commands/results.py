"""Verbs that publish results: feedback, report, review, export."""

from autograder.commands.options import Verbs


def add(verbs: Verbs) -> None:
    """Add the verbs of this group."""
