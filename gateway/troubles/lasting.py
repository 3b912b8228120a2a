"""PURE: since when troubles last, of those that do not say so themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gateway.troubles.trouble import Trouble


class Lasting:
    """Since when troubles last, of those that do not say so themselves: since they were first
    seen, in looks that are not more than ``gap`` seconds apart."""

    def __init__(self, gap: float = 60.0) -> None:
        self.gap = gap
        self._first: dict[str, datetime] = {}
        self._looked: datetime | None = None

    def told(self, found: list[Trouble], now: datetime) -> list[Trouble]:
        """Those that have lasted long enough."""
        if self._looked is not None and (now - self._looked).total_seconds() > self.gap:
            self._first = {}
        self._looked = now
        self._first = {each.name: self._first.get(each.name, now) for each in found}
        return [
            each if each.since else replace(each, since=self._first[each.name], seen=True)
            for each in found
            if (now - self._first[each.name]).total_seconds() >= each.patience
        ]
