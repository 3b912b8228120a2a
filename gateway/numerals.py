"""PURE: numbers as people read them, the same on a terminal and on a page."""

from __future__ import annotations

from datetime import UTC, datetime

MOST_DOTS = 20
UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def dots(k: int, every: int) -> str:
    """The counter: ●●●○○ 3/5; only the numbers where dots would not fit."""
    drawn = "●" * k + "○" * (every - k) + " " if every <= MOST_DOTS else ""
    return f"{drawn}{k}/{every}"


def grouped(number: int) -> str:
    """A whole number with its thousands apart: 46 132."""
    return f"{number:,}".replace(",", " ")


def plural(number: int, noun: str) -> str:
    return f"{grouped(number)} {noun}{'' if number == 1 else 's'}"


def ago(at: str | datetime, now: datetime) -> str:
    """How long ago a time was, in its largest unit."""
    then = datetime.fromisoformat(at) if isinstance(at, str) else at
    seconds = max((now - then.astimezone(UTC)).total_seconds(), 0.0)
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
