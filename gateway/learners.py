"""What the pages read of a learner. Every query walks an index for a bounded number of steps, so
none grows with the store or with a learner's history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, Row, text

from gateway.ranking import Practised

STEPS = 60
REMEMBERED = 1024  # what inference reads of a learner, too

# A loose index scan: from one learner's first entry to the next one's. What sorts between two names
# that begin alike depends on the collation, hence the bounded steps beside the test.
_NAMED = text(
    """WITH RECURSIVE found (user_id, step) AS (
        (SELECT user_id, 1 FROM completions WHERE user_id >= :beginning
         AND user_id <> '' ORDER BY user_id LIMIT 1)
        UNION ALL
        SELECT (SELECT c.user_id FROM completions c WHERE c.user_id > found.user_id
                ORDER BY c.user_id LIMIT 1), step + 1
        FROM found WHERE step < :steps AND user_id IS NOT NULL
    )
    SELECT user_id FROM found WHERE starts_with(user_id, :beginning) LIMIT :most"""
)
_PRACTISED = text(
    """SELECT topic, difficulty, count(*) AS tasks, max(completed_at) AS last_at
    FROM (SELECT topic, difficulty, completed_at FROM completions WHERE user_id = :user_id
          ORDER BY number DESC LIMIT :most) AS newest
    GROUP BY topic, difficulty"""
)
_COLUMNS = """c.task_id AS id, c.topic, c.difficulty, c.is_correct, c.actual_time_seconds,
    c.completed_at, i.predicted_correct, i.predicted_time_seconds, i.source, i.model_version"""
_COMPLETED = text(
    f"""SELECT {_COLUMNS}, COALESCE(i.created_at, c.started_at) AS created_at
    FROM (SELECT * FROM completions WHERE user_id = :user_id ORDER BY number DESC LIMIT :most) AS c
    LEFT JOIN issued_tasks i USING (task_id)"""  # noqa: S608
)
_ISSUED = text(
    f"""SELECT {_COLUMNS}, c.created_at
    FROM (SELECT * FROM issued_tasks WHERE user_id = :user_id
          ORDER BY created_at DESC LIMIT :most) AS c
    JOIN issued_tasks i USING (task_id)"""  # noqa: S608
)
_NUMBER = text("SELECT number FROM completions WHERE task_id = :task_id")
_NEWEST_NUMBER = text("SELECT max(number) FROM completions WHERE user_id = :user_id")


def named(engine: Engine, beginning: str, most: int) -> list[str]:
    """Learners with completions whose names begin so."""
    values = {"beginning": beginning, "steps": STEPS, "most": most}
    with engine.connect() as connection:
        return list(connection.execute(_NAMED, values).scalars())


def practised(engine: Engine, user_id: str) -> dict[tuple[str, str], Practised]:
    """By topic and difficulty, of the newest completions."""
    values = {"user_id": user_id, "most": REMEMBERED}
    with engine.connect() as connection:
        rows = connection.execute(_PRACTISED, values).all()
    return {(row.topic, row.difficulty): Practised(row.tasks, row.last_at) for row in rows}


def newest(engine: Engine, user_id: str, most: int) -> Sequence[Row[Any]]:
    """A learner's newest tasks, completed or issued here and open, newest first."""
    values = {"user_id": user_id, "most": most}
    with engine.connect() as connection:
        issued = {row.id: row for row in connection.execute(_ISSUED, values)}
        completed = {row.id: row for row in connection.execute(_COMPLETED, values)}
    found = {**issued, **completed}.values()
    return sorted(found, key=lambda row: (row.created_at, row.id), reverse=True)[:most]


def number_of(engine: Engine, task_id: str) -> int | None:
    """The number that a completion was recorded under; None before it is."""
    with engine.connect() as connection:
        return connection.execute(_NUMBER, {"task_id": task_id}).scalar_one_or_none()


def newest_number(engine: Engine, user_id: str) -> int:
    """The number of a learner's newest completion; 0 where there is none."""
    with engine.connect() as connection:
        return connection.execute(_NEWEST_NUMBER, {"user_id": user_id}).scalar_one() or 0
