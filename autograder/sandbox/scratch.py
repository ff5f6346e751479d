"""The scratch folder of a child on disk, for a machine without a mount namespace, where it cannot be a small tmpfs.

An ordinary user cannot set a quota, so the fork server checks the folder several times a second while a child runs, and
kills a child that stores too much. Nothing here follows a symbolic link, recurses, or uses a path that a child could
have made longer than the kernel accepts.
"""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from autograder.sandbox.namespaces import SCRATCH_FILES, SCRATCH_MIB

LOOK_EVERY_MS = 100
BLOCK = 512
MAX_WAITING = 256


def make(home: Path, owner: int | None) -> Path:
    """Return a new folder below `home` that only this user may enter."""
    folder = Path(tempfile.mkdtemp(dir=home))
    if owner is not None:
        os.chown(folder, owner, owner)
    return folder


def is_full(folder: Path) -> bool:
    """Return whether the folder contains more files or bytes than a child may store."""
    files = size = 0
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    waiting = [os.open(folder, flags)]
    try:
        while waiting:
            fd = waiting.pop()
            try:
                for name in os.listdir(fd):
                    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    files += 1
                    size += found.st_blocks * BLOCK
                    if files > SCRATCH_FILES or size > SCRATCH_MIB << 20 or len(waiting) > MAX_WAITING:
                        return True
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(os.open(name, flags, dir_fd=fd))
            except FileNotFoundError:
                continue  # it disappeared during the check; the next check is soon
            except PermissionError:
                return True  # a folder made unreadable on purpose
            finally:
                os.close(fd)
    finally:
        for fd in waiting:
            os.close(fd)
    return False


def remove(folder: Path) -> None:
    """Remove the folder and everything below it at any depth: each inner folder is first moved to the top."""
    with contextlib.suppress(OSError):
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            moved = 0
            while names := os.listdir(top):
                before = moved
                gone = 0
                for name in names:
                    ended, moved = _flatten(top, name, moved)
                    gone += ended
                if not gone and moved == before:
                    return  # the rest cannot be removed; the grader's folder is cleared at the end of the run
        finally:
            os.close(top)
        os.rmdir(folder)


def _flatten(top: int, name: str, moved: int) -> tuple[bool, int]:
    """Remove an entry of the top folder, or empty it into the top; return whether it is gone, and the moves so far."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=top)
        return True, moved
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=top)
        return True, moved
    with contextlib.suppress(OSError):
        os.chmod(name, 0o700, dir_fd=top)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
        try:
            for inner in os.listdir(fd):
                try:
                    os.unlink(inner, dir_fd=fd)
                except OSError:
                    moved += 1
                    os.rename(inner, f"moved-{os.getpid()}-{moved}", src_dir_fd=fd, dst_dir_fd=top)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=top)
        return True, moved
    return False, moved
