"""A gateway that ends answers on meanwhile, and sends everybody elsewhere."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from schemas.settings import Settings
from tests.running import Service, settings_of
from tests.servers import wait_until

NEW = {"user_id": "user-1", "topic": "topic-1", "difficulty": "easy"}


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path, drain_seconds=3)


@pytest.fixture
def gateway(settings: Settings) -> Iterator[Service]:
    service = Service("gateway", settings)
    try:
        service.await_ready()
        yield service
    finally:
        service.kill()


def test_it_answers_until_it_is_gone(gateway: Service) -> None:
    base = f"http://127.0.0.1:{gateway.settings.gateway_port}"
    with httpx.Client(base_url=base, timeout=10) as known, httpx.Client(base_url=base) as stranger:
        before = known.post("/practice-tasks", json=NEW)
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: gateway.readiness().get("ready") is False)
        after = known.post("/practice-tasks", json=NEW)
        new = stranger.post("/practice-tasks", json=NEW)
    assert [each.status_code for each in (before, after, new)] == [201, 201, 201]
    assert "connection" not in before.headers
    assert {each.headers["connection"] for each in (after, new)} == {"close"}
    assert gateway.process.wait(30) == 0


def test_a_second_signal_ends_it_at_once(settings: Settings, gateway: Service) -> None:
    gateway.process.send_signal(signal.SIGTERM)
    wait_until(lambda: gateway.readiness().get("ready") is False)
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(30) == 0
