"""The whole loop with real processes: a completion becomes a better prediction."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from ops.embedded_kafka import EmbeddedKafka
from ops.kafka_jars import kafka_libraries
from ops.machine import free_port
from ops.supervisor import Supervisor
from schemas import events, topics
from schemas.settings import Settings
from streams import counting, declare, tails
from streams.counting import Counter
from streams.database import MIGRATION_LOCK
from streams.group_lags import GroupLags
from streams.numbering import Place, Publication
from streams.windows import Rule
from tests import queries
from tests.integration.test_serving import announce
from tests.running import (
    Service,
    opened,
    publish,
    read_all,
    services,
    settings_of,
    task,
    values_of,
)
from tests.servers import wait_until
from tests.unit.simulated import fitted
from training import export

ALL = ("streams", "trainer", "inference", "gateway")


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path, train_epochs=3)


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{settings.gateway_port}", timeout=10) as made:
        yield made


def outcomes(settings: Settings) -> dict[str, str]:
    ended = {"published", "superseded", "rejected", "failed"}
    found = values_of(settings, topics.TRAINING_PROGRESS)
    return {e["request_id"]: e["state"] for e in found if e["state"] in ended}


def versions(settings: Settings) -> list[int]:
    return [e["version"] for e in values_of(settings, topics.MODEL_UPDATED)]


def state(settings: Settings) -> Counter:
    """The windowed counter, from the Faust table's changelog."""
    tail = tails.last_messages(settings, settings.topic_prefix + declare.COUNTER_CHANGELOG)
    return counting.load(tail[-1].value or b"") if tail else Counter()


def test_a_completion_becomes_a_better_prediction(settings: Settings, client: httpx.Client) -> None:
    with services(settings, *ALL) as running:
        new = {"user_id": "user-1", "topic": "topic-1", "difficulty": "easy"}
        first = client.post("/practice-tasks", json=new).json()
        assert (first["source"], first["predicted_correct"]) == ("default", 0.5)

        publish(settings, *[task(f"a{i}") for i in range(7)])
        wait_until(lambda: outcomes(settings).get("count-5") == "rejected", 90)
        publish(settings, *[task(f"b{i}") for i in range(32)])
        wait_until(lambda: versions(settings) != [], 90)

        def served() -> dict[str, Any]:
            return dict(client.post("/practice-tasks", json=new).json())

        wait_until(lambda: served()["source"] == "lstm", 30)
        issued = served()
        assert issued["model_version"] in versions(settings)
        how = {"is_correct": True, "actual_time_seconds": 12.5}
        done = client.patch(f"/practice-tasks/{issued['id']}", json=how)
        assert (done.status_code, done.json()["completed"]) == (200, True)
        wait_until(lambda: "count-40" in outcomes(settings), 90)
        assert client.patch(f"/practice-tasks/{issued['id']}", json=how).status_code == 200
        other = client.patch(f"/practice-tasks/{issued['id']}", json={**how, "is_correct": False})
        assert other.status_code == 409
        assert other.headers["content-type"] == "application/problem+json"

        _check_page(client, issued["id"])
        _check_inquiries(client, issued["id"])
        _check_status(client.get("/status").json())
        _check_metrics(settings)
        assert "tensorflow" not in _mapped(running["inference"])
        assert "tensorflow" not in _mapped(running["gateway"])
        stopped = [running[name].stop() for name in reversed(ALL)]
    assert stopped == [0, 0, 0, 0]
    requested = {e["request_id"] for e in values_of(settings, topics.TRAIN_REQUEST)}
    assert requested == {f"count-{n}" for n in range(5, 45, 5)}
    assert set(outcomes(settings)) == requested


