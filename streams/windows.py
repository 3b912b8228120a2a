"""PURE: event-time tumbling windows with grace, lateness and expiry.

Time is the events' own: the watermark is the newest completion seen, and only it closes or
drops a window. The wall clock drops nothing, so a replayed day counts as the day it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Rule:
    """Lengths in seconds: of a window, of the grace after its end, of how long it is kept."""

    seconds: int = 60
    grace: int = 300
    kept: int = 86_400

    def start(self, at: datetime) -> int:
        """The start of the window that a time falls into, Unix seconds."""
        return int(at.timestamp() // self.seconds) * self.seconds

    def is_final(self, start: int, watermark: float) -> bool:
        return start + self.seconds + self.grace <= watermark

    def is_expired(self, start: int, watermark: float) -> bool:
        return start + self.seconds + self.kept <= watermark


@dataclass(frozen=True)
class Windows:
    """Completions per window. ``total`` = dropped + in kept windows + expired, always.

    ``counts`` ascending (start, completions) of kept windows; ``dropped`` completions of windows
    that were kept and then aged out; ``expired`` came after their window had; ``late`` came after
    their window was final and are counted in it, ``late_counts`` has those of kept windows, as
    ``counts`` does; ``watermark`` Unix seconds, None before any.
    """

    seconds: int = 0
    counts: tuple[tuple[int, int], ...] = ()
    dropped: int = 0
    expired: int = 0
    late: int = 0
    watermark: float | None = None
    late_counts: tuple[tuple[int, int], ...] = ()

    @property
    def total(self) -> int:
        return self.dropped + self.expired + sum(count for _, count in self.counts)

    def add(self, times: Iterable[datetime], rule: Rule) -> Windows:
        """With these completions, in order of arrival."""
        counts, lates, dropped = self._for(rule)
        expired, late, watermark = self.expired, self.late, self.watermark
        for at in times:
            start, now = rule.start(at), at.timestamp()
            watermark = now if watermark is None else max(watermark, now)
            if rule.is_expired(start, watermark):
                expired += 1
                continue
            if rule.is_final(start, watermark):
                late += 1
                lates[start] = lates.get(start, 0) + 1
            counts[start] = counts.get(start, 0) + 1
        aged = [s for s in counts if watermark is not None and rule.is_expired(s, watermark)]
        dropped += sum(counts.pop(start) for start in aged)
        kept = tuple(sorted(counts.items()))
        came_late = tuple(sorted((start, n) for start, n in lates.items() if start in counts))
        return Windows(rule.seconds, kept, dropped, expired, late, watermark, came_late)

    def open(self, rule: Rule) -> int:
        """Completions in windows that are not final yet."""
        if self.watermark is None:
            return 0
        return sum(n for start, n in self.counts if not rule.is_final(start, self.watermark))

    def _for(self, rule: Rule) -> tuple[dict[int, int], dict[int, int], int]:
        """Counts to go on from; windows of another length are dropped into the total."""
        if self.seconds in (0, rule.seconds):
            return dict(self.counts), dict(self.late_counts), self.dropped
        return {}, {}, self.dropped + sum(count for _, count in self.counts)

    def as_dict(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "counts": self.counts,
            "dropped": self.dropped,
            "expired": self.expired,
            "late": self.late,
            "watermark": self.watermark,
            "late_counts": self.late_counts,
        }

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Windows:
        counts, late = (_pairs(values[name]) for name in ("counts", "late_counts"))
        return replace(Windows(), **{**values, "counts": counts, "late_counts": late})


def _pairs(values: Iterable[Any]) -> tuple[tuple[int, int], ...]:
    return tuple((int(start), int(count)) for start, count in values)
