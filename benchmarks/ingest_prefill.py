"""A store that holds completions already, and the counter's table as that history left it.

What streams would have written, without the hours: rows by one statement, indexes afterwards, and
one message on the changelog, from which the worker takes its table back when it starts.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from confluent_kafka import Producer
from sqlalchemy import Engine, text

from benchmarks.ingest_source import SPREAD
from schemas.settings import Settings
from streams import counting, declare, kafka
from streams.counting import Counter, Intervals
from streams.store import Store
from streams.windows import Windows

TABLE_KEY = b'"global"'
WITHOUT_INDEXES = (
    "ALTER TABLE completions DROP CONSTRAINT pk_completions",
    "ALTER TABLE completions DROP CONSTRAINT uq_completions_number",
    "DROP INDEX ix_completions_user_id_number",
)
ROWS = """INSERT INTO completions
    SELECT md5('past-' || i), i, 'learner-' || lpad((1 + i % :learners)::text, 5, '0'),
        'topic-' || i % 36, (ARRAY['easy', 'medium', 'hard'])[1 + i % 3],
        cast(:newest AS timestamptz) - (:rows - i) * interval '1 second' - interval '20 seconds',
        cast(:newest AS timestamptz) - (:rows - i) * interval '1 second',
        i % 3 > 0, 20, false, 0, i, now()
    FROM generate_series(1, :rows) AS i"""
WITH_INDEXES = (
    "ALTER TABLE completions ADD CONSTRAINT pk_completions PRIMARY KEY (task_id)",
    "ALTER TABLE completions ADD CONSTRAINT uq_completions_number UNIQUE (number)",
    "CREATE INDEX ix_completions_user_id_number ON completions (user_id, number)",
)


def prefill(settings: Settings, store: Store, rows: int, learners: int) -> float:
    """Fill a prepared, empty store; the seconds that took."""
    began = time.monotonic()
    newest = datetime.now(UTC) - SPREAD - timedelta(minutes=1)
    _fill(store.engine, rows, learners, newest)
    _restore_table(settings, Counter(
        store.standing()[0],
        Intervals(((1, rows),)),
        Windows(settings.window_seconds, dropped=rows, watermark=newest.timestamp()),
    ))  # fmt: skip
    return time.monotonic() - began


def _fill(engine: Engine, rows: int, learners: int, newest: datetime) -> None:
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
        for statement in WITHOUT_INDEXES:
            connection.execute(text(statement))
        given = {"rows": rows, "learners": learners, "newest": newest}
        connection.execute(text(ROWS), given)
        connection.execute(text("UPDATE numbering SET last_number = :rows"), {"rows": rows})
        for statement in WITH_INDEXES:
            connection.execute(text(statement))
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (FREEZE, ANALYZE) completions"))


def _restore_table(settings: Settings, counter: Counter) -> None:
    name = settings.topic_prefix + declare.COUNTER_CHANGELOG
    producer = Producer(kafka.client(settings))
    producer.produce(name, key=TABLE_KEY, value=counting.dump(counter), partition=0)
    producer.flush(30)
