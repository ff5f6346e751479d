"""Verdicts remembered by the replies that led to them.

Most answers of a class are right and give the same replies. Inputs and expected values are then computed once per batch
and not once per student; only a reply that nobody gave before makes the test run.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autograder.results import Flag, Status


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a hidden test's case said: a status, the reason where it is not `passed`, a flag where there is one."""

    status: Status
    message: str
    flag: Flag | None = None


@dataclass(slots=True)
class Memory:
    """Verdicts by the replies that led to them, and what each case asks on the way there.

    A conversation is a path: from a case over the digests of its replies. Each place on it holds the next request, or
    the verdict at its end. The places that were used longest ago are forgotten beyond `most`.
    """

    most: int = 20_000
    most_requests: int = 2_000
    _places: OrderedDict[bytes, bytes | Verdict] = field(default_factory=OrderedDict)
    _requests: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many places and requests are kept."""
        return len(self._places) + len(self._requests)

    def requests(self) -> list[bytes]:
        """Return every request that was ever made, in the order of its first time."""
        return list(self._requests.values())

    def recall(self, case: str, ask: Callable[[bytes], bytes | None]) -> Verdict | None:
        """Return the verdict on the replies to what the case asks, None when they are new."""
        place = digest(case.encode())
        while isinstance(known := self._places.get(place), bytes):
            self._places.move_to_end(place)
            reply = ask(self._requests[known])
            if reply is None:
                return None
            place = digest(place + reply)
        if known:
            self._places.move_to_end(place)
        return known

    def record(self, case: str, conversation: Sequence[tuple[bytes, bytes | None]], verdict: Verdict) -> None:
        """Keep what a case asked and was told, and what it said to that."""
        place = digest(case.encode())
        for request, reply in conversation:
            key = digest(request)
            if reply is None or (key not in self._requests and len(self._requests) >= self.most_requests):
                return
            self._requests.setdefault(key, request)
            self._places[place] = key
            place = digest(place + reply)
        self._places[place] = verdict
        while len(self._places) > self.most:
            self._places.popitem(last=False)


def digest(data: bytes | bytearray) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
