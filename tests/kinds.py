"""An assignment with every kind of question: the tiny one, and a bonus, one without points, and two written ones."""

import shutil
from datetime import date
from pathlib import Path

from autograder.assignment_file import load_assignment
from autograder.authoring.archives import version_on_disk
from autograder.authoring.build import write_release
from autograder.release import versions
from tests.tiny import NAME, fill_in_all, write_unfinished

CODE = '''
# %% [raw]
# # BEGIN QUESTION
# name: {id}
# points: {points}
{options}
# %% [markdown]
# ## {id}. {title} ({words})
#
# Write `{name}(x)`, which returns {what}.
#
# <details><summary>Hint 1: the concept</summary>
#
# One operation.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# A number comes in, a number goes out.
#
# </details>
# <details><summary>Hint 3: almost the line</summary>
#
# See the introduction.
#
# </details>

# %% [raw]
# # BEGIN SOLUTION


# %%
def {name}(x: float) -> float:
    """Return {what}."""
    ############################################################################
{banner}
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
def test_{name}(env):
    assert env["{name}"](3) == {three}, "{name}(3) should be {three}"


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION
'''

WRITTEN = """
# %% [raw]
# # BEGIN QUESTION
# name: {id}
# points: {points}
# manual: true
{options}
# %% [markdown]
# ## {id}. {title} ({words})
#
# {prompt}

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# {answer}
#
# It stays exact for `x < 2**53`.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION
"""

TOML = """
[questions.Q3]
notebook = "tiny"
points = 2
bonus = true
optional = true
defines = ["double"]

[questions.Q4]
notebook = "tiny"
points = 0
defines = ["negate"]

[questions.W1]
notebook = "tiny"
points = 3
rubric = [
    { points = 1, text = "Names rounding" },
    { points = 2, text = "Says in which direction <b>it</b> rounds" },
]

[questions.W2]
notebook = "tiny"
points = 2
bonus = true
rubric = [{ points = 2, text = "Any reason" }]
"""

TESTS = """

# --- Q3 and Q4 --------------------------------------------------------------------------------------------------------


@question("Q3", points=2, hint="By what do you multiply?")
def test_double_of_a_number(observe: Observe) -> None:
    assert_close(observe("double", x=3.5)["returned"], 7.0, "result")


@question("Q4", points=0, hint="What is the sign of the result?")
def test_negative_of_a_number(observe: Observe) -> None:
    assert_close(observe("negate", x=3.5)["returned"], -3.5, "result")
"""

PROBES = '''

def double(student: Any, x: float) -> dict[str, Any]:
    """Return what `double` returns for x."""
    return {"returned": student.double(x)}


def negate(student: Any, x: float) -> dict[str, Any]:
    """Return what `negate` returns for x."""
    return {"returned": student.negate(x)}
'''

RUBRIC = ("Names rounding", "Says in which direction <b>it</b> rounds")
MODEL = "Floor division rounds to minus infinity, true division does not.\n\nIt stays exact for `x < 2**53`."


def _banner(question: str, words: str, text: str) -> str:
    return f"    # {f'TODO {question} ({words}): {text}':<72} #"


def masters() -> str:
    """Return the questions that the tiny master does not have."""
    double, negate = "2 bonus points, optional", "0 points"
    return "".join(
        [
            CODE.format(
                id="Q3",
                points=2,
                options="# bonus: true\n# optional: true\n",
                title="Double",
                words=double,
                name="double",
                what="the double of x",
                banner=_banner("Q3", double, "the double of x."),
                solution="return x + x",
                three=6,
            ),
            CODE.format(
                id="Q4",
                points=0,
                options="",
                title="Negate",
                words=negate,
                name="negate",
                what="the negative of x",
                banner=_banner("Q4", negate, "the negative of x."),
                solution="return 0 - x",
                three=-3,
            ),
            WRITTEN.format(
                id="W1",
                points=3,
                options="",
                title="Rounding",
                words="3 points",
                prompt="Why is `7 // 2` not a half of 7? Two sentences.",
                answer=MODEL.split("\n")[0],
            ),
            WRITTEN.format(
                id="W2",
                points=2,
                options="# bonus: true\n",
                title="Speed",
                words="2 bonus points",
                prompt="Why is a sum faster than a loop here? One sentence.",
                answer="A sum loops in C.",
            ),
        ]
    )


def write_kinds(home: Path) -> None:
    """Write this assignment and its release into a folder, which takes some seconds.

    Version 1 on record is the tiny assignment without them.
    """
    write_unfinished(home)
    fill_in_all(home)
    assignment = load_assignment(NAME, home)
    write_release(assignment)
    versions.keep(assignment, version_on_disk(assignment))
    folder = home / "solutions" / NAME
    for path, more in (
        (folder / f"{NAME}.py", masters()),
        (folder / "assignment.toml", TOML),
        (folder / "hidden_tests" / "test_questions.py", TESTS),
        (folder / "hidden_tests" / "probes.py", PROBES),
    ):
        path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "\n" + more, encoding="utf-8")
    for question, wrong in (("Q3", "return x"), ("Q4", "return x")):
        text = f"=== wrong: unchanged\nexpect: .\n{wrong}\n"
        (folder / "corpus" / f"{question}.txt").write_text(text, encoding="utf-8")
    shutil.copytree(assignment.release_dir, home / "old")
    write_release(versions.choose(load_assignment(NAME, home), "2", date(2031, 2, 3)))
