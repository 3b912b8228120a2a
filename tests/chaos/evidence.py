"""What topics and store say at the end: read from the outside, handed to the judge as values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select, union

from schemas import tables, topics
from schemas.codec import Raw
from schemas.settings import Settings
from streams import counting, declare, kafka, known, tails
from streams.counting import Counter
from streams.forgotten import NONE, Forgotten
from tests.running import read_all


@dataclass(frozen=True)
class Row:
    """A completion as the store holds it."""

    task_id: str
    number: int
    claim: tuple[object, ...]
    completed_at: datetime


@dataclass(frozen=True)
class Evidence:
    """``announced``: the events of ``completions``; ``positions``, ``ends`` by partition;
    ``forgotten``: the list; ``named``: forgotten learners of whom the store still holds a row."""

    log: Sequence[Raw]
    letters: Sequence[Raw]
    requests: Sequence[dict[str, Any]]
    announced: Sequence[dict[str, Any]]
    counter: Counter
    rows: Sequence[Row]
    generation: int
    last_number: int
    positions: dict[int, int]
    ends: dict[int, int]
    forgotten: Forgotten = NONE
    named: Sequence[str] = ()


def gather(settings: Settings, engine: Engine) -> Evidence:
    """Read everything."""
    generation, last_number = standing(engine)
    return Evidence(
        log=read_all(settings, topics.TASK_COMPLETED),
        letters=read_all(settings, topics.DEAD_LETTERS),
        requests=values(settings, topics.TRAIN_REQUEST),
        announced=values(settings, topics.COMPLETIONS),
        counter=counter(settings),
        rows=_rows(engine),
        generation=generation,
        last_number=last_number,
        positions=positions(settings, engine),
        ends=ends(settings),
        forgotten=forgotten(engine),
        named=named(engine),
    )


def forgotten(engine: Engine) -> Forgotten:
    """Who is on the list."""
    with engine.connect() as connection:
        return Forgotten.of(known.entries(connection))


def named(engine: Engine) -> list[str]:
    """Learners on the list of whom a row still tells."""
    listed, kept = forgotten(engine), (tables.completions, tables.predictions, tables.issued_tasks)
    query = union(*(select(table.c.user_id) for table in kept))
    with engine.connect() as connection:
        return [row[0] for row in connection.execute(query) if row[0] in listed]


def counter(settings: Settings) -> Counter:
    """The windowed counter, as its changelog has it."""
    tail = tails.last_messages(settings, settings.topic_prefix + declare.COUNTER_CHANGELOG)
    return counting.load(tail[-1].value or b"" if tail else b"")


def standing(engine: Engine) -> tuple[int, int]:
    """The store's generation and highest number."""
    columns = (tables.numbering.c.generation, tables.numbering.c.last_number)
    with engine.connect() as connection:
        row = connection.execute(select(*columns)).one_or_none()
    return (0, 0) if row is None else (row[0], row[1])


def positions(settings: Settings, engine: Engine) -> dict[int, int]:
    """Where recording stands in the topic as it is now."""
    name = settings.topic_prefix + topics.TASK_COMPLETED.name
    table = tables.log_positions
    topic_id = declare.topic_id(kafka.admin(settings), name)
    query = select(table.c.log_partition, table.c.next_offset).where(table.c.topic_id == topic_id)
    with engine.connect() as connection:
        return {row.log_partition: row.next_offset for row in connection.execute(query)}


def ends(settings: Settings) -> dict[int, int]:
    """Where the partitions that hold something end."""
    name = settings.topic_prefix + topics.TASK_COMPLETED.name
    return {place.partition: place.offset for place in tails.ends(settings, [name]) if place.offset}


def good_values(settings: Settings) -> list[dict[str, Any]]:
    """The events of the log that tell of a task."""
    return [
        json.loads(raw.value or b"")
        for raw in read_all(settings, topics.TASK_COMPLETED)
        if task_id(raw)
    ]


def task_id(raw: Raw) -> str:
    """The task that a good message tells of; empty for anything else."""
    try:
        return str(json.loads(raw.value or b"")["task_id"])
    except (KeyError, TypeError, ValueError):
        return ""


def _rows(engine: Engine) -> list[Row]:
    table = tables.completions
    claim = (
        table.c.user_id, table.c.topic, table.c.difficulty, table.c.is_correct,
        table.c.actual_time_seconds,
    )  # fmt: skip
    query = select(table.c.task_id, table.c.number, table.c.completed_at, *claim)
    with engine.connect() as connection:
        return [
            Row(row[0], row[1], tuple(row[3:]), row[2])
            for row in connection.execute(query.order_by(table.c.number))
        ]


def values(settings: Settings, topic: topics.Topic) -> list[dict[str, Any]]:
    """Every event of a topic as a dict."""
    return [json.loads(raw.value or b"null") for raw in read_all(settings, topic)]
