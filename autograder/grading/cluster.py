"""The workers of a Dask cluster behind an Executor: `grade --dask`.

Dask brings calls to workers and results back; what it would decide by itself is decided here. Each call goes to one
worker, so that a death costs exactly one attempt, which `batch` counts, and Dask never runs a submission again. Workers
may come and go during a run. One is used only if it reports the same kit, course and libraries as this process has
(`fingerprint`) and can confine student code; the course's folder must be at the same path there.
"""

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import TYPE_CHECKING, Any

from autograder.assignment import Assignment
from autograder.errors import KitError, UsageError
from autograder.grading import cluster_worker, fingerprint
from autograder.grading.batch import Grade
from autograder.grading.workers import OpenLookup
from autograder.sandbox.confine import unconfined

if TYPE_CHECKING:  # an optional package, and slow to import
    from distributed import Client

CONNECT_S = 10.0
"""How long the scheduler may take to answer."""
LOOK_S = 1.0
"""How often the list of workers is read."""
WAIT_S = 60.0
"""How long a run waits for a worker when it has none left; a nanny has started one again long before."""
END_S = 10.0
"""How long workers may take to close their graders at the end of a run."""
DEPTH = 2
"""Calls under way per worker: it begins the second while the first one's result travels."""
MORE = "docs/operations.md says what a worker needs"

log = logging.getLogger("autograder.cluster")


class WorkerLost(BrokenExecutor):
    """The worker process that had this call has ended."""


class _Lane:
    """A worker that is used, with the future that holds its grader."""

    def __init__(self, address: str, key: str, hold: Any) -> None:
        self.address, self.key, self.hold = address, key, hold
        self.busy = 0
        self.lost = asyncio.Event()


