"""What the overview shows, the same for all who look: every part of the status read by itself and
no more often than it changes, what has happened, and what is wrong.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from gateway import status
from gateway.board import Board
from gateway.follower import Follower, Seen
from gateway.kept import Kept
from gateway.pages.overview import recent
from gateway.pages.overview.drawings import Drawn, drawings
from gateway.status import SILENT, SILENT_SECONDS
from gateway.troubles import Lasting, Trouble, troubles
from schemas.settings import Settings
from streams import scores
from streams.group_lags import GroupLags

LIVE_WINDOWS = 60
SNAPSHOT_SECONDS = 1.5
PATIENCE_SECONDS = 0.3
KEPT = {  # seconds; the windowed counter comes from the follower
    "counter": 2.0, "last_training": 2.0, "serving": 2.0, "accuracy": 5.0, "lag": 5.0,
    "dead_letters": 5.0, "services": 4.0, "model_files": 30.0, "versions": 4.0, "live": 5.0,
    "failures": 4.0,
}  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """``status`` lacks the parts that were not read yet; ``drawn`` has what each chart draws, the
    same object as before where nothing changed."""

    at: datetime
    status: Mapping[str, Any]
    board: Board
    troubles: list[Trouble]
    drawn: Mapping[str, Drawn]


class Overview:
    """Reads nothing until somebody asks."""

    def __init__(self, settings: Settings, engine: Engine, lags: GroupLags) -> None:
        self.follower = Follower(settings)
        work: dict[str, Callable[[], Any]] = {
            **status.parts(settings, engine, lags),
            "versions": lambda: status.tried(lambda: recent.listed(engine)),
            "failures": lambda: status.tried(lambda: recent.failures(engine)),
            "live": lambda: status.tried(lambda: scores.by_window(engine, LIVE_WINDOWS)),
        }
        self.parts = {name: Kept(work[name], kept) for name, kept in KEPT.items()}
        self._shared: Kept[Snapshot] = Kept(self._take, SNAPSHOT_SECONDS)
        self._lasting = Lasting()
        self._drawn: dict[str, Drawn] = {}
        self._counts: deque[tuple[datetime, int]] = deque(maxlen=120)

    async def snapshot(self) -> Snapshot:
        """As it is now, or was a moment ago; a part that is slow does not hold up the others."""
        return await self._shared.get()

    def close(self) -> None:
        """Let go of Kafka."""
        self.follower.stop()

    async def _take(self) -> Snapshot:
        read = await asyncio.gather(*(each.soon(PATIENCE_SECONDS) for each in self.parts.values()))
        known = {
            name: part if kept.waits < SILENT_SECONDS else dict(SILENT)
            for (name, kept), part in zip(self.parts.items(), read, strict=True)
            if kept.known or kept.waits >= SILENT_SECONDS
        }
        now, seen = datetime.now(UTC), self.follower.look()
        said = {**known, **self._noted(known, seen.board, now), **_followed(seen)}
        for name, drawn in drawings(said, seen.board, now).items():
            if self._drawn.get(name) != drawn:
                self._drawn[name] = drawn
        told = self._lasting.told(troubles(said), now)
        return Snapshot(now, said, seen.board, told, dict(self._drawn))

    def _noted(self, known: Mapping[str, Any], board: Board, now: datetime) -> dict[str, Any]:
        """What follows from several looks or parts."""
        done = (known.get("counter") or {}).get("completions")
        if done is not None:
            self._counts.append((now, done))
        before = [count for at, count in self._counts if now - at >= timedelta(minutes=1)]
        live = known.get("live")
        return {
            "completions_before": min(before[-1], done or 0) if before else None,
            "last_hour": recent.last_hour(live, now) if isinstance(live, list) else None,
            "recent_letters": recent.letters(board, now),
        }


def _followed(seen: Seen) -> dict[str, Any]:
    windows = {} if seen.windows is None else {"windows": seen.windows}
    return {"feed": seen.feed, **windows}
