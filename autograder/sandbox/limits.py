"""Hard resource limits that a child sets for itself before it receives a submission.

CPU time, memory, file size, descriptors and threads. The grader enforces wall-clock time; `scratch.py` and
`namespaces.py` limit the size of the scratch folder.
"""

import os
import resource
from dataclasses import dataclass

from autograder.assignment import Limits

FILE_MIB = 16
DESCRIPTORS = 64
THREADS = 64
PENDING_SIGNALS = 64
ADDRESS_MIB = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """Bytes that count against RLIMIT_AS and RLIMIT_DATA."""

    mapped: int
    data: int


def set_limits(limits: Limits, threads: int, used: MemoryUse) -> None:
    """Limit this process permanently. threads: tasks that its user may have in total; used: its memory now.

    Memory limits are relative to what the process already uses, because torch alone maps several hundred MiB.
    RLIMIT_DATA counts private writable memory, which is what a program really allocates; the wider RLIMIT_AS only keeps
    the page tables of huge empty mappings small.
    """
    cpu = max(1, round(limits.cpu_s))
    memory = limits.memory_mib << 20
    data, address = used.data + memory, used.mapped + 4 * memory + (ADDRESS_MIB << 20)
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_DATA, data, data),
        (resource.RLIMIT_AS, address, address),
        (resource.RLIMIT_FSIZE, FILE_MIB << 20, FILE_MIB << 20),
        (resource.RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS),
        (resource.RLIMIT_NPROC, threads, threads),
        (resource.RLIMIT_SIGPENDING, PENDING_SIGNALS, PENDING_SIGNALS),
        (resource.RLIMIT_STACK, 8 << 20, 8 << 20),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_NICE, 0, 0),
        (resource.RLIMIT_RTPRIO, 0, 0),
    ):
        _, most = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:  # an inherited limit can be lowered but not raised
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))


def threads_of_user(uid: int) -> int:
    """Return how many tasks this user has now; outside a user namespace all of them count against the limit."""
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == uid:
                    count += len(os.listdir(f"{entry.path}/task"))
            except OSError:
                continue  # it has ended in the meantime
    return count


def memory_use() -> MemoryUse:
    """Return what the kernel counts against the limits of this process now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = [int(word) for word in file.read().split()]
    return MemoryUse(mapped=pages[0] * resource.getpagesize(), data=pages[5] * resource.getpagesize())
