"""What students add to the cells that are given: helpers count where they stand, the rest is as released."""

from collections.abc import Callable

import pytest

from tests import corpus
from tests.content.test_answers import FULL, added
from tests.content.test_reassemble import Notebook, answers, edit, program, solved


def edit_cell(notebook: Notebook, cell_id: str, change: Callable[[str], str]) -> Notebook:
    cell = next(cell for cell in notebook["cells"] if cell.get("id") == cell_id)
    cell["source"] = change("".join(cell["source"]))
    return notebook


@pytest.mark.parametrize(
    ("cell", "change", "expected"),
    [
        ("how-to-work-given", lambda text: text + "\nZERO = 0.0", ["ZERO = 0.0"]),
        ("how-to-work-given", lambda text: text + "\nif True:\n    A = 1\n", ["if True:\n    A = 1"]),
        ("how-to-work-given", lambda text: text.replace('GREY = "', 'GREY = "x'), []),
        ("how-to-work-given", lambda text: "raise SystemExit\n" + text, []),
        ("1-the-names-and-a-first-model-given", lambda text: text.replace("MLPConfig()", "MLPConfig(seed=1)"), []),
        ("B3-check", lambda text: "def half(x):\n    return x / 2\n" + text, ["def half(x):\n    return x / 2"]),
        ("B3-check", lambda text: text + "\nimport math\nprint(half(2))", ["import math"]),
        ("B3-check", lambda text: text + "\nSMALL = 1e-3", []),
        ("B3-demo", lambda text: "class Half:\n    x = 1\n" + text, ["class Half:\n    x = 1"]),
        ("B3-demo", lambda text: text.replace("pre = ", "pre = 0 + "), []),
    ],
)
def test_what_is_added_to_a_cell_of_the_release(cell: str, change: Callable[[str], str], expected: list[str]) -> None:
    notebook = edit_cell(solved(), cell, change)
    found = program(notebook)
    assert added(found) == expected
    assert answers(found) == FULL


def test_what_a_check_cell_assigns_is_run_where_it_is_used() -> None:
    notebook = edit_cell(solved(), "B3-check", lambda text: text + "\nBASE = 1\nSMALL = BASE * 1e-3\nother = 3")
    notebook = edit(notebook, "B3", lambda text: text.replace("var + eps", "var + eps + 0 * SMALL"))
    assert added(program(notebook)) == ["BASE = 1", "SMALL = BASE * 1e-3"]


ACT = "        self.act = nn.Tanh()\n"
BN = "        self.bn = BatchNorm1d(d_hidden)\n"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (BN, BN + ACT, (BN, BN + ACT)),
        (BN, ACT + BN, (BN, ACT + BN)),
        (BN, BN.replace("BatchNorm1d", "nn.BatchNorm1d"), None),
        (BN, BN.replace("BatchNorm1d", "nn.BatchNorm1d") + ACT, (BN, BN + ACT)),
        (BN, "", None),
        (BN, BN.replace("self", "# self"), None),
        (BN, BN + "        # a note\n", None),
        (
            "    def forward",
            "    gain = 1\n\n    def forward",
            ("\n    def forward", "    gain = 1\n\n    def forward"),
        ),
        (
            "    def forward",
            "    @torch.no_grad()\n    def forward",
            ("    def forward", "    @torch.no_grad()\n    def forward"),
        ),
        ("forward(self, x)", "forward(self, inputs)", ("forward(self, x)", "forward(self, inputs)")),
        ("forward(self, x)", "forward(\n        self, x: Tensor\n    ) -> Tensor", None),
        ("d_embed, d_hidden):", "d_embed, d_hidden, *, act=None):", None),
        ('"""x: contexts', '"""My x: contexts', None),
        ("class MLPv2", "class MLP2", None),
        ("    ", "\t", None),
        ("    ", "  ", None),
    ],
)
def test_the_given_part_of_a_class_is_as_released_with_what_was_added(
    old: str, new: str, expected: tuple[str, str] | None
) -> None:
    reference = corpus.reference()["B6"]
    found = answers(program(edit(solved(), "B6", lambda text: text.replace(old, new))))["B6"]
    assert found == (reference.replace(*expected) if expected else reference)
