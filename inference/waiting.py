"""Requests, and which of them are put off: those that must know a completion not recorded yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.codec import Raw
from schemas.events import PredictionRequest

AFTER_SECONDS = 0.3


@dataclass(frozen=True)
class Asked:
    """A request, the message it came in, and until when (monotonic) it may be put off."""

    request: PredictionRequest
    raw: Raw
    until: float = field(default_factory=lambda: time.monotonic() + AFTER_SECONDS)


class Waiting:
    """``positions`` tells where recording stands, None: not known. ``held`` are put off."""

    def __init__(self, positions: Callable[[], Mapping[int, int] | None]) -> None:
        self.positions = positions
        self.held: list[Asked] = []

    def ready(self, new: Sequence[Asked], *, at_once: bool = False) -> list[tuple[Asked, str]]:
        """Those of all to answer now, each with the completion that it must do without, or "".

        With ``at_once`` none is put off.
        """
        asked, held = [*self.held, *new], list[Asked]()
        reached = self.positions() if any(one.request.after for one in asked) else None
        found = []
        for one in asked:
            lacks = _lacks(one.request.after, reached)
            if lacks and reached is not None and time.monotonic() < one.until and not at_once:
                held.append(one)
            else:
                found.append((one, lacks))
        self.held = held
        return found


def first_of(asked: Sequence[Asked]) -> dict[int, int]:
    """The lowest offset among requests, by partition."""
    lowest: dict[int, int] = {}
    for raw in (one.raw for one in asked):
        lowest[raw.partition] = min(raw.offset, lowest.get(raw.partition, raw.offset))
    return lowest


def _lacks(after: str | None, reached: Mapping[int, int] | None) -> str:
    if after is None:
        return ""
    partition, offset = map(int, after.split("@"))
    return "" if reached is not None and reached.get(partition, 0) > offset else after
