"""Rebuilding the store: completions are emptied and read again from the log, by whoever records.

One transaction begins it, under the counter's lock: a new generation of numbers from 1 on, and
positions at the range's start. A worker's batch of the old generation is refused, and the worker
goes on from where the store stands (record.py); a crash on the way changes nothing about that.

What else refers to numbers or to what was recorded, and why it stays:
``cadences`` say at which numbers requests are due, so that the same numbers are the same requests;
``train_requests``, ``models`` and ``revisions`` are what happened, and what has ended stays ended;
``predictions`` and their scores hold outcomes, not numbers; ``issued_tasks`` are the gateway's own.
``practice_tasks`` and ``embedding_model_tracker`` are views. The windowed counter is cleared by the
new generation.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update
from sqlalchemy.exc import OperationalError

from schemas.errors import Unreachable
from schemas.tables import completions, log_positions, numbering
from streams.store import NOW, lock_counter

LOCK_SECONDS = 15
LOCK_NOT_AVAILABLE = "55P03"


def begin(engine: Engine, topic_id: str, topic: str, first: Mapping[int, int]) -> int:
    """Empty the store and place recording at ``first``, an offset per partition; how many
    completions it held.

    Raises ``Unreachable`` where someone reads completions for so long that nothing was changed.
    """
    rows = [
        {"topic_id": topic_id, "topic": topic, "log_partition": p, "next_offset": offset}
        for p, offset in sorted(first.items())
    ]
    try:
        with engine.begin() as connection:
            held = empty(connection)
            connection.execute(delete(log_positions).where(log_positions.c.topic_id == topic_id))
            connection.execute(insert(log_positions), rows)
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise
        raise Unreachable(
            f"Nothing was changed: someone has read the store for {LOCK_SECONDS} s, a backup "
            "perhaps. Try again when it has ended."
        ) from None
    return held


def empty(connection: Connection) -> int:
    """Forget all completions, in a new generation; how many there were.

    TRUNCATE waits for whoever reads, and lets others wait meanwhile: hence the bound.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
    generation, last = lock_counter(connection)
    connection.execute(text("TRUNCATE completions"))
    begun = func.greatest(generation + 1, NOW)
    connection.execute(update(numbering).values(generation=begun, last_number=0))
    return last


def recorded(engine: Engine, first: Mapping[int, int], end: Mapping[int, int]) -> int:
    """How many completions were recorded from within these offsets."""
    columns = completions.c
    within = [
        (columns.log_partition == p)
        & (columns.log_offset >= first[p])
        & (columns.log_offset < end[p])
        for p in end
    ]
    with engine.connect() as connection:
        return sum(
            connection.execute(select(func.count()).where(each)).scalar_one() for each in within
        )
