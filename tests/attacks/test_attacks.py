"""The attacks of `attacks/table.toml`, as root and as an ordinary user, with and without namespaces.

Each variant is one process that carries out all of them (`attacks/run.py`); here each outcome is compared with what is
expected of it. An ordinary user's variant takes root to start, or to be that user.
"""

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import HOME
from tests.attacks.run import attacks

ORDINARY_UID = 61_001
VARIANTS = [("root", True), ("root", False), ("user", True), ("user", False)]


@functools.cache
def outcomes(user: str, namespaces: bool) -> dict[str, Any]:
    """What came of every attack in this variant, or {"fault": ...}; carried out once."""
    am_root = os.geteuid() == 0
    if user == "root" and not am_root:
        return {"fault": "needs root"}
    command = ["-m", "tests.attacks.run", *([] if namespaces else ["--no-namespaces"])]
    if am_root:
        command = ["-m", "tests.attacks.as_user", str(0 if user == "root" else ORDINARY_UID), *command]
    environment = os.environ | {"PYTHONPATH": str(HOME), "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=HOME, env=environment, timeout=500, capture_output=True, text=True
    )
    return json.loads(done.stdout) if done.returncode == 0 else {"fault": done.stderr}


def rows() -> list[Any]:
    return [
        pytest.param(
            user,
            namespaces,
            attack,
            id=f"{user}-{'with' if namespaces else 'without'}-namespaces: {attack['name']}",
        )
        for user, namespaces in VARIANTS
        for attack in attacks()
    ]


@pytest.mark.parametrize(("user", "namespaces", "attack"), rows())
def test_attack(user: str, namespaces: bool, attack: dict[str, Any]) -> None:
    found = outcomes(user, namespaces)
    if found.get("fault") == "needs root":
        pytest.skip("needs root")
    assert "fault" not in found, found["fault"]
    outcome = found[attack["name"]]
    if "skipped" in outcome:
        pytest.skip(outcome["skipped"])
    apart = "namespaces" in found["layers"]["active"]
    kinds, _, pattern = (attack["expect"] if apart else attack.get("otherwise", attack["expect"])).partition(": ")
    kind, _, text = outcome["ended"].partition(": ")
    assert kind in kinds.split("|"), outcome["ended"]
    assert re.search(pattern, text), outcome["ended"]
    assert outcome["after"].startswith("passed: "), f"a right answer afterwards: {outcome['after']}"


def test_there_are_enough_attacks_and_each_has_its_own_name() -> None:
    names = [attack["name"] for attack in attacks()]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("user", "namespaces"), VARIANTS)
def test_nothing_was_left_behind(user: str, namespaces: bool) -> None:
    outcomes(user, namespaces)
    assert not [path for path in (Path("/tmp"), Path("/dev/shm")) if (path / "left-by-an-attack").exists()]
    assert not [folder for folder in HOME.glob("a*/**/") if (folder / "left-by-an-attack").exists()]
