"""Master -> release: the committed release is what a rebuild gives, has the agreed form, and leaks nothing."""

import hashlib
import json
import re
from pathlib import Path, PurePosixPath

import pytest

from autograder.assignment import Question, load_assignment
from autograder.errors import KitError, MasterError, UsageError
from autograder.notebook import Role
from autograder.release import reference_answers, release_files, settle
from tests import corpus

ASSIGNMENT = corpus.assignment()
BANNER_WIDTH = 76


@pytest.fixture(scope="module")
def rebuilt() -> dict[PurePosixPath, bytes]:
    return release_files(ASSIGNMENT)


def test_the_committed_release_is_what_a_rebuild_gives(rebuilt: dict[PurePosixPath, bytes]) -> None:
    folder = ASSIGNMENT.release_dir
    committed = {
        PurePosixPath(path.relative_to(folder).as_posix()): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts) and path.name != ".OTTER_LOG"
    }
    assert sorted(committed) == sorted(rebuilt)
    stale = [str(path) for path in rebuilt if committed[path] != rebuilt[path]]
    assert not stale, f"run `make release` and commit: {stale}"


def test_the_manifest_lists_every_file(rebuilt: dict[PurePosixPath, bytes]) -> None:
    table = json.loads(rebuilt[PurePosixPath("MANIFEST.json")])
    others = {str(path): data for path, data in rebuilt.items() if path.name != "MANIFEST.json"}
    assert table["files"] == {path: hashlib.sha256(data).hexdigest() for path, data in others.items()}
    assert table["questions"] == {q.id: {"notebook": q.notebook, "points": q.points} for q in ASSIGNMENT.questions}
    assert table["version"] == ASSIGNMENT.version


def released_texts() -> dict[str, str]:
    folder = ASSIGNMENT.release_dir
    texts = {}
    for path in folder.rglob("*"):
        if path.suffix == ".ipynb":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            texts[path.name] = "\n".join("".join(cell["source"]) for cell in cells)
        elif path.suffix in (".py", ".json"):
            texts[path.name] = path.read_text(encoding="utf-8")
    return texts


ALLOWED = re.compile(r"^(def |class |super\(\)|with torch\.no_grad\(\)|optimizer\b)")
"""What a solution may share with the release: signatures, idioms that give nothing away, and the optimiser's lines of
the training loop that the first notebook gives and the second one asks for."""


def test_no_line_of_a_solution_is_in_the_release() -> None:
    texts = released_texts()
    leaks = []
    for notebook in ASSIGNMENT.notebooks:
        for question, answer in reference_answers(ASSIGNMENT.masters_dir / f"{notebook}.py").items():
            stub = texts[f"{notebook}.ipynb"]
            docstring = re.findall(r'"""(.*?)"""', answer, re.DOTALL)
            for line in re.sub(r'""".*?"""', "", answer, flags=re.DOTALL).split("\n"):
                code = line.split("  #")[0].strip()
                if len(code) > 20 and not ALLOWED.match(code):
                    leaks += [f"{question} in {name}: {code}" for name, text in texts.items() if code in text]
            assert all(part in stub for part in docstring)
    assert not leaks


def test_nothing_private_is_in_the_release() -> None:
    for name, text in released_texts().items():
        for word in ("BEGIN SOLUTION", "END SOLUTION", "BEGIN PROMPT", "hidden_tests", "solutions/", str(Path.home())):
            assert word not in text, f"{word} in {name}"


@pytest.mark.parametrize("question", ASSIGNMENT.questions, ids=lambda question: question.id)
def test_the_todo_block_has_the_agreed_form(question: Question) -> None:
    (cell,) = [
        cell
        for cell in corpus.released()[question.notebook]["cells"]
        if cell["metadata"]["homework"] == {"role": "answer", "question": question.id}
    ]
    lines = "".join(cell["source"]).split("\n")
    assert cell["id"] == f"{question.id}-answer"
    (start,) = [i for i, line in enumerate(lines) if "START OF YOUR CODE" in line]
    indent = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
    assert lines[start] == f"{indent}# *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****"
    assert lines[-1] == f"{indent}# *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****"
    rule = indent + "#" * BANNER_WIDTH
    assert lines[start - 1] == rule
    top = max(i for i, line in enumerate(lines[: start - 1]) if line == rule)
    banner = lines[top + 1 : start - 1]
    assert banner[0].startswith(f"{indent}# TODO {question.id} ({question.points:g} points): ")
    assert all(line.startswith(f"{indent}# ") and line.endswith(" #") and len(line) == len(rule) for line in banner)
    assert f'raise NotImplementedError("{question.id}")' in "\n".join(lines[start:])
    assert all(f"{name}" in "\n".join(lines) for name in question.defines)


