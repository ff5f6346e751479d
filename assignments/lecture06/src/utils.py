"""What both notebooks share: reading the names, seeding, choosing a device, and a plot made of text."""

import os
import random
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

LETTERS = set(string.ascii_lowercase)
SPARKS = "▁▂▃▄▅▆▇█"


def find_data(name: str = "data/names.txt") -> Path:
    """The path of a data file, from wherever the notebook was started.

    The environment variable NAMES, when it is set, names the file to use instead. Otherwise `name` is looked for in the
    working folder, in the folders above it, and in the folder that holds `src`.

    Raises FileNotFoundError with the places that were searched.
    """
    chosen = os.environ.get("NAMES")
    if chosen:
        path = Path(chosen).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"NAMES is set to {chosen}, but there is no such file; unset NAMES or correct it")
        return path
    here = Path.cwd()
    folders = [here, *here.parents, Path(__file__).resolve().parent.parent]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"{name} was not found in {here}, in a folder above it, or beside src; "
        "unzip the assignment again and start Jupyter in its folder"
    )


def load_text(name: str = "data/names.txt") -> str:
    """The names, one a line, each of the letters a-z.

    Raises ValueError when a line holds anything else, because the tokenizer has no token for it.
    """
    path = find_data(name)
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise ValueError(f"{path} is empty; it must hold one name a line, letters a-z only")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or not LETTERS.issuperset(line):
            raise ValueError(f"{path}, line {number}: {line[:40]!r} is not a name of the letters a-z; mend that line")
    return text


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and torch, so that a run can be repeated."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def configure_device() -> torch.device:
    """CUDA where there is a GPU, Apple's mps where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """The values as one line of text, low to high; at most `width` characters, each the mean of its share."""
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
