"""Landlock: a child may open only the files it needs, and reach nothing outside by TCP, signals or abstract sockets.

Theory of operation
-------------------
A ruleset lists the kinds of access that are forbidden unless a rule allows them, with one rule per folder or file. Once
a process has restricted itself, neither it nor anything it starts can undo that, and it cannot trace, signal or read
the memory of a process outside. No privilege is needed. The ABI version says what a kernel supports:

1  files: open, execute, list, create, remove      4  TCP: bind and connect
2  moving and linking between folders              5  ioctl on device files
3  truncating                                      6  signals and abstract Unix sockets to the outside

Landlock does not prevent `stat` of a path; that requires the private root of `namespaces.py`.
Source: Linux, Documentation/userspace-api/landlock.rst.
"""

import contextlib
import os
import stat
import struct
from collections.abc import Iterable
from enum import IntFlag
from pathlib import Path

from autograder.sandbox import kernel

VERSION = 1
PATH_BENEATH = 1
NET_BIND_AND_CONNECT = 3
SCOPE_SOCKETS_AND_SIGNALS = 3


class Access(IntFlag):
    """Kinds of access to files, with the kernel's bits."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ = Access.READ_FILE | Access.READ_DIR
WRITE = (
    READ
    | Access.WRITE_FILE
    | Access.REMOVE_DIR
    | Access.REMOVE_FILE
    | Access.MAKE_DIR
    | Access.MAKE_REG
    | Access.REFER
    | Access.TRUNCATE
)
ON_A_FILE = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV
KNOWN_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
ALL_BITS = 16


def abi() -> int:
    """Return the Landlock ABI version of the running kernel, 0 for none."""
    try:
        return kernel.syscall("landlock_create_ruleset", None, 0, VERSION)
    except OSError:
        return 0


def restrict(version: int, readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Permanently restrict this process to reading and writing below these paths. Needs no_new_privs."""
    known = (1 << KNOWN_BITS.get(version, ALL_BITS)) - 1
    fields = [known]
    if version >= 4:
        fields.append(NET_BIND_AND_CONNECT)
    if version >= 6:
        fields.append(SCOPE_SOCKETS_AND_SIGNALS)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = kernel.syscall("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for paths, access in ((readable, READ), (writable, WRITE)):
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    _allow(ruleset, path, access & known)
        kernel.syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, access: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            access &= ON_A_FILE
        kernel.syscall("landlock_add_rule", ruleset, PATH_BENEATH, struct.pack("=Qi", access, fd), 0)
    finally:
        os.close(fd)
