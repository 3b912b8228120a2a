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

BATCH, WAIT_SECONDS = 500, 0.2
QUEUED: dict[str, Any] = {"queued.max.messages.kbytes": 16_384}


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
    until ``stop`` is set, which ends it early."""

    patience: float = 10.0
    stop: threading.Event = field(default_factory=threading.Event)


def spans(settings: Settings, name: str, since: datetime | None = None) -> list[Span]:
    """What a topic holds now; with ``since`` only what the broker dates at that time or later.

    Raises ``Unreachable`` while no broker answers or the topic is missing.
    """
    places = tails.places(settings, [name])
    with tails.reading(settings) as reader:
        marks = [tails.bounds(reader, place) for place in places]
        firsts = _firsts(reader, places, since)
    return [
        Span(name, place.partition, high if first < 0 else max(low, first), high)
        for place, (low, high), first in zip(places, marks, firsts, strict=True)
    ]


def _firsts(
    reader: Consumer, places: Sequence[TopicPartition], since: datetime | None
) -> list[int]:
    """Each partition's first offset at ``since`` or later; -1 where there is none."""
    if since is None:
        return [0 for _ in places]
    milliseconds = max(int(since.timestamp() * 1000), 0)
    asked = [TopicPartition(p.topic, p.partition, milliseconds) for p in places]
    return [place.offset for place in reader.offsets_for_times(asked, timeout=10.0)]


def read(settings: Settings, wanted: Sequence[Span], care: Care | None = None) -> Iterator[Raw]:
    """What these spans, one a partition, hold; partitions mix, each keeps its order.

    What is removed meanwhile is passed over. Raises ``Unreachable`` where patience ends.
    """
    care = care or Care()
    ends = {span.partition: span.end for span in wanted if len(span)}
    begin = [TopicPartition(s.topic, s.partition, s.first) for s in wanted if len(s)]
    quiet = 0.0
    with tails.reading(settings, eof=True, **QUEUED) as reader:
        if begin:
            reader.assign(begin)
        while ends and not care.stop.is_set():
            first = reader.poll(WAIT_SECONDS)
            messages = [] if first is None else [first, *reader.consume(BATCH, 0)]
            quiet = 0.0 if messages else quiet + WAIT_SECONDS
            if quiet > care.patience:
                raise Unreachable("Kafka did not answer in time")
            for message in messages:
                yield from _within(reader, message, ends)


def _within(reader: Consumer, message: KafkaMessage, ends: dict[int, int]) -> Iterator[Raw]:
    """The message, if its span holds it; a span that is read to its end is taken from ``ends``."""
    partition, offset = message.partition() or 0, message.offset() or 0
    end = ends.get(partition)
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        if not kafka.is_away(KafkaException(error)):
            raise KafkaException(error)
        return
    if end is None:
        return
    if error is None and offset < end:
        yield kafka.raw(message)
    if error is not None or offset >= end - 1:
        del ends[partition]
        reader.pause([TopicPartition(str(message.topic()), partition)])
