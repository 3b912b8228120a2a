"""Those who ask all the while: for predictions over Kafka, and for tasks over HTTP.

Both behave as real ones would: what was not acknowledged is sent again, under the same id.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from confluent_kafka import KafkaError, KafkaException, Producer

from schemas import codec, topics
from schemas.events import PredictionRequest
from schemas.settings import Settings
from streams import kafka
from tests.chaos.plan import LEARNERS, STAYING

ASKS_A_SECOND, TASKS_A_SECOND = 20.0, 4.0
LONGEST = 1.0  # seconds in which the contract promises a task


class Asker(threading.Thread):
    """Asks for predictions; ``asked``: when each request was first sent, by its id."""

    def __init__(self, settings: Settings, seed: int) -> None:
        super().__init__(name="asker", daemon=True)
        self.name_of = settings.topic_prefix + topics.PREDICTION_REQUEST.name
        self.chance = random.Random(f"{seed}/asks")
        config = {"enable.idempotence": True, "partitioner": "murmur2_random"}
        self.config = kafka.client(settings, **config, **{"message.timeout.ms": 20_000})
        self.producer = Producer(self.config)
        self.asked: dict[str, datetime] = {}
        self.waiting: dict[str, codec.Message] = {}
        self.stop = threading.Event()
        self._again: list[str] = []
        self._fatal = False

    def run(self) -> None:
        while self.waiting or not self.stop.is_set():
            if not self.stop.is_set():
                self._send(*self._request())
            again, self._again = self._again, []
            if self._fatal:  # a producer that lost its thread never sends again
                self.producer.purge()
                self.producer.flush(5)
                self.producer, self._fatal = Producer(self.config), False
                again, self._again = list(self.waiting), []
            for name in again:
                self._send(name, self.waiting[name])
            self.producer.poll(0)
            time.sleep(1 / ASKS_A_SECOND)

    def _request(self) -> tuple[str, codec.Message]:
        name, now = f"ask-{len(self.asked):06}", datetime.now(UTC)
        request = PredictionRequest(
            request_id=name, task_id=name, user_id=f"learner-{self.chance.randrange(LEARNERS)}",
            topic=f"topic-{self.chance.randrange(8)}", difficulty="easy", started_at=now,
        )  # fmt: skip
        self.asked[name] = now
        return name, codec.encode(topics.PREDICTION_REQUEST, request, "chaos")

    def _send(self, name: str, message: codec.Message) -> None:
        def delivered(error: KafkaError | None, _message: object) -> None:
            if error is None:
                self.waiting.pop(name, None)
            else:
                self._again.append(name)
                self._fatal |= error.fatal() or error.code() == KafkaError._FATAL

        self.waiting[name] = message
        try:
            self.producer.produce(
                self.name_of, key=message.key, value=message.value,
                headers=list(message.headers), on_delivery=delivered,
            )  # fmt: skip
        except KafkaException as error:
            delivered(error.args[0], None)


@dataclass
class Told:
    """What the gateway said. ``claims``: the task as PATCH returned it, by id."""

    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


class Practice(threading.Thread):
    """Asks for tasks and completes them, each until it has been told that it is done."""

    def __init__(self, settings: Settings, seed: int) -> None:
        super().__init__(name="practice", daemon=True)
        self.url = f"http://127.0.0.1:{settings.gateway_port}/practice-tasks"
        self.chance = random.Random(f"{seed}/practice")
        self.told = Told()
        self.stop = threading.Event()
        self.given_up: list[str] = []

    def run(self) -> None:
        with httpx.Client(timeout=5.0, trust_env=False) as client:
            while not self.stop.wait(1 / TASKS_A_SECOND):
                task_id = self.issue(client)
                if task_id is not None:
                    self.complete(client, task_id)

    def issue(self, client: httpx.Client) -> str | None:
        """A task, where the gateway gives one at once."""
        learner = f"learner-{self.chance.randrange(STAYING)}"
        body = {"user_id": learner, "topic": "topic-1", "difficulty": "easy"}
        began = time.monotonic()
        answer = self._call(client, "POST", self.url, body)
        if answer is None or answer.status_code != 201:
            return None
        self.told.seconds.append(time.monotonic() - began)
        return str(answer.json()["id"])

    def complete(self, client: httpx.Client, task_id: str, seconds: float = 90.0) -> bool:
        """Say how it went, again and again until that is known to be kept."""
        body = {"is_correct": self.chance.random() < 0.6, "actual_time_seconds": 12.5}
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self._call(client, "PATCH", f"{self.url}/{task_id}", body)
            if answer is not None and answer.status_code == 200:
                self.told.claims[task_id] = answer.json()
                return True
            time.sleep(0.2)
        self.given_up.append(task_id)
        return False

    def _call(
        self, client: httpx.Client, verb: str, url: str, body: dict[str, Any]
    ) -> httpx.Response | None:
        try:
            answer = client.request(verb, url, json=body)
        except httpx.HTTPError as error:
            self.told.states[f"{verb} {type(error).__name__}"] += 1
            return None
        self.told.states[f"{verb} {answer.status_code}"] += 1
        return answer
