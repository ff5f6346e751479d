"""Times of other systems in ISO form."""

import time

import pytest

from autograder.platforms.times import iso_time, local_time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20 23:59:00 UTC", "2026-11-20T23:59:00+00:00"),
        ("2026-11-20 23:59:00.123456789 Z", "2026-11-20T23:59:00.123456+00:00"),
        ("2026-11-20T23:59:00.5-08:00", "2026-11-20T23:59:00.500000-08:00"),
        ("2026-11-20 23:59 Europe/Berlin\n", "2026-11-20T23:59:00+01:00"),
        ("2026-11-20 23:59:00", None),
        ("2026-11-20 23:59:00 Mars/Olympus", None),
        ("2026-11-20 23:59:00 ../etc/passwd", None),
        ("2026-02-30 23:59:00 UTC", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_times_with_a_zone(text: str, expected: str | None) -> None:
    assert iso_time(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Friday, 20 November 2026, 11:59 PM", "2026-11-20T23:59:00+01:00"),
        ("20 July 2026, 12:05 AM", "2026-07-20T00:05:00+02:00"),
        ("Freitag, 20. März 2026, 23:59", "2026-03-20T23:59:00+01:00"),
        ("-", None),
        ("31 February 2026, 10:00", None),
    ],
)
def test_times_in_words_are_those_of_this_machine(
    text: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert local_time(text) == expected
    finally:
        monkeypatch.undo()
        time.tzset()
