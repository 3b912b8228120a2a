"""The live accuracy: predictions beside what happened, by window, version, source and arm.

In one transaction predictions learn how their tasks ended, and every window in which a task ended
since is scored anew, whole: what is kept of a window is always that of its predictions. Only a
prediction made before its task was completed counts, and of several for one task and arm the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert

from schemas.codec import rfc3339
from schemas.events import CALIBRATION_BINS, PredictionScore
from schemas.tables import numbering, prediction_scores

OVERLAP = 10_000  # a prediction may be recorded after the completion it is about
FIRST_LOOK = 100_000  # so many of the newest completions, after a start
KEPT_DAYS = 30


def first(among: str) -> str:
    """SQL: whether ``p``, whose task ended, is the first of its task and arm in a table or query
    that holds all predictions of the task."""
    return f"""NOT EXISTS (
        SELECT FROM {among} earlier
        WHERE earlier.task_id = p.task_id AND earlier.arm = p.arm
            AND earlier.completed_at IS NOT NULL
            AND (earlier.predicted_at, earlier.request_id) < (p.predicted_at, p.request_id)
    )"""


_PAIR = text(
    """UPDATE predictions p
    SET is_correct = c.is_correct, actual_time_seconds = c.actual_time_seconds,
        completed_at = c.completed_at, topic = c.topic
    FROM completions c
    WHERE c.number > :after AND c.task_id = p.task_id AND c.user_id = p.user_id
        AND p.predicted_at < c.completed_at AND p.completed_at IS NULL
    RETURNING floor(extract(epoch FROM c.completed_at) / :seconds)::bigint * :seconds"""
)
_FIRSTS = f"""WITH ended AS (
        SELECT task_id, arm, request_id, predicted_at, completed_at, version, source, topic,
            is_correct::int AS y, p_correct AS p, actual_time_seconds AS s, expected_seconds AS e,
            seconds_low AS low, seconds_high AS high
        FROM predictions
        WHERE completed_at >= to_timestamp(:start)
            AND completed_at < to_timestamp(cast(:start AS bigint) + :seconds)
    ), firsts AS (
        SELECT * FROM ended p WHERE {first("ended")}
    )"""  # noqa: S608
_SCORE = text(
    f"""{_FIRSTS}, ranked AS (
        SELECT *, rank() OVER (PARTITION BY version, source, arm ORDER BY p)
            + (count(*) OVER (PARTITION BY version, source, arm, p) - 1) / 2.0 AS place
        FROM firsts
    ), bins AS (
        SELECT version, source, arm, abs(sum(y) - sum(p)) AS off FROM firsts
        GROUP BY version, source, arm, least(14, floor(p * 15))
    ), offs AS (
        SELECT version, source, arm, sum(off) AS off FROM bins GROUP BY version, source, arm
    )
    SELECT version, source, arm, count(*) AS rows,
        avg(-ln(CASE y WHEN 1 THEN p ELSE 1 - p END)) AS log_loss,
        ((sum(place) FILTER (WHERE y = 1) - sum(y) * (sum(y) + 1) / 2.0)
            / nullif(sum(y) * (count(*) - sum(y)), 0))::float8 AS auc,
        avg(((p >= 0.5) = (y = 1))::int)::float8 AS accuracy,
        avg((p - y) ^ 2) AS brier,
        min(off) / count(*) AS ece,
        avg(abs(s - e)) AS mae_seconds,
        sqrt(avg((ln(s) - ln(e)) ^ 2)) AS log_rmse,
        avg((s BETWEEN low AND high)::int)::float8 AS coverage_80
    FROM ranked JOIN offs USING (version, source, arm)
    GROUP BY version, source, arm"""  # noqa: S608
)
_FORGET = text(
    """DELETE FROM calibrations
    WHERE window_start = to_timestamp(:start) AND window_seconds = :seconds"""
)
_CALIBRATE = text(
    f"""{_FIRSTS}
    INSERT INTO calibrations
    SELECT to_timestamp(:start), :seconds, coalesce(topic, ''), arm, least({CALIBRATION_BINS - 1},
        floor(p * {CALIBRATION_BINS})), count(*), sum(p), sum(y)
    FROM firsts GROUP BY 3, 4, 5"""  # noqa: S608
)
_PRUNE = (
    text("DELETE FROM predictions WHERE predicted_at < now() - make_interval(days => :days)"),
    text("DELETE FROM calibrations WHERE window_start < now() - make_interval(days => :days)"),
)
_BY_WINDOW = text(
    """SELECT window_start, max(window_seconds) AS window_seconds, sum(rows)::bigint AS rows,
        sum(rows * (scores ->> 'log_loss')::float8) / sum(rows) AS log_loss,
        sum(rows * (scores ->> 'accuracy')::float8) / sum(rows) AS accuracy
    FROM prediction_scores
    WHERE arm = 'champion' AND window_start IN (
        SELECT DISTINCT window_start FROM prediction_scores ORDER BY window_start DESC LIMIT :most)
    GROUP BY window_start ORDER BY window_start"""
)


class Scores:
    """Scores of one store. Not for use from several threads at once."""

    def __init__(self, engine: Engine, window_seconds: int) -> None:
        self.engine, self.seconds = engine, window_seconds
        self._scored_up_to: int | None = None

    def score(self) -> list[PredictionScore]:
        """Every group of every window that changed since the last call, scored and stored."""
        with self.engine.begin() as connection:
            last = connection.execute(select(numbering.c.last_number)).scalar() or 0
            begin = last - FIRST_LOOK if self._scored_up_to is None else self._scored_up_to
            after = max(0, min(begin, last) - OVERLAP)
            paired = connection.execute(_PAIR, {"after": after, "seconds": self.seconds})
            starts = sorted({int(start) for start in paired.scalars()})
            found = [event for start in starts for event in self._window(connection, start)]
        self._scored_up_to = last
        return found

    def prune(self) -> None:
        """Forget predictions that are older than the topic keeps them, and their calibration."""
        with self.engine.begin() as connection:
            for statement in _PRUNE:
                connection.execute(statement, {"days": KEPT_DAYS})

    def _window(self, connection: Connection, start: int) -> list[PredictionScore]:
        window = {"start": start, "seconds": self.seconds}
        rows = connection.execute(_SCORE, window).all()
        found = [self._event(start, row._asdict()) for row in rows]
        for event in found:
            connection.execute(_stored(event))
        connection.execute(_FORGET, window)
        connection.execute(_CALIBRATE, window)
        return found

    def _event(self, start: int, row: Mapping[str, Any]) -> PredictionScore:
        values = {**row, "version": row["version"] or None}
        at = datetime.fromtimestamp(start, UTC)
        return PredictionScore(window_start=at, window_seconds=self.seconds, **values)


def newest(engine: Engine, most: int) -> list[dict[str, Any]]:
    """The scores of the newest windows, newest first."""
    table = prediction_scores
    query = select(table).order_by(table.c.window_start.desc(), table.c.rows.desc()).limit(most)
    with engine.connect() as connection:
        return [
            {
                "window_start": row.window_start.isoformat().replace("+00:00", "Z"),
                "window_seconds": row.window_seconds,
                "version": row.version or None,
                "source": row.source,
                "arm": row.arm,
                "rows": row.rows,
                **row.scores,
            }
            for row in connection.execute(query)
        ]


def by_window(engine: Engine, most: int) -> list[dict[str, Any]]:
    """What was shown, whatever its version and source: the newest windows, oldest first."""
    with engine.connect() as connection:
        rows = connection.execute(_BY_WINDOW, {"most": most})
        return [{**row._asdict(), "window_start": rfc3339(row.window_start)} for row in rows]


def _stored(event: PredictionScore) -> Any:
    keys = {
        "window_start": event.window_start, "window_seconds": event.window_seconds,
        "version": event.version or 0, "source": event.source, "arm": event.arm,
    }  # fmt: skip
    scores = event.model_dump(mode="json", exclude={*keys, "rows"})
    row = insert(prediction_scores).values(**keys, rows=event.rows, scores=scores)
    changed = {"rows": row.excluded.rows, "scores": row.excluded.scores}
    return row.on_conflict_do_update(index_elements=list(keys), set_=changed)
