"""PURE: what the overview's cards say of services, lag, dead letters and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway import feed
from gateway.board import Board
from gateway.feed import Happening, Letter
from gateway.numerals import grouped, plural
from gateway.pages.overview.words import READING, Said, ago
from gateway.troubles.services import NAMES

ERRORS, MOST = 8, 300


def verdict(troubles: int, well: bool) -> tuple[str, str]:
    """The state of the whole, and its css class; ``well``: enough was read to say so."""
    if troubles:
        return f"▲ {plural(troubles, 'thing')} to look at", "bad"
    return ("✓ All is well", "good") if well else (READING, "soft")


def letters(kept: int, board: Board, now: datetime) -> Said:
    """How many dead letters are kept, and which came last."""
    if not kept:
        return Said("0", "What cannot be processed is kept here, byte for byte, for 30 days.")
    if not board.letters:
        return Said(grouped(kept), "kept on the topic of dead letters.")
    newest = max(board.letters, key=feed.when)
    words = f"kept; the newest came {ago(feed.when(newest), now)}."
    return Said(grouped(kept), words, letter(newest).partition(",")[0] + ".")


def letter(happening: Happening) -> str:
    """A dead letter in a line: whence, and why."""
    event = happening.event
    if not isinstance(event, Letter):
        return ""
    return f"Dead letter from {event.place}: {event.cause}, {event.message}"[:MOST]


def errors(board: Board, failures: Sequence[Mapping[str, Any]]) -> list[tuple[datetime, str]]:
    """The last dead letters, and trainings that brought no version: when and what, newest first."""
    told = [(feed.when(each), letter(each)) for each in board.letters]
    for each in failures:
        reason = each["reason"] or "no reason given"
        what = f"Training {each['request_id']} {each['state']}: {reason}"[:MOST]
        told.append((datetime.fromisoformat(each["ended_at"]), what))
    return sorted(told, reverse=True)[:ERRORS]


def health(state: Mapping[str, Any]) -> tuple[str, str]:
    """A service's state and css class."""
    if "error" in state:
        return "○ does not answer", "bad"
    if state.get("stuck"):
        return f"○ {state['stuck']}", "bad"
    if state.get("ready"):
        return "● ready", "good"
    dependencies = state.get("dependencies", {})
    away = [NAMES.get(name, name) for name, it in dependencies.items() if not it["ok"]]
    return f"○ waits for {', '.join(away) or 'its first answer'}", "warn"


def since(state: Mapping[str, Any], clock: Callable[[datetime, str], str]) -> str:
    """When a service started, or since when it waits."""
    waits = [it["since"] for it in state.get("dependencies", {}).values() if not it["ok"]]
    at = min(waits) if waits else state.get("started_at")
    return clock(datetime.fromisoformat(at), "%m-%d %H:%M") if at else "–"


def lag(behind: int | None) -> tuple[str, str]:
    """How far a group is behind, and its css class."""
    return ("never read", "soft") if behind is None else (grouped(behind), "")
