"""Publishes a plan on time, through a broker that comes and goes.

A message whose delivery is uncertain is published again: the log then holds two copies, which
the product must cope with and the judge knows by their name.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from schemas import topics
from schemas.settings import Settings
from streams import kafka
from tests.chaos.plan import Planned


class Load(threading.Thread):
    """Publishes; ``done`` when everything stands in the log."""

    def __init__(self, settings: Settings, messages: Sequence[Planned]) -> None:
        super().__init__(name="load", daemon=True)
        self.topic = settings.topic_prefix + topics.TASK_COMPLETED.name
        self.config = kafka.client(settings) | {
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "message.timeout.ms": 20_000,
            "message.max.bytes": 2_000_000,
        }
        self.producer = Producer(self.config)
        self.coming = deque(messages)
        self.waiting: dict[str, list[Planned]] = {}
        self.ready: deque[Planned] = deque()
        self.outstanding: dict[str, Planned] = {}
        self.delivered: set[str] = set()
        self.again = self.producers = 0
        self.begun = time.monotonic()
        self.total = len(messages)
        self._fatal = False

    @property
    def done(self) -> bool:
        return len(self.delivered) == self.total

    def run(self) -> None:
        self.begun = time.monotonic()
        while not self.done:
            self._release(time.monotonic() - self.begun)
            while self.ready and self._send(self.ready[0]):
                self.ready.popleft()
            self.producer.poll(0.02)
            if self._fatal:
                self._replace()

    def _release(self, seconds: float) -> None:
        """What is due is ready, or waits for what it repeats to stand in the log."""
        while self.coming and self.coming[0].at <= seconds:
            one = self.coming.popleft()
            if one.after is None or one.after in self.delivered:
                self.ready.append(one)
            else:
                self.waiting.setdefault(one.after, []).append(one)

    def _send(self, one: Planned) -> bool:
        try:
            self.producer.produce(
                self.topic,
                key=one.key,
                value=one.value,
                headers=list(one.headers),
                on_delivery=lambda error, _message: self._heard(one, error),
            )
        except BufferError:
            return False
        except KafkaException as error:
            self._fatal |= error.args[0].fatal()
            return False
        self.outstanding[one.name] = one
        return True

    def _heard(self, one: Planned, error: KafkaError | None) -> None:
        if self.outstanding.pop(one.name, None) is None:
            return
        if error is None:
            self.delivered.add(one.name)
            self.ready.extend(self.waiting.pop(one.name, ()))
            return
        self.again += 1
        self._fatal |= error.fatal() or error.code() == KafkaError._FATAL
        self.ready.append(one)

    def _replace(self) -> None:
        """An idempotent producer that lost its thread never sends again; a new one does."""
        self.producer.purge()
        self.producer.flush(5)
        self.again += len(self.outstanding)
        self.ready.extend(self.outstanding.values())
        self.outstanding.clear()
        self.producer, self._fatal = Producer(self.config), False
        self.producers += 1

    def facts(self) -> dict[str, Any]:
        return {
            "published": len(self.delivered),
            "of": self.total,
            "again": self.again,
            "new_producers": self.producers,
        }