def test_a_prediction_knows_what_its_learner_has_just_done(
    settings: Settings, client: httpx.Client
) -> None:
    """Many learners at once, each asking for the next task as soon as the last is answered."""
    learners, rounds = 16, 12
    how = {"is_correct": True, "actual_time_seconds": 12.5}
    turn: dict[str, int] = {}
    said: dict[str, str] = {}

    def practise(learner: int) -> None:
        new = {"user_id": f"user-{learner}", "topic": "topic-1", "difficulty": "easy"}
        for done in range(rounds):
            issued = _again(lambda: client.post("/practice-tasks", json=new)).json()
            task_id = issued["id"]
            turn[task_id], said[task_id] = done, issued["reason"]
            path = f"/practice-tasks/{task_id}"
            assert _again(lambda path=path: client.patch(path, json=how)).status_code == 200

    with services(settings, "streams", "inference", "gateway"):
        announce(settings, export.files(fitted()), 1)
        new = {"user_id": "someone", "topic": "topic-1", "difficulty": "easy"}
        wait_until(lambda: client.post("/practice-tasks", json=new).json()["source"] == "lstm", 30)
        with ThreadPoolExecutor(learners) as pool:
            list(pool.map(practise, range(learners)))
        wait_until(
            lambda: turn.keys() <= {e["task_id"] for e in values_of(settings, topics.PREDICTION)}
        )
    told = [e for e in values_of(settings, topics.PREDICTION) if e["task_id"] in turn]
    unaware = [e for e in told if e["history_length"] < turn[e["task_id"]]]
    assert all(said[e["task_id"]].startswith("without ") for e in unaware)
    assert all(e["history_length"] <= turn[e["task_id"]] for e in told)
    assert len(unaware) < len(told) / 2


def _again(call: Callable[[], httpx.Response]) -> httpx.Response:
    """Where a busy store does not answer in time, the same is sent again, as the answer says."""
    tries = (call() for _ in range(20))
    return next(answer for answer in tries if answer.status_code != 503)


def _check_inquiries(client: httpx.Client, task_id: str) -> None:
    why = client.get(f"/practice-tasks/{task_id}/why").json()
    assert (why["task_id"], why["user_id"]) == (task_id, "user-1")
    assert {effect["kind"] for effect in why["effects"]} >= {"completion", "inputs"}
    assert client.get("/practice-tasks/nothing/why").status_code == 404
    forecast = client.get("/learners/user-1/forecast").json()
    assert {cell["topic"] for cell in forecast["cells"]} == {"topic-0", "topic-1", "topic-2"}
    assert forecast["history_length"] >= 1


def _check_page(client: httpx.Client, newest: str) -> None:
    page = client.get("/practice-tasks", params={"user_id": "user-1", "limit": 2}).json()
    assert len(page["items"]) == 2
    following = {"user_id": "user-1", "limit": 200, "cursor": page["next"]}
    rest = client.get("/practice-tasks", params=following).json()
    ids = [item["id"] for item in page["items"] + rest["items"]]
    assert len(ids) == len(set(ids))
    assert newest in ids
    done = client.get("/practice-tasks", params={"user_id": "user-1", "completed": True}).json()
    assert all(item["completed"] for item in done["items"])


def _check_status(status: dict[str, Any]) -> None:
    assert status["counter"]["completions"] == 40
    assert status["windows"]["total"] == status["windows"]["counted"] == 40
    assert status["serving"]["version"] >= 1
    assert {name: s["ready"] for name, s in status["services"].items()} == dict.fromkeys(ALL, True)
    assert [part for part in status.values() if isinstance(part, dict) and "error" in part] == []


def _check_metrics(settings: Settings) -> None:
    """Rules and panels ask for what is exposed, and a completion was followed to the end."""
    ports = [getattr(settings, f"{name}_port") for name in ALL]
    told = [httpx.get(f"http://127.0.0.1:{port}/metrics").text for port in ports]
    known = set().union(*(queries.scraped(each) for each in told))
    recorded = {rule["record"] for rule in queries.rules() if "record" in rule} | {"up"}
    wanted = {each.metric for query in queries.queries() for each in queries.asked(query)}
    assert wanted <= known | recorded
    lines = "\n".join(told)
    for stage in ("recorded", "counted", "requested", "trained", "serving"):
        found = re.search(rf'end_to_end_seconds_count{{stage="{stage}"}} (\S+)', lines)
        assert found is not None, stage
        assert float(found[1]) > 0
    assert re.search(r'predictions_total{arm="champion",reason="no-model",source="default"}', lines)
    assert "retrace_stuck 1.0" not in lines
    assert "retrace_dependency_up{dependency=" in lines
    for group in ("record", "count", "predictions", "trainer", "inference"):
        name = f'messaging_consumer_group_name="{settings.topic_prefix}retrace-{group}"'
        assert f"retrace_consumer_lag_messages{{{name}," in lines


def _mapped(service: Service) -> str:
    return Path(f"/proc/{service.process.pid}/maps").read_text()