@pytest.mark.parametrize("notebook", ASSIGNMENT.notebooks)
def test_cells_have_unique_ids_and_known_roles(notebook: str) -> None:
    cells = corpus.released()[notebook]["cells"]
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", cell_id) for cell_id in ids)
    assert {cell["metadata"]["homework"]["role"] for cell in cells} <= set(Role)
    for question in ASSIGNMENT.in_notebook(notebook):
        sources = [
            "".join(cell["source"]) for cell in cells if cell["metadata"]["homework"].get("question") == question.id
        ]
        assert f'grader.check("{question.id}")' in sources
        assert "".join(sources).count("<details>") == 3, f"{question.id} needs three folded hints"


def test_ids_do_not_change_when_a_cell_is_added_elsewhere() -> None:
    def cell(kind: str, source: str) -> dict[str, object]:
        return {"cell_type": kind, "metadata": {}, "source": source}

    before = [cell("markdown", "# One"), cell("code", "a = 1"), cell("markdown", "## B1. Two"), cell("code", "b = 1")]
    after = [*before[:2], cell("code", "new = 1"), *before[2:]]
    ids = [[c["id"] for c in json.loads(settle({"cells": cells}, "x"))["cells"]] for cells in (before, after)]
    assert ids[0] == ["one-text", "one-given", "B1-prompt", "B1-given"]
    assert set(ids[0]) < set(ids[1])


MASTER = '''# %% [raw]
# # BEGIN QUESTION
# name: Q1

# %%
def f(x):
    # *****START OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
    # BEGIN SOLUTION NO PROMPT
    return x + 1
    # END SOLUTION
    """ # BEGIN PROMPT
    raise NotImplementedError("Q1")
    """ # END PROMPT
    # *****END OF YOUR CODE (DO NOT DELETE/MODIFY THIS LINE)*****
'''


def test_reference_answers_are_the_solutions(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(MASTER)
    assert reference_answers(path) == {"Q1": "    return x + 1"}


@pytest.mark.parametrize(
    ("damage", "what", "line"),
    [
        (lambda text: text[: text.index("    # *****END")], "a region is not closed", 7),
        (lambda text: text.replace('    """ # END PROMPT\n', ""), "a prompt is not closed", 13),
    ],
    ids=["no end marker", "no end of the prompt"],
)
def test_a_damaged_master_is_one_line(tmp_path: Path, damage: object, what: str, line: int) -> None:
    path = tmp_path / "m.py"
    path.write_text(damage(MASTER))  # type: ignore[operator]
    with pytest.raises(MasterError, match=f"{what}; ") as error:
        reference_answers(path)
    assert str(error.value).startswith(f"{path}:{line}: ")


TOML = """
title = "T"
version = "1"
notebooks = ["n"]
[limits]
wall_s = 1
cpu_s = 1
memory_mib = 1
[questions.Q1]
notebook = "n"
points = 2
defines = ["f"]
[questions.Q2]
notebook = "n"
points = 3
defines = ["g"]
depends = ["Q1"]
"""


@pytest.mark.parametrize(
    ("old", "new", "message", "kind"),
    [
        ('title = "T"', "title = ", "not valid TOML", MasterError),
        ("points = 2", "", "a value is missing or of the wrong kind", MasterError),
        ("points = 2", 'points = "many"', "a value is missing or of the wrong kind", MasterError),
        ('depends = ["Q1"]', 'depends = ["Q9"]', "Q2 depends on an unknown question 'Q9'", MasterError),
        ('depends = ["Q1"]', 'depends = ["Q2"]', "Q2 depends on itself", MasterError),
        ('notebook = "n"\npoints = 3', 'notebook = "m"\npoints = 3', "Q2 names an unknown notebook 'm'", MasterError),
    ],
)
def test_a_wrong_assignment_toml_is_one_line(
    tmp_path: Path, old: str, new: str, message: str, kind: type[KitError]
) -> None:
    path = tmp_path / "solutions/hw/assignment.toml"
    path.parent.mkdir(parents=True)
    path.write_text(TOML)
    assert load_assignment(home=tmp_path).max_points == 5
    path.write_text(TOML.replace(old, new))
    with pytest.raises(kind, match=re.escape(message)):
        load_assignment(home=tmp_path)


def test_which_assignment(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 assignments found"):
        load_assignment(home=tmp_path)
