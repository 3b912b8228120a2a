"""What integration and end-to-end tests share: settings of a test's own, messages, processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from confluent_kafka import Producer, TopicPartition
from pydantic import SecretStr

from ops.machine import free_port
from schemas import topics
from schemas.codec import Raw
from schemas.settings import Settings
from streams import database, declare, kafka, tails
from streams.health import Health
from streams.patience import Patience
from streams.record import Recorder
from streams.store import Store
from tests.servers import wait_until


def settings_of(kafka_bootstrap: str, database_url: str, folder: Path, **more: Any) -> Settings:
    """Settings with a topic prefix, a folder and ports of the test's own."""
    ports = {f"{name}_port": free_port() for name in ("streams", "trainer", "inference", "gateway")}
    return Settings(
        kafka_bootstrap=kafka_bootstrap,
        database_url=SecretStr(database_url),
        topic_prefix=f"t{uuid.uuid4().hex[:8]}.",
        data_dir=folder,
        heal_seconds=1.0,
        **{**ports, **more},
    )


def task(task_id: str, /, **more: Any) -> dict[str, Any]:
    """A good task-completed as a dict."""
    number = sum(task_id.encode())
    return {
        "task_id": task_id,
        "user_id": f"user-{number % 6}",
        "topic": f"topic-{number % 3}",
        "difficulty": "easy",
        "completed_at": datetime.now(UTC).isoformat(),
        "is_correct": number % 3 > 0,
        "actual_time_seconds": 5.0 + number % 7,
    } | more


def publish(settings: Settings, *values: dict[str, Any] | bytes | None, key: str = "k") -> None:
    """Publish values to task-completed as any producer would, and wait for the broker."""
    producer = Producer(kafka.client(settings, **{"message.max.bytes": 2_000_000}))
    for value in values:
        raw = json.dumps(value).encode() if isinstance(value, dict) else value
        name = value["user_id"] if isinstance(value, dict) and "user_id" in value else key
        producer.produce(_name(settings, topics.TASK_COMPLETED), value=raw, key=str(name))
        producer.poll(0)
    assert producer.flush(30) == 0


def read_all(settings: Settings, topic: topics.Topic) -> list[Raw]:
    """Every message of a topic, partition by partition; none where it does not exist yet."""
    name = _name(settings, topic)
    if name not in declare.partitions(kafka.admin(settings)):
        return []
    reader = kafka.consumer(settings, "tests", **{"enable.partition.eof": True})
    found: list[Raw] = []
    try:
        for place in tails.places(settings, [name]):
            low, high = tails.bounds(reader, place)
            reader.assign([TopicPartition(name, place.partition, low)])
            found += tails.read_to_end(reader, high, float("inf")) if high > low else []
    finally:
        reader.close()
    return found


def values_of(settings: Settings, topic: topics.Topic) -> list[dict[str, Any]]:
    """Every event of a topic as a dict."""
    return [json.loads(raw.value or b"null") for raw in read_all(settings, topic)]


def opened(settings: Settings) -> Store:
    """The store of a test."""
    return Store(database.connect(settings.database_url.get_secret_value(), "tests"))


def prepared(kafka_bootstrap: str, database_url: str, folder: Path) -> Settings:
    """Settings of a test's own, with topics and tables."""
    made = settings_of(kafka_bootstrap, database_url, folder)
    declare.declare(made)
    store = opened(made)
    store.prepare(5)
    store.engine.dispose()
    return made


@contextmanager
def recording(settings: Settings) -> Iterator[Store]:
    """The record loop in a thread, on declared topics and a migrated store."""
    held = opened(settings)
    patience = Patience(Health("tests"), threading.Event())
    patience.call("kafka", kafka.is_away, declare.declare, settings)
    held.prepare(settings.train_every)
    recorder = Recorder(settings, held, patience)
    thread = threading.Thread(target=recorder.run)
    thread.start()
    try:
        yield held
    finally:
        patience.stop.set()
        thread.join(30)
        held.engine.dispose()
    assert not thread.is_alive()


class Service:
    """A real service process."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name, self.settings = name, settings
        self.log = settings.data_dir / f"{name}.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            argv = [sys.executable, "-m", "ops.cli", self.name]
            return subprocess.Popen(argv, env=environment(self.settings), stdout=log, stderr=log)

    def readiness(self) -> dict[str, Any]:
        """What /readyz says; empty while nothing answers."""
        port = getattr(self.settings, f"{self.name}_port")
        try:
            return dict(httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).json())
        except httpx.HTTPError:
            return {}

    def is_refused(self, words: str) -> bool:
        """Whether it runs, and says that it is not ready, for its group refuses it in so many
        words."""
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        state = self.readiness()
        detail = state.get("dependencies", {}).get("group", {}).get("detail", "")
        return state.get("ready") is False and detail.startswith(words)

    def await_ready(self, seconds: float = 60) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            return bool(self.readiness().get("ready"))

        wait_until(ready, seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def restart(self) -> None:
        self.process = self._start()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def services(settings: Settings, *names: str) -> Iterator[dict[str, Service]]:
    """Real service processes, ready; stopped and gone afterwards."""
    started = {name: Service(name, settings) for name in names}
    try:
        for service in started.values():
            service.await_ready()
        yield started
    finally:
        for service in started.values():
            service.process.terminate()
        for service in started.values():
            try:
                service.process.wait(30)
            except subprocess.TimeoutExpired:
                service.kill()


def environment(settings: Settings) -> dict[str, str]:
    """The environment that gives a process these settings."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    plain = {name: _plain(value) for name, value in given.items()}
    return {**os.environ, **{f"RETRACE_{name.upper()}": value for name, value in plain.items()}}


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(_plain(each) for each in value)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _name(settings: Settings, topic: topics.Topic) -> str:
    return settings.topic_prefix + topic.name
