"""How often somebody may try something: a count of the last minutes, kept in memory."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable

MOST_KEYS = 20_000


class RateLimit:
    """At most `most` events of one key within `seconds`."""

    def __init__(
        self, most: int, seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._events: dict[Hashable, deque[float]] = {}

    def wait(self, key: Hashable) -> float:
        """Seconds until the key's next event is allowed; 0 if it is now."""
        now = self._clock()
        with self._lock:
            events = self._events.get(key)
            self._forget(key, events, now)
            if events is None or len(events) < self._most:
                return 0.0
            return events[0] + self._seconds - now

    def note(self, key: Hashable) -> None:
        """An event of the key happens now."""
        now = self._clock()
        with self._lock:
            if len(self._events) >= MOST_KEYS:
                for other, events in list(self._events.items()):
                    self._forget(other, events, now)
                if len(self._events) >= MOST_KEYS:
                    self._events.pop(next(iter(self._events)))  # the oldest key
            self._events.setdefault(key, deque(maxlen=self._most)).append(now)

    def _forget(self, key: Hashable, events: deque[float] | None, now: float) -> None:
        while events and events[0] <= now - self._seconds:
            events.popleft()
        if events is not None and not events:
            self._events.pop(key, None)


def network(host: str) -> str:
    """What counts as one place: an IPv4 address, or the 64 first bits of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:100]
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network(f"{address}/64", strict=False))
