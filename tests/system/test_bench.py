"""The bench on the smallest assignment: the bare process makes the calls that grading makes."""

from pathlib import Path

from autograder.assignment_file import load_assignment
from benchmarks import bench, class_of_10000, memory, on_dask, rescore, resubmission


def test_cpu_beside_a_bare_process(finished: Path, tmp_path: Path) -> None:
    assignment = load_assignment("tiny", finished)
    submission = bench.reference(assignment, tmp_path / "reference")
    rows = list(bench._cpu(assignment, submission))
    assert [row.what for row in rows if "training" in row.what] == [], "this assignment trains nothing"
    ratios = [float(row.ratio) for row in rows if row.ratio]
    assert len(ratios) == 2
    assert all(ratio > 0 for ratio in ratios)
    assert len(list(bench.to_markdown(rows))) == len(rows) + 2


def test_a_class_is_rescored_from_recordings(finished: Path, tmp_path: Path) -> None:
    measured = rescore.measure(load_assignment("tiny", finished), tmp_path, count=10, distinct=4)
    assert measured.judged == 10, "nobody's code is run again"


def test_a_resubmission_beside_the_first(finished: Path, tmp_path: Path) -> None:
    measured = resubmission.measure(load_assignment("tiny", finished), tmp_path)
    assert measured.changed == "Q2", "the only question that no other needs"
    assert min(measured.first_s, measured.changed_s, measured.same_s) > 0


def test_memory_of_a_further_worker(finished: Path, tmp_path: Path) -> None:
    assignment = load_assignment("tiny", finished)
    assert 1 < memory.of_one_more(assignment, bench.reference(assignment, tmp_path / "reference")) < 1000


def test_a_cluster_beside_local_workers(finished: Path, tmp_path: Path) -> None:
    assignment = load_assignment("tiny", finished)
    (rates,) = on_dask.measure(assignment, bench.reference(assignment, tmp_path / "reference"), rounds=1, count=2)
    assert min(rates) > 0


def test_a_large_class_is_killed_resumed_and_reported(finished: Path, tmp_path: Path) -> None:
    """With the class made small; the lines tell what was measured."""
    assignment = load_assignment("tiny", finished)
    lines = list(class_of_10000.measure(assignment, tmp_path / "class", students=20, distinct=8, questions=""))
    assert lines[0].startswith("written: 20 students, 8 distinct submissions")
    assert [line.split(":")[0] for line in lines[3:5]] == ["killed and started again", "peak memory of the resumed run"]
    assert len(list((tmp_path / "class" / "out" / "results").iterdir())) == 20
    assert lines[-1].startswith("report: ")
