"""Helpers for the public checks: `grader.check("B3")` uses them to say how your result differs from the target.

A check never edits or runs your notebook: it calls the functions and classes that you defined.
"""

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

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
        left_off = not torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        if error is None and left_off:
            raise Mismatch("your code turned autograd off and left it off; use `with torch.no_grad():` instead")
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


def _apart(yours: float, target: float) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to tell them apart."""
    for digits in range(5, 18):
        texts = f"{yours:.{digits}g}", f"{target:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


def parameters_of(model: torch.nn.Module, wanted: Iterable[str]) -> dict[str, Tensor]:
    """Return the parameters of a model by name, each once: under a wanted name if it has one, else under its first."""
    every = dict(model.named_parameters(remove_duplicate=False))
    found: dict[str, Tensor] = {}
    for name in [*sorted(set(wanted) & set(every)), *dict(model.named_parameters())]:
        if all(every[name] is not one for one in found.values()):
            found[name] = every[name]
    return found


def compare(
    name: str,
    yours: Any,
    target: Any,
    *,
    rtol: float = 2e-4,
    atol: float = 2e-4,
    slips: Mapping[str, Any] | None = None,
) -> None:
    """Compare a tensor or number with its target.

    slips: the results of common mistakes, by what to say about them: `{"dividing by N; divide by N - 1": ...}`
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
    for slip, result in (slips or {}).items():
        wrong = torch.as_tensor(result).detach().to(torch.float64).cpu()
        same = wrong.shape == mine.shape and bool(torch.isclose(mine, wrong, rtol=rtol, atol=atol).all())
        if same and not bool(torch.isclose(wrong, wanted, rtol=rtol, atol=atol).all()):
            raise Mismatch(f"{name}: this is the result of {slip}")
    first = tuple(int(i) for i in (~right).nonzero()[0])
    largest = float((mine - wanted).abs().nan_to_num(nan=math.inf).max())
    shown, expected = _apart(mine[first].item(), wanted[first].item())
    entry = f": entry {list(first)}" if first else ""
    found = f"{name}{entry} is {shown}; the target is {expected}"
    if right.numel() > 1:
        count = int((~right).sum())
        found += f" ({count} of {right.numel()} entries {'differs' if count == 1 else 'differ'}, by up to {largest:.3g})"
    raise Mismatch(found)


def compare_gradients(
    output: Any,
    target: Tensor,
    tensors: Mapping[str, tuple[Tensor, Tensor]],
    cotangent: Tensor,
    slips: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> None:
    """Compare the gradients of `(output * cotangent).sum()` with those of the target, in float64.

    tensors: by name, a tensor of the answer and the one that stands for it in the target
    slips: as in `compare`, for each of these names
    Raises Mismatch for a gradient that does not flow or differs.
    """
    require(isinstance(output, Tensor) and output.requires_grad, "no gradients flow through the result")
    mine = torch.autograd.grad((output * cotangent).sum(), [own for own, _ in tensors.values()], allow_unused=True)
    wanted = torch.autograd.grad((target * cotangent).sum(), [its for _, its in tensors.values()])
    for name, gradient, expected in zip(tensors, mine, wanted, strict=True):
        require(gradient is not None, f"no gradient reaches {name}; is something detached?")
        compare(f"the gradient of {name}", gradient, expected, **FLOAT64, slips=(slips or {}).get(name))


Places = Sequence[tuple[Any, str]]


@contextlib.contextmanager
def _refusing(places: Places, message: str) -> Iterator[None]:
    """Make these functions, given by module and name, raise Mismatch inside a `with` block."""

    def refuse(*values: Any, **named: Any) -> None:
        raise Mismatch(message)

    kept = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, refuse)
    try:
        yield
    finally:
        for (module, name), function in zip(places, kept, strict=True):
            setattr(module, name, function)


class no_built_in_batch_norm(TorchDispatchMode):
    """Make PyTorch's own normalization raise Mismatch inside a `with` block, by whatever name it is called."""

    BUILT_IN = re.compile(r"(batch|layer|group|instance)_norm")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.BUILT_IN.search(str(func)):
            raise Mismatch("your code calls PyTorch's batch normalization; B3, B4 and B5 must be written without it")
        return func(*args, **kwargs) if kwargs else func(*args)


def no_autograd() -> contextlib.AbstractContextManager[None]:
    """Make the functions that compute gradients raise Mismatch inside a `with` block."""
    places: Places = ((torch.autograd, "grad"), (torch.autograd, "backward"), (torch.func, "vjp"), (torch.func, "grad"))
    return _refusing(places, "your code calls autograd; write the formulas with elementary operations")


def require(truth: Any, message: str) -> None:
    """Raise Mismatch with this message unless the condition holds."""
    if not bool(truth):
        raise Mismatch(message)
