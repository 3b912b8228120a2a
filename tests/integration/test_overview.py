"""What the overview reads, from real servers: the topics followed, parts that are away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from gateway import status
from gateway.follower import Follower
from gateway.pages.overview import recent, snapshot
from gateway.pages.overview.snapshot import Overview, Snapshot
from ops.machine import free_port
from schemas import codec, topics
from schemas.events import Event, TrainingProgress
from schemas.settings import Settings
from schemas.tables import models
from streams import declare, kafka
from streams.group_lags import GroupLags
from streams.store import Store
from tests.running import settings_of
from tests.servers import wait_until

NOWHERE = "streams=http://127.0.0.1:9"


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path, health_hosts=NOWHERE)


def progress(state: str, **facts: object) -> TrainingProgress:
    values = {"request_id": "count-40", "state": state, "at": datetime.now(UTC), **facts}
    return TrainingProgress.model_validate(values)


def epoch(number: int) -> TrainingProgress:
    return progress("epoch", model="time", epoch=number, epochs=9, loss=0.5, val_loss=0.6)


def tell(settings: Settings, *told: Event) -> None:
    prefix = settings.topic_prefix
    messages = [codec.encode(topics.TRAINING_PROGRESS, each, "t", prefix=prefix) for each in told]
    kafka.Publisher(settings).publish(messages)


def bury(settings: Settings) -> None:
    bad = codec.Bad(codec.Raw("tasks", 3, 17, b"k", b"secret", ()), "validate", "invalid", "bad")
    name = settings.topic_prefix + topics.DEAD_LETTERS.name
    kafka.Publisher(settings).publish([codec.dead_letter(bad, name, datetime.now(UTC))])


def test_the_follower_knows_what_was_before_its_first_viewer_and_what_comes(
    settings: Settings,
) -> None:
    declare.declare(settings)
    bury(settings)
    tell(settings, progress("started"), epoch(1), epoch(2))
    follower = Follower(settings)
    try:
        wait_until(lambda: len(follower.look().board.epochs) == 2, 30)
        wait_until(lambda: len(follower.look().board.letters) == 1, 30)
        tell(settings, epoch(3))
        wait_until(lambda: len(follower.look().board.epochs) == 3, 30)
        seen = follower.look()
        assert (seen.board.training, seen.feed) == ("count-40", {"reached": True})
        (letter,) = seen.board.letters
        assert "secret" not in repr(letter)
    finally:
        follower.stop()
    assert not follower.runs


def test_the_follower_stops_when_nobody_looks_and_begins_again(settings: Settings) -> None:
    declare.declare(settings)
    tell(settings, progress("started"), epoch(1))
    follower = Follower(settings, idle_seconds=0.5)
    try:
        assert not follower.runs
        follower.look()
        assert follower.runs
        wait_until(lambda: not follower.runs, 30)
        tell(settings, epoch(2))
        wait_until(lambda: len(follower.look().board.epochs) == 2, 30)
    finally:
        follower.stop()


def test_the_follower_says_that_kafka_is_away_and_goes_on(settings: Settings) -> None:
    follower = Follower(settings)
    try:
        wait_until(lambda: "error" in follower.look().feed, 30)
        assert "is missing" in follower.look().feed["error"]
        declare.declare(settings)
        tell(settings, epoch(1))
        wait_until(lambda: len(follower.look().board.epochs) == 1, 30)
        assert follower.look().feed == {"reached": True}
    finally:
        follower.stop()


def looked(
    settings: Settings, store: Store, until: Callable[[Snapshot], Any], viewers: int = 3
) -> Snapshot:
    """What viewers see who look at once, again and again until it is so."""

    async def look() -> Snapshot:
        overview = Overview(settings, store.engine, GroupLags(settings))
        try:
            while True:
                seen = await asyncio.gather(*(overview.snapshot() for _ in range(viewers)))
                assert all(each is seen[0] for each in seen)
                if until(seen[0]):
                    return seen[0]
                await asyncio.sleep(0.1)
        finally:
            overview.close()

    return asyncio.run(asyncio.wait_for(look(), 60))


def test_all_parts_are_read_and_services_that_are_silent_named(
    settings: Settings, store: Store
) -> None:
    declare.declare(settings)
    seen = looked(settings, store, lambda seen: set(snapshot.KEPT) <= set(seen.status))
    parts = [part for name, part in seen.status.items() if isinstance(part, dict)]
    assert [part for part in parts if "error" in part] == []
    assert seen.status["counter"] == {"completions": 0, "since_last_request": 0, "every": 5}
    assert [each.name for each in seen.troubles] == ["silent:streams"]
    assert seen.troubles[0].seen


def test_without_kafka_the_store_is_shown_and_kafka_named(settings: Settings, store: Store) -> None:
    away = settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{free_port()}"})
    first = looked(away, store, lambda seen: "counter" in seen.status)
    assert first.status["counter"]["completions"] == 0
    named = looked(away, store, lambda seen: "unread:kafka" in {t.name for t in seen.troubles})
    assert named.status["versions"] == []


def test_a_part_that_hangs_is_called_silent_and_holds_up_no_other(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SILENT_SECONDS", 0.2)
    monkeypatch.setitem(snapshot.KEPT, "live", 0.0)
    with store.engine.begin() as connection:  # holds it as long as this stands
        connection.execute(text("LOCK TABLE prediction_scores IN ACCESS EXCLUSIVE MODE"))
        seen = looked(settings, store, _is_silent_of_one)
        connection.rollback()
    assert seen.status["live"] == status.SILENT
    assert seen.status["versions"] == []


def _is_silent_of_one(seen: Snapshot) -> bool:
    return "error" in (seen.status.get("live") or {}) and seen.status.get("versions") == []


def test_versions_are_listed_with_their_peers_oldest_first(store: Store) -> None:
    metrics = {"rows": 8, "log_loss": 0.58, "auc": 0.7, "lnirt": {"log_loss": 0.6, "auc": None}}
    row = {
        "model": "retrace", "artifact": "v", "sha256": "0" * 64, "completions": 40, "users": 1,
        "topics": 1, "difficulties": 1, "trained_at": datetime(2026, 5, 4, tzinfo=UTC),
    }  # fmt: skip
    with store.engine.begin() as connection:
        for version, state in ((1, "published"), (2, "rejected")):
            values = {**row, "version": version, "request_id": f"r{version}", "state": state}
            connection.execute(insert(models).values({**values, "metrics": metrics}))
    first, second = recent.listed(store.engine)
    assert (first["version"], second["version"], second["state"]) == (1, 2, "rejected")
    assert first["log_loss"] == {"ours": 0.58, "lnirt": 0.6, "topic_difficulty": None}
    assert first["auc"] == {"ours": 0.7, "lnirt": None, "topic_difficulty": None}


def test_trainings_that_came_to_nothing_are_told_newest_first(store: Store) -> None:
    ends = {"count-5": "rejected", "count-10": "published", "count-15": "failed",
            "count-20": "superseded", "count-25": "running"}  # fmt: skip
    sql = text(
        """INSERT INTO train_requests (request_id, trigger, completions, data, state, reason,
        requested_at, ended_at) VALUES (:name, 'count', 5, '{}', :state, 'why', now(),
        CASE WHEN :state <> 'running' THEN now() + make_interval(secs => :at) END)"""
    )
    with store.engine.begin() as connection:
        for at, (name, state) in enumerate(ends.items()):
            connection.execute(sql, {"name": name, "state": state, "at": at})
    told = [(each["request_id"], each["state"]) for each in recent.failures(store.engine)]
    assert told == [("count-15", "failed"), ("count-5", "rejected")]