class Cluster:
    """A connection to a Dask scheduler. Use `connected`.

    fingerprint: of the kit, the course and the workers' sandbox, which all workers in use share
    """

    def __init__(self, client: "Client", assignment: Assignment, address: str, *, unsafe: bool) -> None:
        self._client = client
        self._assignment = assignment
        self._address = address
        self._unsafe = unsafe
        self._data = {one: str(assignment.data_file(one)) for one in assignment.data if one.upper() in os.environ}
        self._where = (assignment.name, str(assignment.home), self._data)
        self._open_lookup: OpenLookup | None = None
        self._lanes: dict[str, _Lane] = {}
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._left_out: dict[str, KitError] = {}
        self._failure: KitError | None = None
        self._changed = asyncio.Condition()
        self.fingerprint: Mapping[str, str] = {}

    def jobs(self) -> int:
        """Return how many workers there are now."""
        return max(1, len(self._lanes) + len(self._joining))

    def examine(self) -> None:
        """Ask all workers what they are, and take the fingerprint of the first that can be used.

        Raises UsageError where there is none.
        """
        answers = self._client.run(cluster_worker.report, *self._where, on_error="return")
        if not answers:
            raise UsageError("the cluster has no workers", self._address, "start some (`dask worker ADDRESS`)")
        reasons = {}
        for address, answer in answers.items():
            lacking = answer.get("lacking", ()) if isinstance(answer, dict) else ()
            self.fingerprint = fingerprint.parts(self._assignment, lacking)
            reasons[address] = self._reason(answer)
            if not reasons[address]:
                return
        address, reason = next(iter(reasons.items()))
        raise UsageError(f"none of the cluster's workers ({len(answers)}) can be used: {reason}", address, MORE)

    def _reason(self, answer: Any) -> str:
        """Return why a worker with this report cannot be used, empty if it can."""
        if isinstance(answer, ImportError | AttributeError):
            return f"the kit is missing there, or of another version ({answer})"
        if not isinstance(answer, dict):
            return f"it does not answer ({type(answer).__name__}: {answer})"
        if answer["fault"]:
            return str(answer["fault"])
        if answer["lacking"] and not self._unsafe:
            return str(unconfined(answer["lacking"]))
        differing = fingerprint.stale(answer["fingerprint"], self.fingerprint, self._assignment.questions)
        return f"it has another version of {differing}; install and share the same, and restart it" * bool(differing)

    def _leave_out(self, address: str, reason: str) -> None:
        self._left_out[address] = UsageError(f"the worker cannot be used: {reason}", address, MORE)
        log.warning("worker %s is not used: %s", address, reason)

    @contextlib.contextmanager
    def workers(self, open_lookup: OpenLookup | None = None) -> Iterator[tuple[Executor, Grade]]:
        """Open an executor over the workers; it comes with the function to submit to it.

        open_lookup: as for `workers.workers`; it must tell by itself whether it can read the gradebook from there
        """
        self._open_lookup = open_lookup
        watching = self._call(self._watch())
        try:
            yield _Calls(self), cluster_worker.grade
        finally:
            watching.cancel()
            with contextlib.suppress(Exception):
                self._call(self._end()).result(END_S)

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        loop: Any = self._client.loop
        return asyncio.run_coroutine_threadsafe(coroutine, loop.asyncio_loop)

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        return self._call(self._run(function, arguments))

    async def _watch(self) -> None:
        """Keep a lane for each worker of the cluster, as they come and go."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        while True:
            try:
                there = set(await self._client.nthreads())
            except (OSError, AttributeError):  # Dask's client has no scheduler any more
                await self._fail(UsageError("the Dask scheduler is gone", self._address, "run the same command again"))
                return
            for address in {*self._lanes, *self._left_out} - there:
                self._left_out.pop(address, None)
                await self._drop(self._lanes.get(address))
            for address in there - {*self._lanes, *self._joining, *self._left_out}:
                self._joining[address] = loop.create_task(self._join(address))
            if self._lanes or self._joining:
                since = loop.time()
            elif self._left_out or loop.time() - since > WAIT_S:
                reasons = list(self._left_out.values())
                fix = "start workers, then run the same command again: what is finished is kept"
                await self._fail(reasons[0] if reasons else UsageError("no workers are left", self._address, fix))
                return
            await asyncio.sleep(LOOK_S)

    async def _join(self, address: str) -> None:
        """Have a worker open its grader, and use it from then on."""
        try:
            answer = await self._client.run(cluster_worker.report, *self._where, workers=[address], on_error="return")
            if reason := self._reason(answer[address]):
                self._leave_out(address, reason)
                return
            key = f"autograder-{uuid.uuid4().hex}"
            terms = (key, *self._where, self._unsafe, self._open_lookup)
            hold = self._client.submit(cluster_worker.Hold, *terms, actor=True, workers=[address], key=key, pure=False)
            lane = _Lane(address, key, hold)
            await hold
            opened = await self._ask(lane, cluster_worker.opened, ())
            if isinstance(opened, cluster_worker.Raised):
                self._leave_out(address, str(opened.error))
                return
            self._lanes[address] = lane
        except (OSError, WorkerLost):
            log.warning("worker %s ended while it opened its grader", address)
        except Exception as error:  # of Dask, or raised there: by a database's driver that is missing, for one
            self._leave_out(address, str(error))
        finally:
            del self._joining[address]
            async with self._changed:
                self._changed.notify_all()

    async def _ask(self, lane: _Lane, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Call a function in a worker. Raises WorkerLost if its process ends before it answers."""
        call = asyncio.ensure_future(
            self._client.run(cluster_worker.serve, lane.key, function, arguments, workers=[lane.address])
        )
        lost = asyncio.ensure_future(lane.lost.wait())
        try:
            await asyncio.wait({call, lost}, return_when=asyncio.FIRST_COMPLETED)
            if call.done():
                answer = call.result()[lane.address]
                if not isinstance(answer, cluster_worker.NoHold):
                    return answer
        except (OSError, KeyError) as error:  # its connection was closed, or the scheduler knows it no more
            raise WorkerLost(lane.address) from error
        finally:
            lost.cancel()
            call.cancel()
        raise WorkerLost(lane.address)

    async def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        lane = await self._free()
        try:
            answer = await self._ask(lane, function, arguments)
        except WorkerLost:
            log.warning("worker %s ended while it graded", lane.address)
            await self._drop(lane)
            raise
        finally:
            lane.busy -= 1
            async with self._changed:
                self._changed.notify_all()
        if isinstance(answer, cluster_worker.Raised):
            raise answer.error
        return answer

    async def _free(self) -> _Lane:
        """Wait for a worker that can take a call, and take it: the one with the fewest."""
        async with self._changed:
            while True:
                if self._failure:
                    raise self._failure
                least = min(self._lanes.values(), key=lambda lane: lane.busy, default=None)
                if least is not None and least.busy < DEPTH:
                    least.busy += 1
                    return least
                await self._changed.wait()

    async def _drop(self, lane: _Lane | None) -> None:
        if lane is not None:
            lane.lost.set()
            if self._lanes.get(lane.address) is lane:
                del self._lanes[lane.address]

    async def _fail(self, error: KitError) -> None:
        self._failure = error
        async with self._changed:
            self._changed.notify_all()

    async def _end(self) -> None:
        """Close every grader, also one that is at work."""
        for joining in self._joining.values():
            joining.cancel()
        ends = [
            self._client.run(cluster_worker.end, lane.key, workers=[lane.address], on_error="ignore")
            for lane in self._lanes.values()
        ]
        await asyncio.gather(*ends, return_exceptions=True)
        self._lanes.clear()  # Dask frees what held them


class _Calls(Executor):
    """Runs calls on the workers of a cluster. One whose worker dies fails with WorkerLost."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if kwargs:
            raise TypeError("calls on a cluster take positional arguments only")
        return self._cluster.submit(fn, args)


@contextlib.contextmanager
def connected(address: str, assignment: Assignment, *, unsafe: bool = False) -> Iterator[Cluster]:
    """Connect to a Dask scheduler with workers that can grade this assignment.

    unsafe: also use workers that cannot confine student code
    Raises UsageError where the package is missing, nothing answers at the address, or no worker can be used.
    """
    try:
        from distributed import Client
        from distributed.comm.addressing import get_address_host_port
    except ImportError as error:
        fix = "install the extra: pip install -c constraints.txt -e '.[dask]'"
        raise UsageError(f"Dask is not installed ({error})", "--dask", fix) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters to a user is said here
    try:
        get_address_host_port(address)  # a client that was made for no address at all does not end cleanly
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        fix = "start one (`dask scheduler`), or correct the address, such as tcp://HOST:8786"
        raise UsageError(f"no Dask scheduler answers ({_first_line(error)})", f"--dask {address}", fix) from error
    try:
        cluster = Cluster(client, assignment, address, unsafe=unsafe)
        cluster.examine()
        yield cluster
    finally:
        client.close(timeout=END_S)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
