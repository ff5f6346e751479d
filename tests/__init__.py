"""Tests of the kit."""

from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
"""The course that this repository is."""
