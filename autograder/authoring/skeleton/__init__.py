"""A new assignment as its author first finds it: whole files, with lines to fill in that say what belongs there.

The files beside this module are the templates, with `${name}` for the assignment's name. `autograder verify` lists
every line that still holds FILL IN.
"""

import re
from importlib import metadata, resources
from pathlib import Path
from string import Template

from autograder.errors import UsageError

NAME = re.compile(r"[a-z][a-z0-9_]*")
MASTERS, HIDDEN, CORPUS = "solutions/${name}", "solutions/${name}/hidden_tests", "solutions/${name}/corpus"
FILES = {
    "assignment.toml": f"{MASTERS}/assignment.toml",
    "master.txt": f"{MASTERS}/${{name}}.py",
    "package.txt": f"{HIDDEN}/__init__.py",
    "probes.txt": f"{HIDDEN}/probes.py",
    "tests.txt": f"{HIDDEN}/test_questions.py",
    "Q1.txt": f"{CORPUS}/Q1.txt",
    "Q2.txt": f"{CORPUS}/Q2.txt",
}
"""Each template, and where its file goes below the course's folder."""
STUDENT_PACKAGES = ("jupyter", "matplotlib", "numpy", "otter-grader", "pandas", "scikit-learn", "torch", "tqdm")
IGNORED = "__pycache__/\n.ipynb_checkpoints/\n.OTTER_LOG\ndist/\nout/\n"
READ_ME = """# A course

- `solutions/` (private): one folder per assignment, with masters, hidden tests and a corpus of answers
- `assignments/` (public): what `autograder release` makes of them; give these folders to students

`autograder new NAME` begins an assignment, `autograder verify` says what is missing, `autograder grade PATH --out DIR`
grades submissions.
"""


def write_course(folder: Path) -> list[Path]:
    """Write a new course: pins for what students install, and what version control leaves out; the paths.

    Raises UsageError where the folder already holds a course.
    """
    if (folder / "solutions").exists():
        raise UsageError("there is a course already", folder, "go there and run `autograder new`")
    files = {folder / "constraints.txt": pins(), folder / ".gitignore": IGNORED, folder / "README.md": READ_ME}
    (folder / "solutions").mkdir(parents=True)
    for path, text in files.items():
        if not path.exists():
            path.write_text(text, encoding="utf-8")
    return [folder / "solutions", *files]


def pins() -> str:
    """Return a pin for each package that students may need and that is installed here."""
    lines = ["# What students install: `packages` in assignment.toml takes its pins from here."]
    for package in STUDENT_PACKAGES:
        try:
            lines.append(f"{package}=={metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return "\n".join(lines) + "\n"


def write_skeleton(name: str, home: Path) -> list[Path]:
    """Write the files of a new assignment; their paths.

    Raises UsageError for a name that is taken or cannot be the name of a Python package.
    """
    if not NAME.fullmatch(name):
        raise UsageError("no name for an assignment", name, "take small letters, digits and _, a letter first")
    files = {home / Template(target).substitute(name=name): template for template, target in FILES.items()}
    folder = home / "solutions" / name
    if folder.exists():
        raise UsageError("it is there already", folder, "take another name, or delete it")
    for path, template in files.items():
        text = resources.files(__name__).joinpath(template).read_text(encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(name=name), encoding="utf-8")
    return list(files)
