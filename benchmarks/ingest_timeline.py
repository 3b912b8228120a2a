"""PURE: what was stored and counted at each look at a running worker, and the rates that follow.

Nothing here knows what runs: a worker, two of them, or a peer, which counts nothing to be seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

FEWEST_STEPS = 5


@dataclass(frozen=True)
class Look:
    """At a moment, in seconds: events stored and counted, processor seconds used by name."""

    at: float
    stored: int
    counted: int | None = None
    cpu: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Timeline:
    """Looks at a worker that was started at ``started`` with ``total`` events to read."""

    started: float
    total: int
    looks: Sequence[Look]

    def figures(self) -> dict[str, Any]:
        """Seconds and rates, the steady ones between 10 % and 90 %, where starting is over."""
        begin = self.begin()
        series = {"stored": [look.stored for look in self.looks]}
        counted = [look.counted for look in self.looks if look.counted is not None]
        if len(counted) == len(self.looks):
            series["counted"] = counted
        ends = {name: self._when(values, self.total) for name, values in series.items()}
        return {
            "events": self.total,
            "start_seconds": round(begin - self.started, 2),
            "seconds": {name: round(end - begin, 2) for name, end in ends.items()},
            "per_second": {n: _rate(self.total, end - begin) for n, end in ends.items()},
            "steady_per_second": {n: self._steady(values) for n, values in series.items()},
            "steady_cores": self._cores(series["stored"]),
        }

    def begin(self) -> float:
        """When reading began, as far as is seen from outside: the last look with nothing stored."""
        return max((look.at for look in self.looks if look.stored == 0), default=self.started)

    def _steady(self, values: Sequence[int]) -> float | None:
        """Events a second from 10 % to 90 %; None where too few steps were seen between them."""
        low, high = 0.1 * self.total, 0.9 * self.total
        if len({value for value in values if low <= value <= high}) < FEWEST_STEPS:
            return None
        return _rate(high - low, self._when(values, high) - self._when(values, low))

    def _when(self, values: Sequence[float], level: float) -> float:
        """When a series first reached a level, on a straight line between two looks."""
        times = [look.at for look in self.looks]
        for (before, value), (after, reached) in pairwise(zip(times, values, strict=True)):
            if reached >= level > value:
                return before + (after - before) * (level - value) / (reached - value)
        return times[0]

    def _cores(self, stored: Sequence[int]) -> dict[str, float]:
        """How many processors each was busy with between 10 % and 90 % of what is stored."""
        low, high = (self._when(stored, share * self.total) for share in (0.1, 0.9))
        names = self.looks[-1].cpu if high > low else ()
        return {
            name: round((self._used(name, high) - self._used(name, low)) / (high - low), 2)
            for name in names
        }

    def _used(self, name: str, at: float) -> float:
        known = [(look.at, look.cpu[name]) for look in self.looks if name in look.cpu]
        for (before, less), (after, more) in pairwise(known):
            if before <= at <= after and after > before:
                return less + (more - less) * (at - before) / (after - before)
        return known[0][1] if at <= known[0][0] else known[-1][1]


def percentiles(values: Sequence[float]) -> dict[str, Any]:
    """How many, the median, p95, p99 and the largest, by nearest rank."""
    ordered = sorted(values)
    found = {
        name: round(ordered[math.ceil(share * len(ordered)) - 1], 2) if ordered else None
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    }
    return {"samples": len(ordered), **found}


def speed(figures: Mapping[str, Any]) -> float:
    """The rate that is compared: the steady one where it was seen, counted where it counts."""
    what = "counted" if "counted" in figures["per_second"] else "stored"
    return float(figures["steady_per_second"][what] or figures["per_second"][what])


def _rate(events: float, seconds: float) -> float:
    return round(events / seconds, 1) if seconds > 0 else 0.0
