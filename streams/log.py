"""``task-completed`` read back, by time or offsets: what replay and rebuilding stand on.

A range is a span of offsets per partition, so that reading it again gives the same; times are those
of the log's messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from confluent_kafka import Message as KafkaMessage

from schemas import codec, topics
from schemas.codec import Bad, Raw
from schemas.errors import RetraceError
from schemas.events import OffsetRange, TaskCompleted
from schemas.settings import Settings
from streams import stretch
from streams.stretch import Care, Span

CARE = Care(patience=30.0, batch=5000, queue_kib=8192)


class Entry(NamedTuple):
    """A message of the log: its place, the log's time in milliseconds, and what it holds."""

    partition: int
    offset: int
    at: int
    event: TaskCompleted | Bad


def name(settings: Settings) -> str:
    return settings.topic_prefix + topics.TASK_COMPLETED.name


def bounds(settings: Settings) -> tuple[OffsetRange, ...]:
    """All that the log holds now."""
    return between(settings, None, None)


def between(
    settings: Settings, since: datetime | None, until: datetime | None
) -> tuple[OffsetRange, ...]:
    """From the first message at or after ``since`` to the first at or after ``until``; None: the
    log's start, its end as of now."""
    found = stretch.spans(settings, name(settings), since, until)
    return tuple(OffsetRange(partition=s.partition, first=s.first, end=s.end) for s in found)


def read(settings: Settings, spans: Sequence[OffsetRange], now: datetime) -> Iterator[list[Entry]]:
    """Every message of these spans once, decoded as of ``now``; each partition in its order.

    Raises ``Unreachable`` where Kafka does not answer for half a minute, ``RetraceError`` where
    the log does not hold all of the range.
    """
    _require_held(settings, spans)
    wanted = [Span(name(settings), s.partition, s.first, s.end) for s in spans]
    for messages in stretch.batches(settings, wanted, CARE):
        yield [_entry(message, now) for message in messages]


def _require_held(settings: Settings, spans: Sequence[OffsetRange]) -> None:
    held = {span.partition: span for span in bounds(settings)}
    for span in spans:
        mine = held.get(span.partition, OffsetRange(partition=span.partition, first=0, end=0))
        if span.first < span.end and not mine.first <= span.first < span.end <= mine.end:
            raise RetraceError(
                f"Partition {span.partition} of the log holds {mine.first}-{mine.end}, "
                f"not {span.first}-{span.end}."
            )


def _entry(message: KafkaMessage, now: datetime) -> Entry:
    value = message.value()
    received = Raw(
        "", message.partition() or 0, message.offset() or 0, None,
        value.encode() if isinstance(value, str) else value,
    )  # fmt: skip
    event = codec.decode(TaskCompleted, topics.TASK_COMPLETED.max_bytes, received, now)
    return Entry(received.partition, received.offset, message.timestamp()[1], event)
