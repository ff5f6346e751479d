"""Public checks: what `grader.check("B3")` uses to say how your result differs from the target.

A check never edits or runs your notebook: it takes the functions and classes that you defined and calls them.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

FLOAT64 = {"rtol": 1e-9, "atol": 1e-9}
FLOAT32 = {"rtol": 2e-4, "atol": 2e-4}


class NotWritten(Exception):
    """The answer is still as released, or its cell has not been run."""


class Mismatch(Exception):
    """The answer ran and gave something else than the target."""


class AnswerError(Exception):
    """The answer raised an error of its own."""


def _where(error: BaseException) -> str:
    """The last line of the student's own code that the error passed through."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "ipykernel" in file or file.startswith("<"):
            found = f" (line {trace.tb_lineno} of your cell, in {trace.tb_frame.f_code.co_name})"
        trace = trace.tb_next
    return found


class checking:
    """`with checking("B3"):` turns an unfinished or failing answer into a message that says what to do.

    Everything that calls the student's code stands inside the block.
    """

    def __init__(self, question: str) -> None:
        self.question = question

    def __enter__(self) -> "checking":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, NotWritten | Mismatch | KeyboardInterrupt | SystemExit):
            return
        if isinstance(error, NotImplementedError):
            raise NotWritten(
                f"question {error.args[0] if error.args else self.question} is not written yet: replace "
                f"`raise NotImplementedError` between its START and END lines with your code, run that cell, "
                f"then run this check again"
            ) from None
        raise AnswerError(f"your code stopped with {type(error).__name__}: {error}{_where(error)}") from None


def answer(env: Mapping[str, Any], question: str, name: str) -> Any:
    """The function or class `name` that the notebook defined.

    Raises NotWritten when there is none yet.
    """
    found = env.get(name)
    if found is None:
        raise NotWritten(f"`{name}` is not defined yet: run the cell of question {question}, then this check again")
    return found


def _entry(index: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(i) for i in index) + "]" if index else ""


def compare(name: str, yours: Any, target: Any, *, rtol: float = 2e-4, atol: float = 2e-4) -> None:
    """Compare a tensor or number with its target.

    Raises Mismatch with both shapes, or yours beside the target at the first wrong entry and the largest difference.
    A (1, D) result stands for a (D,) one.
    """
    wanted = torch.as_tensor(target).detach()
    if not isinstance(yours, Tensor):
        if isinstance(yours, bool) or not isinstance(yours, int | float):
            raise Mismatch(f"{name} is a {type(yours).__name__}; a tensor of shape {tuple(wanted.shape)} was expected")
        yours = torch.tensor(yours, dtype=wanted.dtype if wanted.is_floating_point() else torch.float64)
    mine = yours.detach()
    if mine.shape != wanted.shape and mine.shape == (1, *wanted.shape):
        mine = mine[0]
    if mine.shape != wanted.shape:
        raise Mismatch(f"{name} has shape {tuple(mine.shape)}; the target has shape {tuple(wanted.shape)}")
    mine, wanted = mine.to(torch.float64).cpu(), wanted.to(torch.float64).cpu()
    right = torch.isclose(mine, wanted, rtol=rtol, atol=atol, equal_nan=True)
    if bool(right.all()):
        return
    first = tuple(int(i) for i in (~right).nonzero()[0])
    largest = float((mine - wanted).abs().nan_to_num(nan=math.inf).max())
    raise Mismatch(
        f"{name}{_entry(first)} is {mine[first].item():.6g}, the target is {wanted[first].item():.6g}; "
        f"{int((~right).sum())} of {right.numel()} entries differ, at most by {largest:.3g}"
    )


def require(truth: Any, message: str) -> None:
    """Raise Mismatch with the message unless the condition holds."""
    if not bool(truth):
        raise Mismatch(message)
