"""How often a sign-in may fail: five times a minute for each address, sixty for all together.

What is over the limit is refused without being noted, so this never holds more than sixty.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address, ip_network

EACH, TOGETHER, SECONDS = 5, 60, 60.0


class Attempts:
    """The failed sign-ins of the last minute. ``clock`` gives seconds that only go on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._noted: deque[tuple[float, str]] = deque()

    def take(self, address: str) -> float:
        """Note an attempt before its key is looked at, and return 0; or, where there were too many,
        the seconds to wait."""
        now, place = self._clock(), _place(address)
        with self._lock:
            while self._noted and self._noted[0][0] <= now - SECONDS:
                self._noted.popleft()
            own = [at for at, noted in self._noted if noted == place]
            full = [own[0]] if len(own) >= EACH else []
            full += [self._noted[0][0]] if len(self._noted) >= TOGETHER else []
            if full:
                return max(full) + SECONDS - now
            self._noted.append((now, place))
            return 0.0

    def forgive(self, address: str) -> None:
        """The attempt was right: it does not count."""
        place = _place(address)
        with self._lock:
            for noted in reversed(self._noted):
                if noted[1] == place:
                    self._noted.remove(noted)
                    return


def _place(address: str) -> str:
    """An address; of IPv6 the network, all of which may be one machine's."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found) if found.version == 4 else str(ip_network((found, 64), strict=False))
