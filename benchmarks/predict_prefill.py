"""A store of learners with histories of every length up to the longest, as recording leaves it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from benchmarks.ingest_prefill import WITH_INDEXES, WITHOUT_INDEXES
from streams.store import Store

TOPICS, DIFFICULTIES = 36, ("easy", "medium", "hard")
# A task every five minutes; abler learners are right more often, hard tasks take longer.
ROWS = """INSERT INTO completions
    SELECT 'past-' || l || '-' || k, row_number() OVER (ORDER BY ended, l),
        'learner-' || lpad(l::text, 6, '0'), 'topic-' || (l + 7 * k) % 36,
        (ARRAY['easy', 'medium', 'hard'])[1 + (k + l) % 3], ended - interval '30 seconds', ended,
        abs(hashint8(l * 100003::bigint + k)) % 100 < 45 + l % 40 - 10 * ((k + l) % 3),
        10 + 10 * ((k + l) % 3) + abs(hashint8(l * 7919::bigint + k)) % 20, false, 0, 0, now()
    FROM generate_series(1, :learners) AS l,
        LATERAL generate_series(1, (l * 7919) % (:longest + 1)) AS k,
        LATERAL (SELECT cast(:newest AS timestamptz)
            - ((l * 7919) % (:longest + 1) - k) * interval '5 minutes'
            - l * interval '1 millisecond' AS ended) AS at"""


def name_of(learner: int) -> str:
    """Learners are numbered from 1."""
    return f"learner-{learner:06d}"


def length_of(learner: int, longest: int) -> int:
    """How many tasks a learner has completed."""
    return learner * 7919 % (longest + 1)


def prefill(store: Store, learners: int, longest: int) -> tuple[int, float]:
    """Fill a prepared, empty store; how many completions, and the seconds that took."""
    began = time.monotonic()
    newest = datetime.now(UTC) - timedelta(minutes=10)
    with store.engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
        for statement in WITHOUT_INDEXES:
            connection.execute(text(statement))
        given = {"learners": learners, "longest": longest, "newest": newest}
        rows = connection.execute(text(ROWS), given).rowcount
        connection.execute(text("UPDATE numbering SET last_number = :rows"), {"rows": rows})
        for statement in WITH_INDEXES:
            connection.execute(text(statement))
    with store.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (FREEZE, ANALYZE) completions"))
    return rows, time.monotonic() - began
