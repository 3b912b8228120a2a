"""A stretch of a topic read once, from mark to mark, without a group and in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from schemas.codec import Raw
from schemas.errors import Unreachable
from schemas.settings import Settings
from streams import kafka, tails

WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Span:
    """Offsets ``first`` up to and without ``end`` of one partition."""

    topic: str
    partition: int
    first: int
    end: int

    def __len__(self) -> int:
        return max(self.end - self.first, 0)


@dataclass(frozen=True)
class Care:
    """How reading waits: at most ``patience`` seconds in which Kafka sends nothing, and only
    until ``stop`` is set, which ends it early. At most ``batch`` messages come together."""

    patience: float = 10.0
    stop: threading.Event = field(default_factory=threading.Event)
    batch: int = 500
    queue_kib: int = 16_384


def spans(
    settings: Settings, name: str, since: datetime | None = None, until: datetime | None = None
) -> list[Span]:
    """What a topic holds now, from the first message that the broker dates at ``since`` or later
    up to the first at ``until`` or later; None: from its start, to its end.

    Raises ``Unreachable`` while no broker answers or the topic is missing.
    """
    places = tails.places(settings, [name])
    with tails.reading(settings) as reader:
        marks = [tails.bounds(reader, place) for place in places]
        firsts, ends = _at(reader, places, since), _at(reader, places, until)
    found = []
    for place, (low, high), first, end in zip(places, marks, firsts, ends, strict=True):
        last = high if until is None or end < 0 else min(max(end, low), high)
        begin = low if since is None else high if first < 0 else max(first, low)
        found.append(Span(name, place.partition, min(begin, last), last))
    return found


def _at(reader: Consumer, places: Sequence[TopicPartition], at: datetime | None) -> list[int]:
    """Each partition's first offset at this time or later; -1 where there is none."""
    if at is None:
        return [-1 for _ in places]
    milliseconds = max(round(at.timestamp() * 1000), 0)
    asked = [TopicPartition(p.topic, p.partition, milliseconds) for p in places]
    found = reader.offsets_for_times(asked, timeout=10.0)
    for place in found:
        if place.error is not None:
            raise KafkaException(place.error)
    return [place.offset for place in found]


def read(settings: Settings, wanted: Sequence[Span], care: Care | None = None) -> Iterator[Raw]:
    """What these spans hold, one by one; see ``batches``."""
    for messages in batches(settings, wanted, care or Care()):
        yield from map(kafka.raw, messages)


def batches(settings: Settings, wanted: Sequence[Span], care: Care) -> Iterator[list[KafkaMessage]]:
    """What these spans, one a partition, hold; partitions mix, each keeps its order.

    What is removed meanwhile is passed over. Raises ``Unreachable`` where patience ends.
    """
    ends = {span.partition: span.end for span in wanted if len(span)}
    begin = [TopicPartition(s.topic, s.partition, s.first) for s in wanted if len(s)]
    # Compressed messages fetched at once from a partition, and waiting ones: else hundreds of MB.
    queue: dict[str, Any] = {
        "fetch.message.max.bytes": 262_144,
        "queued.max.messages.kbytes": care.queue_kib,
    }
    quiet = 0.0
    with tails.reading(settings, eof=True, **queue) as reader:
        if begin:
            reader.assign(begin)
        while ends and not care.stop.is_set():
            first = reader.poll(WAIT_SECONDS)
            came = [] if first is None else [first, *reader.consume(care.batch - 1, 0)]
            quiet = 0.0 if came else quiet + WAIT_SECONDS
            if quiet > care.patience:
                raise Unreachable("Kafka did not answer in time")
            if inside := [m for m in came if _is_inside(reader, m, ends)]:
                yield inside


def _is_inside(reader: Consumer, message: KafkaMessage, ends: dict[int, int]) -> bool:
    """Whether its span holds it; a span that is read to its end is taken from ``ends``."""
    partition, offset = message.partition() or 0, message.offset() or 0
    end, error = ends.get(partition), message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        if not kafka.is_away(KafkaException(error)):
            raise KafkaException(error)
        return False
    if end is None:
        return False
    if error is not None or offset >= end - 1:  # a transaction's mark at the end is not delivered
        del ends[partition]
        reader.pause([TopicPartition(str(message.topic()), partition)])
    return error is None and offset < end
