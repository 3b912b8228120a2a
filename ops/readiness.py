"""Asks each service's /readyz in the background, so that the terminal never waits for one."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import httpx

FAST_SECONDS = 0.3
SLOW_SECONDS = 3.0


class Readiness:
    """``now`` says who is ready; ``took`` how many seconds after ``began`` each became so."""

    def __init__(self, addresses: Mapping[str, str], began: float) -> None:
        self.addresses = addresses
        self.now = dict.fromkeys(addresses, False)
        self.took: dict[str, float] = {}
        self._began = began
        self._stop = threading.Event()
        threading.Thread(target=self._ask, name="readiness", daemon=True).start()

    @property
    def complete(self) -> bool:
        """Whether each has been ready once."""
        return len(self.took) == len(self.addresses)

    def stop(self) -> None:
        self._stop.set()

    def _ask(self) -> None:
        with httpx.Client(timeout=2.0, trust_env=False) as client:
            while not self._stop.wait(SLOW_SECONDS if all(self.now.values()) else FAST_SECONDS):
                for name, url in self.addresses.items():
                    self._note(name, _is_ready(client, url))

    def _note(self, name: str, ready: bool) -> None:
        self.now[name] = ready
        if ready and name not in self.took:
            self.took[name] = time.monotonic() - self._began


def _is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False
