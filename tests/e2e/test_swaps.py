"""Two inference workers over ten new versions, a kill -9 and a restart: everyone is answered."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas import codec, topics
from schemas.events import PredictionRequest
from schemas.settings import Settings
from streams import declare, kafka
from tests.integration.test_serving import announce
from tests.running import Service, opened, settings_of, values_of
from tests.servers import wait_until
from tests.unit.simulated import fitted
from training import export

SWAPS, PERIOD = 10, 0.02


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path, swap_seconds=0.2)


class Asking:
    """Asks for predictions at a steady rate until it is stopped."""

    def __init__(self, settings: Settings, period: float = PERIOD) -> None:
        self.period = period
        self.settings, self.asked, self.ended = settings, list[str](), threading.Event()
        self.thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Asking:
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.ended.set()
        self.thread.join(30)

    def await_answer_of(self, number: int) -> None:
        """Wait until one that was asked was answered by a revision."""
        wait_until(lambda: number in revisions(self.settings), 60)

    def _ask(self) -> None:
        publisher = kafka.Publisher(self.settings)
        while not self.ended.wait(self.period):
            name = f"r{len(self.asked)}"
            request = PredictionRequest(
                request_id=name,
                task_id=name,
                user_id=f"user-{len(self.asked) % 40}",
                topic="topic-1",
                difficulty="easy",
                started_at=datetime.now(UTC),
            )
            prefix = self.settings.topic_prefix
            publisher.publish(
                [codec.encode(topics.PREDICTION_REQUEST, request, "tests", prefix=prefix)]
            )
            self.asked.append(name)


def revision(service: Service) -> int:
    return int(service.readiness().get("revision") or 0)


def test_nobody_is_left_unanswered(settings: Settings) -> None:
    other = settings.model_copy(update={"inference_port": 0})
    files = export.files(fitted())
    declare.declare(settings)
    store = opened(settings)
    store.prepare(settings.train_every)
    store.engine.dispose()
    announce(settings, files, 1)
    first, second = Service("inference", settings), Service("inference", other)
    try:
        first.await_ready()
        with Asking(settings) as asking:
            for number in range(2, SWAPS + 2):
                announce(settings, files, number)
                wait_until(lambda number=number: revision(first) == number, 60)
                asking.await_answer_of(number)
                if number == 4:
                    second.kill()
                    second.restart()
                if number == 8:
                    assert first.stop() == 0
                    first.restart()
                    first.await_ready()
            known = len(asking.asked)
            wait_until(lambda: len(asking.asked) > known + 20)
        wait_until(lambda: set(asking.asked) <= answered(settings).keys(), 60)
        found = answered(settings)
        assert {found[name]["source"] for name in asking.asked} == {"lstm"}
        assert found[asking.asked[-1]]["model_revision"] == SWAPS + 1
        assert revisions(settings) >= set(range(2, SWAPS + 2))
    finally:
        for service in (first, second):
            service.kill()


def revisions(settings: Settings) -> set[object]:
    return {event["model_revision"] for event in answered(settings).values()}


def answered(settings: Settings) -> dict[str, dict[str, object]]:
    return {event["request_id"]: event for event in values_of(settings, topics.PREDICTION)}
