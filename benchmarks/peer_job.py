"""What a peer of `retrace bench ingest` is told, and the row it makes of a message.

The standard library only: Quix Streams runs in an environment of its own, which holds nothing else
of Retrace. The job comes in a variable, since it may hold a database's password.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

VARIABLE = "RETRACE_BENCH_JOB"
COLUMNS = (
    "task_id", "number", "user_id", "topic", "difficulty", "started_at", "completed_at",
    "is_correct", "actual_time_seconds", "timed_out", "log_partition", "log_offset",
)  # fmt: skip
BATCH = 1000
OWN_SESSION = 45.0  # librdkafka's


@dataclass(frozen=True)
class Job:
    """Servers, names, and which variant of the peer runs. ``kafka`` configures librdkafka;
    ``session_seconds``: as long may its consumer be silent."""

    kafka: Mapping[str, Any]
    topic: str
    prefix: str
    database: str
    partitions: int
    folder: str
    variant: str = ""
    session_seconds: float = OWN_SESSION

    @property
    def group(self) -> str:
        return f"{self.prefix}peer"

    @property
    def bootstrap(self) -> str:
        return str(self.kafka["bootstrap.servers"])


def job() -> Job:
    """The job of this process."""
    return Job(**json.loads(os.environ[VARIABLE]))


def row(task: Mapping[str, Any], number: int, partition: int, offset: int) -> tuple[Any, ...]:
    """A completion's values in the order of ``COLUMNS``: those that Retrace's own store holds."""
    ended, seconds = datetime.fromisoformat(task["completed_at"]), task["actual_time_seconds"]
    return (
        task["task_id"], number, task["user_id"], task["topic"], task["difficulty"],
        ended - timedelta(seconds=seconds), ended, task["is_correct"], seconds, False,
        partition, offset,
    )  # fmt: skip
