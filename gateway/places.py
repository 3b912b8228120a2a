"""Where in the log each learner's newest completion stands, as far as this gateway published it.

So that a prediction asked for next knows it. Bounded; an older one is recorded long since.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field

MOST = 10_000
WAIT_SECONDS = 0.1


@dataclass
class Publication:
    """``under_way`` completions await the broker, and ``waiting`` wants to know; then ``place``."""

    under_way: int = 0
    place: str | None = None
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class Places:
    """``published`` and ``delivered`` may be called from any thread."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Publication] = OrderedDict()

    def published(self, user: str) -> None:
        """A completion was handed to the producer."""
        with self._lock:
            known = self._known.setdefault(user, Publication())
            known.under_way += 1
            self._known.move_to_end(user)
            while len(self._known) > self.most:
                self._release(self._known.popitem(last=False)[1])

    def delivered(self, user: str, place: str | None) -> None:
        """The broker has it, at ``place`` ("partition@offset"), or None: it has not."""
        with self._lock:
            known = self._known.get(user)
            if known is None:
                return
            known.under_way -= 1
            known.place = place or known.place
            if not known.under_way:
                self._release(known)

    async def of(self, user: str) -> tuple[str | None, bool]:
        """The place of a learner's newest completion, and whether none newer is under way still;
        one that is, is awaited, shortly."""
        with self._lock:
            known = self._known.get(user)
            if known is None:
                return None, True
            future = asyncio.get_running_loop().create_future() if known.under_way else None
            if future is not None:
                known.waiting.append(future)
        if future is not None:
            await asyncio.wait([future], timeout=WAIT_SECONDS)
            with self._lock, suppress(ValueError):
                known.waiting.remove(future)
        return known.place, not known.under_way

    @staticmethod
    def _release(known: Publication) -> None:
        for future in known.waiting:
            future.get_loop().call_soon_threadsafe(_resolve, future)
        known.waiting.clear()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
