"""The user of a child: never uid 0, and permanently without capabilities."""

import os
import pwd
import struct
from collections.abc import Iterable
from pathlib import Path

from autograder.sandbox import kernel

FIRST_UID = 61_500
UIDS = 1000
SECUREBITS = 0x2F  # no privileges for uid 0, no capability kept or gained by a change of user, both locked
CAPABILITY_VERSION = 0x20080522
AMBIENT_CLEAR_ALL = 4
HIGHEST_CAPABILITY = 63


def child_uid() -> int | None:
    """Return the user and group id for this process's children; None to keep those of an ordinary user.

    Each fork server uses a different number without an account, so that the children of two servers share nothing.
    """
    if os.geteuid() != 0 and os.getuid() != 0:
        return None
    numbers = (FIRST_UID + (os.getpid() + step) % UIDS for step in range(UIDS))
    return next(number for number in numbers if not _has_account(number))


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def become(uid: int) -> None:
    """Change user and group permanently; the kernel drops root's capabilities with them."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def drop_capabilities() -> None:
    """Drop every capability and all ways to regain one; inside a user namespace a child starts with all."""
    try:
        kernel.prctl(kernel.PR_SET_SECUREBITS, SECUREBITS)
        for capability in range(HIGHEST_CAPABILITY + 1):
            kernel.prctl(kernel.PR_CAPBSET_DROP, capability)
    except OSError:
        pass  # without CAP_SETPCAP there is nothing to drop; after the last capability the kernel returns EINVAL
    kernel.prctl(kernel.PR_CAP_AMBIENT, AMBIENT_CLEAR_ALL)
    kernel.libc("capset", struct.pack("=II", CAPABILITY_VERSION, 0), bytes(24))


def unreachable(uid: int, paths: Iterable[Path]) -> Path | None:
    """Return the first parent folder of these paths that this user may not enter; None if all can be reached."""
    for path in paths:
        for folder in reversed(path.resolve().parents):
            found = folder.stat()
            bits = found.st_mode >> 6 if found.st_uid == uid else found.st_mode
            if not bits & 1:
                return folder
    return None


def cannot_become(uid: int) -> str:
    """Return why this process could not become that user, empty if it can. Tried in a child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            become(uid)
            code = 0
        except OSError:
            pass  # the exit code tells
        finally:
            os._exit(code)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return "" if ended == 0 else "this root may not become another user (no CAP_SETUID, or no other user is mapped)"
