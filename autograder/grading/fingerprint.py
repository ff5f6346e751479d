"""Everything that determines a result besides the submission, as a digest per part, so that a change can be named.

Nothing heavy is imported here: a batch can say what it will grade again, and why, before torch is loaded.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from autograder.assignment import Assignment, Question

PACKAGE = Path(__file__).resolve().parent.parent
ENGINE = ("grading", "release", "sandbox", "submissions", "notebook.py", "program.py", "regions.py", "results.py")
MARK = re.compile(r"^@question\(\s*[\"']([A-Z]+[0-9]+)[\"']", re.MULTILINE)
RELATIVE = re.compile(r"^\s*from\s+\.(\w*)\s+import\s+(\([^)]*\)|[^\n]+)", re.MULTILINE)
LIBRARIES = ("torch", "numpy", "scikit-learn")
SHOWN = 8
"""Number of questions that a reason names."""


def parts(assignment: Assignment, missing: Sequence[str] = ()) -> dict[str, str]:
    """Return a digest for each part: `engine`, `release`, `answers`, `settings`, `probes`, `data`, `tests <question>`.

    missing: the required layers of the sandbox that are missing, so that such results never count as sandboxed
    """
    modules = sources(assignment.hidden_tests_dir)
    engine = [path for name in ENGINE for path in _python_files(PACKAGE / name)]
    release = sorted(assignment.release_dir.glob("*.ipynb")) + sorted((assignment.release_dir / "src").glob("*.py"))
    versions = sorted((assignment.masters_dir / "versions").glob("*.json"))
    data = [path for path in map(assignment.data_file, assignment.data) if path.is_file()]
    found = {
        "engine": _digest_of_files([*engine, *_python_files(PACKAGE / "testing.py")]),
        "release": _digest_of_files([*release, *versions]),
        "answers": _digest_of_files(sorted(assignment.masters_dir.glob("reference.json"))),
        "settings": _digest(_settings(assignment).encode()),
        "probes": _digest("".join(probe_sources(modules).values()).encode()),
        "data": _digest_of_files(data),
        "sandbox": _digest("\n".join(missing).encode()),
    }
    for question in assignment.questions:
        files = [stem for stem, text in modules.items() if question.id in MARK.findall(text)]
        texts = [modules[stem] for stem in sorted(closure(files, modules))]
        found[f"tests {question.id}"] = _digest("\0".join(texts).encode())
    return found


def _settings(assignment: Assignment) -> str:
    questions = [[one.id, one.notebook, one.points, one.defines, one.depends] for one in assignment.questions]
    limits = [assignment.limits.wall_s, assignment.limits.cpu_s, assignment.limits.memory_mib]
    return json.dumps([assignment.name, assignment.version, questions, limits])


def stale(before: Mapping[str, str], now: Mapping[str, str], questions: Iterable[Question]) -> str:
    """Return in words the changes between two fingerprints that affect these questions, empty if none."""
    common = [name for name in now if not name.startswith("tests ") and before.get(name) != now[name]]
    tests = [one.id for one in questions if before.get(f"tests {one.id}") != now.get(f"tests {one.id}")]
    words = {"engine": "the kit", "answers": "the reference answers", "sandbox": "the sandbox's layers"}
    reasons = [words.get(name, f"the {name}") for name in common]
    if tests:
        more = f" and {len(tests) - SHOWN} more" if len(tests) > SHOWN else ""
        reasons.append(f"the hidden tests of {', '.join(tests[:SHOWN])}{more}")
    return " and ".join(reasons)


def setting(assignment: Assignment, fingerprint: Mapping[str, str]) -> str:
    """Return the digest of all that decides a reply besides the program and the probe."""
    sandbox = _digest_of_files(_python_files(PACKAGE / "sandbox"))
    shared = [fingerprint[name] for name in ("release", "data", "sandbox")]
    limits = [assignment.limits.cpu_s, assignment.limits.memory_mib]
    return _digest(json.dumps([sandbox, *shared, *limits, *made_with().values()]).encode())


def made_with() -> dict[str, str]:
    """Return the versions of what computes: the kit and the libraries that are installed."""
    found = {}
    for name in ("homework-autograder", *LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


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


def probe_sources(modules: Mapping[str, str]) -> dict[str, str]:
    """Return for each probe, by name, the text of its module and of its imports from the same folder."""
    found = {}
    for stem, text in modules.items():
        if stem.startswith("probes"):
            together = "\0".join(modules[name] for name in sorted(closure([stem], modules)))
            for name in re.findall(r"^def ([a-z]\w*)\(", text, re.MULTILINE):
                found[name] = together
    return found


def probe_digests(folder: Path) -> dict[str, str]:
    """Return the digest of each probe's source, by name."""
    return {name: _digest(text.encode()) for name, text in probe_sources(sources(folder)).items()}


def _python_files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _digest_of_files(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
