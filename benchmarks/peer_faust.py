"""A peer: the Faust agent that one writes first, event by event, with a count in a Faust table."""

from __future__ import annotations

from typing import Any

import faust
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import make_url

from benchmarks import peer_job
from benchmarks.peer_job import COLUMNS, Job
from schemas import tables


class TaskCompleted(faust.Record):
    """A message's value, as Faust's own documentation would have it declared."""

    task_id: str
    user_id: str
    topic: str
    difficulty: str
    completed_at: str
    is_correct: bool
    actual_time_seconds: float


def build(job: Job) -> faust.App:
    """The app as a newcomer would have it: Faust's own settings, JSON, one transaction each."""
    app = faust.App(
        job.group,
        broker=";".join(f"kafka://{server}" for server in job.bootstrap.split(",")),
        store="memory://",
        datadir=job.folder,
        topic_partitions=job.partitions,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
    )
    engine = create_engine(make_url(job.database).set(drivername="postgresql+psycopg2"))
    topic = app.topic(job.topic, value_type=TaskCompleted)
    counts = app.Table("counts", default=int)

    @app.agent(topic)
    async def record(stream: Any) -> None:
        async for task in stream:
            counts["completions"] += 1
            message = stream.current_event.message
            number, place = counts["completions"], (message.partition, message.offset)
            row = peer_job.row(task.asdict(), number, *place)
            statement = insert(tables.completions).values(dict(zip(COLUMNS, row, strict=True)))
            with engine.begin() as connection:
                connection.execute(statement.on_conflict_do_nothing())

    return app


if __name__ == "__main__":
    faust.Worker(build(peer_job.job()), loglevel="WARNING").execute_from_commandline()
