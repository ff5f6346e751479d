"""Other systems: the form of their downloads, and the files that take grades back."""

from autograder.platforms import canvas, gradescope, moodle, nbgrader

FORMS = (canvas.FORM, moodle.FORM, gradescope.FORM, nbgrader.FORM)
"""The platforms whose downloads are recognised by file names."""
