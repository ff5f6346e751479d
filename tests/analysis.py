"""An assignment without torch: its answers return a pandas DataFrame, a scikit-learn estimator and a plot."""

from importlib.metadata import version
from pathlib import Path

from autograder.assignment_file import load_assignment
from autograder.authoring.build import write_release

NAME = "analysis"
PACKAGES = ("numpy", "pandas", "scikit-learn", "matplotlib", "otter-grader", "jupyter")

TOML = f"""\
title = "Prices"
version = "1"
notebooks = ["{NAME}"]
packages = {list(PACKAGES)}

[limits]
wall_s = 60
cpu_s = 20
memory_mib = 1024

[questions.T1]
notebook = "{NAME}"
points = 2
defines = ["dearest"]

[questions.T2]
notebook = "{NAME}"
points = 3
defines = ["fit_prices"]

[questions.T3]
notebook = "{NAME}"
points = 2
defines = ["plot_prices"]
"""

BEGIN = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [raw]
# # ASSIGNMENT CONFIG
# generate: false
# run_tests: false
# tests:
#   files: true
#   ok_format: false

# %%
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.linear_model import Ridge
"""

QUESTION = '''
# %% [raw]
# # BEGIN QUESTION
# name: {id}
# points: {points}

# %% [markdown]
# ## {id}. {title} ({points} points)

# %% [raw]
# # BEGIN SOLUTION


# %%
{head}
    """{title}."""
    ############################################################################
    # {todo:<72} #
    ############################################################################
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    {solution}
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("{id}")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS


# %%
def test_{id}(env):
    assert callable(env["{name}"])


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION
'''

SOLUTIONS = (
    ("T1", 2, "dearest", "(prices, count)", 'return prices.nlargest(count, "price").reset_index(drop=True)'),
    ("T2", 3, "fit_prices", "(prices)", 'return Ridge(alpha=0.5).fit(prices[["size"]], prices["price"])'),
    ("T3", 2, "plot_prices", "(prices)", 'plt.plot(prices["size"], prices["price"]); plt.title("Price by size")'),
)
"""Question, points, function, its parameters and the reference answer."""

PROBES = '''\
"""Probes of the analysis."""

import sys
from typing import Any

from autograder.probing import axes, estimator, table


def dearest(student: Any, prices: dict[str, list[Any]], count: int) -> dict[str, Any]:
    """Return the table."""
    return {"table": table(student.dearest(student.pd.DataFrame(prices), count)), "torch": "torch" in sys.modules}


def fit_prices(student: Any, prices: dict[str, list[Any]]) -> dict[str, Any]:
    """Return the estimator."""
    return {"model": estimator(student.fit_prices(student.pd.DataFrame(prices)), "coef_", "intercept_")}


def plot_prices(student: Any, prices: dict[str, list[Any]]) -> dict[str, Any]:
    """Return what was drawn."""
    returned = student.plot_prices(student.pd.DataFrame(prices))
    return {"plot": axes(returned)}
'''

TESTS = '''\
"""Hidden tests of the analysis."""

import numpy as np

from autograder.testing import (
    Observe, as_axes, as_estimator, assert_close, assert_parameters, assert_plot, assert_table, question
)

PRICES = {"town": ["Ulm", "Bonn", "Jena"], "size": [40.0, 70.0, 55.0], "price": [1.5, 3.25, 2.5]}


@question("T1", points=2, hint="Which rows come first?")
def test_dearest(observe: Observe) -> None:
    seen = observe("dearest", prices=PRICES, count=2)
    assert seen["torch"] is False, "torch was loaded"
    assert_table(seen["table"], {"town": ["Bonn", "Jena"], "size": [70.0, 55.0], "price": [3.25, 2.5]}, "table")


@question("T2", points=1, hint="Which estimator is asked for?")
def test_estimator(observe: Observe) -> None:
    seen = observe("fit_prices", prices=PRICES)
    as_estimator(seen["model"], "model", "Ridge")
    assert_parameters(seen["model"], "model", alpha=0.5)


@question("T2", points=2, hint="What is the target?")
def test_slope(observe: Observe) -> None:
    fitted = as_estimator(observe("fit_prices", prices=PRICES)["model"], "model", "Ridge")
    size, price = np.array(PRICES["size"]), np.array(PRICES["price"])
    together = np.dot(size - size.mean(), price - price.mean())
    mistakes = {"that of the size over the price": np.array([together / (3 * price.var() + 0.5)])}
    assert_close(fitted.get("coef_"), np.array([together / (3 * size.var() + 0.5)]), "slope", mistakes=mistakes)


@question("T3", points=2, hint="What is on which axis?")
def test_plot(observe: Observe) -> None:
    plot = as_axes(observe("plot_prices", prices=PRICES)["plot"], "plot")
    assert_plot(plot, "plot", texts={"title": ["price"]}, lines=[(PRICES["size"], PRICES["price"])])
'''


def write_analysis(home: Path) -> None:
    """Write the assignment and its release into a folder, which takes some seconds."""
    folder = home / "solutions" / NAME
    (folder / "hidden_tests").mkdir(parents=True)
    (folder / "corpus").mkdir()
    pins = "".join(f"{name}=={version(name)}\n" for name in PACKAGES)
    (home / "constraints.txt").write_text(pins, encoding="utf-8")
    questions = [
        QUESTION.format(
            id=key,
            points=points,
            title=f"Write {name}",
            head=f"def {name}{parameters}:",
            todo=f"TODO {key} ({points} points): see above.",
            name=name,
            solution=solution,
        )
        for key, points, name, parameters, solution in SOLUTIONS
    ]
    for path, text in (
        (folder / "assignment.toml", TOML),
        (folder / f"{NAME}.py", BEGIN + "".join(questions)),
        (folder / "hidden_tests" / "__init__.py", ""),
        (folder / "hidden_tests" / "probes.py", PROBES),
        (folder / "hidden_tests" / "test_analysis.py", TESTS),
    ):
        path.write_text(text, encoding="utf-8")
    write_release(load_assignment(NAME, home))
