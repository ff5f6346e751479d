"""Both notebooks run on Apple silicon and on CUDA, as far as a stand-in for a GPU can tell (`tests/devices.py`)."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from autograder.notebook import Role
from tests import HOME, corpus
from tests.devices import KINDS, Gpu, on_gpu

ASSIGNMENT = corpus.assignment()
SHORTER = {
    r"names = text\.splitlines\(\)": "names = text.splitlines()[::20]",
    r"max_steps: int = 1000": "max_steps: int = 12",
    r"val_interval: int = 100": "val_interval: int = 10",
    r"\bsteps=\d{3}\b": "steps=4",
    r"\b2000, 0\.3": "60, 0.3",
    r"range\(200\)": "range(21)",
    r"SEEDS = \(101, 102, 103\)": "SEEDS = (101,)",
}
"""What makes training shorter, because only the kind of its tensors matters here."""


def short(source: str) -> str:
    for old, new in SHORTER.items():
        source = re.sub(old, new, source)
    return source


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ASSIGNMENT.notebooks)
def test_given_and_demonstration_cells_run_on_a_gpu(name: str, kind: str, tmp_path: Path) -> None:
    shutil.copytree(ASSIGNMENT.release_dir, tmp_path / "release")
    notebook = corpus.submission(corpus.reference())[name]
    cells = [cell for cell in notebook["cells"] if cell["metadata"]["homework"]["role"] != Role.CHECK]
    for cell in cells:
        cell["source"] = short("".join(cell["source"]))
    path = tmp_path / "release" / "short.ipynb"
    path.write_text(json.dumps(notebook | {"cells": cells}), encoding="utf-8")
    environment = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(HOME)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.devices", kind, path.name],
        cwd=path.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    assert said[-1] == "ran to the end"
    assert f"running on: {kind}" in said
    assert not [line for line in said if "skipped" in line.lower()]


def moved() -> torch.Tensor:
    return torch.ones(2, 3).to("mps")


def drawn() -> torch.Tensor:
    return torch.rand(3, generator=torch.Generator(), device="mps")


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "double": (lambda: moved().double(), "float64"),
    "made in double": (lambda: torch.ones(3, dtype=torch.float64, device="mps"), "float64"),
    "moved in double": (lambda: torch.ones(3).double().to(torch.device("mps")), "float64"),
    "counts in double": (lambda: torch.bincount(torch.arange(3).to("mps")).double(), "float64"),
    "parameters in double": (lambda: torch.nn.Linear(3, 2).to("mps").double(), "float64"),
    "mixed": (lambda: moved() + torch.ones(2, 3), "same device"),
    "a batch for a model": (lambda: torch.nn.Linear(3, 2).to("mps")(torch.ones(1, 3)), "same device"),
    "index on the wrong side": (lambda: torch.ones(3)[torch.arange(2).to("mps")], "indices"),
    "NumPy": (lambda: moved().numpy(), "numpy"),
    "generator": (drawn, "generator"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_gpu_refuses(what: str) -> None:
    action, message = REFUSED[what]
    with Gpu("mps"), pytest.raises((TypeError, RuntimeError), match=message):
        action()


def test_what_a_gpu_accepts() -> None:
    with Gpu("mps"):
        model = torch.nn.Linear(3, 2).to(torch.device("mps"))
        rows = torch.randint(2, (4,), generator=torch.Generator().manual_seed(1))
        inputs = moved()
        loss = model(inputs[rows]).square().mean() * torch.tensor(2.0)
        loss.backward()
        gradient = model.weight.grad
        assert gradient is not None
        for one in (inputs, model.weight, loss, gradient, inputs[0], inputs.detach(), torch.zeros_like(inputs)):
            assert on_gpu(one)
            assert one.device.type == "mps"
        for one in (inputs.cpu(), inputs.to("cpu"), inputs.cpu().double(), torch.ones(3)):
            assert not on_gpu(one)
        assert inputs.cpu().numpy().sum() == 6
        assert len(inputs.tolist()) == 2
    with Gpu("cuda"):
        assert torch.ones(3, device="cuda").double().device.type == "cuda"
