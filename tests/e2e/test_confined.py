"""The whole loop where no service may write but to its mounts, as in a container."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.settings import Settings
from tests.confined import MODELS, UID, Confined, possible
from tests.running import publish, settings_of, task
from tests.servers import wait_until

SERVICES = ("streams", "trainer", "inference", "gateway")


@pytest.fixture
def settings(kafka: str, database_url: str) -> Settings:
    more = {"model_store": MODELS, "train_epochs": 2, "drain_seconds": 1}
    return settings_of(kafka, database_url, Path("/tmp/data"), **more)


@pytest.mark.timeout(600)
def test_the_loop_turns_on_a_read_only_root(settings: Settings, tmp_path: Path) -> None:
    if not possible():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs root and unshare")
    job = Confined("prepare", settings, tmp_path)
    assert job.process.wait(120) == 0, job.log.read_text()
    assert "topics are there" in job.log.read_text()
    running = {name: Confined(name, settings, tmp_path) for name in SERVICES}
    try:
        for service in running.values():
            service.await_ready(240)
            assert _status(service)["Uid"].split()[0] == UID
            assert int(_status(service)["CapEff"], 16) == 0
        publish(settings, *[task(f"a{i}") for i in range(40)])
        wait_until(lambda: _asked(settings)["source"] == "lstm", 240)
        assert _page(settings).status_code == 200
        wrote = {name for name, service in running.items() if service.written()}
        assert wrote <= {"trainer"}  # the settings of Keras
        assert [service.stop() for service in running.values()] == [0, 0, 0, 0]
    finally:
        for service in running.values():
            service.kill()
    assert {each.stat().st_uid for each in (tmp_path / "models").iterdir()} == {int(UID)}


def _asked(settings: Settings) -> dict[str, Any]:
    new = {"user_id": "user-1", "topic": "topic-1", "difficulty": "easy"}
    url = f"http://127.0.0.1:{settings.gateway_port}/practice-tasks"
    return dict(httpx.post(url, json=new, timeout=10).json())


def _page(settings: Settings) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{settings.gateway_port}/dashboard/", timeout=30)


def _status(service: Confined) -> dict[str, str]:
    """What the kernel says of its process."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)
