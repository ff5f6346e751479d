"""The layers of confinement, each by itself: the filter's decisions on both architectures, folders, refusals."""

import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from autograder import cli
from autograder.errors import GraderFault
from autograder.grading.grader import unconfined
from autograder.release.released import load_released
from autograder.sandbox import confine, landlock, namespaces, privileges, scratch, seccomp
from autograder.sandbox.client import Sandbox
from autograder.sandbox.confine import Layer
from tests import HOME, corpus

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS, ENOMEM = 0x50001, 0x50026, 0x5000C
MACHINES = {"X86_64": 0xC000003E, "AARCH64": 0xC00000B7}
NUMBERS = {
    "X86_64": {"read": 0, "openat": 257, "mmap": 9, "clone": 56, "clone3": 435, "kill": 62, "tgkill": 234, "ioctl": 16}
    | {"prlimit64": 302, "prctl": 157, "socket": 41, "execve": 59, "ptrace": 101, "io_uring_setup": 425}
    | {"memfd_create": 319, "fchmod": 91, "fcntl": 72},
    "AARCH64": {"read": 63, "openat": 56, "mmap": 222, "clone": 220, "clone3": 435, "kill": 129, "tgkill": 131}
    | {"ioctl": 29, "prlimit64": 261, "prctl": 167, "socket": 198, "execve": 221, "ptrace": 117, "io_uring_setup": 425}
    | {"memfd_create": 279, "fchmod": 52, "fcntl": 25},
}
PID = 4242
THREAD = 0x3D0F00

needs_libseccomp = pytest.mark.skipif(bool(seccomp.missing()), reason=seccomp.missing())
needs_landlock = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")


def decide(program: bytes, machine: int, number: int, *arguments: int) -> int:
    """What the kernel would do: the few instructions of classic BPF that such a filter is made of."""
    padded = [argument % (1 << 64) for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number, machine, 0, *padded)
    code = list(seccomp.INSTRUCTION.iter_unpack(program))
    at = accumulator = 0
    while True:
        kind, true, false, value = code[at]
        at += 1
        match kind:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x05:
                at += value
            case 0x15:
                at += true if accumulator == value else false
            case 0x25:
                at += true if accumulator > value else false
            case 0x35:
                at += true if accumulator >= value else false
            case 0x45:
                at += true if accumulator & value else false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"unknown instruction {kind:#x}")


@needs_libseccomp
@pytest.mark.parametrize("architecture", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "action"),
    [
        ("read", (), ALLOW),
        ("openat", (), ALLOW),
        ("mmap", (0, 4096, 3, 0x22), ALLOW),
        ("mmap", (0, 4096, 3, 0x02), ALLOW),
        ("mmap", (0, 4096, 3, 0x01), ALLOW),
        ("mmap", (0, 4096, 3, 0x4022), ALLOW),
        ("mmap", (0, 4096, 3, 0x21), ENOMEM),
        ("mmap", (0, 4096, 3, 0x23), ENOMEM),
        ("mmap", (0, 4096, 3, 0x122), ENOSYS),
        ("clone", (THREAD,), ALLOW),
        ("clone", (17,), EPERM),
        ("clone", (THREAD | 0x10000000,), ENOSYS),
        ("clone3", (), ENOSYS),
        ("kill", (PID, 9), ALLOW),
        ("kill", (1, 9), ENOSYS),
        ("kill", (-1, 9), ENOSYS),
        ("kill", (0, 9), ENOSYS),
        ("tgkill", (PID, PID, 6), ALLOW),
        ("tgkill", (PID + 1, PID, 6), ENOSYS),
        ("prlimit64", (0, 7, 0, 1), ALLOW),
        ("prlimit64", (0, 7, 1 << 40), EPERM),
        ("prctl", (15,), ALLOW),
        ("prctl", (22, 2), ENOSYS),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), ENOSYS),
        ("fcntl", (3, 1), ALLOW),
        ("fcntl", (3, 8), ENOSYS),
        ("fchmod", (3, 0o777), 0x50000),
        ("socket", (1, 1), EPERM),
        ("execve", (), EPERM),
        ("ptrace", (), EPERM),
        ("io_uring_setup", (), EPERM),
        ("memfd_create", (), EPERM),
    ],
)
def test_decisions_of_the_filter(architecture: str, name: str, arguments: tuple[int, ...], action: int) -> None:
    here = {"x86_64": "X86_64", "aarch64": "AARCH64"}[platform.machine()]
    program = seccomp.with_pid(seccomp.build("" if architecture == here else architecture), PID)
    assert hex(decide(program, MACHINES[architecture], NUMBERS[architecture][name], *arguments)) == hex(action)


@needs_libseccomp
@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 and i386 belong to x86_64")
def test_numbers_of_another_architecture_kill() -> None:
    program = seccomp.build()
    assert decide(program, MACHINES["X86_64"], 0x40000000) == KILL
    assert decide(program, 0x40000003, 20) == KILL
    assert decide(program, MACHINES["AARCH64"], 63) == KILL


