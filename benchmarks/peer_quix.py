"""A peer: Quix Streams with the batching sink that it brings for PostgreSQL.

Runs in an environment of its own. A batch is what came between two of its commits: every
``SECONDS``, since at its default of five a run has too few of them to be measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any
from urllib.parse import unquote, urlsplit

from quixstreams import Application, message_context
from quixstreams.models import TopicConfig
from quixstreams.sinks.community.postgresql import PostgreSQLSink

from benchmarks import peer_job
from benchmarks.peer_job import COLUMNS, Job

SECONDS = 1.0


def rows(numbers: Iterator[int]) -> Any:
    """A function from a message's value to its row."""

    def made(task: dict[str, Any]) -> dict[str, Any]:
        place = message_context()
        values = peer_job.row(task, next(numbers), place.partition, place.offset)
        return dict(zip(COLUMNS, values, strict=True))

    return made


def sink(job: Job) -> PostgreSQLSink:
    """The sink on the table that is there, with its columns and no more."""
    url = urlsplit(job.database)
    return PostgreSQLSink(
        host=url.hostname or "",
        port=url.port or 5432,
        dbname=url.path.lstrip("/"),
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        table_name="completions",
        schema_auto_update=False,
        include_metadata=False,
        on_conflict_do_nothing=True,
    )


def run(job: Job) -> None:
    """Until it is told to stop."""
    app = Application(
        broker_address=job.bootstrap,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        commit_interval=SECONDS,
        auto_create_topics=False,
        state_dir=job.folder,
        loglevel="WARNING",
    )
    config = TopicConfig(num_partitions=job.partitions, replication_factor=1)
    topic = app.topic(job.topic, key_deserializer="bytes", value_deserializer="json", config=config)
    app.dataframe(topic).apply(rows(count(1))).sink(sink(job))
    app.run()


if __name__ == "__main__":
    run(peer_job.job())
