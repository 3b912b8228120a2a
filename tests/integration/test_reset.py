"""Everything but the source events back to nothing, and counted again from there."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from sqlalchemy import select
from typer.testing import CliRunner

from gateway import status
from ops import instances
from ops.cli import app
from schemas import events, topics
from schemas.errors import RetraceError
from schemas.settings import Settings
from schemas.tables import train_requests
from streams import declare, renewal
from streams import kafka as edge
from streams.group_lags import GroupLags
from streams.store import Store
from tests.running import (
    environment,
    opened,
    publish,
    read_all,
    services,
    settings_of,
    task,
    values_of,
)
from tests.servers import wait_until
from training.registry import Registry

N = 303
LEARNED = {"users": 1, "topics": 1, "difficulties": 1, "completions": 5}


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path)


def requested(settings: Settings) -> set[str]:
    return {event["request_id"] for event in values_of(settings, topics.TRAIN_REQUEST)}


def counted(settings: Settings, store: Store) -> dict[str, Any]:
    """What streams comes to when all is counted."""

    def windows() -> dict[str, Any]:
        return dict(status.gather(settings, store.engine, GroupLags(settings))["windows"])

    wait_until(lambda: len(requested(settings)) == N // 5, 60)
    wait_until(lambda: windows().get("counted") == N, 60)
    found = windows()
    return {"N": store.standing()[1], "requests": requested(settings), "newest": found["newest"]}


def request(name: str) -> events.TrainRequest:
    trigger, _, rows = name.partition("-")
    values = {"request_id": name, "trigger": trigger, "completions": int(rows)}
    return events.TrainRequest.model_validate({**values, "requested_at": datetime.now(UTC)})


def serve_a_version(settings: Settings, store: Store) -> Registry:
    registry = Registry(store.engine, settings.model_store_url())
    ended, *waiting = [request(name) for name in ("count-5", "count-10", "manual-7")]
    registry.note([ended, *waiting])
    assert registry.publish(ended, {"a.onnx": b"x"}, LEARNED, events.ModelMetrics(rows=0))
    return registry


def states(store: Store) -> dict[str, str]:
    table = train_requests.c
    with store.engine.connect() as connection:
        rows = connection.execute(select(table.request_id, table.state)).all()
    return {row.request_id: row.state for row in rows}


def reset(settings: Settings, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["reset", *arguments], env=environment(settings))


def test_what_is_reset_counts_again_to_the_same(settings: Settings) -> None:
    store = opened(settings)
    with services(settings, "streams"):
        publish(settings, *[task(f"a{i}") for i in range(N)], b"no json")
        before = counted(settings, store)
        refused = reset(settings, "--yes")
        assert isinstance(refused.exception, RetraceError)
        for sign in ("retrace-record", "retrace-count", "retrace-streams", "streams: http://"):
            assert sign in str(refused.exception)
        assert store.standing()[1] == N
    registry = serve_a_version(settings, store)
    generation = store.standing()[0]
    planned = json.loads(reset(settings, "--dry-run", "--json").stdout)
    assert planned["tables"]["completions"] == N
    assert planned["topics"][settings.topic_prefix + "train-request"] == N // 5
    assert store.standing() == (generation, N)
    done = reset(settings, "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["tables"] == planned["tables"]
    assert store.standing()[1] == 0
    assert store.standing()[0] > generation
    assert requested(settings) == set()
    assert registry.revisions.serving() is not None
    assert states(store) == {"count-5": "published", "manual-7": "failed"}
    (told,) = values_of(settings, topics.TRAINING_PROGRESS)
    assert (told["request_id"], told["state"]) == ("manual-7", "failed")
    assert len(read_all(settings, topics.TASK_COMPLETED)) == N + 1
    assert len(read_all(settings, topics.DEAD_LETTERS)) == 1
    with services(settings, "streams"):
        assert counted(settings, store) == before
    store.engine.dispose()


def test_models_go_where_they_are_named(settings: Settings) -> None:
    store = opened(settings)
    store.prepare(5)
    declare.declare(settings)
    registry = serve_a_version(settings, store)
    plan = reset(settings, "--models", "--dry-run")
    assert "Removed: 1 model version" in plan.output
    assert registry.revisions.serving() is not None
    assert reset(settings, "--models", "--yes").exit_code == 0
    assert registry.revisions.serving() is None
    assert registry.revisions.reconcile(None) is None
    assert states(store) == {}
    assert registry.publish(request("count-5"), {"a": b"x"}, LEARNED, events.ModelMetrics(rows=0))
    store.engine.dispose()


def test_topics_are_there_and_empty_when_they_were_renewed(settings: Settings) -> None:
    declare.declare(settings)
    names = [settings.topic_prefix + each.name for each in (topics.COMPLETIONS, topics.PREDICTION)]
    admin = edge.admin(settings)
    wait_until(lambda: len(renewal.ids(admin, names)) == 2)
    before = renewal.ids(admin, names)
    kept = settings.topic_prefix + topics.TASK_COMPLETED.name
    other = renewal.ids(admin, [kept])
    for _ in range(2):
        renewal.renew(settings, names)
        after = renewal.ids(admin, names)
        assert set(after) == set(names)
        assert not set(after.values()) & set(before.values())
        before = after
    assert renewal.ids(admin, [kept]) == other


def test_a_group_reads_on_from_the_beginning_once_it_was_set_back(settings: Settings) -> None:
    declare.declare(settings)
    publish(settings, *[task(f"a{i}") for i in range(20)])
    name = topics.TASK_COMPLETED.name
    with closing(edge.consumer(settings, "readers")) as reader:
        reader.subscribe([settings.topic_prefix + name])
        read = [reader.poll(30) for _ in range(20)]
        assert all(message is not None and message.error() is None for message in read)
        reader.commit(asynchronous=False)
        with pytest.raises(RetraceError, match="did not set the group readers back"):
            renewal.rewind(settings, {"readers": name})
        groups = {"readers": topics.TASK_COMPLETED, "nobody": topics.PREDICTION}
        assert instances.members(settings, groups) == [
            f"group {settings.topic_prefix}readers has members"
        ]
    wait_until(lambda: not instances.members(settings, groups))
    lags = GroupLags(settings)
    try:
        assert lags.of({"readers": topics.TASK_COMPLETED}) == {"readers": 0}
        renewal.rewind(settings, {"readers": name})
        assert lags.of({"readers": topics.TASK_COMPLETED}) == {"readers": 20}
    finally:
        lags.close()


def test_where_groups_are_not_all_listed_nobody_is_taken_for_still(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where one of several brokers cannot say."""
    error = KafkaError(KafkaError.UNSUPPORTED_VERSION)
    listed = SimpleNamespace(valid=[], errors=[error])
    future = SimpleNamespace(result=lambda: listed)
    asked = SimpleNamespace(list_consumer_groups=lambda **_: future)
    monkeypatch.setattr(edge, "admin", lambda _: asked)
    with pytest.raises(KafkaException) as raised:
        instances.members(settings, {"readers": topics.TASK_COMPLETED})
    assert raised.value.args == (error,)
