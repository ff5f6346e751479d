"""Which libraries a release imports, read from its text alone."""

from pathlib import Path

import pytest

from autograder.sandbox.imports import libraries_of

CASES = {
    "plain": ("import torch\nimport numpy as np, math", ["torch", "numpy", "math"]),
    "of a package, or a name in a module": ("from sklearn import datasets", ["sklearn", "sklearn.datasets"]),
    "where a module is executed at once": ("try:\n    import a\nexcept ImportError:\n    import b", ["a", "b"]),
    "in a function, which may never be called": ("def f():\n    import heavy\nlambda: __import__('x')", []),
    "in a class": ("class A:\n    import inner", ["inner"]),
    "of the release, and by way of it": ("from src.plots import draw\nimport src.tools", ["matplotlib", "tqdm"]),
    "relative": ("from . import x", []),
    "beside magics": ("import torch\n%matplotlib inline\n!ls", ["torch"]),
    "not Python": ("import torch\nfrom", []),
}


@pytest.mark.parametrize(("source", "expected"), CASES.values(), ids=CASES)
def test_libraries(tmp_path: Path, source: str, expected: list[str]) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "plots.py").write_text("import matplotlib\nfrom src import tools\nraise SystemExit")
    (tmp_path / "src" / "tools.py").write_text("import tqdm, src.plots")
    assert sorted(libraries_of([source], tmp_path)) == sorted(expected)
