"""The limits that a child puts on itself before it sees a line of a submission."""

import ctypes
import os
import resource

from autograder.assignment import Limits

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
SIGKILL = 9
FILE_MIB = 16
PROCESSES = 256


def confine(limits: Limits) -> None:
    """Limit CPU time, memory, files and processes for good; the wall clock is the grader's to keep.

    Memory is counted from what the process already uses, because torch alone maps several hundred MiB.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    cpu = max(1, round(limits.cpu_s))
    memory = _data_bytes() + (limits.memory_mib << 20)
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_DATA, memory, memory),
        (resource.RLIMIT_FSIZE, FILE_MIB << 20, FILE_MIB << 20),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_NPROC, PROCESSES, PROCESSES),
    ):
        resource.setrlimit(kind, (soft, hard))


def _data_bytes() -> int:
    """What the kernel counts against RLIMIT_DATA now."""
    with open(f"/proc/{os.getpid()}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData:"))
