"""Lecture 6: probes.py runs inside the sandbox, test_*.py run outside on what the probes saw."""
