"""A peer: the least that writes the same rows. It sets the limit: batches from confluent-kafka,
JSON by the standard library, one statement a batch, then the offsets. No check, no counting."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import psycopg2
from confluent_kafka import Consumer
from psycopg2.extras import execute_values

from benchmarks import peer_job
from benchmarks.peer_job import BATCH, COLUMNS, Job

INTO = f"completions ({', '.join(COLUMNS)})"
Rows = Sequence[tuple[Any, ...]]


def insert(cursor: Any, rows: Rows) -> None:
    """One INSERT of all rows."""
    execute_values(cursor, f"INSERT INTO {INTO} VALUES %s", rows, page_size=BATCH)  # noqa: S608


def copy(cursor: Any, rows: Rows) -> None:
    """One COPY of all rows."""
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    lines.seek(0)
    cursor.copy_expert(f"COPY {INTO} FROM STDIN (FORMAT csv)", lines)


WRITERS: dict[str, Callable[[Any, Rows], None]] = {"insert": insert, "copy": copy}


def run(job: Job) -> None:
    """Until it is killed: it keeps nothing that could be lost."""
    write, numbers = WRITERS[job.variant], count(1)
    consumer = Consumer(
        {
            **job.kafka,
            "group.id": job.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([job.topic])
    connection = psycopg2.connect(job.database)
    while True:
        messages = [message for message in consumer.consume(BATCH, 0.2) if not message.error()]
        if not messages:
            continue
        rows = [
            peer_job.row(
                json.loads(m.value() or b""), next(numbers), m.partition() or 0, m.offset() or 0
            )
            for m in messages
        ]
        with connection, connection.cursor() as cursor:
            write(cursor, rows)
        consumer.commit(asynchronous=True)


if __name__ == "__main__":
    run(peer_job.job())
