"""Utilities for both notebooks: load the names, set seeds, choose a device, and plot as text."""

import os
import random
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

LETTERS = set(string.ascii_lowercase)
SPARKS = "▁▂▃▄▅▆▇█"


def find_data(name: str = "data/names.txt") -> Path:
    """Return the path of a data file, independent of the working directory.

    If the environment variable NAMES is set, it names the file to use instead. Otherwise `name` is searched in the
    working directory, in its parents, and in the folder that contains `src`.

    Raises FileNotFoundError with the places that were searched.
    """
    chosen = os.environ.get("NAMES")
    if chosen:
        path = Path(chosen).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"NAMES is set to {chosen}, but this file does not exist; correct NAMES or unset it")
        return path
    here = Path.cwd()
    folders = [here, *here.parents, Path(__file__).resolve().parent.parent]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"{name} was not found in {here}, its parent folders, or next to src; "
        "unzip the assignment again and start Jupyter in its folder"
    )


def load_text(name: str = "data/names.txt") -> str:
    """Return the names, one per line, letters a-z only.

    Raises ValueError if a line contains anything else, because the tokenizer has no token for it.
    """
    path = find_data(name)
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise ValueError(f"{path} is empty; it must contain one name per line, letters a-z only")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or not LETTERS.issuperset(line):
            raise ValueError(f"{path}, line {number}: {line[:40]!r} is not a name of letters a-z; correct that line")
    return text


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and torch to make a run reproducible."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def configure_device() -> torch.device:
    """Return the CUDA device if available, else Apple's mps, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """Draw the values as one line of text of at most `width` characters, each the mean of its segment."""
    finite = np.nan_to_num(np.asarray(values, dtype=float), nan=np.inf, posinf=np.inf, neginf=-np.inf)
    if finite.size == 0:
        return ""
    shares = np.array_split(finite, min(width, finite.size))
    means = np.array([share.mean() for share in shares])
    known = means[np.isfinite(means)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    span = (high - low) or 1.0
    steps = [len(SPARKS) - 1 if not np.isfinite(m) else round((m - low) / span * (len(SPARKS) - 1)) for m in means]
    return "".join(SPARKS[step] for step in steps)


def tanh_outputs(model: torch.nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    """Return what each tanh gives in one forward pass of the model, in order, without a graph."""
    outputs: list[torch.Tensor] = []

    class Recorder(TorchFunctionMode):
        """Sees every call of a torch function."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **kwargs) if kwargs else func(*args)
            if func in (torch.tanh, torch.Tensor.tanh):
                outputs.append(result)
            return result

    with torch.no_grad(), Recorder():
        model(inputs)
    return outputs


def numerical_gradient(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, step: float = 1e-5) -> torch.Tensor:
    """Return the gradient of a scalar function at x by central differences, one entry at a time.

    x: a float64 tensor of any shape; float32 is too coarse for differences. Calls the function twice per entry.
    Raises TypeError if x is not float64.
    """
    if x.dtype != torch.float64:
        raise TypeError(f"x has dtype {x.dtype}; use x.double(), because differences need float64")
    point = x.detach().clone()
    gradient = torch.zeros_like(point)
    for index in np.ndindex(*point.shape):
        values = []
        for sign in (1, -1):
            point[index] = x.detach()[index] + sign * step
            values.append(float(function(point)))
        point[index] = x.detach()[index]
        gradient[index] = (values[0] - values[1]) / (2 * step)
    return gradient


def cmp_table(rows: Mapping[str, tuple[torch.Tensor | None, torch.Tensor]], tolerance: float = 1e-5) -> str:
    """Compare tensors with their targets: one line each with exact, close (within `tolerance`) and largest difference.

    rows: (yours, target) by name; None is shown as not filled in
    """
    lines = [f"{'':<12}{'exact':<8}{'close':<8}largest difference"]
    for name, (yours, target) in rows.items():
        if yours is None:
            lines.append(f"{name:<12}not filled in")
        elif yours.shape != target.shape:
            lines.append(f"{name:<12}has shape {tuple(yours.shape)}; it should have shape {tuple(target.shape)}")
        else:
            gap = float((yours - target).abs().max())
            lines.append(f"{name:<12}{bool(torch.equal(yours, target))!s:<8}{gap <= tolerance!s:<8}{gap:.1e}")
    return "\n".join(lines)
