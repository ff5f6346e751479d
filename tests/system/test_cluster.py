"""`grade --dask` on real clusters: results as from local workers, whatever happens to workers on the way."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from sqlalchemy import select

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.cli import main
from autograder.errors import UsageError
from autograder.gradebook import schema
from autograder.gradebook.blobs import read_blobs
from autograder.gradebook.recordings import NothingRecorded, Recorded, machine, open_lookup
from autograder.gradebook.store import database_url, open_gradebook
from autograder.grading import cluster, cluster_worker, fingerprint
from autograder.submissions.intake import Wanted, take_in
from autograder.submissions.submission import HandIn
from tests import HOME, postgresql, tiny
from tests.system.test_stop import (
    RIGHT,
    SLEEPS,
    WALL_S,
    alive,
    descendants,
    grades,
    hand_in,
    started,
    wait_for,
)

MIXED = {
    "a1": RIGHT,
    "a2": "return x // 2",
    "a3": "raise SystemExit",
    "a4": "import torch",
    "a5": "return x // 2",
    "a6": "import os; os._exit(3)",
    "a7": "return [x] * 10**6",
}
DEADLY = 666.0
"""What an answer returns at which the hidden test of `deadly` ends the grader's own process."""


@pytest.fixture(scope="module")
def dask() -> Iterator[LocalCluster]:
    """Two worker processes under their nannies."""
    with local(2) as opened:
        yield opened


def local(workers: int) -> LocalCluster:
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", host="127.0.0.1"
    )


