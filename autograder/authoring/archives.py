"""The files to upload: archives for students, solutions, Gradescope and Otter, the list of changes, and checksums.

All of them are built from the release on disk. Builds are reproducible: entries are sorted, and times, owners and
permissions are fixed: the time is noon of the day on which the version was made.
"""

import functools
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path, PurePosixPath

from autograder.assignment import Assignment
from autograder.authoring import colab, run_notebook
from autograder.authoring.build import MANIFEST, requirements
from autograder.authoring.changes import changes
from autograder.errors import MasterError, UsageError
from autograder.release import versions
from autograder.release.released import load_released

PACKAGE = Path(__file__).resolve().parent.parent
CONTAINER = PACKAGE / "hosts" / "container"
KIT = PurePosixPath("kit")
GRADING_PACKAGES = ("numpy", "pyseccomp", "pytest", "rich", "torch")
NOT_FOR_GRADING = ("jupyter", "otter-grader")
LONG_AGO = date(1980, 1, 1)
"""The day of files of an assignment that was never released, and the first that a zip can have."""
PROGRAM = 0o755
FILE = 0o644

Files = dict[PurePosixPath, bytes]


def student_files(assignment: Assignment) -> Files:
    """Return the files of the release listed in its manifest, by their path in the student's archive.

    Raises MasterError if a file of the release differs from its manifest.
    """
    release = assignment.release_dir
    path = release / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        listed = {name: (release / name).read_bytes() for name in manifest["files"]}
    except (OSError, ValueError) as error:
        raise MasterError(f"no usable release ({error})", path, "run `autograder release`") from error
    for name, data in listed.items():
        if hashlib.sha256(data).hexdigest() != manifest["files"][name] or manifest["version"] != assignment.version:
            raise MasterError("the file differs from its manifest", release / name, "run `autograder release`")
    listed[MANIFEST] = path.read_bytes()
    return {PurePosixPath(assignment.name, name): data for name, data in sorted(listed.items())}


def to_unzip(assignment: Assignment) -> Files:
    """Return the student's files in a folder named after the version, so that none overwrites work on an older one."""
    folder = PurePosixPath(f"{assignment.name}-{assignment.version}")
    return {folder / path.relative_to(assignment.name): data for path, data in student_files(assignment).items()}


def _without_editions(files: Files) -> Files:
    """Return the files without the notebooks that work alone, which say nothing that the others do not."""
    return {path: data for path, data in files.items() if path.parent.name != colab.FOLDER.name}


def version_on_disk(assignment: Assignment) -> versions.Version:
    """Return the version of the release on disk. Raises MasterError if it is no usable release."""
    files = student_files(assignment)
    load_released(assignment)  # its errors name the notebook
    return versions.current(assignment, {path.relative_to(assignment.name): data for path, data in files.items()})


def solution_files(assignment: Assignment) -> Files:
    """Return the release with executed solutions instead of the notebooks, and each of them as an HTML page."""
    files = _without_editions(student_files(assignment))
    del files[PurePosixPath(assignment.name, MANIFEST)]
    with ThreadPoolExecutor(2) as threads:  # each thread only waits for a kernel of its own
        run = functools.partial(_executed, assignment, dict(files))
        for name, (notebook, page) in zip(assignment.notebooks, threads.map(run, assignment.notebooks), strict=True):
            files[PurePosixPath(assignment.name, f"{name}.ipynb")] = notebook
            files[PurePosixPath(assignment.name, f"{name}.html")] = page
    return files


def _executed(assignment: Assignment, files: Files, name: str) -> tuple[bytes, bytes]:
    """Return the solution of a notebook, executed in a folder with only these files, and its HTML page."""
    with tempfile.TemporaryDirectory() as place:
        for path, data in files.items():
            (Path(place) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(place) / path).write_bytes(data)
        notebook = run_notebook.execute(name, run_notebook.solution(assignment, name), Path(place, assignment.name))
    return run_notebook.to_bytes(notebook), run_notebook.to_html(notebook, name)


