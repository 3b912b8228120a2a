"""The Prometheus metrics that every service exposes, in base units.

Named by OpenTelemetry's conventions for messaging where these have a name. Labels are few and
bounded: topics, groups, causes, sources; never a learner, a task or a message.
"""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import Counter, Gauge, Histogram

OF_TOPIC = ["messaging_system", "messaging_operation_name", "messaging_destination_name"]
OF_GROUP = [*OF_TOPIC, "messaging_consumer_group_name"]
OF_SHARE = OF_GROUP[2:]
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
END_TO_END = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)

CONSUMED = Counter("messaging_client_consumed_messages_total", "Messages received.", OF_GROUP)
SENT = Counter("messaging_client_sent_messages_total", "Messages sent.", OF_TOPIC)
PROCESS_SECONDS = Histogram(
    "messaging_process_duration_seconds", "Seconds to handle what came at once.", OF_GROUP,
    buckets=SECONDS,
)  # fmt: skip
BATCH = Histogram(
    "retrace_batch_messages", "Messages handled at once.", OF_SHARE,
    buckets=(1, 10, 100, 1000, 10000),
)  # fmt: skip
LAG = Gauge("retrace_consumer_lag_messages", "Messages a group has yet to commit.", OF_SHARE)
END_TO_END_SECONDS = Histogram(
    "retrace_end_to_end_seconds", "Seconds from a task's completion to a stage.", ["stage"],
    buckets=END_TO_END,
)  # fmt: skip
RETRIES = Counter("retrace_retries_total", "Calls repeated after a failure.", ["dependency"])
UP = Gauge("retrace_dependency_up", "1 while what a service needs answers.", ["dependency"])
STUCK = Gauge("retrace_stuck", "1 while the service makes no progress.")
DISK_FREE = Gauge("retrace_disk_free_bytes", "Free space where the data folder is.")
DISK_SIZE = Gauge("retrace_disk_size_bytes", "Size of the disk where the data folder is.")
DEAD_LETTERS = Counter(
    "retrace_dead_letters_total", "Messages dead-lettered.",
    ["messaging_destination_name", "error_type"],
)  # fmt: skip


def reached(stage: str, completed_at: datetime) -> None:
    """Note that what was completed then has come to a stage now."""
    END_TO_END_SECONDS.labels(stage).observe((datetime.now(UTC) - completed_at).total_seconds())
