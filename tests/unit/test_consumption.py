"""A loop is judged by what it handles of what waits for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import REGISTRY

from schemas import topics
from schemas.settings import Settings
from streams.consumption import Consumption
from streams.health import Health
from streams.patience import Patience, Stopped

LABELS = {
    "messaging_destination_name": "p.task-completed",
    "messaging_consumer_group_name": "p.g",
}


@pytest.fixture
def mine() -> Consumption:
    made = Consumption(Settings(topic_prefix="p."), topics.TASK_COMPLETED, "g", 100.0)
    made.hold([0, 1])
    return made


def test_lag_that_grows_while_nothing_is_handled_is_dead(mine: Consumption) -> None:
    for now, lag in ((0.0, 3), (10.0, 4), (60.0, 4), (110.0, 9)):
        mine.look({0: 0, 1: lag}, now)
        assert not mine.stands_still
    mine.look({0: 4, 1: 9}, 111.0)
    assert mine.stands_still
    mine.handled(1, 0.1)
    mine.look({0: 4, 1: 8}, 112.0)
    assert not mine.stands_still


def test_lag_that_only_stands_is_none(mine: Consumption) -> None:
    """A transaction's mark, or what went by age, is never handled."""
    for now in (0.0, 1000.0, 2000.0):
        mine.look({0: 0, 1: 3}, now)
        assert not mine.stands_still
    mine.look({0: 0, 1: 1}, 2001.0)
    mine.look({0: 0, 1: 2}, 2002.0)
    mine.look({0: 0, 1: 2}, 2103.0)
    assert mine.stands_still


def test_what_waits_is_only_told_of_its_own_partitions_and_while_nothing_is_away(
    mine: Consumption,
) -> None:
    mine.look({0: 2, 1: 3, 2: 9}, 0.0)
    assert mine.waiting == 5
    mine.look({0: 2, 1: 3, 2: 9}, 1.0, away=True)
    assert mine.waiting == 0
    mine.look(None, 2.0)
    assert mine.waiting == 0


def test_a_long_piece_of_work_that_goes_on_is_alive(mine: Consumption) -> None:
    for now in range(0, 1000, 50):
        mine.move()
        mine.look({0: 1}, float(now))
        assert not mine.stands_still


def test_only_its_own_partitions_count(mine: Consumption) -> None:
    places = [SimpleNamespace(partition=1)]
    mine.revoked(None, places)
    for now in (0.0, 1000.0):
        mine.look({0: 0, 1: 9}, now)
        assert not mine.stands_still
    mine.assigned(None, places)
    mine.look({0: 0, 1: 9}, 1001.0)
    for now in (1002.0, 2000.0):
        assert not mine.stands_still
        mine.look({0: 0, 1: 10}, now)
    assert mine.stands_still


def test_while_something_is_away_nobody_is_expected_to_move(mine: Consumption) -> None:
    for now in (0.0, 1000.0):
        mine.look({0: 5}, now, away=True)
        mine.look(None, now)
        assert not mine.stands_still
    mine.look({0: 5}, 1001.0)
    assert not mine.stands_still


def test_health_says_what_is_not_handled(mine: Consumption) -> None:
    health = Health("tests")
    health.watch(mine)
    assert health.stuck() is None
    assert REGISTRY.get_sample_value("retrace_stuck") == 0
    for now, lag in ((0.0, 0), (1.0, 1), (102.0, 1)):
        mine.look({0: lag}, now)
    assert health.stuck() == "nothing of p.task-completed is handled, though ever more waits"
    assert REGISTRY.get_sample_value("retrace_stuck") == 1
    health.move()
    mine.look({0: 1}, 103.0)
    assert health.stuck() is None


class Refusing:
    """A consumer to whom a refusal and a message come at once."""

    def poll(self, _seconds: float) -> Any:
        return Came(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))

    def consume(self, _most: int, _seconds: float) -> list[Any]:
        return [Came(KafkaError(KafkaError._TRANSPORT)), Came(None)]


@dataclass(frozen=True)
class Came:
    """A message, or an error."""

    trouble: KafkaError | None

    def error(self) -> KafkaError | None:
        return self.trouble


def test_a_refusal_takes_no_message_away_and_ends_with_the_admission(mine: Consumption) -> None:
    consumer: Any = Refusing()
    assert mine.take(consumer, 10, 0.0) == [Came(None)]
    assert mine.refused is not None
    assert "into the group p.g. Let an operator run" in mine.refused[1]
    mine.assigned(consumer, [])
    assert mine.refused is None


def test_a_service_is_not_ready_while_a_group_refuses_it_though_kafka_answers(
    mine: Consumption,
) -> None:
    patience = Patience(Health("tests", needs=("kafka",)), threading.Event())
    health, labels = patience.health, {"dependency": "group"}
    health.watch(mine)
    patience.call("kafka", lambda _: True, lambda: None)
    assert health.ready()
    mine.refuse(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    patience.call("kafka", lambda _: True, lambda: None)
    assert not health.ready()
    told = health.snapshot()["dependencies"]["group"]
    assert (told["ok"], told["detail"]) == (False, mine.refused and mine.refused[1])
    assert REGISTRY.get_sample_value("retrace_dependency_up", labels) == 0
    mine.admit()
    assert health.ready()
    assert "group" not in health.snapshot()["dependencies"]
    assert REGISTRY.get_sample_value("retrace_dependency_up", labels) == 1


def test_a_session_that_is_not_taken_is_named(mine: Consumption) -> None:
    mine.refuse(KafkaError(KafkaError.INVALID_SESSION_TIMEOUT))
    assert mine.refused is not None
    assert mine.refused[1].startswith("Kafka takes no session of 6 s. Let RETRACE_KAFKA_SESSION")


def test_other_trouble_than_a_refusal_is_raised(mine: Consumption) -> None:
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        mine.refuse(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert mine.refused is None


def test_what_is_handled_is_counted(mine: Consumption) -> None:
    mine.look({0: 2, 1: 3, 5: 4}, 0.0)
    assert REGISTRY.get_sample_value("retrace_consumer_lag_messages", LABELS) == 9
    before = REGISTRY.get_sample_value("retrace_batch_messages_sum", LABELS) or 0.0
    mine.handled(7, 0.5)
    assert REGISTRY.get_sample_value("retrace_batch_messages_sum", LABELS) == before + 7
    more = LABELS | {"messaging_system": "kafka", "messaging_operation_name": "poll"}
    consumed = REGISTRY.get_sample_value("messaging_client_consumed_messages_total", more)
    assert consumed == before + 7


def test_retries_and_what_is_away_are_counted() -> None:
    labels = {"dependency": "kafka"}
    before = REGISTRY.get_sample_value("retrace_retries_total", labels) or 0.0
    patience = Patience(Health("tests"), threading.Event())

    def fails() -> None:
        if (REGISTRY.get_sample_value("retrace_retries_total", labels) or 0.0) > before:
            patience.stop.set()
        raise OSError("away")

    with pytest.raises(Stopped):
        patience.call("kafka", lambda _: True, fails)
    assert (REGISTRY.get_sample_value("retrace_retries_total", labels) or 0.0) > before
    assert REGISTRY.get_sample_value("retrace_dependency_up", labels) == 0
    patience.stop.clear()
    patience.call("kafka", lambda _: True, lambda: None)
    assert REGISTRY.get_sample_value("retrace_dependency_up", labels) == 1
