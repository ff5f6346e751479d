"""Run a Python command as an ordinary user, from root: `python -m tests.attacks.as_user UID ARGUMENTS...`.

Where only root may enter the folder that Python lies in, a mount namespace of this process alone shows Python and the
kit there in a folder that everybody may enter. Nothing outside this process changes.
"""

import os
import sys
from pathlib import Path

from autograder.sandbox import kernel, namespaces, privileges
from tests import HOME

SOMEBODY = 61_000
"""Stands for the user that the sandbox chooses for its children when the command itself stays root."""


def open_the_way(uid: int) -> None:
    """Make this Python and the kit reachable for the user, in a mount namespace of this process."""
    needed = [Path(sys.prefix), Path(sys.base_prefix), HOME, HOME / "assignments"]
    kernel.libc("unshare", namespaces.NEW_MOUNT)
    held = {path.resolve(): os.open(path, os.O_PATH) for path in needed}
    kernel.libc("mount", None, b"/", None, namespaces.MS_REC | namespaces.MS_PRIVATE, None)
    while closed := privileges.unreachable(uid, held):
        kernel.libc("mount", b"tmpfs", str(closed).encode(), b"tmpfs", 0, b"size=1m,mode=755")
        for path, fd in held.items():
            if path.is_relative_to(closed):
                path.mkdir(parents=True, exist_ok=True)
                kernel.libc("mount", f"/proc/self/fd/{fd}".encode(), bytes(path), None, namespaces.MS_BIND, None)


def main() -> None:
    uid = int(sys.argv[1])
    open_the_way(uid or SOMEBODY)
    if uid:
        privileges.become(uid)
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])


if __name__ == "__main__":
    main()
