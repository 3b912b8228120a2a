"""Every process of every service is replaced under load, and nobody goes unanswered."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from schemas import topics
from schemas.settings import Settings
from schemas.tables import completions
from streams import counting, declare, tails
from tests.e2e.test_swaps import Asking, answered
from tests.rolling import Calls, Learners, Pods
from tests.running import opened, settings_of, values_of
from tests.servers import wait_until

SERVICES = ("streams", "trainer", "inference", "gateway")
ENDED = {"published", "superseded", "rejected", "failed"}


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    store = str(tmp_path / "models")
    return settings_of(
        kafka, database_url, tmp_path, model_store=store, train_epochs=2, drain_seconds=5
    )


@pytest.mark.timeout(900)
def test_nobody_notices_a_rollout(settings: Settings) -> None:
    pods = {name: Pods(name, settings) for name in SERVICES}
    try:
        for each in pods.values():
            each.await_ready()
        with Asking(settings, 0.1) as asking, Learners(pods["gateway"]) as learners:
            for name in SERVICES:
                for old in list(pods[name].running):
                    learners.await_more()
                    assert pods[name].replace(old) == 0, name
            learners.await_more()
        calls = learners.calls
        print(report(calls))
        assert calls.failed == []
        assert calls.closed > 0
        wait_until(lambda: set(asking.asked) <= answered(settings).keys(), 60)
        wait_until(lambda: counted(settings) == len(calls.completed), 60)
        wait_until(lambda: all(outcomes(settings).values()), 120)
        assert [each.stop() for each in pods.values()] == [[0, 0]] * 4
    finally:
        for each in pods.values():
            each.kill()
    found = recorded(settings)
    assert [number for number, _ in found] == list(range(1, len(calls.completed) + 1))
    assert sorted(task for _, task in found) == sorted(calls.completed)
    assert len(outcomes(settings)) == len(calls.completed) // 5
    assert all(len(found) == 1 for found in outcomes(settings).values())


def counted(settings: Settings) -> int:
    """What the windowed counter has counted."""
    tail = tails.last_messages(settings, settings.topic_prefix + declare.COUNTER_CHANGELOG)
    return len(counting.load(tail[-1].value or b"").seen) if tail else 0


def recorded(settings: Settings) -> list[tuple[int, str]]:
    """The numbers and tasks in the store."""
    engine = opened(settings).engine
    wanted = select(completions.c.number, completions.c.task_id).order_by(completions.c.number)
    with engine.connect() as connection:
        found = [(row.number, row.task_id) for row in connection.execute(wanted)]
    engine.dispose()
    return found


def outcomes(settings: Settings) -> dict[str, set[tuple[str, int | None]]]:
    """How each train-request ended: its state and version."""
    found: dict[str, set[tuple[str, int | None]]] = {
        event["request_id"]: set() for event in values_of(settings, topics.TRAIN_REQUEST)
    }
    for event in values_of(settings, topics.TRAINING_PROGRESS):
        if event["state"] in ENDED:
            found[event["request_id"]].add((event["state"], event.get("version")))
    return found


def report(calls: Calls) -> str:
    seconds = sorted(s for s, _ in calls.answers)
    late = sum(task["reason"] == "timeout" for _, task in calls.answers)
    return (
        f"{len(calls.completed)} tasks, {calls.again} sent again, {calls.closed} sent elsewhere, "
        f"{len(calls.failed)} failed; POST median {seconds[len(seconds) // 2]:.3f} s, longest "
        f"{seconds[-1]:.3f} s; {late} of {len(seconds)} answered by the default"
    )
