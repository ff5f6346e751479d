"""Which steps of a program each step needs: by the names in its code, and everything where that cannot be told."""

import pytest

from autograder.sandbox.needs import NOTHING_GIVEN, Given, given_code, needs

F = "def f(x):\n    return x / 2"
G = "def g(xs):\n    return sum(f(x) for x in xs)"


def step(source: str, *defines: str, added: bool = False) -> dict[str, object]:
    return {"label": source[:8], "source": source, "defines": list(defines), "added": added}


def found(*sources: str, given: Given = NOTHING_GIVEN) -> list[list[int] | None]:
    """What answers need that define a function each, in order."""
    return needs([step(source, "f") for source in sources], given)


def test_a_step_needs_those_whose_names_it_uses_and_what_they_use() -> None:
    h = "def h(x):\n    return g([x])"
    assert found(F, G, h, "def other():\n    return 1") == [[0], [0, 1], [0, 1, 2], [3]]


@pytest.mark.parametrize(
    "code",
    [
        "'''What f does.'''",
        "import math\nimport numpy as np\nfrom collections import deque",
        "N = 3\nM = -1.5 / 3\nNAMES = ('a', 'b')\nOLD = f",
        "def h(x: int = 3, *, y: 'f' = None) -> list[int] | None:\n    return print(x)",
        "async def h():\n    pass",
        "class C:\n    '''Text.'''\n    size: int = 3\n    @staticmethod\n    def h(x):\n        print(x)",
        "class C(np.ndarray):\n    @property\n    def h(self):\n        return exit()",
        "this does not parse",
    ],
)
def test_what_only_defines_concerns_nobody_who_does_not_use_it(code: str) -> None:
    assert found(F, code)[0] == [0]


@pytest.mark.parametrize(
    "code",
    [
        "print(1)",
        "math.sqrt = None",
        "for _ in range(3):\n    pass",
        "if True:\n    N = 1",
        "values = [n for n in range(3)]",
        "def h(x=print(1)):\n    pass",
        "def h(x) -> print(1):\n    pass",
        "@decorate\ndef h(x):\n    pass",
        "@print(1)\nclass C:\n    pass",
        "class C:\n    print(1)",
        "class C(make()):\n    pass",
        "del math",
        "assert True",
        "x = y = make()",
        "def h(x=(n := 3)):\n    pass",
        "import scipy.a_module_that_is_not_there",
    ],
)
def test_what_runs_code_counts_for_everybody(code: str) -> None:
    assert found(F, code)[0] == [0, 1]


def test_what_code_that_runs_uses_counts_for_everybody_too() -> None:
    assert found(F, "def h():\n    return 1", "print(h())") == [[0, 1, 2], [1, 2], [1, 2]]


@pytest.mark.parametrize(
    "code",
    [
        "def h():\n    return globals()['f']",
        "def h():\n    return eval('f(1)')",
        "def h():\n    return h.__globals__",
        "def h():\n    return object.__subclasses__()",
        "def h():\n    import sys\n    return sys.modules",
        "def h():\n    from __main__ import f",
        "def h():\n    import unknown",
        "def h():\n    get_ipython()",
        "h = 1\n!ls",
    ],
)
def test_code_that_can_reach_what_it_does_not_name_needs_everything(code: str) -> None:
    alone = found(F, code)
    assert alone[1] is None
    assert found(F, code, "def k():\n    return h()")[2] is None


@pytest.mark.parametrize(
    "code",
    [
        "class C:\n    def __init_subclass__(cls):\n        print(1)",
        "class C(metaclass=D):\n    pass",
        "def property(f):\n    print(f)",
        "from math import *",
        "%matplotlib inline",
        "import a_module_that_nobody_knows",
    ],
)
def test_where_executing_code_can_reach_anything_nothing_is_certain(code: str) -> None:
    assert found(F, code)[0] is None


def test_a_default_that_asks_an_object_for_an_attribute_may_run_its_code() -> None:
    assert found(F, "config = make()", "def h(x=config.size):\n    pass")[0] == [0, 1, 2]


def test_words_in_texts_are_names_too() -> None:
    assert found(F, "def h(owner):\n    return getattr(owner, 'f')")[1] == [0, 1]


def test_two_makers_of_a_name_both_count() -> None:
    assert found("def help(x):\n    return 1", "def help(x):\n    return 2", "def k():\n    return help(1)")[2] == [
        0,
        1,
        2,
    ]


def test_given_code_leads_from_its_names_to_those_that_it_uses() -> None:
    source = "import sys\n\ndef helper(x):\n    print(x, sys.stdout)\n    return f(x)"
    given = given_code([{"label": "given", "source": source}], ["student.run"])
    assert found(F, "def k():\n    return helper(1)", given=given) == [[0], [0, 1]]
    assert found(F, "def k():\n    return 1", given=given) == [[0], [1]]
    assert found(F, "def k():\n    return sys.argv", given=given)[1] is None


def test_given_code_that_a_probe_names_counts_for_everybody() -> None:
    given = given_code([{"label": "given", "source": "def helper(x):\n    return f(x)"}], ["return student.helper(1)"])
    assert found(F, "def k():\n    return 1", given=given) == [[0], [0, 1]]
    later = [step(F, "f"), step("def k():\n    return 1", "k"), step("def helper(x):\n    return f(x)")]
    probed = Given(probed=frozenset({"helper"}))
    assert needs(later, probed) == [[0, 2], [0, 1, 2], [0, 2]]
