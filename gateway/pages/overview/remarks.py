"""PURE: what the overview's cards say of services, lag, dead letters and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from gateway import feed
from gateway.board import Board
from gateway.feed import Happening, Letter
from gateway.numerals import grouped, plural
from gateway.pages.overview.words import READING, Said, ago


def verdict(troubles: int, well: bool) -> tuple[str, str]:
    """The state of the whole, and its css class; ``well``: enough was read to say so."""
    if troubles:
        return f"▲ {plural(troubles, 'thing')} to look at", "bad"
    return ("✓ All is well", "good") if well else (READING, "soft")


def letters(kept: int, board: Board, now: datetime) -> Said:
    """How many dead letters are kept, and which came last."""
    found = [each for each in board.errors if isinstance(each.event, Letter)]
    if not kept:
        return Said("0", "What cannot be processed is kept here, byte for byte, for 30 days.")
    if not found:
        return Said(grouped(kept), "kept on the topic of dead letters.")
    newest = max(found, key=feed.when)
    words = f"kept; the newest came {ago(feed.when(newest), now)}."
    return Said(grouped(kept), words, error(newest).partition(",")[0] + ".")


def error(happening: Happening) -> str:
    """A dead letter or a training that brought no version, in a line."""
    event = happening.event
    if isinstance(event, Letter):
        return f"Dead letter from {event.place}: {event.cause}, {event.message}"[:300]
    state, reason = getattr(event, "state", ""), getattr(event, "reason", None)
    name = getattr(event, "request_id", "")
    return f"Training {name} {state}: {reason or 'no reason given'}"[:300]


def health(state: Mapping[str, Any]) -> tuple[str, str]:
    """A service's state and css class."""
    if "error" in state:
        return f"○ does not answer: {state['error']}", "bad"
    if state.get("stuck"):
        return f"○ {state['stuck']}", "bad"
    if state.get("ready"):
        return "● ready", "good"
    away = [name for name, it in state.get("dependencies", {}).items() if not it["ok"]]
    return f"○ waits for {', '.join(away) or 'its first answer'}", "warn"


def since(state: Mapping[str, Any], clock: Callable[[datetime, str], str]) -> str:
    """When a service started, or since when it waits."""
    waits = [it["since"] for it in state.get("dependencies", {}).values() if not it["ok"]]
    at = min(waits) if waits else state.get("started_at")
    return clock(datetime.fromisoformat(at), "%m-%d %H:%M") if at else "–"


def lag(behind: int | None) -> tuple[str, str]:
    """How far a group is behind, and its css class."""
    return ("never read", "soft") if behind is None else (grouped(behind), "")
