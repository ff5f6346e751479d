"""Everything a hidden test may import: the decorator, the observation types and assertions that name the mistake."""

from pathlib import Path

from autograder.assignment_file import load_assignment
from autograder.grading.assertions import (
    ALIKE,
    FLOAT32,
    FLOAT64,
    SINGLE,
    Target,
    agrees,
    as_array,
    as_dict,
    assert_below,
    assert_close,
    assert_deviation,
    describe_kind,
    fail,
    mapping,
    part_in_order,
    parts,
    sequence,
    truth,
)
from autograder.grading.hidden_tests import LossTest, picture, question
from autograder.grading.kinds import as_axes, as_estimator, assert_parameters, assert_plot, assert_table
from autograder.grading.observe import NoObservation, Observation, Observe
from autograder.grading.pictures import Band, band_of, bars, curve, measured_band, points
from autograder.grading.tensors import as_tensor, assert_same_tensors, assert_unchanged, close, tensors
from autograder.pictures import Picture
from autograder.sandbox.channel import Opaque, Value

__all__ = [
    "ALIKE",
    "FLOAT32",
    "FLOAT64",
    "SINGLE",
    "Band",
    "LossTest",
    "NoObservation",
    "Observation",
    "Observe",
    "Opaque",
    "Picture",
    "Target",
    "Value",
    "agrees",
    "as_array",
    "as_axes",
    "as_dict",
    "as_estimator",
    "as_tensor",
    "assert_below",
    "assert_close",
    "assert_deviation",
    "assert_parameters",
    "assert_plot",
    "assert_same_tensors",
    "assert_table",
    "assert_unchanged",
    "band_of",
    "bars",
    "close",
    "curve",
    "data_file",
    "describe_kind",
    "fail",
    "mapping",
    "measured_band",
    "part_in_order",
    "parts",
    "picture",
    "points",
    "question",
    "sequence",
    "tensors",
    "truth",
]


def data_file(module_file: str, entry: str) -> Path:
    """Return the path of a data file of the assignment, or of the file selected instead.

    module_file: `__file__` of the module in `solutions/<assignment>/hidden_tests/` that asks
    entry: the file's name under `[data]` in assignment.toml
    """
    masters = Path(module_file).resolve().parent.parent
    return load_assignment(masters.name, masters.parent.parent).data_file(entry)
