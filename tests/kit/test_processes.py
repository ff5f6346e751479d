"""Processes forked from a loader: what they begin with, what their deaths cost, and that none of them stays."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.errors import GraderFault
from autograder.grading.processes import Processes
from autograder.sandbox.client import Sandbox
from autograder.sandbox.loading import Loader
from tests import tiny


@pytest.fixture(scope="module")
def assignment(finished: Path) -> Assignment:
    return load_assignment(tiny.NAME, finished)


@pytest.fixture(scope="module")
def loader(assignment: Assignment) -> Iterator[Loader]:
    with Loader(assignment) as opened:
        yield opened


def loaded(name: str) -> bool:
    return name in sys.modules


def place() -> tuple[str, str | None, list[str], str | None]:
    return os.getcwd(), os.environ.get("OF_THE_RUN"), sys.path, os.environ.get("MPLCONFIGDIR")


def parent() -> int:
    return os.getppid()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise GraderFault("what", "where", "fix")


def wait() -> None:
    time.sleep(1000)


def refuse() -> None:
    raise ValueError("not today")


def unsendable() -> object:
    return lambda: 0


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def processes_of(folder: Path) -> Iterator[int]:
    """Yield the processes whose environment names a folder."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in path.read_bytes():
                yield int(path.parent.name)


def test_an_assignment_without_torch_does_not_load_it(loader: Loader) -> None:
    with Processes(loader, 1) as processes:
        assert processes.submit(loaded, "numpy").result()
        assert not processes.submit(loaded, "torch").result()


def test_a_process_works_where_the_run_does(loader: Loader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OF_THE_RUN", "yes")
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    with Processes(loader, 1) as processes:
        assert processes.submit(place).result() == (str(tmp_path), "yes", sys.path, None)


def test_a_death_costs_one_call(loader: Loader) -> None:
    with Processes(loader, 2) as processes:
        calls = [processes.submit(die), *(processes.submit(os.getpid) for _ in range(5))]
        with pytest.raises(BrokenProcessPool):
            calls[0].result()
        assert len({call.result() for call in calls[1:]}) in (1, 2, 3)


def test_errors_are_those_of_the_call(loader: Loader) -> None:
    with Processes(loader, 1) as processes:
        with pytest.raises(GraderFault, match="where: what; fix") as caught:
            processes.submit(fail).result()
        assert (caught.value.fix, "in fail" in caught.value.__notes__[0]) == ("fix", True)
        with pytest.raises(ValueError, match="not today"):
            processes.submit(refuse).result()
        with pytest.raises(AttributeError, match="local object"):
            processes.submit(unsendable).result()
        assert processes.submit(len, "abc").result() == 3


def test_a_loader_that_dies_takes_its_processes_along_and_is_started_again(assignment: Assignment) -> None:
    with Loader(assignment) as loader, Processes(loader, 1) as processes:
        first, pid = processes.submit(parent).result(), processes.submit(os.getpid).result()
        os.kill(first, signal.SIGKILL)
        wait_until_gone(pid)
        with pytest.raises(BrokenProcessPool):
            processes.submit(len, "").result()
        assert processes.submit(parent).result() != first


def test_the_end_waits_for_no_call(assignment: Assignment) -> None:
    with Loader(assignment) as loader:
        processes = Processes(loader, 1)
        pids = [processes.submit(parent).result(), processes.submit(os.getpid).result()]
        under_way, waiting = processes.submit(wait), processes.submit(len, "")
        while not under_way.running():
            time.sleep(0.01)
        processes.shutdown(cancel_futures=True)
        assert waiting.cancelled()
        with pytest.raises(BrokenProcessPool):
            under_way.result()
    for pid in pids:
        wait_until_gone(pid)


def test_a_sandbox_that_is_given_up_before_its_server_is_forked_leaves_no_process(
    assignment: Assignment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # stands in the environment of all that is forked
    with Loader(assignment) as loader:
        monkeypatch.setattr("autograder.sandbox.loading._mine", loader.orders)
        with Sandbox(assignment, {}):
            pass  # the loader has not even begun to load
        with Processes(loader, 1) as processes:
            assert processes.submit(len, "abc").result() == 3, "the loader has done what was ordered before"
            assert list(processes_of(tmp_path))
    for pid in processes_of(tmp_path):
        wait_until_gone(pid)
