"""Probes of the batch normalization notebook, part 2 (a look inside): activations and starting weights.

They run beside the student's code on given inputs and return what they saw; none holds an expected value. `student`
has the notebook's names as attributes; every other argument comes from a hidden test.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .probe_tools import Operators, Seen

# --- B1 ---------------------------------------------------------------------------------------------------------------


def activation_stats(student: Any, pre: Tensor, graph: bool) -> Seen:
    """`activation_stats` on pre (N, D): what it returned, which values are plain numbers, operators, pre afterwards.

    graph: whether pre is the result of a computation that autograd recorded, as in a model.
    """
    given = pre.clone()
    if graph:
        given = given.requires_grad_() * 1.0
    with Operators() as operators:
        returned = student.activation_stats(given)
    values = dict(returned) if isinstance(returned, Mapping) else {}
    return {
        "returned": returned,
        "plain": sorted(str(key) for key, value in values.items() if isinstance(value, int | float)),
        "graph": sorted(str(key) for key, value in values.items() if getattr(value, "requires_grad", False)),
        "operators": sorted(operators.names),
        "pre": given,
        "needs_grad": given.requires_grad,
        "grad_enabled": torch.is_grad_enabled(),
    }


# --- B2 ---------------------------------------------------------------------------------------------------------------


def kaiming(student: Any, weight: Tensor, options: dict[str, float], parameter: bool) -> Seen:
    """`kaiming_` on a float32 weight (fan_in, fan_out), as a tensor or an nn.Parameter.

    same: whether it returned the weight itself; returned: what else it returned
    """
    given = nn.Parameter(weight.clone()) if parameter else weight.clone()
    returned = student.kaiming_(given, **options)
    return {
        "returned": None if returned is given else returned,
        "same": returned is given,
        "weight": given,
        "needs_grad": given.requires_grad,
        "leaf": given.is_leaf,
        "grad_enabled": torch.is_grad_enabled(),
    }


def kaiming_seeded(student: Any, weight: Tensor, seeds: list[int]) -> Seen:
    """`kaiming_` after each `torch.manual_seed`, then once more without one: weight and result each time."""
    drawn = []
    for seed in [*seeds, None]:
        given = weight.clone()
        if seed is not None:
            torch.manual_seed(seed)
        drawn.append({"returned": student.kaiming_(given), "weight": given})
    return {"drawn": drawn}
