"""Times in the files of other systems, converted to ISO form with time zone."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

STAMP = re.compile(
    r"\s*(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d)?)(\.\d{1,9})?\s*(Z|[A-Za-z][\w/+-]{0,40}|[+-]\d\d:?\d\d)?\s*"
)
IN_WORDS = re.compile(
    r"(?:\w+, )?(?P<day>\d{1,2})\.? (?P<month>\w+) (?P<year>\d{4}),? "
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?: ?(?P<half>[AaPp])[Mm])?"
)
MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "mai": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "okt": 10, "nov": 11, "dec": 12, "dez": 12,
}  # fmt: skip
"""Months in English and German, by their first three letters."""


def local_time(text: str) -> str | None:
    """Return a time in words, such as `Friday, 20 November 2026, 11:59 PM`, in the time zone of this machine."""
    found = IN_WORDS.fullmatch(text.strip())
    month = MONTHS.get(found["month"].lower().replace("ä", "a")[:3]) if found else None
    if not found or not month:
        return None
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"] in "pP" else 0)
    try:
        naive = datetime(int(found["year"]), month, int(found["day"]), hour, int(found["minute"]))
        return naive.astimezone().isoformat()
    except (ValueError, OverflowError):
        return None


def iso_time(text: str) -> str | None:
    """Return a time such as `2026-11-20 23:59:00.5 UTC` in ISO form; None without a known time zone."""
    found = STAMP.fullmatch(text)
    if not found or not found[4]:
        return None
    fraction = (found[3] or "").ljust(7, "0")[:7] if found[3] else ""
    plain = f"{found[1]}T{found[2]}{fraction}"
    try:
        if found[4][0] in "+-":
            return datetime.fromisoformat(plain + found[4]).isoformat()
        zone = UTC if found[4] in ("Z", "UTC", "GMT") else ZoneInfo(found[4])  # small machines have no zone database
        return datetime.fromisoformat(plain).replace(tzinfo=zone).isoformat()
    except (ValueError, OSError, KeyError):  # no such time or time zone
        return None
