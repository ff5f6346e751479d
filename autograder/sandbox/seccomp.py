"""Seccomp: the system calls that a child may make; everything else is refused.

Theory of operation
-------------------
libseccomp turns the tables below into a small program that the kernel runs before every system call. The fork server
builds it once (`build`); a child only inserts its own process id and passes it to the kernel (`install`), which takes
microseconds. The tables contain names, so they serve both x86_64 and aarch64.

- ALLOWED: files, memory, threads, clocks: what Python, NumPy and torch use while they compute.
- IGNORED: succeeds without effect, because libraries call it incidentally and would fail on an error.
- REFUSED: EPERM, a clear PermissionError for the student. Anything not listed gets ENOSYS, as on an older kernel.
- By argument: mmap (no shared anonymous memory, which no memory limit counts), clone (threads only), kill and tgkill
  (itself only), prlimit (reading only), and the few harmless kinds of prctl, ioctl and fcntl.

A call by another architecture's numbers (x32, 32-bit) kills the process. clone3 gets ENOSYS: its arguments are in
memory, where a filter cannot see them, and the C library falls back to clone.
"""

import ctypes
import errno
import mmap
import struct
import tempfile

from autograder.sandbox import kernel

try:
    import pyseccomp
except (ImportError, OSError, RuntimeError):  # the package or the library libseccomp is missing
    pyseccomp = None

ALLOWED = """
    read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek sendfile splice copy_file_range
    open openat creat close close_range dup dup2 dup3 pipe pipe2 poll ppoll select pselect6
    epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2
    stat lstat fstat newfstatat fstatat64 statx access faccessat faccessat2 readlink readlinkat getdents getdents64
    statfs fstatfs getcwd chdir fchdir umask mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2
    ftruncate fallocate fsync fdatasync flock readahead fadvise64
    munmap mremap mprotect madvise msync mincore brk membarrier
    futex futex_waitv set_robust_list get_robust_list set_tid_address rseq sched_yield exit exit_group restart_syscall
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause alarm
    getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete
    nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getrusage
    getpid getppid gettid getuid geteuid getgid getegid getgroups getresuid getresgid getpgid getpgrp getsid
    getrlimit getpriority sysinfo uname getcpu getrandom capget wait4 waitid
    sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min
"""

IGNORED = """
    chmod fchmod fchmodat fchmodat2 utime utimes utimensat futimesat sched_setaffinity mbind set_mempolicy
"""

REFUSED = """
    socket socketpair connect bind listen accept accept4 shutdown sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg
    getsockname getpeername getsockopt setsockopt
    fork vfork execve execveat ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp
    tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_getfd pidfd_send_signal
    link linkat symlink symlinkat mknod mknodat chown fchown lchown fchownat
    truncate setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
    setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset setsid setpgid
    setrlimit setpriority ioprio_set sched_setscheduler sched_setparam sched_setattr personality
    mount umount2 pivot_root chroot unshare setns mount_setattr move_mount open_tree fsopen fsmount fsconfig fspick
    open_by_handle_at name_to_handle_at swapon swapoff quotactl acct
    memfd_create memfd_secret shmget shmat shmctl semget semop msgget msgsnd mq_open userfaultfd
    io_uring_setup io_uring_enter io_uring_register io_setup io_submit bpf perf_event_open seccomp
    landlock_create_ruleset landlock_add_rule landlock_restrict_self
    keyctl add_key request_key inotify_init inotify_init1 inotify_add_watch fanotify_init fanotify_mark
    init_module finit_module delete_module kexec_load kexec_file_load reboot syslog sethostname setdomainname
    settimeofday clock_settime adjtimex clock_adjtime vhangup migrate_pages move_pages
"""

FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, locks on files, F_DUPFD_CLOEXEC, F_GETPIPE_SZ."""
IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
PRCTL = (3, 15, 16, 23, 0x53564D41)
"""PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_CAPBSET_READ, and PR_SET_VMA, which malloc uses to name its memory."""

MAP_GROWSDOWN = 0x100
CLONE_THREAD = 0x10000
CLONE_NEW = 0x7E020000
WORD = 0xFFFFFFFF
OWN_PID = 0x5A17ED00
"""Stands for the child's process id in the program until it is known; larger than any process id can be."""
COMPARE = 0x15
INSTRUCTION = struct.Struct("=HBBI")


def missing() -> str:
    """Return why the filter cannot be built or used here, empty if it can."""
    if pyseccomp is None:
        return "the library libseccomp or the package pyseccomp is not installed"
    try:
        with open("/proc/sys/kernel/seccomp/actions_avail", encoding="ascii") as file:
            return "" if "errno" in file.read() else "the kernel does not support seccomp filters"
    except OSError:
        return "the kernel does not support seccomp filters"


def build(architecture: str = "") -> bytes:
    """Return the filter program with OWN_PID instead of the process id, by default for this machine's architecture."""
    refuse = pyseccomp.ERRNO(errno.EPERM)
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.ENOSYS))
    rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    if architecture:
        rules.remove_arch(pyseccomp.system_arch())
        rules.add_arch(getattr(pyseccomp.Arch, architecture))
    for names, action in ((ALLOWED, pyseccomp.ALLOW), (IGNORED, pyseccomp.ERRNO(0)), (REFUSED, refuse)):
        for name in names.split():
            _add(rules, action, name)
    for name, position, values in (("fcntl", 1, FCNTL), ("ioctl", 1, IOCTL), ("prctl", 0, PRCTL)):
        for value in values:
            _add(rules, pyseccomp.ALLOW, name, (position, WORD, value))
    for name in ("kill", "tgkill"):
        _add(rules, pyseccomp.ALLOW, name, (0, WORD, OWN_PID))
    _add(rules, pyseccomp.ALLOW, "clone", (0, CLONE_THREAD | CLONE_NEW, CLONE_THREAD))
    _add(rules, refuse, "clone", (0, CLONE_THREAD, 0))
    _add(rules, pyseccomp.ALLOW, "prlimit64", (2, (1 << 64) - 1, 0))
    rules.add_rule(refuse, "prlimit64", pyseccomp.Arg(2, pyseccomp.NE, 0))
    anonymous = mmap.MAP_ANONYMOUS | MAP_GROWSDOWN
    _add(rules, pyseccomp.ALLOW, "mmap", (3, anonymous, 0))
    _add(rules, pyseccomp.ALLOW, "mmap", (3, anonymous | 3, mmap.MAP_ANONYMOUS | mmap.MAP_PRIVATE))
    _add(rules, pyseccomp.ERRNO(errno.ENOMEM), "mmap", (3, mmap.MAP_ANONYMOUS | 1, mmap.MAP_ANONYMOUS | 1))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _add(rules: "pyseccomp.SyscallFilter", action: int, name: str, *masked: tuple[int, int, int]) -> None:
    """Add one rule; masked: (argument, mask, value). A name unknown to this libseccomp gets ENOSYS."""
    try:
        number = pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)
    except (OSError, ValueError):
        return
    rules.add_rule(action, number, *(pyseccomp.Arg(arg, pyseccomp.MASKED_EQ, mask, v) for arg, mask, v in masked))


def with_pid(program: bytes, pid: int) -> bytes:
    """Return the program with the process id of the child that loads it."""
    return b"".join(
        INSTRUCTION.pack(code, true, false, pid if (code, value) == (COMPARE, OWN_PID) else value)
        for code, true, false, value in INSTRUCTION.iter_unpack(program)
    )


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install(program: bytes) -> None:
    """Filter this process's system calls permanently from now on. Needs no_new_privs."""
    table = _Program(len(program) // INSTRUCTION.size, program)
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.addressof(table))
