"""A new assignment as its author first finds it: whole files, with lines to fill in that say what belongs there.

The files beside this module are the templates, with `${name}` for the assignment's name. `autograder verify` lists
every line that still holds FILL IN.
"""

import re
from importlib import resources
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
