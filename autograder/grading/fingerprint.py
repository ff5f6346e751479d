"""Everything that determines a result besides the submission, as a digest per part, so that a change can be named.

Nothing heavy is imported here: a batch can say what it will grade again, and why, before torch is loaded.
"""

import hashlib
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from autograder.assignment import Assignment, Question

PACKAGE = Path(__file__).resolve().parent.parent
JUDGING = ("grading", "results.py", "pictures.py", "errors.py", "authored.py", "testing.py")
"""What of the kit decides how replies are judged."""
READING = (
    "submissions",
    "platforms",
    "release",
    "assignment.py",
    "assignment_file.py",
    "notebook.py",
    "program.py",
    "regions.py",
    "source.py",
    "written.py",
)
"""What of the kit decides which program a submission becomes."""
RUNNING = ("sandbox", "authored.py", "probing.py")
"""What of the kit runs a program."""
MARK = re.compile(r"^@question\(\s*[\"']([A-Z]+[0-9]+)[\"']", re.MULTILINE)
RELATIVE = re.compile(r"^\s*from\s+\.(\w*)\s+import\s+(\([^)]*\)|[^\n]+)", re.MULTILINE)
LIBRARIES = ("torch", "numpy", "scikit-learn", "pandas", "matplotlib")
CHUNK = 1 << 20
"""Bytes of a file that are read at a time, as data may be large."""
SHOWN = 8
"""Number of questions that a reason names."""


def parts(assignment: Assignment, missing: Sequence[str] = ()) -> dict[str, str]:
    """Return a digest for each part, by name: of the kit, of the assignment, of the machine, and `tests <question>`.

    missing: the required layers of the sandbox that are missing, so that such results never count as sandboxed
    """
    modules = sources(assignment.hidden_tests_dir)
    others = [path for path in sorted(assignment.hidden_tests_dir.iterdir()) if path.is_file() and path.suffix != ".py"]
    release = [path for path in sorted(assignment.release_dir.rglob("*")) if _counts(path)]
    versions = sorted((assignment.masters_dir / "versions").glob("*.json"))
    data = [path for path in map(assignment.data_file, assignment.data) if path.is_file()]
    found = {
        **software(),
        "release": _digest_of_files([*release, *versions], assignment.home),
        "answers": _digest_of_files(sorted(assignment.masters_dir.glob("reference.json"))),
        "settings": _digest(_settings(assignment).encode()),
        "probes": _digest(json.dumps(probe_sources(modules)).encode()),
        "data": _digest_of_files(data),
        **sandbox(missing),
    }
    tables = _digest_of_files(others)
    for question in assignment.questions:
        texts = [modules[stem] for stem in sorted(closure(_files_of(question.id, modules), modules))]
        of_tests = [] if question.written else [tables, *texts]  # people grade a written question
        found[f"tests {question.id}"] = _digest(json.dumps(of_tests).encode())
    return found


def sandbox(missing: Sequence[str]) -> dict[str, str]:
    """Return the part that is known only when a sandbox is ready."""
    return {"sandbox": _digest("\n".join(missing).encode())}


def software() -> dict[str, str]:
    """Return the parts that a process has loaded and keeps, whatever is installed later: kit and libraries."""
    return {
        "judging": _digest_of_kit(JUDGING),
        "reading": _digest_of_kit(READING),
        "running": _digest_of_kit(RUNNING),
        "libraries": _digest(json.dumps(libraries()).encode()),
    }


def _files_of(question: str, modules: Mapping[str, str]) -> list[str]:
    """The modules with tests of a question; those that do not say whose their tests are count for every question."""
    marks = {stem: MARK.findall(text) for stem, text in modules.items()}
    found = [stem for stem, ids in marks.items() if question in ids or (stem.startswith("test_") and not ids)]
    return found or list(modules)


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _settings(assignment: Assignment) -> str:
    questions = [
        [one.id, one.notebook, one.points, one.defines, one.depends, one.bonus, one.optional, one.written]
        for one in assignment.questions
    ]
    return json.dumps([assignment.name, assignment.version, questions, _limits(assignment)])


