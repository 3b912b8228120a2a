"""What is the same for all viewers, read once for all of them: kept for a while, one read at a
time, off the event loop. An error is kept as long, so that nobody waits for it anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from inspect import iscoroutinefunction
from typing import Any, Generic, TypeVar

import anyio

T = TypeVar("T")


class Kept(Generic[T]):
    """``read`` may block, or is awaited where it is a coroutine function; what it gives or raises
    is told for ``seconds``. It is read only when somebody asks. ``limiter`` bounds how many
    blocking reads that share it go on at once. Of one event loop."""

    def __init__(
        self,
        read: Callable[[], T] | Callable[[], Coroutine[Any, Any, T]],
        seconds: float,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> None:
        self.read, self.seconds, self.limiter = read, seconds, limiter
        self._reading: asyncio.Task[T] | None = None
        self._began = self._until = 0.0
        self._last: T | None = None
        self._known = False

    async def get(self) -> T:
        """The newest; raises what reading it raised."""
        return await asyncio.shield(self._newest())

    async def soon(self, patience: float) -> T | None:
        """The newest that can be had within ``patience`` seconds: else what was had before, which
        is None at first. Raises nothing."""
        reading = self._newest()
        if not reading.done():
            await asyncio.wait([reading], timeout=patience)
        return self._last

    @property
    def known(self) -> bool:
        """Whether it was read once."""
        return self._known

    @property
    def waits(self) -> float:
        """How many seconds the reading that is under way has taken; 0 where there is none."""
        under_way = self._reading is not None and not self._reading.done()
        return time.monotonic() - self._began if under_way else 0.0

    def forget(self) -> None:
        """Let whoever asks next read anew."""
        self._until = 0.0

    def _newest(self) -> asyncio.Task[T]:
        reading = self._reading
        if reading is None or (reading.done() and time.monotonic() >= self._until):
            self._began = time.monotonic()
            self._until = float("inf")  # so that ``forget`` is heard while it is read
            reading = self._reading = asyncio.create_task(self._take())
            reading.add_done_callback(_seen)
        return reading

    async def _take(self) -> T:
        try:
            self._last, self._known = await self._read(), True
            return self._last
        finally:
            if self._until:
                self._until = time.monotonic() + self.seconds

    async def _read(self) -> T:
        if iscoroutinefunction(self.read):
            return await self.read()  # type: ignore[no-any-return]
        return await anyio.to_thread.run_sync(
            self.read,  # type: ignore[arg-type]
            abandon_on_cancel=True,
            limiter=self.limiter,
        )


def _seen(reading: asyncio.Task[T]) -> None:
    """Nobody may be left to whom it matters that it failed."""
    if not reading.cancelled():
        reading.exception()
