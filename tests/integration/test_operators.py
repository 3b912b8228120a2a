"""Operators' commands against real servers, without any service running."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]
from pydantic import SecretStr
from sqlalchemy import text

from gateway import feed, requests
from ops import doctor, importer, status_table, train
from ops.findings import Check
from ops.simulate import Plan, Simulation
from schemas import codec, events, topics
from schemas.errors import ArtifactError, TopicMismatch, Unreachable
from schemas.settings import Settings
from streams import database, declare, tails
from streams import kafka as edge
from streams.numbering import Place, Publication
from streams.store import Store
from tests.servers import wait_until
from training import artifacts
from training.registry import Registry

HEADER = "user_id,topic,difficulty,timestamp,correct,response_time\n"


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        kafka_bootstrap=kafka,
        database_url=SecretStr(database_url),
        topic_prefix=f"t{uuid.uuid4().hex[:8]}.",
        health_hosts="streams=http://127.0.0.1:9,gateway=http://127.0.0.1:9",
    )


@pytest.fixture
def store(settings: Settings) -> Store:
    engine = database.connect(settings.database_url.get_secret_value(), "test")
    store = Store(engine)
    store.prepare(5)
    return store


def published(settings: Settings, topic: topics.Topic) -> list[codec.Raw]:
    """Everything on a topic, in order within each partition."""
    name = settings.topic_prefix + topic.name
    wanted = sum(place.offset for place in tails.ends(settings, [name]))
    places = [TopicPartition(name, p, 0) for p in range(topic.partitions)]
    stop, found = threading.Event(), list[codec.Raw]()
    if wanted:
        for raw in tails.follow_from(settings, places, stop=stop):
            found.append(raw)
            if len(found) == wanted:
                stop.set()
    return found


def completions(settings: Settings) -> list[events.TaskCompleted]:
    limit, now = topics.TASK_COMPLETED.max_bytes, datetime.now(UTC)
    found = [
        codec.decode(events.TaskCompleted, limit, raw, now)
        for raw in published(settings, topics.TASK_COMPLETED)
    ]
    assert all(isinstance(event, events.TaskCompleted) for event in found)
    return [event for event in found if isinstance(event, events.TaskCompleted)]


def simulate(settings: Settings, **plan: float) -> dict[str, object]:
    wanted = Plan(**{"learners": 4, "rate": 0, "seed": 1, **plan})  # type: ignore[arg-type]
    return Simulation(settings, wanted, threading.Event()).run()


def test_simulate_publishes_exactly_what_it_says(settings: Settings) -> None:
    facts = simulate(settings, completions=1203, duplicates=20)
    found = completions(settings)
    ids = {event.task_id for event in found}
    assert len(ids) == facts["completions"] == 1203
    assert len(found) - len(ids) == facts["duplicates"]
    assert 180 < len(found) - len(ids) < 300
    asked = published(settings, topics.PREDICTION_REQUEST)
    assert len(asked) == facts["prediction_requests"] == 1203


def test_duplicates_are_the_same_event_and_come_later(settings: Settings) -> None:
    simulate(settings, completions=100, duplicates=100)
    seen: dict[str, events.TaskCompleted] = {}
    for event in completions(settings):
        assert seen.setdefault(event.task_id, event) == event
    assert len(seen) == 100


def test_two_runs_share_learners_but_no_task(settings: Settings) -> None:
    for _ in range(2):
        simulate(settings, completions=50)
    found = completions(settings)
    assert len({event.task_id for event in found}) == 100
    assert {event.user_id for event in found} <= {f"learner-0{n}" for n in range(1, 5)}


def test_a_learners_tasks_follow_each_other_and_keep_the_rate(settings: Settings) -> None:
    facts = simulate(settings, completions=20, rate=40)
    assert 0.4 < float(str(facts["seconds"])) < 5
    ended: dict[str, datetime] = {}
    for event in completions(settings):
        began = ended.get(event.user_id, event.start())
        assert began <= event.start() <= event.completed_at
        ended[event.user_id] = event.completed_at


def test_a_stopped_simulation_completes_what_it_has_begun(settings: Settings) -> None:
    stop = threading.Event()
    plan = Plan(learners=3, rate=200, duplicates=50, seed=1)
    facts = Simulation(settings, plan, stop, lambda so_far: stop.set()).run()
    asked = published(settings, topics.PREDICTION_REQUEST)
    assert len(asked) == facts["prediction_requests"] == facts["completions"]
    assert len({event.task_id for event in completions(settings)}) == facts["completions"]


def test_importing_twice_publishes_the_same_ids(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "past.csv"
    rows = [f"u{n % 7},t{n % 3},easy,{1.7e9 + n},{n % 2},{1 + n % 9}" for n in range(300)]
    file.write_text(HEADER + "\n".join([*rows, "u1,t1,easy,1,1,0"]))
    for _ in range(2):
        loaded = importer.load(file, datetime.now(UTC))
        assert [row.line for row in loaded.bad] == [302]
        importer.publish(settings, loaded.tasks, threading.Event(), lambda _done: None)
    found = completions(settings)
    assert (len(found), len({event.task_id for event in found})) == (600, 300)


def test_waiting_for_an_import_ends_when_all_of_it_is_recorded(
    settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "past.csv"
    file.write_text(HEADER + "a,t,easy,100,1,5\nb,t,easy,101,1,5")
    tasks = importer.load(file, datetime.now(UTC)).tasks
    ids = [task.task_id for task in tasks]
    monkeypatch.setattr(importer, "PATIENCE_SECONDS", 0.3)
    with pytest.raises(Unreachable, match="The store holds 0 of them"):
        importer.await_recorded(store.engine, ids, lambda _done: None)
    record(store, *tasks)
    seen: list[int] = []
    importer.await_recorded(store.engine, ids, seen.append)
    assert seen[-1] == 2


def record(store: Store, *tasks: events.TaskCompleted) -> None:
    store.record([Publication(task, Place(0, n)) for n, task in enumerate(tasks)], None)


def test_a_manual_request_asks_for_all_that_is_recorded(settings: Settings, store: Store) -> None:
    declare.declare(settings)
    record(store, *tasks(3))
    wanted = requests.request(settings, datetime.now(UTC))
    requests.publish(settings, wanted)
    (raw,) = published(settings, topics.TRAIN_REQUEST)
    event = codec.decode(events.TrainRequest, 10_000, raw, datetime.now(UTC))
    assert isinstance(event, events.TrainRequest)
    assert (event.trigger, event.completions, event.request_id) == ("manual", 3, wanted.request_id)


def tasks(count: int) -> list[events.TaskCompleted]:
    return [
        events.TaskCompleted(
            task_id=f"task-{n}",
            user_id="u",
            topic="t",
            difficulty="easy",
            completed_at=datetime.now(UTC),
            is_correct=True,
            actual_time_seconds=3.0,
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("outcome", ["published", "rejected"])
def test_waiting_for_a_training_ends_with_its_outcome(
    settings: Settings, store: Store, outcome: str
) -> None:
    declare.declare(settings)
    wanted = requests.request(settings, datetime.now(UTC))
    trainer = threading.Thread(target=play_trainer, args=(settings, outcome))
    trainer.start()
    seen: list[str] = []
    found = train.publish_and_wait(settings, wanted, lambda event: seen.append(event.state))
    trainer.join()
    assert found.state == outcome
    assert seen == ["started", "epoch", outcome]


def play_trainer(settings: Settings, outcome: str) -> None:
    """Answer the first request, and something for another one before it."""
    name = settings.topic_prefix + topics.TRAIN_REQUEST.name
    stop = threading.Event()
    for raw in tails.follow_from(settings, [TopicPartition(name, 0, 0)], stop=stop):
        request = codec.decode(events.TrainRequest, 10_000, raw, datetime.now(UTC))
        assert isinstance(request, events.TrainRequest)
        epoch = {"model": "time", "epoch": 1, "epochs": 20, "loss": 0.5, "val_loss": 0.6}
        steps = [("count-5", "failed", {}), (request.request_id, "started", {})]
        steps += [(request.request_id, "epoch", epoch), (request.request_id, outcome, {})]
        edge.Publisher(settings).publish(
            codec.encode(topics.TRAINING_PROGRESS, progress(*step), "t", prefix=prefix(settings))
            for step in steps
        )
        stop.set()


def prefix(settings: Settings) -> str:
    return settings.topic_prefix


def progress(request_id: str, state: str, facts: dict[str, object]) -> events.TrainingProgress:
    values = {"request_id": request_id, "state": state, "at": datetime.now(UTC), **facts}
    return events.TrainingProgress.model_validate(values)


def test_the_feed_misses_nothing_that_is_published_after_it_began(settings: Settings) -> None:
    declare.declare(settings)
    names = [prefix(settings) + topic.name for topic in feed.TOPICS]
    places = tails.ends(settings, names)
    event = events.TrainRequest(
        request_id="count-5", trigger="count", completions=5, requested_at=datetime.now(UTC)
    )
    message = codec.encode(topics.TRAIN_REQUEST, event, "t", prefix=prefix(settings))
    edge.Publisher(settings).publish([message])
    stop, seen = threading.Event(), list[feed.Happening]()
    for raw in tails.follow_from(settings, places, stop=stop):
        seen.append(feed.decode(raw, prefix(settings), datetime.now(UTC)))
        stop.set()
    assert [one.event for one in seen] == [event]


def test_following_topics_that_do_not_exist_says_so(settings: Settings) -> None:
    with pytest.raises(Unreachable, match=r"completions is missing"):
        next(iter(feed.follow(settings, threading.Event())))


def test_status_reads_live_servers_without_any_service(settings: Settings, store: Store) -> None:
    declare.declare(settings)
    record(store, *tasks(7))
    found: dict[str, Any] = {}

    def is_read() -> bool:  # a topic that was just made may have no leader yet
        found.update(status_table.gather(settings))
        return not status_table.has_errors({**found, "services": {}})

    wait_until(is_read)
    assert found["counter"] == {"completions": 7, "since_last_request": 2, "every": 5}
    assert found["windows"]["counted"] == 0
    assert "error" in found["services"]["streams"]
    assert status_table.has_errors(found)


def findings(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in doctor.checks(settings)}


def test_doctor_warns_before_the_first_start(settings: Settings) -> None:
    found = findings(settings)
    assert found["kafka"].state == found["model store"].state == "ok"
    assert (found["topics"].state, found["database"].state) == ("warn", "warn")
    assert "retrace up" in found["topics"].advice
    assert found["streams"].state == "warn"


def test_doctor_is_content_with_prepared_servers(settings: Settings, store: Store) -> None:
    declare.declare(settings)
    found = findings(settings)
    for name in ("kafka", "topics", "permissions", "database", "counter", "serving model"):
        assert found[name].state == "ok", found[name]


def test_doctor_tells_tables_of_a_later_version(settings: Settings, store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    found = findings(settings)["database"]
    assert found.state == "warn"
    assert "of revision 9999, of a later version" in found.detail


def test_doctor_finds_completions_that_nobody_counted(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "AGREE_SECONDS", 0.5)
    declare.declare(settings)
    record(store, *tasks(3))
    counter = findings(settings)["counter"]
    assert counter.state == "fail"
    assert counter.detail == "0 of 3 recorded completions are counted"


def test_doctor_finds_a_topic_with_other_partitions(settings: Settings) -> None:
    name = prefix(settings) + topics.TASK_COMPLETED.name
    admin = edge.admin(settings)
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(30)
    wait_until(lambda: declare.partitions(admin).get(name) == 2)
    found = findings(settings)["topics"]
    assert found.state == "fail"
    assert "has 2 partitions, 6 are declared" in found.detail
    with pytest.raises(TopicMismatch, match="has 2 partitions, 6 are declared"):
        declare.declare(settings)
    two = settings.model_copy(update={"kafka_partitions": 2})
    declare.declare(two)
    wait_until(lambda: findings(two)["topics"].state == "ok")
    assert declare.partitions(admin)[prefix(settings) + topics.DEAD_LETTERS.name] == 2


def test_doctor_finds_an_altered_model(settings: Settings, store: Store) -> None:
    registry = Registry(store.engine, settings.model_store_url())
    request = requests.request(settings, datetime.now(UTC))
    registry.note([request])
    learned = {"users": 1, "topics": 1, "difficulties": 1, "completions": 5}
    registry.publish(request, {"a.onnx": b"x"}, learned, events.ModelMetrics(rows=0))
    updated = registry.revisions.serving()
    assert updated is not None
    assert findings(settings)["serving model"].state == "ok"
    (Path(settings.model_store_url()) / updated.artifact / "a.onnx").write_bytes(b"y")
    with pytest.raises(ArtifactError):
        artifacts.read(settings.model_store_url(), updated.artifact, updated.sha256)
    found = findings(settings)["serving model"]
    assert (found.state, "altered" in found.detail) == ("fail", True)
