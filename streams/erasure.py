"""What the store holds of a learner, counted and erased: in batches, each its own transaction.

Completions keep number, time and place in the log, and become nobody's, as the recorder keeps those
that come later (forgotten.py). Predictions and issued tasks go. Done again it finds the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Engine, text

from streams.forgotten import NOBODY, TASK, TASK_DIGITS, Forgotten, pads

BATCH = 5_000
LOCK = 7_203_116  # two who erase the same take turns
WHAT = ("completions", "predictions", "issued_tasks")
_COUNT = {name: text(f"SELECT count(*) FROM {name} WHERE user_id = :user") for name in WHAT}  # noqa: S608
_HASH = f"""encode(sha256(:outer || sha256(
    :inner || convert_to('{TASK}' || task_id, 'UTF8'))), 'hex')"""
_COMPLETIONS = text(
    f"""UPDATE completions SET user_id = '{NOBODY}', topic = '', difficulty = '',
        started_at = completed_at, is_correct = FALSE, actual_time_seconds = 1, timed_out = FALSE,
        task_id = left({_HASH}, {TASK_DIGITS})
    WHERE number = ANY(ARRAY(SELECT number FROM completions
        WHERE user_id = :user AND number > :after ORDER BY number LIMIT :most))
    RETURNING number"""  # noqa: S608
)
# Ended ones have an index by learner; the others are few, or are looked through.
_ENDED, _OPEN = (
    text(
        f"""DELETE FROM predictions WHERE ctid = ANY(ARRAY(SELECT ctid FROM predictions
            WHERE user_id = :user AND completed_at IS {state} LIMIT :most))"""  # noqa: S608
    )
    for state in ("NOT NULL", "NULL")
)
_ISSUED = text(
    """DELETE FROM issued_tasks WHERE ctid = ANY(ARRAY(SELECT ctid FROM issued_tasks
        WHERE user_id = :user LIMIT :most))"""
)
# A loose index scan: one step a learner, however many rows he has.
_NAMES = """WITH RECURSIVE found (user_id) AS (
        (SELECT user_id FROM {0} WHERE user_id > :after ORDER BY user_id LIMIT 1)
        UNION ALL
        SELECT (SELECT t.user_id FROM {0} t WHERE t.user_id > found.user_id
                ORDER BY t.user_id LIMIT 1) FROM found WHERE user_id IS NOT NULL
    ) SELECT user_id FROM found WHERE user_id IS NOT NULL LIMIT :most"""
_NAMED = (
    *(text(_NAMES.format(name)) for name in ("completions", "issued_tasks")),
    text("""SELECT user_id FROM predictions WHERE user_id > :after
        GROUP BY user_id ORDER BY user_id LIMIT :most"""),
)
NAMES_AT_ONCE = 20_000
Advance = Callable[[str, int], None]


def counts(engine: Engine, user: str) -> dict[str, int]:
    """How many rows of each table are a learner's."""
    with engine.connect() as connection:
        return {
            name: int(connection.execute(query, {"user": user}).scalar_one())
            for name, query in _COUNT.items()
        }


def erase(
    engine: Engine, user: str, salt: str, advance: Advance = lambda _name, _rows: None
) -> None:
    """Erase all rows of a learner who is on the list; ``advance`` hears of each batch."""
    inner, outer = pads(salt)
    values: dict[str, Any] = {"user": user, "most": BATCH}
    after = 0
    while numbers := _numbers(engine, {**values, "inner": inner, "outer": outer, "after": after}):
        after = max(numbers)
        advance("completions", len(numbers))
    for name, query in (("predictions", _ENDED), ("predictions", _OPEN), ("issued_tasks", _ISSUED)):
        while gone := _deleted(engine, query, values):
            advance(name, gone)


def names(engine: Engine, forgotten: Forgotten) -> Iterator[tuple[str, str]]:
    """Learners who are on the list and have rows, each with the salt of its entry: found by hashing
    everybody's name."""
    seen: set[str] = set()
    for query in _NAMED:
        after = NOBODY
        while found := _page(engine, query, after):
            after = found[-1]
            for user in found:
                salt = forgotten.salt_of(user)
                if salt is not None and user not in seen:
                    seen.add(user)
                    yield user, salt


def _numbers(engine: Engine, values: dict[str, Any]) -> list[int]:
    with engine.begin() as connection:
        _take_turn(connection)
        return list(connection.execute(_COMPLETIONS, values).scalars())


def _deleted(engine: Engine, query: Any, values: dict[str, Any]) -> int:
    with engine.begin() as connection:
        _take_turn(connection)
        return int(connection.execute(query, values).rowcount)


def _take_turn(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


def _page(engine: Engine, query: Any, after: str) -> list[str]:
    with engine.connect() as connection:
        values = {"after": after, "most": NAMES_AT_ONCE}
        return list(connection.execute(query, values).scalars())
