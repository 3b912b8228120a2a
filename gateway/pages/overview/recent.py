"""What follows from what was read: the newest versions beside their peers, the last hour."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, select

from gateway import feed
from gateway.board import Board
from gateway.feed import Letter
from schemas import codec
from schemas.tables import train_requests
from training import versions

VERSIONS, FAILURES = 100, 8
HOUR = timedelta(hours=1)
PEERS = ("lnirt", "topic_difficulty")


def letters(board: Board, now: datetime) -> list[tuple[datetime, str, str]]:
    """Dead letters of the last hour: when, whence and why; oldest first."""
    found = [
        (feed.when(each), each.event.place, each.event.cause)
        for each in board.letters
        if isinstance(each.event, Letter)
    ]
    return sorted(each for each in found if now - each[0] < HOUR)


def last_hour(live: list[dict[str, Any]], now: datetime) -> dict[str, Any] | None:
    """The live accuracy over the windows of the last hour; None where nothing was scored."""
    windows = [w for w in live if now - datetime.fromisoformat(w["window_start"]) < HOUR]
    rows = sum(window["rows"] for window in windows)
    if not rows:
        return None
    mean = {
        name: sum(window["rows"] * window[name] for window in windows) / rows
        for name in ("log_loss", "accuracy")
    }
    return {"rows": rows, "since": windows[0]["window_start"], **mean}


def listed(engine: Engine) -> list[dict[str, Any]]:
    """The newest versions and how they were scored beside their peers, oldest first."""
    return [_version(row) for row in reversed(versions.listed(engine, VERSIONS))]


def failures(engine: Engine) -> list[dict[str, Any]]:
    """The newest trainings that came to no version, newest first; superseded ones are none."""
    table = train_requests.c
    query = (
        select(table.request_id, table.state, table.reason, table.ended_at)
        .where(table.state.in_(("failed", "rejected")), table.ended_at.is_not(None))
        .order_by(table.ended_at.desc())
        .limit(FAILURES)
    )
    with engine.connect() as connection:
        rows = [row._asdict() for row in connection.execute(query)]
    return [{**row, "ended_at": codec.rfc3339(row["ended_at"])} for row in rows]


def _version(row: Row[Any]) -> dict[str, Any]:
    scored = {"ours": row.metrics, **{name: row.metrics.get(name) for name in PEERS}}
    return {
        "version": row.version,
        "trained_at": codec.rfc3339(row.trained_at),
        "state": row.state,
        "completions": row.completions,
        "rows": row.metrics.get("rows", 0),
        **{
            measure: {name: (each or {}).get(measure) for name, each in scored.items()}
            for measure in ("log_loss", "auc")
        },
    }
