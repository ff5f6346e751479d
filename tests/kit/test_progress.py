"""Progress of long work: plain lines where there is no terminal, with the pace from time to time."""

import pytest

from autograder.reports.terminal import PACED, counted, pace


@pytest.mark.parametrize(
    ("done", "total", "elapsed_s", "text"),
    [
        (10, 20, 60.0, "10 a minute, 60 s left"),
        (1, 1000, 2.0, "30 a minute, 33 min left"),
        (1, 10_000, 20.0, "3.0 a minute, 55.5 h left"),
        (20, 20, 1.0, "1200 a minute, 0 s left"),
    ],
)
def test_pace_is_the_mean_so_far(done: int, total: int, elapsed_s: float, text: str) -> None:
    assert pace(done, total, elapsed_s) == text


def lines_of(total: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with counted(total, "grading") as advance:
        for number in range(total):
            advance(f"s{number}", "5 of 5")
    return capsys.readouterr().err.splitlines()


def test_a_large_batch_says_its_pace_some_times(capsys: pytest.CaptureFixture[str]) -> None:
    total = 2 * PACED
    lines = lines_of(total, capsys)
    assert len(lines) == total
    assert [number for number, line in enumerate(lines, start=1) if "a minute" in line] == list(range(10, total, 10))
    assert lines[0] == f"1/{total} s0: 5 of 5"


def test_a_small_batch_shows_its_pace_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert not any("a minute" in line for line in lines_of(PACED - 1, capsys))