@needs_libseccomp
def test_the_filter_stays_small() -> None:
    assert len(seccomp.build()) // seccomp.INSTRUCTION.size < 2000


def run_confined(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, timeout=60)


@needs_landlock
@pytest.mark.parametrize("version", range(1, landlock.abi() + 1))
def test_landlock_of_every_version_keeps_to_its_folders(tmp_path: Path, version: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "secret").write_text("secret")
    code = f"""
from pathlib import Path
from autograder.sandbox import kernel, landlock
home = Path({str(tmp_path)!r})
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
landlock.restrict({version}, [], [home / 'open', home / 'not there'])
(home / 'open/file').write_text('x')
attempts = [lambda: (home / 'secret').read_text(), lambda: (home / 'new').write_text('x'), lambda: [*home.iterdir()]]
for attempt in attempts:
    try:
        print(attempt())
    except PermissionError:
        print('refused')
"""
    done = run_confined(code)
    assert done.stdout.split() == ["refused"] * 3, done.stderr


def test_a_deep_folder_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        os.close(os.open("f", os.O_CREAT, dir_fd=fd))
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    scratch.remove(top)
    assert not top.exists()


def test_removing_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "top").mkdir()
    (tmp_path / "top/link").symlink_to(tmp_path / "kept")
    scratch.remove(tmp_path / "top")
    assert (tmp_path / "kept/file").exists()
    assert not (tmp_path / "top").exists()


def test_a_full_folder_is_noticed(tmp_path: Path) -> None:
    assert not scratch.is_full(tmp_path)
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)
    assert not scratch.is_full(tmp_path)
    (tmp_path / "large").write_bytes(bytes(namespaces.SCRATCH_MIB + 1 << 20))
    assert scratch.is_full(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_folder_of_another_user_is_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "closed/inner").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o11)
    assert privileges.unreachable(61_000, [tmp_path / "closed/inner"]) == tmp_path / "closed"
    (tmp_path / "closed").chmod(0o711)
    assert privileges.unreachable(61_000, [tmp_path / "closed/inner"]) is None


def test_strays_of_a_child_are_ended() -> None:
    code = """
import dataclasses, os, time
from pathlib import Path
from autograder.sandbox import confine, kernel
kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
child = os.fork()
if child == 0:
    if os.fork() == 0:
        time.sleep(100)
    os._exit(0)
os.waitpid(child, 0)
plan = confine.Plan(landlock_abi=0, program=b'', namespaces=False, uid=None, threads=0, readable=(),
                    scratch_home=Path('/'), release=Path('/'), used=confine.limits.MemoryUse(mapped=0, data=0))
confine.end_strays(plan)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print('none left')
"""
    done = run_confined(code)
    assert done.stdout.strip() == "none left", done.stderr


def lacking() -> list[Layer]:
    return [Layer(name="Landlock", required=True, reason="the kernel has none", means="", get="a newer kernel")]


def test_grade_refuses_without_a_required_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus.write(tmp_path / "in/ada", corpus.submission({}))
    monkeypatch.setattr("autograder.sandbox.confine.examine", lambda assignment: lacking())
    assert cli.main(["grade", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot be sandboxed: Landlock is missing (the kernel has none); `autograder doctor` shows details" in error
    assert "--unsafe" in error


def test_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("autograder.sandbox.confine.examine", lambda assignment: lacking())
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "Landlock" in said
    assert "refuses" in said


def test_doctor_here(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["doctor"])
    said = capsys.readouterr().out
    assert code == (1 if "missing" in said else 0)
    assert all(name in said for name in ("Landlock", "seccomp", "other user", "namespaces"))


def test_private_folders_must_not_lie_in_a_library(tmp_path: Path) -> None:
    layers = confine.survey([tmp_path], [tmp_path / "hidden_tests"], use_namespaces=False)
    reasons = {layer.name: layer.reason for layer in layers}
    assert "hidden_tests is inside" in reasons["private folders"]


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a root that has no other user to become")
def test_the_sandbox_refuses_and_unsafe_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python lies in a folder of root alone, and without namespaces nothing can show it to another user."""
    released = load_released(corpus.assignment())
    prologues = {name: notebook.shared_steps() for name, notebook in released.items()}
    closed = Path("/root") if not privileges.unreachable(61_000, [Path("/root/x")]) else None
    if closed is not None or not Path(sys.base_prefix).is_relative_to("/root"):
        pytest.skip("Python does not lie in a folder that only root may enter")
    sandbox = Sandbox(corpus.assignment(), prologues, namespaces=False)
    with pytest.raises(GraderFault, match="only root may enter"), sandbox:
        sandbox.ready()
    with Sandbox(corpus.assignment(), prologues, namespaces=False, unsafe=True) as opened:
        opened.ready()
        (missing,) = opened.missing
        assert "other user is missing" in missing
        assert "other user" not in opened.active
        assert unconfined(missing).text.startswith("graded without confinement: other user")
