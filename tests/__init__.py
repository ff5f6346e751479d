"""Tests of the kit, by what they depend on.

kit      the package alone, on the small assignment of `tiny.py`, mostly module by module
content  the lecture's assignment: its corpus of answers, and stages of the package on its questions
attacks  hostile submissions against the sandbox
system   whole programs: the command line, the wheel, Gradescope's and Otter's containers, pages in a browser
"""

from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
"""The course that this repository is."""
