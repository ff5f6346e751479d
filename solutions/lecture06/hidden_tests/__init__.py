"""Lecture 6: probes_*.py run inside the sandbox, test_*.py outside, on what the probes saw."""
