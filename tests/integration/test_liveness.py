"""On a real Kafka: what waits for a group is seen, and a loop that leaves it there is dead."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from schemas import topics
from schemas.codec import Message
from schemas.settings import Settings
from streams import declare, probe
from streams import kafka as edge
from streams.consumption import Consumption
from streams.health import Health
from streams.lags import Lag
from streams.patience import Patience
from tests.running import settings_of


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    made = settings_of(kafka, database_url, tmp_path)
    declare.declare(made)
    patience = Patience(Health("tests"), threading.Event())
    patience.call("kafka", edge.is_away, behind, made)  # new partitions have no leader yet
    return made


def send(settings: Settings, count: int) -> None:
    name = settings.topic_prefix + topics.PREDICTION.name
    edge.Publisher(settings).publish(Message(name, b"%d" % n, b"{}", []) for n in range(count))


def behind(settings: Settings) -> dict[int, int]:
    lag = Lag(settings, Consumption(settings, topics.PREDICTION, "g"))
    try:
        return lag.behind()
    finally:
        lag.close()


def commit(settings: Settings, offsets: dict[int, int]) -> None:
    name = settings.topic_prefix + topics.PREDICTION.name
    consumer = edge.consumer(settings, "g")
    places = [TopicPartition(name, partition, offset) for partition, offset in offsets.items()]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


def test_a_group_is_behind_by_what_it_has_not_committed(settings: Settings) -> None:
    assert behind(settings) == dict.fromkeys(range(6), 0)
    send(settings, 60)
    ends = behind(settings)
    assert sum(ends.values()) == 60
    commit(settings, {0: ends[0]})
    assert behind(settings) == {**ends, 0: 0}
    commit(settings, ends)
    assert sum(behind(settings).values()) == 0


def test_a_loop_that_leaves_messages_lying_is_dead_until_it_handles_one(settings: Settings) -> None:
    health = Health("tests")
    mine = health.watch(Consumption(settings, topics.PREDICTION, "g", seconds=0.0))
    mine.hold(range(6))
    patience, lag = Patience(health, threading.Event()), Lag(settings, mine)

    def judged() -> bool:
        probe.judge(patience, [lag])
        probe.judge(patience, [lag])
        return health.stuck() is not None

    for dependency in ("kafka", "store"):
        health.set(dependency, True)
    assert not judged()
    send(settings, 60)
    assert judged()
    mine.handled(1, 0.1)
    probe.judge(patience, [lag])
    assert health.stuck() is None
    assert not judged()
    send(settings, 60)
    assert judged()
    health.set("store", False, "away")
    assert not judged()
    health.set("store", True)
    assert judged()
    commit(settings, behind(settings))
    assert not judged()
    lag.close()
