"""Linux system calls without a Python wrapper. A failing call raises OSError with its name."""

import ctypes
import os
import platform
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47

# Newer system calls have the same number on every architecture; the old one used here does not.
NUMBERS = {
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "mount_setattr": 442,
    "pivot_root": {"x86_64": 155, "aarch64": 41}.get(platform.machine(), -1),
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def syscall(name: str, *arguments: Any) -> int:
    """Make a system call by its name in NUMBERS; an int is passed as a C long, bytes as a pointer."""
    return _checked(name, _libc.syscall(ctypes.c_long(NUMBERS[name]), *map(_as_c, arguments)))


def libc(name: str, *arguments: Any) -> int:
    """Call a function of the C library that returns -1 on failure."""
    return _checked(name, getattr(_libc, name)(*map(_as_c, arguments)))


def prctl(option: int, *arguments: int) -> int:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(f"prctl {option}", _libc.prctl(ctypes.c_int(option), *map(ctypes.c_ulong, padded)))


def _as_c(argument: Any) -> Any:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
