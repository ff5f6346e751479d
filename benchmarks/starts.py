"""How long it takes until student code can run: a sandboxed child, a fresh Python process, a Jupyter kernel."""

import statistics
import subprocess
import sys
import time

from autograder.assignment import Assignment
from autograder.grading.grader import open_grader

ROUNDS = 5
IMPORTS = "import torch, sklearn, matplotlib.pyplot"


def measure(assignment: Assignment) -> tuple[float, float, float]:
    """Return the median seconds of a child, a process and a kernel; the latter two with their imports."""
    child, fresh, kernel = [], [], []
    with open_grader(assignment) as grader:
        notebook = assignment.notebooks[0]
        for _ in range(ROUNDS):
            for _ in range(ROUNDS):
                began = time.perf_counter()
                grader.sandbox.start(notebook, [], {}, 0).close()
                child.append(time.perf_counter() - began)
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", IMPORTS], check=True)
            fresh.append(time.perf_counter() - began)
            kernel.append(_kernel_s())
    return statistics.median(child), statistics.median(fresh), statistics.median(kernel)


def _kernel_s() -> float:
    """Return the seconds to start a kernel, run the imports in it, and shut it down."""
    from jupyter_client.manager import start_new_kernel

    began = time.perf_counter()
    manager, client = start_new_kernel(stderr=subprocess.DEVNULL)  # it warns about its connection
    client.execute_interactive(IMPORTS, timeout=120)
    client.stop_channels()
    manager.shutdown_kernel()
    return time.perf_counter() - began