def kit_files(assignment: Assignment) -> Files:
    """Return everything that grading this assignment needs: the package, masters, hidden tests, release and data."""
    home = assignment.home
    found = {path: path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")}
    for pattern in ("*.py", "*.toml", "*.json"):
        found |= {path: path.relative_to(home) for path in assignment.masters_dir.rglob(pattern)}
    files = {KIT / PurePosixPath(target.as_posix()): path.read_bytes() for path, target in found.items()}
    release = _without_editions(student_files(assignment))
    files |= {KIT / "assignments" / path: data for path, data in release.items()}
    files |= {KIT / path: (assignment.home / path).read_bytes() for path in assignment.data.values()}
    return files


def gradescope_files(assignment: Assignment) -> Files:
    """Return the kit and the scripts that Gradescope calls: `setup.sh` once, `run_autograder` per submission."""
    from autograder.hosts.gradescope_results import unfinished

    packages = {*assignment.packages, *GRADING_PACKAGES}.difference(NOT_FOR_GRADING)
    pins = requirements(replace(assignment, packages=tuple(packages))).decode().splitlines()
    return kit_files(assignment) | {
        PurePosixPath("setup.sh"): (CONTAINER / "setup.sh").read_bytes(),
        PurePosixPath("run_autograder"): (CONTAINER / "run_autograder").read_bytes(),
        PurePosixPath("requirements.txt"): ("\n".join(pins) + "\n").encode(),
        PurePosixPath("unfinished.json"): unfinished(),
    }


def otter_files(assignment: Assignment) -> Files:
    """Return the kit and a configuration that makes Otter use our plugin."""
    plugin = {"autograder.hosts.otter_plugin.KitPlugin": {"assignment": assignment.name}}
    config = {"plugins": [plugin], "show_hidden": True, "force_public_test_summary": False}
    return kit_files(assignment) | {
        PurePosixPath("otter_config.json"): (json.dumps(config, indent=1) + "\n").encode(),
        PurePosixPath("tests/README"): b"The hidden tests are in kit/; Otter only requires this folder to exist.\n",
    }


def archive(files: Mapping[PurePosixPath, bytes], day: date | None = None) -> bytes:
    """Return a zip that depends only on the paths and bytes of its files and the day of their version.

    Files that start with `#!` are executable.
    """
    day = day or LONG_AGO
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for path, data in sorted(files.items()):
            entry = zipfile.ZipInfo(str(path), date_time=(day.year, day.month, day.day, 12, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that the permissions count
            entry.external_attr = (PROGRAM if data.startswith(b"#!") else FILE) << 16
            target.writestr(entry, data, compresslevel=9)
    return buffer.getvalue()


def products(assignment: Assignment) -> dict[str, bytes]:
    """Return every file of `dist/` by name. Takes as long as running the solutions."""
    stem = f"{assignment.name}-{assignment.version}"
    page = changes(assignment, versions.previous(assignment), version_on_disk(assignment))
    archives = {
        "student": to_unzip(assignment),
        "solutions": solution_files(assignment),
        "gradescope": gradescope_files(assignment),
        "otter": otter_files(assignment),
    }
    found = {f"{stem}-{kind}.zip": archive(files, assignment.released) for kind, files in archives.items()}
    found[f"{stem}-CHANGES.md"] = page.encode()
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(found.items())]
    return found | {f"{stem}-SHA256SUMS": "".join(sums).encode()}


def write_products(assignment: Assignment, out: Path) -> list[Path]:
    """Write every product into `out`, leaving other versions there alone; return the paths written.

    Raises UsageError if the folder cannot be written, MasterError if a solution does not run.
    """
    found = products(assignment)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in found.items():
            (out / name).write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot be written ({error.strerror})", out, "choose another folder with --out") from error
    return [out / name for name in found]
