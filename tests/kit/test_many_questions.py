"""Three notebooks with sixty questions: released, read back and graded in one go."""

from pathlib import Path

from autograder.assignment_file import load_assignment
from autograder.authoring import corpus
from autograder.authoring.build import write_release
from autograder.grading.grader import open_grader
from autograder.release.reference import reference_cells
from autograder.results import Status, Student
from autograder.submissions.submission import of_files
from tests import analysis

NOTEBOOKS = ("first", "second", "third")
EACH = 20


def write_course(home: Path) -> None:
    """Question A7 of the first notebook asks for `a7(x)`, which returns x + 7; each may call the one before it."""
    folder = home / "solutions" / "large"
    (folder / "hidden_tests").mkdir(parents=True)
    (folder / "corpus").mkdir()
    (home / "constraints.txt").write_text("numpy==1\n", encoding="utf-8")
    toml = f'title = "Sums"\nversion = "1"\nnotebooks = {list(NOTEBOOKS)}\npackages = ["numpy"]\n'
    toml += "[limits]\nwall_s = 20\ncpu_s = 5\nmemory_mib = 512\n"
    probes, tests = "", "from autograder.testing import assert_close, question\n"
    for letter, notebook in zip("ABC", NOTEBOOKS, strict=True):
        text = analysis.BEGIN[: analysis.BEGIN.index("# %%\n")]
        for number in range(1, EACH + 1):
            key, name = f"{letter}{number}", f"{letter.lower()}{number}"
            solution = f"return {letter.lower()}{number - 1}(x) + 1" if number > 1 else "return x + 1"
            text += analysis.QUESTION.format(
                id=key,
                points=1,
                title=f"Add {number}",
                head=f"def {name}(x):",
                todo=f"TODO {key} (1 point): add {number}.",
                name=name,
                solution=solution,
            ).replace("(1 points)", "(1 point)")
            depends = [f"{letter}{number - 1}"] if number > 1 else []
            toml += (
                f'\n[questions.{key}]\nnotebook = "{notebook}"\npoints = 1\ndefines = ["{name}"]\ndepends = {depends}\n'
            )
            probes += f"def {name}(student, x):\n    return {{'y': student.{name}(x)}}\n\n"
            tests += f'\n\n@question("{key}", points=1, hint="?")\ndef test_{name}(observe):\n'
            tests += f'    assert_close(observe("{name}", x=2)["y"], {2 + number}, "sum")\n'
        (folder / f"{notebook}.py").write_text(text, encoding="utf-8")
    for path, text in (
        (folder / "assignment.toml", toml),
        (folder / "hidden_tests" / "probes.py", probes),
        (folder / "hidden_tests" / "test_sums.py", tests),
    ):
        path.write_text(text, encoding="utf-8")
    write_release(load_assignment("large", home))


def test_sixty_questions_in_three_notebooks(tmp_path: Path) -> None:
    """A mistake costs its own question; those that build on it are graded with the reference."""
    write_course(tmp_path)
    assignment = load_assignment("large", tmp_path)
    with open_grader(assignment) as grader:
        answers = dict(reference_cells(assignment, grader.released))
        answers["B3"] = corpus.answer_cell(grader.released["second"], "B3", "return x")
        del answers["C20"]
        tables = corpus.submission(corpus.released_tables(assignment), grader.released, answers)
        folder = corpus.write(tmp_path / "ada", tables)
        files = [folder / f"{name}.ipynb" for name in NOTEBOOKS]
        result = grader.grade(of_files(Student(id="ada"), files), assignment.questions)
    assert list(result.questions) == [f"{letter}{number}" for letter in "ABC" for number in range(1, EACH + 1)]
    lost = {key: score.status for key, score in result.questions.items() if not score.full}
    assert lost == {"B3": Status.FAILED, "C20": Status.NOT_ATTEMPTED}
    assert (result.total, result.max_points) == (58, 60)
