"""Predictions beside what happened, for the page of analytics. Bounded: the newest of a span of
time, by index; scores over time are those that scoring keeps.

Only a prediction made before its task was completed has an outcome (streams/scores.py); of several
for one task and arm the first counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select, text

from schemas.tables import prediction_scores

MOST, MOST_SCORES, BINS = 1000, 2000, 10
_NEWEST = text(
    """SELECT DISTINCT ON (task_id, arm) source, version, arm, p_correct, is_correct,
        expected_seconds, actual_time_seconds, predicted_at FROM (
            SELECT * FROM predictions WHERE completed_at >= :since
            ORDER BY completed_at DESC LIMIT :most
        ) AS newest ORDER BY task_id, arm, predicted_at"""
)


@dataclass(frozen=True)
class Pair:
    """A prediction and what happened; times in seconds."""

    source: str
    arm: str
    p_correct: float
    is_correct: bool
    expected_seconds: float
    actual_seconds: float


@dataclass(frozen=True)
class Bin:
    """Of ``rows`` predictions of about ``predicted``, the share ``observed`` that was right, with
    its 95 % interval (Wilson 1927)."""

    rows: int
    predicted: float
    observed: float
    low: float
    high: float


def pairs(engine: Engine, since: datetime) -> list[Pair]:
    """The newest since then, at most ``MOST``."""
    with engine.connect() as connection:
        rows = connection.execute(_NEWEST, {"since": since, "most": MOST}).all()
    return [
        Pair(r.source, r.arm, r.p_correct, r.is_correct, r.expected_seconds, r.actual_time_seconds)
        for r in rows
    ]


def scores(engine: Engine, since: datetime) -> list[dict[str, Any]]:
    """By window and source, oldest first: tasks, and their mean log loss and AUC, weighted."""
    table = prediction_scores
    query = (
        select(table.c.window_start, table.c.source, table.c.rows, table.c.scores)
        .where(table.c.window_start >= since)
        .order_by(table.c.window_start.desc())
        .limit(MOST_SCORES)
    )
    with engine.connect() as connection:
        return merged([row._asdict() for row in connection.execute(query)])


def merged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Versions and arms of a window and source together; a score that is undefined has no part."""
    found: dict[tuple[datetime, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["window_start"], row["source"]), []).append(row)
    return [
        {
            "at": at,
            "source": source,
            "rows": sum(each["rows"] for each in group),
            "log_loss": _mean(group, "log_loss"),
        }
        for (at, source), group in sorted(found.items())
    ]


def _mean(group: Sequence[dict[str, Any]], score: str) -> float | None:
    known = [(g["rows"], g["scores"][score]) for g in group if g["scores"].get(score) is not None]
    rows = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / rows if rows else None


def reliability(found: Sequence[Pair]) -> list[Bin]:
    """Predictions in bins of equal width; bins without any are left out."""
    bins: list[list[Pair]] = [[] for _ in range(BINS)]
    for pair in found:
        bins[min(int(pair.p_correct * BINS), BINS - 1)].append(pair)
    return [_bin(some) for some in bins if some]


def _bin(some: Sequence[Pair]) -> Bin:
    n = len(some)
    share = sum(pair.is_correct for pair in some) / n
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * ((share * (1 - share) + z * z / (4 * n)) / n) ** 0.5 / (1 + z * z / n)
    predicted = sum(pair.p_correct for pair in some) / n
    return Bin(n, predicted, share, middle - half, middle + half)


SPANS = {
    "1 hour": timedelta(hours=1),
    "1 day": timedelta(days=1),
    "7 days": timedelta(days=7),
    "30 days": timedelta(days=30),
}
