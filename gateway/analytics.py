"""What the page of analytics reads of the store: the newest rows that its filters let through.

Every query walks an index from the newest row back; none grows with what is older. What scoring
keeps of all of them (gateway/aggregates.py) is shown where it can be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, func, select, text

from gateway import aggregates
from gateway.comparison import Comparison, compare
from gateway.filters import Filters
from gateway.learning import Curves, Practised, curves
from gateway.scored import Bins, Score, Scored, over_time, reliability
from schemas.tables import completions, predictions
from streams.scores import first

MOST = 5_000
LOOKED_AT = 20_000  # of a learner's newest completions, for those on one topic
STATEMENT_SECONDS = 5

_p = predictions.alias("p")
_IS_FIRST = text(first("predictions"))
_COLUMNS = (
    _p.c.task_id, _p.c.user_id, func.coalesce(_p.c.topic, ""), _p.c.arm, _p.c.source, _p.c.version,
    _p.c.p_correct, _p.c.expected_seconds, _p.c.seconds_low, _p.c.seconds_high, _p.c.is_correct,
    _p.c.actual_time_seconds, func.extract("epoch", _p.c.completed_at),
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """What was found at ``at`` for one set of filters. ``more``: older rows match, too, and were
    not read. ``over_time`` by source, ``by_version`` the largest of them by version. ``learner`` is
    whose ``curves`` are, None where there is none."""

    filters: Filters
    at: datetime
    rows: Scored
    more: bool
    bins: Bins
    over_time: Sequence[Score]
    by_version: Sequence[Score]
    comparison: Comparison | None
    learner: str | None
    curves: Curves

    @property
    def has_auc(self) -> bool:
        """Whether any is defined: of tasks that all ended alike there is none."""
        return any(each.auc is not None for each in (*self.over_time, *self.by_version))


def look(engine: Engine, filters: Filters, window_seconds: int) -> View:
    """Read all that the page shows; ``window_seconds`` are those of the scores."""
    now = datetime.now(UTC)
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"))
        rows = _rows(connection, _newest(filters, now))
        newest = rows.take(slice(MOST))
        learner = filters.user or _most_active(newest)
        bucket = filters.bucket(window_seconds)
        kept, scored = (connection, filters, now), filters.scores_kept
        return View(
            filters, now, newest, len(rows) > MOST,
            aggregates.bins(*kept) if filters.calibration_kept else reliability(newest),
            aggregates.by_source(*kept, bucket) if scored else over_time(newest, bucket),
            aggregates.by_version(*kept) if scored else (),
            _compared(connection, filters, now, newest.of_arm("champion")),
            learner,
            curves(_practised(connection, learner, filters, now) if learner else ()),
        )  # fmt: skip


def _newest(filters: Filters, now: datetime) -> Select[Any]:
    """One more than are shown, to know whether there are."""
    query = select(*_COLUMNS).where(_p.c.completed_at >= filters.since(now), _IS_FIRST)
    pairs = ((_p.c.user_id, filters.user), (_p.c.topic, filters.topic))
    for column, value in (*pairs, (_p.c.version, filters.version)):
        query = query if value is None else query.where(column == value)
    return query.order_by(_p.c.completed_at.desc()).limit(MOST + 1)


def _rows(connection: Connection, query: Select[Any]) -> Scored:
    return Scored.of(connection.execute(query).all())


def _compared(
    connection: Connection, filters: Filters, now: datetime, champions: Scored
) -> Comparison | None:
    newest = _newest(filters, now).where(_p.c.arm == "challenger").limit(MOST)
    rivals = _rows(connection, newest)
    if not len(rivals):
        return None
    tasks = newest.with_only_columns(_p.c.task_id).subquery()
    same = and_(_p.c.task_id == tasks.c.task_id, _p.c.arm == "champion")
    beside = select(*_COLUMNS).join_from(tasks, _p, same)
    ended = beside.where(_p.c.completed_at.is_not(None), _IS_FIRST)
    return compare(rivals, _rows(connection, ended), champions)


def _most_active(rows: Scored) -> str | None:
    return max(Counter(rows.user).items(), key=lambda each: each[1])[0] if len(rows) else None


def _practised(
    connection: Connection, user: str, filters: Filters, now: datetime
) -> list[Practised]:
    c = completions.c
    newest = (
        select(c.topic, c.is_correct, c.actual_time_seconds, c.completed_at)
        .where(c.user_id == user)
        .order_by(c.number.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    query = select(newest).where(newest.c.completed_at >= filters.since(now))
    if filters.topic is not None:
        query = query.where(newest.c.topic == filters.topic)
    newest_first = query.order_by(newest.c.completed_at.desc()).limit(MOST)
    return [Practised(*row) for row in connection.execute(newest_first)][::-1]
