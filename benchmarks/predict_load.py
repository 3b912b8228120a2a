"""The asker's side: requests in an open loop, and when each answer came.

A request is due when the schedule says, whether or not the ones before it have gone out or been
answered; latencies are counted from there (no coordinated omission).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.child import MeasurementFailed
from benchmarks.ingest_timeline import percentiles
from benchmarks.predict_prefill import DIFFICULTIES, TOPICS, name_of
from schemas import codec, topics
from schemas.codec import Bad, Raw
from schemas.events import Prediction, PredictionRequest
from schemas.settings import Settings
from streams import declare, kafka, tails

LEAD_SECONDS, COARSEST_WAIT = 0.2, 0.001
ANSWER_SECONDS = 180.0


@dataclass
class Asker:
    """Asks about learners 1 … ``learners`` at random; ``came`` is when each answer came, by
    request, on the monotonic clock."""

    settings: Settings
    learners: int
    reply: topics.Topic
    came: dict[str, float] = field(default_factory=dict)
    wanted: str = ""
    value: bytes = b""

    def __post_init__(self) -> None:
        config = {"linger.ms": 0, "partitioner": "murmur2_random"}
        self.chance = np.random.default_rng(self.settings.seed)
        self.producer = Producer(kafka.client(self.settings, **config))

    def everyone(self, topic: str) -> float:
        """Ask about every learner once, as fast as it goes; the seconds until all was answered."""
        began = time.monotonic()
        ids = [self._send(topic, learner) for learner in range(1, self.learners + 1)]
        self.await_answers(ids)
        return time.monotonic() - began

    def at_once(self, topic: str, count: int) -> float:
        """Answers a second, of so many requests that all wait from the start."""
        began = time.monotonic()
        self.await_answers([self._send(topic, self._anyone()) for _ in range(count)])
        return count / (time.monotonic() - began)

    def open_loop(self, topic: str, rate: float, seconds: float) -> dict[str, Any]:
        """``open_loop_about``, anyone at random."""
        return self.open_loop_about(self.at_random(round(rate * seconds)), topic, rate)

    def open_loop_about(self, learners: Sequence[int], topic: str, rate: float) -> dict[str, Any]:
        """Percentiles in milliseconds at a rate; every request is answered when this returns."""
        begin, due = time.monotonic() + LEAD_SECONDS, dict[str, float]()
        for turn, learner in enumerate(learners):
            at = begin + turn / rate
            self.producer.poll(0)
            if (wait := at - time.monotonic()) > COARSEST_WAIT:
                time.sleep(wait)
            due[self._send(topic, learner)] = at
        self.await_answers(list(due))
        return percentiles([(self.came[name] - at) * 1000 for name, at in due.items()])

    def ask(self, topic: str) -> str:
        """Ask about anyone, and wait for the answer; its request."""
        self.wanted = uuid.uuid4().hex
        self._send(topic, self._anyone(), self.wanted)
        self.await_answers([self.wanted])
        return self.wanted

    def answer(self) -> Prediction | None:
        """The answer to what was asked last by ``ask``."""
        raw = Raw(self.reply.name, 0, 0, None, self.value)
        found = codec.decode(Prediction, self.reply.max_bytes, raw, datetime.now(UTC))
        return None if isinstance(found, Bad) else found

    def await_answers(self, ids: list[str]) -> None:
        """Raises MeasurementFailed where one does not come."""
        self.producer.flush(30)
        deadline = time.monotonic() + ANSWER_SECONDS
        missing = set(ids)
        while missing:
            missing -= self.came.keys()
            if missing and time.monotonic() > deadline:
                raise MeasurementFailed(f"{len(missing)} of {len(ids)} requests were not answered")
            time.sleep(0.01)

    def at_random(self, count: int) -> list[int]:
        """So many learners."""
        return [self._anyone() for _ in range(count)]

    def in_turn(self, count: int) -> list[int]:
        """So many learners, none again before all others."""
        order = self.chance.permutation(self.learners) + 1
        return [int(order[turn % self.learners]) for turn in range(count)]

    def _anyone(self) -> int:
        return int(self.chance.integers(1, self.learners + 1))

    def _send(self, topic: str, learner: int, name: str = "") -> str:
        name = name or uuid.uuid4().hex
        request = PredictionRequest(
            request_id=name,
            task_id=name,
            user_id=name_of(learner),
            topic=f"topic-{self.chance.integers(TOPICS)}",
            difficulty=DIFFICULTIES[self.chance.integers(len(DIFFICULTIES))],
            started_at=datetime.now(UTC),
        )
        message = codec.encode(topics.PREDICTION_REQUEST, request, "bench")
        address = [("reply-topic", self.reply.name.encode()), ("correlation-id", name.encode())]
        while True:
            try:
                self.producer.produce(
                    topic, key=message.key, value=message.value,
                    headers=[*message.headers, *address],
                )  # fmt: skip
                return name
            except BufferError:
                self.producer.poll(0.1)


@contextmanager
def asking(settings: Settings, learners: int) -> Iterator[Asker]:
    """An asker that hears its answers, on a reply topic of its own."""
    reply = topics.reply("bench")
    name = settings.topic_prefix + reply.name
    declare.create(kafka.admin(settings), [(name, reply)], 1)
    asker, stop = Asker(settings, learners, reply), threading.Event()
    consumer = kafka.consumer(settings, "retrace-bench", **{"fetch.wait.max.ms": 50})
    _, high = kafka.patiently(tails.bounds, consumer, TopicPartition(name, 0))
    consumer.assign([TopicPartition(name, 0, high)])
    thread = threading.Thread(target=_hear, args=(consumer, asker, stop.is_set), name="answers")
    thread.start()
    try:
        yield asker
    finally:
        stop.set()
        thread.join()
        consumer.close()


def _hear(consumer: Consumer, asker: Asker, ended: Callable[[], bool]) -> None:
    while not ended():
        for message in kafka.drain(consumer, 1000, 0.1):
            at, found = time.monotonic(), dict[str, Any](message.headers() or [])
            name = found.get("correlation-id", b"").decode()
            if name == asker.wanted:
                asker.value = message.value() or b""
            asker.came.setdefault(name, at)
