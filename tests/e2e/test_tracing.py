"""One trace from the first call for a task to the version that has learned from it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from schemas import topics
from schemas.settings import Settings
from streams import traces
from tests.collector import Collector, Span, collecting
from tests.e2e.test_loop import ALL, outcomes, versions
from tests.running import publish, read_all, services, settings_of, task
from tests.servers import wait_until

STEPS = {
    ("retrace-gateway", "POST /practice-tasks"),
    ("retrace-inference", "process prediction-request"),
    ("retrace-gateway", "PATCH /practice-tasks/{task_id}"),
    ("retrace-streams", "process task-completed"),
    ("retrace-streams", "process completions"),
    ("retrace-trainer", "train"),
    ("retrace-inference", "serve"),
}


def practise(settings: Settings, count: int) -> list[str]:
    """Tasks asked for and completed; their ids."""
    done = []
    url = f"http://127.0.0.1:{settings.gateway_port}/practice-tasks"
    with httpx.Client(timeout=10) as client:
        for at in range(count):
            new = {"user_id": f"user-{at}", "topic": "topic-1", "difficulty": "easy"}
            done.append(client.post(url, json=new).json()["id"])
            how = {"is_correct": at % 3 > 0, "actual_time_seconds": 9.0 + at}
            assert client.patch(f"{url}/{done[-1]}", json=how).status_code == 200
    return done


def test_one_trace_connects_a_call_with_the_version_that_learned_from_it(
    kafka: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(kafka, database_url, tmp_path, train_epochs=2)
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with services(settings, *ALL):
            publish(settings, *[task(f"a{i}") for i in range(40)])
            wait_until(lambda: "count-40" in outcomes(settings), 90)
            wait_until(lambda: versions(settings) != [], 90)
            traced: dict[str, str] = {}
            for _ in range(6):
                traced |= {traces.of_task(name)[3:35]: name for name in practise(settings, 5)}
                last = f"count-{40 + len(traced)}"
                wait_until(lambda last=last: last in outcomes(settings), 90)
                if outcomes(settings)[last] == "published":
                    break
            headers = read_all(settings, topics.MODEL_UPDATED)[-1].headers
            trace_id = (traces.carried(headers) or "")[3:35]
            assert trace_id in traced
            wait_until(lambda: steps(collector, settings, trace_id) >= STEPS, 30)
    _check(collector.of(trace_id))
    said = [json.loads(line) for line in _lines(tmp_path / "trainer.log")]
    begun = {line["request_id"]: line["trace_id"] for line in said if line["event"] == "training"}
    assert begun[last] == trace_id


def _lines(log: Path) -> list[str]:
    """The lines of a log that are JSON; TensorFlow writes others."""
    return [line for line in log.read_text().splitlines() if line.startswith("{")]


def steps(collector: Collector, settings: Settings, trace_id: str) -> set[tuple[str, str]]:
    """Services and what they did, topics without the test's prefix."""
    prefix = settings.topic_prefix
    return {(s.service, s.name.replace(prefix, "")) for s in collector.of(trace_id)}


def _check(spans: list[Span]) -> None:
    """Every span but the first call's hangs on another one of the trace."""
    known = {span.span_id for span in spans}
    assert [s.name for s in spans if s.parent not in known] == ["POST /practice-tasks"]
