"""Namespaces: the fork server and its children see no other process, no network, and only the files they need.

Theory of operation
-------------------
An optional layer: where the machine does not allow it, Landlock and seccomp still apply.

`enter` moves the fork server into new namespaces: root does so directly, any other user inside a user namespace, where
it keeps its user id. A PID namespace contains only processes forked after its creation, so the fork server forks once:
the outer process waits, and the inner one continues as process 1. When process 1 ends, for any reason, the kernel kills
everything in the namespace.

`private_root` then builds a new root on a tmpfs: read-only bind mounts of the readable paths at their usual locations,
and an empty mount point. Their parent folders are new and open to everyone, so that a child that is not root can read a
Python installed below a folder of root's. A path that was not bound does not exist there: hidden tests, masters and
other submissions cannot be opened or even seen.

`private_scratch` gives one child a tmpfs of limited size and number of files; it disappears with the child.
"""

import os
import struct
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from autograder.sandbox import kernel

NEW_USER, NEW_MOUNT, NEW_PID, NEW_NET, NEW_IPC, NEW_UTS = 1 << 28, 1 << 17, 1 << 29, 1 << 30, 1 << 27, 1 << 26
OWN = NEW_MOUNT | NEW_PID | NEW_NET | NEW_IPC | NEW_UTS

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1 << 1, 1 << 2, 1 << 3, 1 << 12, 1 << 14, 1 << 18
ATTR_READ_ONLY, ATTR_NOSUID = 1 << 0, 1 << 1
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
DETACH = 2

SCRATCH = Path("/scratch")
SCRATCH_MIB = 32
SCRATCH_FILES = 1024


def unavailable(readable: Sequence[Path]) -> str:
    """Return why this machine does not allow namespaces and a private root, empty if it does. Tried in a child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code, reason = 1, b""
        try:
            os.close(reader)
            enter()
            private_root(readable)
            private_scratch(None)
            code = 0
        except BaseException as error:
            reason = str(error).encode(errors="replace")
        finally:
            os.write(writer, reason)
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read(1000).decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return "" if code == 0 else said or f"the attempt failed with exit code {code}"


def enter() -> None:
    """Continue as process 1 of new namespaces; the calling process waits for it and exits with its status."""
    uid, gid = os.geteuid(), os.getegid()
    kernel.libc("unshare", OWN | (NEW_USER if uid else 0))
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path("/proc/self", name).write_text(text, encoding="ascii")
    pid = os.fork()
    if pid:
        os.closerange(0, 1 << 16)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os._exit(code if code >= 0 else 128 - code)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
    _mount(None, "/", None, MS_REC | MS_PRIVATE)


def private_root(readable: Iterable[Path]) -> None:
    """Switch to a root that contains only these paths, read-only. Raises OSError."""
    root = Path(tempfile.gettempdir()).resolve()  # any folder will do: the mount is visible in this namespace only
    names = list(readable)
    held = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in names]  # that mount may cover some of them
    proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
    links = {path: _links(path) for path in names}
    _mount("tmpfs", str(root), "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=4096,mode=755")
    bound: list[Path] = []
    for path, fd in sorted(zip(names, held, strict=True), key=lambda pair: len(links[pair[0]][1].parts)):
        _bind(root, path, links[path], fd, proc, bound)
    Path(f"{root}{SCRATCH}").mkdir(mode=0o755)
    os.chdir(root)
    kernel.syscall("pivot_root", b".", b".")
    kernel.libc("umount2", b".", DETACH)
    os.chdir("/")
    _read_only("/", recursive=False)


def _links(path: Path) -> tuple[list[tuple[Path, str]], Path]:
    """Return the symbolic links along a path, and its real location."""
    links: list[tuple[Path, str]] = []
    todo, current = list(path.parts[1:]), Path("/")
    while todo:
        part = todo.pop(0)
        if part in ("..", "."):
            current = current.parent if part == ".." else current
            continue
        step = current / part
        if step.is_symlink():
            target = os.readlink(step)
            links.append((step, target))
            if len(links) > 40:
                raise OSError(f"{path}: too many symbolic links")
            todo[:0] = Path(target).parts[1:] if target.startswith("/") else Path(target).parts
            current = Path("/") if target.startswith("/") else current
        else:
            current = step
    return links, current


def _bind(
    root: Path, path: Path, way: tuple[list[tuple[Path, str]], Path], fd: int, proc: int, bound: list[Path]
) -> None:
    """Bind `fd` at its real path below `root`, with the symbolic links that lead there."""
    links, real = way
    for link, target in links:
        place = Path(f"{root}{link}")
        if not _inside(link, bound) and not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
    if _inside(real, bound):
        os.close(fd)
        return
    place = Path(f"{root}{real}")
    source = f"/proc/self/fd/{fd}"
    if os.path.isdir(source):
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    _mount(source, str(place), None, MS_BIND | MS_REC)
    if not real.is_relative_to("/dev"):
        _read_only(str(place), recursive=True)
    bound.append(real)
    os.close(fd)


def _inside(path: Path, bound: list[Path]) -> bool:
    return any(path.is_relative_to(other) for other in bound)


def _read_only(path: str, *, recursive: bool) -> None:
    attributes = struct.pack("=4Q", ATTR_READ_ONLY | ATTR_NOSUID, 0, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    kernel.syscall("mount_setattr", AT_FDCWD, path.encode(), flags, attributes, len(attributes))


def private_scratch(owner: int | None) -> Path:
    """Return a new scratch folder in memory, visible to this process only, for the user `owner`."""
    kernel.libc("unshare", NEW_MOUNT)
    options = f"size={SCRATCH_MIB}m,nr_inodes={SCRATCH_FILES},mode=700"
    if owner is not None:
        options += f",uid={owner},gid={owner}"
    _mount("tmpfs", str(SCRATCH), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options)
    return SCRATCH


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    words = [word.encode() if word else None for word in (source, target, kind)]
    kernel.libc("mount", *words, flags, options.encode() or None)
