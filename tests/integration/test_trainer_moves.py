"""A training while its partition goes to another trainer, and comes back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas import codec, topics
from schemas.events import TrainRequest
from schemas.settings import Settings
from streams import kafka
from streams.health import Health
from streams.patience import Patience
from tests.running import prepared, values_of
from tests.servers import wait_until
from training.registry import Ended
from training.trainer import GROUP, Trainer


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return prepared(kafka, database_url, tmp_path)


def ask(settings: Settings, completions: int) -> None:
    wanted = TrainRequest(
        request_id=f"count-{completions}",
        trigger="count",
        completions=completions,
        requested_at=datetime.now(UTC),
    )
    message = codec.encode(topics.TRAIN_REQUEST, wanted, "tests", prefix=settings.topic_prefix)
    kafka.Publisher(settings).publish([message])


def _ended(settings: Settings) -> set[str]:
    told = values_of(settings, topics.TRAINING_PROGRESS)
    return {each["request_id"] for each in told if each["state"] == "failed"}


def test_a_partition_that_went_during_a_training_is_read_once_it_is_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = Patience(Health("tests"), threading.Event())
    trainer = Trainer(settings, patience, None)
    began, done = threading.Event(), threading.Event()

    def run(request: TrainRequest) -> Ended:
        began.set()
        assert done.wait(60)
        return trainer.registry.end(request.request_id, "failed", "of this test")

    monkeypatch.setattr(trainer.job, "run", run)
    loop = threading.Thread(target=trainer.run)
    loop.start()
    # Partitions go to members by name, so that this one gets the only partition.
    other = kafka.consumer(settings, GROUP, **{"client.id": "a"})
    try:
        ask(settings, 5)
        assert began.wait(60)
        other.subscribe([settings.topic_prefix + topics.TRAIN_REQUEST.name])
        wait_until(lambda: other.poll(0.1) is not None or other.assignment(), 60)
        other.close()
        done.set()
        ask(settings, 10)
        wait_until(lambda: _ended(settings) == {"count-5", "count-10"}, 60)
    finally:
        done.set()
        patience.stop.set()
        loop.join(30)
        trainer.registry.engine.dispose()
