"""Topics read without a group: newest messages, and what comes from now on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from schemas.codec import Raw
from schemas.errors import Unreachable
from schemas.settings import Settings
from streams.declare import partitions
from streams.kafka import admin, consumer, drain, raw


def last_messages(settings: Settings, name: str, most: int = 1, timeout: float = 5.0) -> list[Raw]:
    """The newest messages of a one-partition topic, oldest first; none where it is empty."""
    (place,) = places(settings, [name])
    with reading(settings, eof=True) as reader:
        low, high = bounds(reader, place)
        if high <= low:
            return []
        reader.assign([TopicPartition(name, 0, max(low, high - most))])
        return read_to_end(reader, high, time.monotonic() + timeout)


def read_to_end(reader: Consumer, high: int, deadline: float) -> list[Raw]:
    """What an assigned reader finds below ``high``."""
    found: list[Raw] = []
    while time.monotonic() < deadline:
        message = reader.poll(0.2)
        if message is None:
            continue
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            return found
        if error is None:
            found.append(raw(message))
            if found[-1].offset >= high - 1:
                return found
    raise Unreachable("Kafka did not answer in time")


def places(
    settings: Settings, names: Iterable[str], edge: AdminClient | Consumer | None = None
) -> list[TopicPartition]:
    """Every partition of these topics, asked over ``edge`` where there is one.

    Raises ``Unreachable`` while no broker answers or a topic is missing.
    """
    counts = partitions(edge or admin(settings))
    wanted = list(names)
    missing = [name for name in wanted if name not in counts]
    if missing:
        raise Unreachable(
            f"The topic {missing[0]} is missing. Services create the topics when they start."
        )
    return [TopicPartition(name, p) for name in wanted for p in range(counts[name])]


def ends(settings: Settings, names: Iterable[str]) -> list[TopicPartition]:
    """Where topics end now: begin ``follow_from`` here, and nothing published later is missed."""
    return before_ends(settings, dict.fromkeys(names, 0))


def before_ends(settings: Settings, most: Mapping[str, int]) -> list[TopicPartition]:
    """So many messages before where each partition of these topics ends now."""
    wanted = places(settings, most)
    with reading(settings) as reader:
        marks = [bounds(reader, place) for place in wanted]
    return [
        TopicPartition(place.topic, place.partition, max(low, high - most[place.topic]))
        for place, (low, high) in zip(wanted, marks, strict=True)
    ]


def bounds(reader: Consumer, place: TopicPartition) -> tuple[int, int]:
    """The first and the next offset; a topic that was just made may have no leader yet."""
    patiently = Retrying(
        retry=retry_if_exception_type(KafkaException),
        stop=stop_after_delay(5.0),
        wait=wait_fixed(0.1),
        reraise=True,
    )
    return patiently(reader.get_watermark_offsets, place, timeout=5.0)


def follow_from(
    settings: Settings, begin: Sequence[TopicPartition], *, stop: threading.Event
) -> Iterator[Raw]:
    """Messages from these places on, until ``stop`` is set."""
    with reading(settings) as reader:
        reader.assign(list(begin))
        while not stop.is_set():
            for message in drain(reader, 500, 0.25):
                yield raw(message)


def published_since(settings: Settings, begin: Sequence[TopicPartition]) -> Iterator[Raw]:
    """What stands between these places and where their topics end now."""
    names = dict.fromkeys(place.topic for place in begin)
    last = {(end.topic, end.partition): end.offset for end in ends(settings, names)}
    left = {(b.topic, b.partition) for b in begin if b.offset < last[b.topic, b.partition]}
    stop = threading.Event()
    for found in follow_from(settings, begin, stop=stop) if left else ():
        place = (found.topic, found.partition)
        if found.offset < last[place]:
            yield found
        if found.offset >= last[place] - 1:
            left.discard(place)
        if not left:
            stop.set()


@contextmanager
def reading(
    settings: Settings, group: str = "retrace-tail", *, eof: bool = False, **extra: Any
) -> Iterator[Consumer]:
    """A consumer without a subscription. Errors of Kafka inside are raised as ``Unreachable``."""
    reader = consumer(settings, group, **{"enable.partition.eof": eof, **extra})
    try:
        yield reader
    except KafkaException as error:
        raise Unreachable(f"Kafka does not answer: {error.args[0].str()}") from None
    finally:
        reader.close()
