"""PURE: the windowed global counter as the status tells it."""

from __future__ import annotations

from typing import Any

from streams import counting
from streams.windows import Rule, Windows

NEWEST = 30


def told(state: bytes, rule: Rule) -> dict[str, Any]:
    """From the newest value of the Faust table's changelog; empty: nothing was counted yet."""
    counter = counting.load(state)
    windows, seen = counter.windows, counter.seen
    return {
        "generation": counter.generation,
        "counted": len(seen),
        "gaps": len(seen.gaps(seen.spans[-1][1])) if seen.spans else 0,
        "total": windows.total,
        "kept": len(windows.counts),
        "open": windows.open(rule),
        "late": windows.late,
        "expired": windows.expired,
        "window_seconds": windows.seconds or rule.seconds,
        "newest": _newest(windows, rule),
    }


def _newest(windows: Windows, rule: Rule) -> list[dict[str, Any]]:
    """The newest windows, oldest first; one that is final changes by late completions only."""
    late, now = dict(windows.late_counts), windows.watermark or 0.0
    return [
        {
            "start": start,
            "completions": completions,
            "late": late.get(start, 0),
            "final": rule.is_final(start, now),
        }
        for start, completions in windows.counts[-NEWEST:]
    ]
