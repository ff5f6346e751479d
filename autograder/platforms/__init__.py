"""Other systems: how each hands submissions in, and the files that take grades back."""

from autograder.platforms import canvas, gradescope, moodle, nbgrader

FORMS = (canvas.FORM, moodle.FORM, gradescope.FORM, nbgrader.FORM)
"""The platforms whose downloads are told by the names in them."""
