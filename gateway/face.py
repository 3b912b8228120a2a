"""What every call works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio

from gateway.keys import Keys
from gateway.link import Link
from gateway.problems import store_away
from gateway.sessions import Sessions
from gateway.tasks import Tasks
from schemas.settings import Settings
from streams.group_lags import GroupLags
from streams.health import Health

STORE_SECONDS = 0.25
PAGE_SECONDS = 2.0  # a page's own reads


@dataclass(frozen=True)
class Face:
    """What the routes work with."""

    settings: Settings
    health: Health
    link: Link
    tasks: Tasks
    keys: Keys
    sessions: Sessions
    lags: GroupLags


async def stored(work: Any, *args: Any, seconds: float = STORE_SECONDS) -> Any:
    """A store call off the event loop; a problem where it takes too long to keep the promise."""
    try:
        with anyio.fail_after(seconds):
            return await anyio.to_thread.run_sync(work, *args, abandon_on_cancel=True)
    except TimeoutError:
        raise store_away() from None
