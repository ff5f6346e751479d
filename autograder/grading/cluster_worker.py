"""What runs in a worker of a Dask cluster: what it reports about itself, and the one grader that it keeps for a run.

`cluster` calls everything here over Dask. A grader lives as long as the run's `Hold` on this worker, which Dask frees
when the run's client is gone, however that ended. A worker process serves one call at a time, in a thread of its own,
and starts no process except the fork server, so that it may be a daemonic child of Dask's nanny.
"""

import asyncio
import functools
import os
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.errors import KitError
from autograder.grading import fingerprint
from autograder.grading.graded import Graded
from autograder.grading.workers import Keeper, OpenLookup
from autograder.sandbox.confine import examine, missing
from autograder.submissions.submission import Submission

LOADED = fingerprint.software()
"""The software that this process was started with: what is installed later is not what it computes with."""
RESTART = "its kit or libraries have changed since it was started; restart it"


@functools.cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="grader")


async def report(name: str, home: str, data: Mapping[str, str]) -> dict[str, Any]:
    """Return what decides whether this worker may grade, as plain values: another version of the kit may read them.

    fault: why it cannot; lacking: required layers of the sandbox that are missing; fingerprint: as `fingerprint.parts`
    data: the files chosen instead of the bundled ones, by name
    """
    return await asyncio.get_running_loop().run_in_executor(_thread(), _report, name, home, data)


def _report(name: str, home: str, data: Mapping[str, str]) -> dict[str, Any]:
    if fingerprint.software() != LOADED:
        return {"fault": RESTART}
    if not (Path(home) / "solutions" / name).is_dir():
        return {"fault": f"there is no {home}/solutions/{name}; share the course's folder with it"}
    try:
        assignment = load_assignment(name, Path(home))
        use_data(assignment, data)
        lacking = missing(examine(assignment))
        return {"fault": "", "lacking": lacking, "fingerprint": fingerprint.parts(assignment, lacking)}
    except (KitError, OSError) as error:
        return {"fault": str(error)}


def use_data(assignment: Assignment, chosen: Mapping[str, str]) -> None:
    """Use these data files in this process, and the bundled ones where none is chosen."""
    for name in assignment.data:
        if name in chosen:
            os.environ[name.upper()] = chosen[name]
        else:
            os.environ.pop(name.upper(), None)


class _Desk:
    """A grader with the data files of its run."""

    def __init__(self, assignment: Assignment, data: Mapping[str, str], keeper: Keeper) -> None:
        self._assignment = assignment
        self._data = data
        self.keeper = keeper

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Return what the function returns, or the error that it raises, with this grader as the one in use."""
        global _in_use
        use_data(self._assignment, self._data)
        _in_use = self.keeper
        try:
            return function(*arguments)
        except Exception as error:
            return Raised(error)
        finally:
            _in_use = None


class Hold:
    """A run's hold on this worker. When it is freed, its grader is closed, whatever that is doing."""

    def __init__(
        self, key: str, name: str, home: str, data: Mapping[str, str], unsafe: bool, open_lookup: OpenLookup | None
    ) -> None:
        assignment = load_assignment(name, Path(home))
        self.desk = _Desk(assignment, data, Keeper(assignment, unsafe, open_lookup))
        weakref.finalize(self, self.desk.keeper.end)
        _holds[key] = self


class Raised:
    """An error that a call raised; a value, as Dask would log the arguments of a call that raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class NoHold:
    """The answer of a process that holds no grader for the run: it was started after another one had died."""


_holds: "weakref.WeakValueDictionary[str, Hold]" = weakref.WeakValueDictionary()
_in_use: Keeper | None = None


async def serve(key: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call a function in this worker's thread, with the grader of this hold."""
    if key not in _holds:
        return NoHold()
    desk = _holds[key].desk  # and no reference to the hold itself, which would outlive the run's client
    return await asyncio.get_running_loop().run_in_executor(_thread(), desk.call, function, arguments)


async def end(key: str) -> None:
    """Close the grader of this hold at once, whatever it is doing."""
    if key in _holds:
        await asyncio.to_thread(_holds[key].desk.keeper.end)


def opened() -> None:
    """Open the grader in use. Raises KitError where it cannot be."""
    _keeper().open()


def grade(submission: Submission, questions: tuple[str, ...]) -> Graded:
    """Grade a submission with the grader in use."""
    return _keeper().grade(submission, questions)


def _keeper() -> Keeper:
    if _in_use is None:
        raise RuntimeError("this thread serves no run")
    return _in_use