def _limits(assignment: Assignment) -> list[float]:
    return [assignment.limits.wall_s, assignment.limits.cpu_s, assignment.limits.memory_mib]


def stale(before: Mapping[str, str], now: Mapping[str, str], questions: Iterable[Question]) -> str:
    """Return in words the changes between two fingerprints that affect these questions, empty if none."""
    common = [name for name in now if not name.startswith("tests ") and before.get(name) != now[name]]
    tests = [one.id for one in questions if before.get(f"tests {one.id}") != now.get(f"tests {one.id}")]
    kit = dict.fromkeys(("judging", "reading", "running"), "the kit")
    words = {**kit, "answers": "the reference answers", "sandbox": "the sandbox's layers"}
    reasons = list(dict.fromkeys(words.get(name, f"the {name}") for name in common))
    if tests:
        more = f" and {len(tests) - SHOWN} more" if len(tests) > SHOWN else ""
        reasons.append(f"the hidden tests of {', '.join(tests[:SHOWN])}{more}")
    return " and ".join(reasons)


def setting(assignment: Assignment, fingerprint: Mapping[str, str]) -> str:
    """Return the digest of all that decides a reply besides the program and the probe."""
    shared = [fingerprint[name] for name in ("running", "libraries", "release", "data", "sandbox")]
    defines = [[one.id, one.defines] for one in assignment.questions]
    return _digest(json.dumps([shared, defines, _limits(assignment)]).encode())


def made_with() -> dict[str, str]:
    """Return the versions of what computes: the kit, Python and the libraries that are installed."""
    return {"kit": _version("homework-autograder"), **libraries()}


def libraries() -> dict[str, str]:
    """Return the versions of Python and of the libraries whose results depend on their version."""
    return {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def sources(folder: Path) -> dict[str, str]:
    """Return the text of each module of a folder of hidden tests, by its stem."""
    return {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.glob("*.py"))}


def closure(stems: Iterable[str], modules: Mapping[str, str]) -> set[str]:
    """Return these modules and everything they import from their folder, directly or indirectly."""
    found: set[str] = set()
    waiting = [stem for stem in stems if stem in modules]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found.add(current)
        for module, names in RELATIVE.findall(modules[current]):
            imported = [module] if module else re.findall(r"\w+", names)
            waiting.extend(name for name in imported if name in modules)
    return found


def probe_modules(modules: Mapping[str, str]) -> list[str]:
    """Return which modules of a folder of hidden tests hold probes."""
    return [stem for stem in modules if stem.startswith("probes")]


def probe_sources(modules: Mapping[str, str]) -> dict[str, str]:
    """Return for each probe, by name, the text of its module and of its imports from the same folder."""
    found = {}
    for stem in probe_modules(modules):
        together = "\0".join(modules[name] for name in sorted(closure([stem], modules)))
        for name in re.findall(r"^def ([a-z]\w*)\(", modules[stem], re.MULTILINE):
            found[name] = together
    return found  # a probe that is made in another way counts as all of them


def probe_digests(folder: Path) -> dict[str, str]:
    """Return the digest of each probe's source, by name."""
    return {name: _digest(text.encode()) for name, text in probe_sources(sources(folder)).items()}


def _digest_of_kit(names: Iterable[str]) -> str:
    files = [path for name in names for path in _python_files(PACKAGE / name)]
    return _digest_of_files(files, PACKAGE)


def _python_files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _digest_of_files(paths: Iterable[Path], home: Path | None = None) -> str:
    """Return a digest of files with their names, or with their paths below `home`."""
    total = hashlib.sha256()
    for path in paths:
        name = str(path.relative_to(home)) if home else path.name
        total.update(json.dumps([name, path.stat().st_size]).encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                total.update(chunk)
    return total.hexdigest()[:16]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
