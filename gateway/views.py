"""The analytics as all viewers share them: one set of filters is read once for a while.

Few reads go on at a time, so that practice always finds a connection and a thread.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import anyio

from gateway.analytics import View, look
from gateway.face import Face
from gateway.filters import Filters
from gateway.kept import Kept

KEPT_SECONDS = 20.0
MOST_KEPT = 32  # a view takes some MB
AT_ONCE = 2


class Views:
    """The newest views by their filters. For one event loop."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self._kept: OrderedDict[Filters, Kept[View]] = OrderedDict()
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    async def get(self, filters: Filters) -> View:
        """Raises what reading raised: the store is away, or took too long."""
        if filters not in self._kept:
            window = self.face.settings.score_window_seconds
            read = partial(look, self.face.tasks.engine, filters, window)
            self._kept[filters] = Kept(read, KEPT_SECONDS, self._limiter)
        self._kept.move_to_end(filters)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return await self._kept[filters].get()