@pytest.fixture(scope="module")
def deadly(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest course with a hidden test that may end the process of the grader, and answers that may sleep."""
    home = shutil.copytree(finished, tmp_path_factory.mktemp("deadly") / "home")
    toml = home / "solutions" / tiny.NAME / "assignment.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text("\n".join(f"wall_s = {WALL_S}" if "wall_s" in line else line for line in text.split("\n")))
    (tests,) = (home / "solutions" / tiny.NAME / "hidden_tests").glob("test_*.py")
    text = tests.read_text(encoding="utf-8")
    seen = 'seen = observe("halve", x=7.0)\n'
    assert seen in text
    tests.write_text(text.replace(seen, f"{seen}    if seen['returned'] == {DEADLY}: import os; os._exit(9)\n"))
    return home


def pids(dask: LocalCluster) -> dict[str, int]:
    with Client(dask.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)  # a nanny may be starting one again
        return dict(client.run(os.getpid))


def words(course: Path, submissions: Path, out: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "autograder", "grade", str(submissions), "--course", str(course)]
    return [*command, "--out", str(out), *more]


def graded(course: Path, submissions: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words(course, submissions, out, *more), cwd=HOME, capture_output=True, text=True)


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [out / "grades.csv", *(out / "results").iterdir()]}


def recorded(out: Path) -> dict[str, Any]:
    """What a gradebook holds of programs and their replies, without the order in which it came."""
    with open_gradebook(out, writing=False) as gradebook, gradebook.engine.connect() as connection:
        programs = schema.programs.c
        digests = connection.execute(select(schema.blobs.c.digest)).scalars().all()
        rows = connection.execute(select(programs.key, programs.text, programs.facts, programs.replies))
        return {"blobs": read_blobs(connection, digests), "programs": sorted(map(repr, rows))}


def test_results_are_those_of_local_workers(finished: Path, dask: LocalCluster, tmp_path: Path) -> None:
    """Byte for byte, with the recordings; and a second run finds nothing to do."""
    batch = hand_in(finished, tmp_path / "s", MIXED)
    (batch / "broken").mkdir()
    (batch / "broken" / "tiny.ipynb").write_text("{")
    far = graded(finished, batch, tmp_path / "far", "--dask", dask.scheduler_address)
    near = graded(finished, batch, tmp_path / "near", "--jobs", "2")
    assert (far.returncode, near.returncode) == (0, 0), far.stderr
    assert files(tmp_path / "far") == files(tmp_path / "near")
    assert recorded(tmp_path / "far") == recorded(tmp_path / "near")
    assert far.stdout.replace("far", "near") == near.stdout
    again = graded(finished, batch, tmp_path / "far", "--dask", dask.scheduler_address)
    assert "8 of 8 students have results from an earlier run" in again.stderr
    assert again.returncode == 0


def test_a_killed_worker_costs_a_retry(deadly: Path, dask: LocalCluster, tmp_path: Path) -> None:
    """Its nanny starts another, which joins the run; nobody's result tells."""
    batch = hand_in(deadly, tmp_path / "s", {f"b{number}": f"return x / 2 + {number}" for number in range(12)})
    with started(words(deadly, batch, tmp_path / "out", "--dask", dask.scheduler_address), tmp_path / "scratch") as run:
        assert run.stderr is not None
        assert run.stderr.readline().startswith("1/12")
        before = pids(dask)
        os.kill(next(iter(before.values())), signal.SIGKILL)
        said = run.communicate(timeout=120)[1]
        assert run.returncode == 0, said
    assert "12/12" in said
    assert "Traceback" not in said
    assert graded(deadly, batch, tmp_path / "near").returncode == 0
    assert files(tmp_path / "out") == files(tmp_path / "near")


def test_a_submission_that_kills_workers_gets_a_row_that_says_so(
    deadly: Path, dask: LocalCluster, tmp_path: Path
) -> None:
    answers = {**MIXED, "killer": f"return {DEADLY}"}
    run = graded(deadly, hand_in(deadly, tmp_path / "s", answers), tmp_path / "out", "--dask", dask.scheduler_address)
    rows = grades(tmp_path / "out")
    assert (run.returncode, rows.pop("killer")["status"]) == (3, "unreadable")
    assert {row["status"] for row in rows.values()} == {"graded"}
    assert "ended twice while it graded this submission" in run.stderr
    assert run.stderr.count("ended while it graded") >= 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_an_ended_run_leaves_no_work_on_the_cluster(
    deadly: Path, dask: LocalCluster, tmp_path: Path, number: signal.Signals
) -> None:
    """Though the answers that the workers are at would sleep for an hour. What was finished is kept."""
    answers = {"a1": RIGHT, "a2": RIGHT, **{f"s{n}": SLEEPS for n in range(4)}}
    batch = hand_in(deadly, tmp_path / "s", answers)
    workers = set(pids(dask).values())
    with started(words(deadly, batch, tmp_path / "out", "--dask", dask.scheduler_address), tmp_path / "scratch") as run:
        assert run.stderr is not None
        assert [run.stderr.readline().split()[1] for _ in range(2)]
        family = set().union(*map(descendants, workers))
        assert family, "the fork servers"
        run.send_signal(number)
        said = run.communicate(timeout=120)[1]
        assert run.returncode == {signal.SIGINT: 130, signal.SIGKILL: -9}[number], said
        wait_for(lambda: not alive(family), "student code is left on the workers")
    assert set(pids(dask).values()) == workers
    if number == signal.SIGINT:
        assert said.splitlines()[-1] == "2 of 6 graded; run the same command to go on"
        assert {key: row["status"] for key, row in grades(tmp_path / "out").items()} == {"a1": "graded", "a2": "graded"}


@pytest.fixture
def other_kit(tmp_path: Path) -> Path:
    """A folder with a kit that differs in a comment."""
    shutil.copytree(HOME / "autograder", tmp_path / "other" / "autograder")
    with (tmp_path / "other" / "autograder" / "results.py").open("a") as file:
        file.write("# another version\n")
    return tmp_path / "other"


@pytest.fixture
def lone() -> Iterator[LocalCluster]:
    """A cluster without workers."""
    with local(0) as opened:
        yield opened


class Worker:
    """A worker process started as an admin does, with the kit that this folder holds."""

    def __init__(self, dask: LocalCluster, kit: Path) -> None:
        command = [sys.executable, "-m", "dask", "worker", dask.scheduler_address, "--no-dashboard", "--nthreads", "1"]
        self.process = subprocess.Popen(
            command,
            cwd=kit,
            env={**os.environ, "PYTHONPATH": str(kit)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        family = descendants(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            for pid, _ in alive(family):
                os.kill(pid, signal.SIGKILL)


def there(dask: LocalCluster, count: int) -> None:
    with Client(dask.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def test_a_worker_with_another_kit_is_refused(
    finished: Path, lone: LocalCluster, other_kit: Path, tmp_path: Path
) -> None:
    """Alone it ends the run in one line; next to others it is left out, in one line, and they do the work."""
    batch = hand_in(finished, tmp_path / "s", MIXED)
    with Worker(lone, other_kit):
        there(lone, 1)
        run = graded(finished, batch, tmp_path / "out", "--dask", lone.scheduler_address)
        assert run.returncode == 2
        (line,) = run.stderr.splitlines()
        assert "none of the cluster's workers (1) can be used: it has another version of the kit; install" in line
        lone.scale(1)
        there(lone, 2)
        run = graded(finished, batch, tmp_path / "out", "--dask", lone.scheduler_address)
    assert run.returncode == 0, run.stderr
    (refused,) = [one for one in run.stderr.splitlines() if "is not used" in one]
    assert "another version of the kit" in refused
    assert {row["status"] for row in grades(tmp_path / "out").values()} == {"graded"}


def of(home: Path) -> Assignment:
    return load_assignment(tiny.NAME, home)


def refusal(dask: LocalCluster, home: Path) -> str:
    """Why no worker of a cluster can be used."""
    with pytest.raises(UsageError) as caught, cluster.connected(dask.scheduler_address, of(home)):
        pass
    return str(caught.value)


def change(dask: LocalCluster, what: Callable[[], None]) -> None:
    with Client(dask.scheduler_address, set_as_default=False) as client:
        client.run(what)


def test_a_worker_without_confinement_is_refused(finished: Path, lone: LocalCluster) -> None:
    """Unless the run is unsafe, whose results then say so: they have another fingerprint."""

    def unconfined() -> None:
        setattr(cluster_worker, "missing", lambda layers: ["Landlock is missing (not supported)"])  # noqa: B010

    lone.scale(1)
    there(lone, 1)
    with cluster.connected(lone.scheduler_address, of(finished)) as connected:
        confined = connected.fingerprint
    change(lone, unconfined)
    assert "student code cannot be sandboxed: Landlock is missing (not supported)" in refusal(lone, finished)
    with cluster.connected(lone.scheduler_address, of(finished), unsafe=True) as connected:
        assert {key for key in confined if confined[key] != connected.fingerprint[key]} == {"sandbox"}


def test_a_worker_whose_kit_was_replaced_must_be_restarted(finished: Path, lone: LocalCluster) -> None:
    def replaced() -> None:
        cluster_worker.LOADED["judging"] = "what it was started with"

    lone.scale(1)
    there(lone, 1)
    change(lone, replaced)
    assert "have changed since it was started; restart it" in refusal(lone, finished)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"tests Q1": "x"}, "another version of the hidden tests of Q1", id="hidden tests"),
        pytest.param({"release": "x"}, "another version of the release", id="release"),
        pytest.param({"libraries": "x"}, "another version of the libraries", id="torch"),
        pytest.param({"data": "x"}, "another version of the data", id="data"),
    ],
)
def test_a_worker_with_another_course_is_refused(
    finished: Path, lone: LocalCluster, monkeypatch: pytest.MonkeyPatch, changed: Mapping[str, str], said: str
) -> None:
    """As the folder is shared, it is this side's fingerprint that is made to differ."""
    parts = fingerprint.parts
    monkeypatch.setattr("autograder.grading.fingerprint.parts", lambda *given: {**parts(*given), **changed})
    lone.scale(1)
    there(lone, 1)
    with pytest.raises(UsageError, match=said), cluster.connected(lone.scheduler_address, of(finished)):
        pass


def test_a_worker_without_the_course_is_refused(finished: Path, lone: LocalCluster) -> None:
    """As every worker here sees all of this side's folders, one is asked about a folder that is not there."""
    lone.scale(1)
    there(lone, 1)
    with Client(lone.scheduler_address, set_as_default=False) as client:
        (answer,) = client.run(cluster_worker.report, tiny.NAME, "/nowhere", {}).values()
    assert answer["fault"] == "there is no /nowhere/solutions/tiny; share the course's folder with it"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1:1", "nonsense"])
def test_an_address_where_nothing_answers_is_one_line(
    finished: Path, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    batch = hand_in(finished, tmp_path / "s", {"a1": RIGHT})
    assert main([*words(finished, batch, tmp_path / "out", "--dask", address)[3:]]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"autograder: --dask {address}: no Dask scheduler answers (")
    assert not (tmp_path / "out").exists()


def test_a_cluster_without_workers_is_one_line(
    finished: Path, lone: LocalCluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    batch = hand_in(finished, tmp_path / "s", {"a1": RIGHT})
    assert main([*words(finished, batch, tmp_path / "out", "--dask", lone.scheduler_address)[3:]]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "the cluster has no workers; start some" in line


def test_without_the_package_it_is_one_line(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    batch = hand_in(finished, tmp_path / "s", {"a1": RIGHT})
    assert main([*words(finished, batch, tmp_path / "out", "--dask", "tcp://127.0.0.1:1")[3:]]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "Dask is not installed" in line
    assert "'.[dask]'" in line


def hand_ins(batch: Path) -> list[HandIn]:
    return take_in([batch], Wanted(notebooks=(tiny.NAME,))).hand_ins


def test_recordings_come_back_from_where_the_gradebook_is_out_of_reach(
    finished: Path, dask: LocalCluster, tmp_path: Path
) -> None:
    batch = hand_in(finished, tmp_path / "s", {"a1": RIGHT})
    (one,) = hand_ins(batch)
    ids = tuple(question.id for question in of(finished).questions)
    assert graded(finished, batch, tmp_path / "out").returncode == 0
    found: dict[str, Any] = {}
    for where in (machine(), "another machine"):
        lookup = partial(open_lookup, database_url(tmp_path / "out"), where)
        with (
            cluster.connected(dask.scheduler_address, of(finished)) as connected,
            connected.workers(lookup) as (executor, do),
        ):
            found[where] = executor.submit(do, one.load(), ids).result(120)
    near, far = found.values()
    assert near.result == far.result
    assert [bool(recording.replies) for recording in far.recordings] == [True]
    assert not any(recording.replies for recording in near.recordings)


def test_a_database_server_is_read_from_anywhere(server: str, tmp_path: Path) -> None:
    assert isinstance(open_lookup(postgresql.new_database(server), "another machine"), Recorded)
    nobody = "postgresql+psycopg://nobody@/nothing?host=/nonexistent"
    assert isinstance(open_lookup(nobody, machine()), NothingRecorded)
    assert isinstance(open_lookup(database_url(tmp_path), machine()), NothingRecorded)
