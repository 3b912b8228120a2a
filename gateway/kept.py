"""What is the same for all viewers, read once for all of them: kept for a while, one read at a
time, off the event loop. An error is kept as long, so that nobody waits for it anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Kept(Generic[T]):
    """``read`` may block; what it gives or raises is told for ``seconds``."""

    def __init__(self, read: Callable[[], T], seconds: float) -> None:
        self.read, self.seconds = read, seconds
        self._reading: asyncio.Task[T] | None = None
        self._until = 0.0

    async def get(self) -> T:
        """The newest; raises what reading it raised."""
        reading = self._reading
        if reading is None or (reading.done() and time.monotonic() > self._until):
            reading = self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(reading)

    def forget(self) -> None:
        """Let whoever asks next read anew."""
        self._until = 0.0

    async def _read(self) -> T:
        try:
            return await anyio.to_thread.run_sync(self.read, abandon_on_cancel=True)
        finally:
            self._until = time.monotonic() + self.seconds
