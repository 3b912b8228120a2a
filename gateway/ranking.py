"""PURE: what a learner should practise next, and why, in words.

Closest to a target chance of a right answer: neither too easy nor too hard to learn from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.replies import ForecastCell

TARGET = 0.7
MOST = 5
AGES = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))


@dataclass(frozen=True)
class Practised:
    """How many of a learner's newest completions are of one topic and difficulty, and the last."""

    tasks: int
    last_at: datetime


@dataclass(frozen=True)
class Suggestion:
    """A topic and difficulty, the predicted chance of a right answer, and why it is suggested."""

    topic: str
    difficulty: str
    p_correct: float
    why: str


def rank(
    cells: Sequence[ForecastCell],
    done: Mapping[tuple[str, str], Practised],
    target: float,
    now: datetime,
    most: int = MOST,
) -> list[Suggestion]:
    """The cells closest to the target; of equals (to 0.01) the longest not practised first."""

    def order(cell: ForecastCell) -> tuple[int, float, str, str]:
        past = done.get((cell.topic, cell.difficulty))
        last_at = past.last_at.timestamp() if past else 0.0
        return _distance(cell.p_correct, target), last_at, cell.topic, cell.difficulty

    chosen = sorted(cells, key=order)[:most]
    nearest = _distance(chosen[0].p_correct, target) if chosen else 0
    return [
        Suggestion(
            cell.topic,
            cell.difficulty,
            cell.p_correct,
            f"{_nearness(cell.p_correct, target, nearest)}; "
            + history(done.get((cell.topic, cell.difficulty)), now),
        )
        for cell in chosen
    ]


def history(past: Practised | None, now: datetime) -> str:
    """When something was practised last, and how often."""
    if past is None:
        return "not practised yet"
    tasks = "1 task" if past.tasks == 1 else f"{past.tasks} tasks"
    return f"last practised {ago((now - past.last_at).total_seconds())}; {tasks} so far"


def ago(seconds: float) -> str:
    """A time that has passed, roughly."""
    for length, unit in AGES:
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"


def _distance(p_correct: float, target: float) -> int:
    """In hundredths, as both are shown."""
    return abs(round(p_correct * 100) - round(target * 100))


def _nearness(p_correct: float, target: float, nearest: int) -> str:
    distance = _distance(p_correct, target)
    if distance == 0:
        return f"{p_correct:.2f}, the target"
    if distance == nearest:
        return f"{p_correct:.2f}, closest to {target:.2f}"
    side = "above" if p_correct > target else "below"
    return f"{p_correct:.2f}, {distance / 100:.2f} {side} {target:.2f}"
