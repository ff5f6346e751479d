"""Importing this module shifts the clock of its process: for the loader that `elsewhere` starts, before all libraries.

What other code takes from `time` and `datetime` is shifted: the time of day and the date, not the clocks that measure
how long something takes. Classes of `datetime` are written in C, and their methods are rebound in place: a class in
their place would not be the type of the objects that libraries make.
"""

import ctypes
import datetime
import gc
import time
from collections.abc import Callable
from typing import Any

DAYS = 400
SHIFT_S = DAYS * 86_400 + 17_777
"""Another year, month, day of the week, hour and minute."""

_time, _time_ns = time.time, time.time_ns


def _shifted() -> float:
    return _time() + SHIFT_S


def _shifted_ns() -> int:
    return _time_ns() + SHIFT_S * 10**9


def _of_now(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, which takes seconds, with the shifted time where it is called without any."""
    return lambda seconds=None: function(_shifted() if seconds is None else seconds)


def _rebind(owner: type, name: str, method: Any) -> None:
    """Set an attribute of a class written in C, which setattr refuses."""
    gc.get_referents(owner.__dict__)[0][name] = method
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))


def _now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
    return cls.fromtimestamp(_shifted(), tz)


def _utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
    return cls.fromtimestamp(_shifted(), datetime.UTC).replace(tzinfo=None)


def _today(cls: type[datetime.date]) -> datetime.date:
    return cls.fromtimestamp(_shifted())


_local, _format = time.localtime, time.strftime
for _name in ("localtime", "gmtime", "ctime"):
    setattr(time, _name, _of_now(getattr(time, _name)))
time.strftime = lambda form, when=None: _format(form, when or _local(_shifted()))
time.time, time.time_ns = _shifted, _shifted_ns
_rebind(datetime.date, "today", classmethod(_today))
_rebind(datetime.datetime, "now", classmethod(_now))
_rebind(datetime.datetime, "utcnow", classmethod(_utcnow))
