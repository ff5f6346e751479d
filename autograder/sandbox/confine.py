"""Confinement from start to end: what the fork server prepares once, and what each child does to itself, in order.

Theory of operation
-------------------
`survey` reports which layers this machine offers. Landlock, seccomp and a user other than root are required; if one is
missing the grader refuses to run, unless told to continue (`--unsafe`), which every result then records. Namespaces are
an additional layer where available.

`prepare` runs first in the fork server, because a process must enter a user namespace while it has a single thread, as
any process has that was just forked; `close` runs after everything is loaded, and leaves a server that sees only what a
child may read.

`confine` runs in a child, after the fork and before the first line of a submission arrives. The order matters: mounts
need capabilities, a change of user clears the death signal, Landlock and seccomp need no_new_privs, and after
seccomp nothing can be changed.
"""

import contextlib
import os
import platform
import signal
import site
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.assignment import Assignment, Limits
from autograder.errors import GraderFault
from autograder.sandbox import kernel, landlock, limits, namespaces, privileges, scratch, seccomp

SYSTEM_PATHS = """
    /lib /lib64 /usr/lib /usr/lib64 /usr/local/lib /usr/share/fonts /usr/share/fontconfig /usr/share/zoneinfo
    /etc/fonts /etc/ld.so.cache /etc/localtime /sys/devices/system/cpu /proc/cpuinfo /proc/meminfo /proc/stat
    /dev/null /dev/zero /dev/full /dev/random /dev/urandom
"""
ARCHITECTURES = ("x86_64", "aarch64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer on this machine. reason: why it is not active; means: what it does; get: how to enable it."""

    name: str
    required: bool
    reason: str
    means: str
    get: str

    @property
    def active(self) -> bool:
        return not self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the fork server prepared for its children; the fields of an inactive layer are empty."""

    landlock_abi: int
    program: bytes
    namespaces: bool
    uid: int | None
    threads: int
    readable: tuple[Path, ...]
    scratch_home: Path
    release: Path
    used: limits.MemoryUse


def survey(readable: Sequence[Path], private: Sequence[Path], *, use_namespaces: bool = True) -> list[Layer]:
    """Return every layer, active or not, for a process of this user on this machine.

    readable: what a child must be able to read; private: folders that it must not
    """
    if sys.platform != "linux" or platform.machine() not in ARCHITECTURES:
        where = f"this is {sys.platform} on {platform.machine()}, not Linux on {' or '.join(ARCHITECTURES)}"
        return [Layer(name="Linux", required=True, reason=where, means="required by everything else", get="use Linux")]
    apart = namespaces.unavailable(readable) if use_namespaces else "not requested"
    version = landlock.abi()
    return [
        Layer(
            name="Landlock",
            required=True,
            reason="" if version else "not supported by the kernel, or disabled",
            means=f"only allowed files can be opened; {_beyond_files(version)}",
            get="Linux 5.13 or newer with `landlock` among the kernel parameter lsm=; in a container, a newer runtime",
        ),
        Layer(
            name="seccomp",
            required=True,
            reason=seccomp.missing(),
            means="no new processes or programs, no sockets, no tracing; only system calls needed for computing",
            get="install libseccomp (Debian, Ubuntu: apt install libseccomp2) and the kit's own dependencies",
        ),
        Layer(
            name="other user",
            required=True,
            reason=_no_other_user(readable, bool(apart)),
            means="a child is never root and cannot access what only root may",
            get="run the grader as an ordinary user, or install Python and the kit where every user can read them",
        ),
        Layer(
            name="private folders",
            required=True,
            reason=_exposed(readable, private),
            means="hidden tests and masters are outside every folder that a child may read",
            get="keep the kit in a separate folder and install it with `pip install -e`",
        ),
        Layer(
            name="namespaces",
            required=False,
            reason=apart,
            means="a child sees no hidden path and no other process; its scratch folder is a small tmpfs",
            get="allow user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns),"
            " or run as root with CAP_SYS_ADMIN",
        ),
    ]


def _beyond_files(version: int) -> str:
    known = [text for least, text in ((4, "no TCP"), (6, "no signals to others")) if version >= least]
    return f"{', '.join(known)} (ABI {version})" if known else f"files only (ABI {version})"


def _no_other_user(readable: Sequence[Path], same_root: bool) -> str:
    """Return why a child could not become a user other than root, or not read what it needs as that user."""
    uid = privileges.child_uid()
    if uid is None:
        return ""
    if reason := privileges.cannot_become(uid):
        return reason
    closed = privileges.unreachable(uid, readable) if same_root else None
    return f"only root may enter {closed}, which contains files that student code needs" if closed else ""


def _exposed(readable: Sequence[Path], private: Sequence[Path]) -> str:
    for path in readable:
        for folder in private:
            if folder.resolve().is_relative_to(path.resolve()):
                return f"{folder} is inside {path}, which a child may read entirely"
    return ""


def readable_paths(home: Path, given: Sequence[Path]) -> tuple[Path, ...]:
    """Return what a child may read: the libraries of this Python, and the given paths (release and data files).

    home: the folder of the kit, which is also on the import path; it is left out
    """
    python = [Path(prefix, lib) for prefix in (sys.prefix, sys.base_prefix) for lib in ("lib", "lib64")]
    python += map(Path, site.getsitepackages())
    others = [path for path in map(Path, sys.path) if not home.is_relative_to(path.resolve())]
    wanted = dict.fromkeys([*python, *others, *map(Path, SYSTEM_PATHS.split()), *given])
    return tuple(path for path in wanted if path.is_absolute() and path.exists())


def examine(assignment: Assignment) -> list[Layer]:
    """Return the layers of the sandbox for student code of this assignment on this machine."""
    readable = readable_paths(assignment.home, assignment.readable)
    return survey(readable, private_folders(assignment))


def private_folders(assignment: Assignment) -> tuple[Path, ...]:
    """Return the folders that no child may read."""
    return (assignment.masters_dir,)


def unconfined(missing: Sequence[str]) -> GraderFault:
    """Return the error that refuses to run student code without these required layers."""
    fix = "`autograder doctor` shows details; --unsafe grades anyway and says so in every result"
    return GraderFault(f"student code cannot be sandboxed: {'; '.join(missing)}", "sandbox", fix)


def missing(layers: Sequence[Layer]) -> list[str]:
    """Return the required layers that are not active, each with its reason."""
    return [f"{layer.name} is missing ({layer.reason})" for layer in layers if layer.required and not layer.active]


def prepare(readable: Sequence[Path], layers: Sequence[Layer], scratch_home: Path, release: Path) -> Plan:
    """In the fork server, while it has one thread: enter the namespaces and collect what children need.

    If there are namespaces, this function returns in process 1 of the new ones.
    """
    active = {layer.name for layer in layers if layer.active}
    uid = privileges.child_uid() if "other user" in active else None
    threads = limits.THREADS
    if "namespaces" in active:
        namespaces.enter()
    elif uid is None:
        threads += limits.threads_of_user(os.getuid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o022)
    return Plan(
        landlock_abi=landlock.abi() if "Landlock" in active else 0,
        program=seccomp.build() if "seccomp" in active else b"",
        namespaces="namespaces" in active,
        uid=uid,
        threads=threads,
        readable=tuple(readable),
        scratch_home=scratch_home,
        release=release,
        used=limits.MemoryUse(mapped=0, data=0),
    )


def close(plan: Plan) -> Plan:
    """In the fork server, after everything is loaded: enter the private root, hide the server's memory."""
    used = limits.memory_use()
    _first_for_the_oom_killer()
    if plan.namespaces:
        namespaces.private_root(plan.readable)
    else:
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        if plan.uid is not None:
            plan.scratch_home.chmod(0o711)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    return replace(plan, used=used)


def _first_for_the_oom_killer() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900", encoding="ascii")


def confine(plan: Plan, most: Limits, folder: Path | None) -> Path:
    """In a child: drop all rights except to compute; return the scratch folder (`folder` or a private tmpfs)."""
    place = folder if folder is not None else namespaces.private_scratch(plan.uid)
    if plan.uid is not None:
        privileges.become(plan.uid)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    limits.set_limits(most, plan.threads, plan.used)
    privileges.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    program = seccomp.with_pid(plan.program, os.getpid())
    os.chdir(place)
    for entry in os.listdir(plan.release):  # so that relative paths work as in the notebook's folder
        os.symlink(plan.release / entry, entry)
    if plan.landlock_abi:
        landlock.restrict(plan.landlock_abi, plan.readable, [place])
    if program:
        seccomp.install(program)
    return place


def make_scratch(plan: Plan) -> Path | None:
    """In the fork server: return a new scratch folder for a child, None if the child mounts its own tmpfs."""
    return None if plan.namespaces else scratch.make(plan.scratch_home, plan.uid)


def end_strays(plan: Plan) -> None:
    """In the fork server, while no child runs: kill leftover processes. Seccomp should prevent any; make sure."""
    while True:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return  # the usual case
        if plan.namespaces and os.getpid() == 1:
            os.kill(-1, signal.SIGKILL)  # every process in this namespace and none outside
        else:
            for pid in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _children() -> list[int]:
    """Return the process ids of this process's children, including orphans of a child, which it adopts."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
                if int(fields[1]) == os.getpid():
                    found.append(int(entry.name))
    return found
