"""Helpers for the public checks: `grader.check("B3")` uses them to say how your result differs from the target.

A check never edits or runs your notebook: it calls the functions and classes that you defined.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

FLOAT64 = {"rtol": 1e-9, "atol": 1e-9}
FLOAT32 = {"rtol": 2e-4, "atol": 2e-4}


class NotWritten(Exception):
    """Raised when the answer is still as released, or its cell has not been run."""


class Mismatch(Exception):
    """Raised when the answer ran but its result differs from the target."""


class AnswerError(Exception):
    """Raised when the student's code raised an exception."""


def _where(error: BaseException) -> str:
    """Return the last line of the student's code in the traceback, as text."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "ipykernel" in file or file.startswith("<"):
            found = f" (line {trace.tb_lineno} of your cell, in {trace.tb_frame.f_code.co_name})"
        trace = trace.tb_next
    return found


class checking:
    """Turn an unfinished or failing answer into a message that says what to do: `with checking("B3"):`.

    Everything that calls the student's code goes inside the block.
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
                f"question {error.args[0] if error.args else self.question} is not answered yet: replace "
                f"`raise NotImplementedError` between its START and END lines with your code, run that cell, "
                f"then re-run this check"
            ) from None
        raise AnswerError(f"your code raised {type(error).__name__}: {error}{_where(error)}") from None


def answer(env: Mapping[str, Any], question: str, name: str) -> Any:
    """Return the function or class `name` that the notebook defined.

    Raises NotWritten if it is not defined yet.
    """
    found = env.get(name)
    if found is None:
        raise NotWritten(f"`{name}` is not defined yet: run the cell of question {question}, then re-run this check")
    return found


def _entry(index: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(i) for i in index) + "]" if index else ""


def compare(name: str, yours: Any, target: Any, *, rtol: float = 2e-4, atol: float = 2e-4) -> None:
    """Compare a tensor or number with its target.

    Raises Mismatch with both shapes, or with the first wrong entry, its target and the largest difference.
    A result of shape (1, D) is accepted for (D,).
    """
    wanted = torch.as_tensor(target).detach()
    if not isinstance(yours, Tensor):
        if isinstance(yours, bool) or not isinstance(yours, int | float):
            raise Mismatch(f"{name} has type {type(yours).__name__}; it should be a tensor of shape {tuple(wanted.shape)}")
        yours = torch.tensor(yours, dtype=wanted.dtype if wanted.is_floating_point() else torch.float64)
    mine = yours.detach()
    if mine.shape != wanted.shape and mine.shape == (1, *wanted.shape):
        mine = mine[0]
    if mine.shape != wanted.shape:
        raise Mismatch(f"{name} has shape {tuple(mine.shape)}; it should have shape {tuple(wanted.shape)}")
    mine, wanted = mine.to(torch.float64).cpu(), wanted.to(torch.float64).cpu()
    right = torch.isclose(mine, wanted, rtol=rtol, atol=atol, equal_nan=True)
    if bool(right.all()):
        return
    first = tuple(int(i) for i in (~right).nonzero()[0])
    largest = float((mine - wanted).abs().nan_to_num(nan=math.inf).max())
    found = f"{name}{_entry(first)} is {mine[first].item():.6g}; the target is {wanted[first].item():.6g}"
    if right.numel() > 1:
        count = int((~right).sum())
        found += f" ({count} of {right.numel()} entries {'differs' if count == 1 else 'differ'}, by up to {largest:.3g})"
    raise Mismatch(found)


def require(truth: Any, message: str) -> None:
    """Raise Mismatch with this message unless the condition holds."""
    if not bool(truth):
        raise Mismatch(message)
