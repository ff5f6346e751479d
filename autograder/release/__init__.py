"""The release as grading sees it: its notebooks, versions and reference answers."""
