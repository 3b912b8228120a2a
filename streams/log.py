"""``task-completed`` read back, by time or offsets: what replay and rebuilding stand on.

Without a group and without commits. A range is a span of offsets per partition, so that reading it
again gives the same; times are those of the log's messages. Memory is bounded by the fetch queue.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from schemas import codec, topics
from schemas.codec import Bad, Raw
from schemas.errors import RetraceError, Unreachable
from schemas.events import OffsetRange, TaskCompleted
from schemas.settings import Settings
from streams import kafka, tails

BATCH = 5000
PATIENCE_SECONDS = 30.0
QUEUE_KIB = 32 * 1024


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
    with tails.reading(settings) as reader:
        marks = [
            (place.partition, *tails.bounds(reader, place))
            for place in tails.places(settings, [name(settings)])
        ]
    return tuple(OffsetRange(partition=p, first=low, end=high) for p, low, high in marks)


def between(
    settings: Settings, since: datetime | None, until: datetime | None
) -> tuple[OffsetRange, ...]:
    """From the first message at or after ``since`` to the first at or after ``until``; None: the
    log's start, its end as of now."""
    held = bounds(settings)
    with tails.reading(settings) as reader:
        firsts = _at(reader, settings, held, since)
        ends = _at(reader, settings, held, until)
    spans = []
    for span in held:
        first = span.first if since is None else firsts.get(span.partition, span.end)
        end = span.end if until is None else ends.get(span.partition, span.end)
        spans.append(OffsetRange(partition=span.partition, first=min(first, end), end=end))
    return tuple(spans)


def _at(
    reader: Consumer, settings: Settings, held: Sequence[OffsetRange], at: datetime | None
) -> dict[int, int]:
    """Partition to its first offset at or after a time, where it has one below its end."""
    if at is None:
        return {}
    asked = [
        TopicPartition(name(settings), span.partition, round(at.timestamp() * 1000))
        for span in held
    ]
    found = {place.partition: place.offset for place in reader.offsets_for_times(asked, 10.0)}
    return {
        span.partition: min(max(found[span.partition], span.first), span.end)
        for span in held
        if found[span.partition] >= 0
    }


def read(settings: Settings, spans: Sequence[OffsetRange], now: datetime) -> Iterator[list[Entry]]:
    """Every message of these spans once, decoded as of ``now``; each partition in its order.

    Raises ``Unreachable`` where Kafka does not answer for half a minute, ``RetraceError`` where
    the log does not hold all of the range.
    """
    _require_held(settings, spans)
    left = {span.partition: span for span in spans if span.first < span.end}
    queue: dict[str, Any] = {"queued.max.messages.kbytes": QUEUE_KIB}
    with tails.reading(settings, eof=True, **queue) as reader:
        reader.assign([TopicPartition(name(settings), p, s.first) for p, s in left.items()])
        heard = time.monotonic()
        while left:
            batch = [_entry(m, now) for m in _messages(reader, settings, left)]
            if batch:
                heard = time.monotonic()
                yield batch
            elif time.monotonic() - heard > PATIENCE_SECONDS:
                raise Unreachable("Kafka did not answer in time")


def _require_held(settings: Settings, spans: Sequence[OffsetRange]) -> None:
    held = {span.partition: span for span in bounds(settings)}
    for span in spans:
        mine = held.get(span.partition, OffsetRange(partition=span.partition, first=0, end=0))
        if span.first < span.end and not mine.first <= span.first < span.end <= mine.end:
            raise RetraceError(
                f"Partition {span.partition} of the log holds {mine.first}-{mine.end}, "
                f"not {span.first}-{span.end}."
            )


def _messages(
    reader: Consumer, settings: Settings, left: dict[int, OffsetRange]
) -> Iterator[KafkaMessage]:
    """What has come of the spans that are left; one that was read to its end is left out."""
    for message in reader.consume(BATCH, 0.5):
        partition, offset, error = message.partition(), message.offset(), message.error()
        if partition is None or offset is None or partition not in left:
            continue
        end = left[partition].end
        if error is None and offset < end:
            yield message
        elif error is not None and error.code() != KafkaError._PARTITION_EOF:
            if not kafka.is_away(KafkaException(error)):
                raise KafkaException(error)
            continue
        if offset >= end - 1:  # a range may end with a transaction's mark, which is not delivered
            del left[partition]
            reader.pause([TopicPartition(name(settings), partition)])


def _entry(message: KafkaMessage, now: datetime) -> Entry:
    value = message.value()
    received = Raw(
        "", message.partition() or 0, message.offset() or 0, None,
        value.encode() if isinstance(value, str) else value,
    )  # fmt: skip
    event = codec.decode(TaskCompleted, topics.TASK_COMPLETED.max_bytes, received, now)
    return Entry(received.partition, received.offset, message.timestamp()[1], event)
