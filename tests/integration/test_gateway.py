"""The gateway when something is away, locked or misused; the good path is tested end to end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from gateway.tasks import Tasks
from ops.embedded_kafka import EmbeddedKafka
from ops.kafka_jars import kafka_libraries
from ops.machine import free_port
from ops.supervisor import Supervisor
from schemas import topics
from schemas.settings import Settings
from streams import database
from tests.running import Service, read_all, services, settings_of, values_of
from tests.servers import wait_until

NEW = {"user_id": "ada", "topic": "fractions", "difficulty": "easy"}
DONE = {"is_correct": True, "actual_time_seconds": 9.5}


@contextmanager
def client_of(settings: Settings, **headers: str) -> Iterator[httpx.Client]:
    base = f"http://127.0.0.1:{settings.gateway_port}"
    with httpx.Client(base_url=base, timeout=10, headers=headers) as client:
        yield client


def test_without_kafka_it_answers_in_time_and_loses_nothing(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    settings = settings_of(f"127.0.0.1:{port}", database_url, tmp_path)
    gateway = Service("gateway", settings)
    try:
        with client_of(settings) as client:
            wait_until(lambda: _store_is_up(gateway), 60)
            began = time.monotonic()
            issued = client.post("/practice-tasks", json=NEW)
            assert time.monotonic() - began < 1.0
            assert issued.status_code == 201
            task = issued.json()
            assert (task["source"], task["reason"]) == ("default", "timeout")
            assert client.patch(f"/practice-tasks/{task['id']}", json=DONE).status_code == 200
            ready = client.get("/readyz")
            assert ready.status_code == 503
            assert ready.json()["dependencies"]["kafka"]["ok"] is False
        with Supervisor() as children:
            server = EmbeddedKafka(tmp_path / "kafka", port, libraries=kafka_libraries(print))
            server.prepare()
            children.start(server.process())
            gateway.await_ready(90)
            wait_until(lambda: len(values_of(settings, topics.TASK_COMPLETED)) >= 1, 60)
            (event, *_again) = values_of(settings, topics.TASK_COMPLETED)
            assert (event["task_id"], event["is_correct"]) == (task["id"], True)
            assert gateway.stop() == 0
    finally:
        gateway.kill()


def _store_is_up(gateway: Service) -> bool:
    return bool(gateway.readiness().get("dependencies", {}).get("store", {}).get("ok"))


def test_without_the_store_it_says_so_at_once(kafka: str, tmp_path: Path) -> None:
    nowhere = f"postgresql://u:p@127.0.0.1:{free_port()}/none"
    settings = settings_of(kafka, nowhere, tmp_path)
    gateway = Service("gateway", settings)
    try:
        wait_until(lambda: bool(gateway.readiness()), 60)
        with client_of(settings) as client:
            for answer in (
                client.post("/practice-tasks", json=NEW),
                client.patch("/practice-tasks/x", json=DONE),
                client.get("/practice-tasks", params={"user_id": "ada"}),
            ):
                assert answer.status_code == 503
                assert answer.headers["retry-after"] == "5"
                assert answer.headers["content-type"] == "application/problem+json"
            assert client.get("/healthz").status_code == 200
            status = client.get("/status").json()
            assert "error" in status["counter"]
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.log.read_text()
    finally:
        gateway.kill()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


def test_keys_sizes_and_bad_input(kafka: str, database_url: str, folder: Path) -> None:
    keys = (SecretStr("first-key"), SecretStr("second-key"))
    settings = settings_of(kafka, database_url, folder).model_copy(update={"api_keys": keys})
    with services(settings, "gateway"), client_of(settings) as client:
        for path in ("/", "/status", "/metrics", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 401, path
        assert client.get("/readyz").status_code == 200
        assert client.post("/practice-tasks", json=NEW).status_code == 401
        wrong = {"X-API-Key": "first-keX"}
        assert client.get("/", headers=wrong).status_code == 401
        assert client.get("/", headers={"Authorization": "Bearer second-key"}).status_code == 200
        client.headers["X-API-Key"] = "first-key"
        _check_bad_input(client)
        _check_pages(client)
        _check_two_claims_at_once(client)


def _check_bad_input(client: httpx.Client) -> None:
    for body, field in (
        ({**NEW, "user_id": ""}, "user_id"),
        ({**NEW, "user_id": "a\x00b"}, "user_id"),
        ({**NEW, "difficulty": "x" * 33}, "difficulty"),
        ({"user_id": "ada"}, "topic"),
        ({**NEW, "extra": 1}, "extra"),
    ):
        answer = client.post("/practice-tasks", json=body)
        assert answer.status_code == 422
        assert field in answer.json()["detail"]
    huge = client.post("/practice-tasks", content=b" " * 70_000)
    assert huge.status_code == 413
    assert client.post("/practice-tasks", content=b"{").status_code == 422
    assert client.get("/nowhere").headers["content-type"] == "application/problem+json"
    assert client.patch("/practice-tasks/unknown", json=DONE).status_code == 404
    spoiled = client.get("/practice-tasks", params={"user_id": "ada", "cursor": "?"})
    assert spoiled.status_code == 422


def _check_pages(client: httpx.Client) -> None:
    assert client.get("/").json()["docs"] == "/docs"
    browser = client.get("/", headers={"Accept": "text/html"})
    assert (browser.status_code, browser.headers["location"]) == (307, "/dashboard/")
    page = client.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text.replace("https://www.w3.org", "")
    assert "/practice-tasks/{task_id}" in client.get("/openapi.json").json()["paths"]


def _check_two_claims_at_once(client: httpx.Client) -> None:
    """Of two different outcomes at the same moment, one stands."""
    task = client.post("/practice-tasks", json=NEW).json()
    outcomes = [DONE, {**DONE, "is_correct": False}] * 4
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(client.patch, f"/practice-tasks/{task['id']}", json=o) for o in outcomes
        ]
        statuses = sorted(call.result().status_code for call in calls)
    assert statuses == [200] * 4 + [409] * 4


def test_inquiries_name_the_newest_completion_that_was_published_here(
    kafka: str, database_url: str, tmp_path: Path
) -> None:
    """Without inference nobody answers; what was asked stands in the log."""
    settings = settings_of(kafka, database_url, tmp_path)
    with services(settings, "gateway"), client_of(settings) as client:
        first, other = (_issued(client, user) for user in ("ada", "ben"))
        assert client.patch(f"/practice-tasks/{first}", json=DONE).status_code == 200
        wait_until(lambda: _is_published(settings, first), 30)
        wait_until(lambda: _asks(client, settings), 30)
        for path in (f"/practice-tasks/{first}/why", "/learners/ada/forecast"):
            assert client.get(path).status_code == 503, path
        assert client.get(f"/practice-tasks/{other}/why").status_code == 503
    (done,) = read_all(settings, topics.TASK_COMPLETED)
    asked = values_of(settings, topics.PREDICTION_REQUEST)
    told = {(a["purpose"], a["user_id"]): a.get("after") for a in asked}
    place = f"{done.partition}@{done.offset}"
    assert (told["why", "ada"], told["forecast", "ada"]) == (place, place)
    assert told["why", "ben"] is None


def _issued(client: httpx.Client, user: str) -> str:
    """A task's id; where the store took too long, the same is sent again, as the answer says."""
    found: dict[str, str] = {}

    def is_issued() -> bool:
        found.update(client.post("/practice-tasks", json={**NEW, "user_id": user}).json())
        return "id" in found

    wait_until(is_issued)
    return found["id"]


def _asks(client: httpx.Client, settings: Settings) -> bool:
    """Whether the gateway is linked to Kafka: its questions arrive there."""
    client.get("/learners/nobody/forecast")
    return bool(values_of(settings, topics.PREDICTION_REQUEST))


def _is_published(settings: Settings, task_id: str) -> bool:
    """Whether the broker's acknowledgement was noted, which is after the place was."""
    engine = database.connect(settings.database_url.get_secret_value(), "tests")
    task = Tasks(engine, settings.train_every).issued(task_id)
    engine.dispose()
    return task is not None and task["published_at"] is not None
