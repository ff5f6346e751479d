"""Verdicts cached by the replies that led to them.

Most answers of a class are right and give the same replies. Inputs and expected values are then computed once per batch
instead of once per student; a test runs only for a reply that has not been seen before.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autograder.pictures import Picture
from autograder.results import Flag, Status


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of a hidden test's case: a status, the reason unless it is `passed`, perhaps a flag and a picture."""

    status: Status
    message: str
    flag: Flag | None = None
    picture: Picture | None = None


@dataclass(slots=True)
class Memory:
    """Verdicts by the replies that led to them, and the requests of each case.

    A conversation is a path from a case through the digests of its replies. Each node stores the next request, or the
    verdict at the end. The least recently used nodes are dropped beyond `most`.
    """

    most: int = 20_000
    most_requests: int = 2_000
    _places: OrderedDict[bytes, bytes | Verdict] = field(default_factory=OrderedDict)
    _requests: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of stored nodes and requests."""
        return len(self._places) + len(self._requests)

    def requests(self) -> list[bytes]:
        """Return every request ever made, in order of first use."""
        return list(self._requests.values())

    def recall(self, case: str, ask: Callable[[bytes], bytes | None]) -> Verdict | None:
        """Return the verdict for the replies to the requests of a case, None if they are new."""
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
        """Store the requests and replies of a case with its verdict."""
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
