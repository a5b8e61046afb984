"""How many may wait at once: every open stream and every caller that waits takes a place.

Counted in each web process by itself, so that no other server has to be asked and nothing is left
over when a process ends: with N processes the limits are N times as high.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest

from inference import addresses, errors


class Place:
    """One place, given back once."""

    def __init__(self, places: "Places", address: str) -> None:
        self._places, self._address = places, address
        self._taken = True
        self.is_handed_on = False
        """Whether a stream has it now, which gives it back at its end."""

    def give_back(self) -> None:
        """Let another have it; repeating this changes nothing."""
        taken, self._taken = self._taken, False
        if taken:
            self._places.leave(self._address)


class Places:
    """Counts who waits, by address and in all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_address: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        return self._by_address.total()

    def take(self, address: str) -> Place:
        """
        Raises:
            Busy: this address has its share (429), or all places are taken (503).
        """
        with self._lock:
            if self._by_address[address] >= settings.STREAMS_MAX_PER_ADDRESS:
                raise errors.TOO_MANY_STREAMS()
            if self._by_address.total() >= settings.STREAMS_MAX:
                raise errors.STREAMS_FULL()
            self._by_address[address] += 1
        return Place(self, address)

    def leave(self, address: str) -> None:
        """Give a place of an address back."""
        with self._lock:
            self._by_address[address] -= 1
            if self._by_address[address] <= 0:
                del self._by_address[address]


PLACES = Places()


@contextlib.contextmanager
def taken(request: HttpRequest) -> Iterator[Place]:
    """A place for this request, given back when the body ends, unless a stream has taken it over.

    Raises:
        Busy: there is none.
    """
    place = PLACES.take(addresses.network(request.META.get("REMOTE_ADDR", "")))
    try:
        yield place
    finally:
        if not place.is_handed_on:
            place.give_back()