def test_counting_survives_kill_9_and_duplicates(settings: Settings) -> None:
    chance = random.Random(7)
    tasks = [task(f"k{i}") for i in range(1000)]
    log = tasks + chance.sample(tasks, 50)
    store = opened(settings)
    store.prepare(5)
    with services(settings, "streams") as running:
        for at in range(0, len(log), 350):
            publish(settings, *log[at : at + 350])
            before = store.standing()[1]
            wait_until(lambda before=before: store.standing()[1] > before, 60)
            running["streams"].kill()
            running["streams"].restart()
        wait_until(lambda: store.standing()[1] == 1000, 90)
        wait_until(lambda: state(settings).seen.spans == ((1, 1000),), 90)
        assert state(settings).windows.total == 1000
        store.engine.dispose()
    requests = {e["request_id"] for e in values_of(settings, topics.TRAIN_REQUEST)}
    assert requests == {f"count-{n}" for n in range(5, 1001, 5)}
    assert _counted_from_the_log(settings) == set(range(1, 1001))


def test_a_number_that_was_never_announced_is_healed_without_new_input(settings: Settings) -> None:
    """Killed between the store and the announcement, with nothing published afterwards."""
    with services(settings, "streams") as running:
        store = opened(settings)
        publish(settings, *[task(f"h{i}") for i in range(4)])
        wait_until(lambda: len(state(settings).seen) == 4, 60)
        group, lags = "retrace-count", GroupLags(settings)
        wait_until(lambda: lags.of({group: topics.COMPLETIONS}) == {group: 0}, 30)
        running["streams"].kill()
        unannounced = events.TaskCompleted.model_validate_json(json.dumps(task("h4")))
        store.record([Publication(unannounced, Place(0, 10**6))], None)
        running["streams"].restart()
        wait_until(lambda: _requested(settings) == {"count-5"}, 60)
        wait_until(lambda: state(settings).windows.total == 5, 30)
        store.engine.dispose()


def _requested(settings: Settings) -> set[str]:
    return {event["request_id"] for event in values_of(settings, topics.TRAIN_REQUEST)}


def _counted_from_the_log(settings: Settings) -> set[int]:
    """The pure rule over the recorded log comes to what Faust came to."""
    rule = Rule(
        settings.window_seconds, settings.window_grace_seconds, settings.window_kept_seconds
    )
    counter, seen = Counter(), set()
    for raw in read_all(settings, topics.COMPLETIONS):
        batch = events.Completions.model_validate_json(raw.value or b"")
        counter, fresh = counting.count(counter, batch, rule)
        seen |= set(fresh)
    assert counter.seen == state(settings).seen
    assert counter.windows.counts == state(settings).windows.counts
    return seen


def test_services_wait_for_servers_that_come_later(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    settings = settings_of(f"127.0.0.1:{port}", database_url, tmp_path)
    started = [Service("streams", settings), Service("inference", settings)]
    try:
        for service in started:
            _await_waiting(service)
        with Supervisor() as children:
            server = EmbeddedKafka(tmp_path / "kafka", port, libraries=kafka_libraries(print))
            server.prepare()
            children.start(server.process())
            for service in started:
                service.await_ready(90)
            publish(settings, task("a"))
            store = opened(settings)
            wait_until(lambda: store.standing()[1] == 1, 30)
            store.engine.dispose()
            for service in started:
                assert service.stop() == 0
    finally:
        for service in started:
            service.kill()


@pytest.mark.parametrize("name", ["streams", "gateway"])
def test_who_makes_tables_is_not_ready_before(
    name: str, kafka: str, database_url: str, tmp_path: Path
) -> None:
    settings = settings_of(kafka, database_url, tmp_path)
    engine = opened(settings).engine
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    service = None
    try:
        with engine.connect() as migrating, engine.connect() as looking:
            migrating.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            service = Service(name, settings)
            wait_until(lambda: bool(looking.execute(waiting).scalar()), 60)
            with pytest.raises(AssertionError):
                wait_until(lambda: service.readiness()["dependencies"]["store"]["ok"], 2)
            migrating.rollback()
            migrating.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
            service.await_ready(60)
    finally:
        if service is not None:
            service.kill()
        engine.dispose()


def _await_waiting(service: Service) -> None:
    def says_so() -> bool:
        kafka_state = service.readiness().get("dependencies", {}).get("kafka", {})
        return kafka_state.get("ok") is False and "Kafka does not answer" in kafka_state["detail"]

    wait_until(says_so, 60)
