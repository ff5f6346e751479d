"""Grading inside other systems: Gradescope's container, Otter's plugin."""
