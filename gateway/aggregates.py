"""What scoring keeps of all tasks, read for the page of analytics: bounded by the windows of 30
days, however many tasks they held."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Double, case, cast, func, select

from gateway.filters import Filters
from gateway.scored import Bins, Score, of_sums
from schemas.tables import calibrations, prediction_scores

VERSIONS = 200

_c, _s = calibrations.c, prediction_scores.c


def bins(connection: Connection, filters: Filters, now: datetime) -> Bins:
    """Of a topic or all topics."""
    sums = (func.sum(_c.rows), func.sum(_c.p_sum), func.sum(_c.correct))
    query = (
        select(_c.arm, _c.bin, *(cast(each, Double) for each in sums))
        .where(_c.window_start >= filters.since(now))
        .group_by(_c.arm, _c.bin)
        .order_by(_c.arm, _c.bin)
    )
    if filters.topic is not None:
        query = query.where(_c.topic == filters.topic)
    found = connection.execute(query).all()
    return of_sums((arm, place, int(n), told, int(y)) for arm, place, n, told, y in found)


def by_source(connection: Connection, filters: Filters, now: datetime, bucket: int) -> list[Score]:
    """By step of time, source and arm; an AUC is the mean of the versions', by their tasks."""
    step = func.floor(func.extract("epoch", _s.window_start) / bucket) * bucket
    query = (
        select(
            func.to_timestamp(step),
            _s.source,
            _s.arm,
            cast(func.sum(_s.rows), BigInteger),
            _weighted("log_loss"),
            _weighted("auc"),
        )
        .where(*_scores(filters, now))
        .group_by(step, _s.source, _s.arm)
        .order_by(step, _s.source, _s.arm)
    )
    return [Score(at, None, *rest) for at, *rest in connection.execute(query)]


def _weighted(name: str) -> Any:
    value = _s.scores[name].astext.cast(Double)
    return func.sum(_s.rows * value) / func.sum(case((value.is_not(None), _s.rows)))


def by_version(connection: Connection, filters: Filters, now: datetime) -> list[Score]:
    """Those of most tasks, of the windows that scores are kept by."""
    largest = (
        select(prediction_scores)
        .where(*_scores(filters, now))
        .order_by(_s.rows.desc(), _s.window_start.desc())
        .limit(VERSIONS)
        .subquery()
        .c
    )  # their scores are parsed only then
    metrics = (largest.scores[name].astext.cast(Double) for name in ("log_loss", "auc"))
    query = select(
        largest.window_start, largest.version, largest.source, largest.arm, largest.rows, *metrics
    ).order_by(largest.window_start)
    return [Score(*row) for row in connection.execute(query)]


def _scores(filters: Filters, now: datetime) -> list[Any]:
    since = [_s.window_start >= filters.since(now)]
    return since if filters.version is None else [*since, _s.version == filters.version]
