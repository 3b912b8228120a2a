"""The producer's side of ingest: a backlog as fast as it goes, or an open loop at a rate.

In an open loop a completion is due when the schedule says, whether or not the ones before it have
gone out; latencies are counted from there, so a slow moment shows in full (no coordinated
omission).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime

from confluent_kafka import Producer

from benchmarks.child import MeasurementFailed
from benchmarks.ingest_source import Completion, Source
from schemas import topics
from schemas.settings import Settings
from streams import kafka

FLUSH_SECONDS = 120
LEAD_SECONDS = 0.2
COARSEST_WAIT = 0.001


def backlog(settings: Settings, completions: Iterable[Completion]) -> float:
    """Publish all of them and wait until the broker has them; the seconds that took."""
    began = time.monotonic()
    producer = _producer(settings, **{"linger.ms": 50, "batch.num.messages": 10_000})
    for completion in completions:
        _produce(producer, settings, completion)
    _flush(producer)
    return time.monotonic() - began


def open_loop(settings: Settings, source: Source, rate: float, seconds: float) -> dict[str, float]:
    """Publish at a rate for so long; when each task was due, on the monotonic clock."""
    producer = _producer(settings, **{"linger.ms": 1})
    begin, due = time.monotonic() + LEAD_SECONDS, dict[str, float]()
    for turn in range(round(rate * seconds)):
        at = begin + turn / rate
        producer.poll(0)
        if (wait := at - time.monotonic()) > COARSEST_WAIT:
            time.sleep(wait)
        completion = source.next(datetime.now(UTC))
        due[completion.task_id] = at
        _produce(producer, settings, completion)
    _flush(producer)
    return due


def _producer(settings: Settings, **more: object) -> Producer:
    """As the README's example has it, which users copy."""
    config = {"partitioner": "murmur2_random", "enable.idempotence": True, **more}
    return Producer(kafka.client(settings, **config))


def _produce(producer: Producer, settings: Settings, completion: Completion) -> None:
    name = settings.topic_prefix + topics.TASK_COMPLETED.name
    while True:
        try:
            producer.produce(name, key=completion.key, value=completion.value)
            return
        except BufferError:
            producer.poll(0.1)


def _flush(producer: Producer) -> None:
    if left := producer.flush(FLUSH_SECONDS):
        raise MeasurementFailed(f"the broker did not take {left} completions")
