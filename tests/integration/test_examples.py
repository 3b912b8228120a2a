"""The examples for other teams, each a process of its own, on a real Kafka and store."""

from __future__ import annotations

import ast
import json
import math
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas import codec, topics
from schemas.events import Prediction, PredictionScore
from schemas.settings import Settings
from streams import declare, kafka
from tests.running import publish, read_all, recording, settings_of, task, values_of
from tests.servers import wait_until
from tests.unit.test_schemas import headers_of, message_of, validator

EXAMPLES = Path(__file__).parents[2] / "examples"
NOW = datetime.now(UTC)


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return settings_of(kafka, database_url, tmp_path)


def argv(name: str, settings: Settings, *more: str) -> list[str]:
    where = ["--bootstrap", settings.kafka_bootstrap, "--prefix", settings.topic_prefix]
    return [sys.executable, str(EXAMPLES / name), *where, *more]


def run(name: str, settings: Settings, *more: str) -> str:
    command = argv(name, settings, *more)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_they_need_nothing_of_ours(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    theirs = {name.split(".")[0] for name in names} - sys.stdlib_module_names
    assert theirs == {"confluent_kafka"}


def test_what_the_producer_tells_is_recorded_once(settings: Settings) -> None:
    """Repeated, it records nothing twice; what goes round fits the exported documents."""
    with recording(settings) as store:
        for _ in range(2):
            run("producer.py", settings, "--session", "monday")
        run("producer.py", settings, "--session", "tuesday")
        wait_until(lambda: store.standing()[1] == 10)
    assert read_all(settings, topics.DEAD_LETTERS) == []
    for topic in (topics.TASK_COMPLETED, topics.COMPLETIONS):
        assert topic.event is not None
        message = message_of(topic.event)
        found = read_all(settings, topic)
        assert found
        for raw in found:
            validator(message["payload"]).validate(json.loads(raw.value or b""))
            validator(message["headers"]).validate(headers_of(raw.headers))
    keys = {raw.key for raw in read_all(settings, topics.TASK_COMPLETED)}
    assert keys == {b"ada", b"ben", b"cleo"}


def test_a_producer_says_what_was_not_delivered(settings: Settings) -> None:
    """Topics that do not exist, and a time to give up."""
    quick = ["--set", "message.timeout.ms=1000"]
    command = argv("producer.py", settings, "--session", "s", *quick)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "5 not delivered" in ended.stderr


def prediction(name: str, p: float, **more: Any) -> Prediction:
    values = {
        "request_id": name, "task_id": name, "user_id": "ann", "topic": "t", "difficulty": "d",
        "started_at": NOW, "p_correct": p, "expected_seconds": 20.0, "seconds_low": 10.0,
        "seconds_high": 40.0, "source": "lstm", "reason": "r", "model_version": 3,
        "model_revision": 4, "history_length": 0, "predicted_at": NOW,
    }  # fmt: skip
    return Prediction.model_validate(values | more)


def score(rows: int, log_loss: float) -> PredictionScore:
    return PredictionScore(
        window_start=NOW, window_seconds=900, version=3, source="lstm", arm="champion",
        rows=rows, log_loss=log_loss,
    )  # fmt: skip


def send(settings: Settings, *events: Prediction | PredictionScore) -> None:
    prefix = settings.topic_prefix
    kafka.Publisher(settings).publish([
        codec.encode(
            topics.PREDICTION if isinstance(event, Prediction) else topics.PREDICTION_SCORE,
            event, "tests", prefix=prefix,
        )
        for event in events
    ])  # fmt: skip


def done(name: str, is_correct: bool, **more: Any) -> dict[str, Any]:
    ended = (NOW + timedelta(seconds=30)).isoformat()
    return task(name, user_id="ann", is_correct=is_correct, **{"completed_at": ended, **more})


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_analytics_tells_what_is_there(settings: Settings) -> None:
    """Repeats, other learners, predictions that came too late, garbage: each changes nothing."""
    declare.declare(settings)
    late = NOW + timedelta(seconds=31)
    send(
        settings,
        prediction("a", 0.8), prediction("a", 0.8), prediction("a", 0.1, request_id="again"),
        prediction("b", 0.6), prediction("late", 0.9, predicted_at=late), prediction("open", 0.9),
        prediction("other", 0.9, user_id="ben"),
        prediction("a", 0.3, arm="challenger", source="lnirt"),
        prediction("c", 0.5, source="default", model_version=None, model_revision=None),
        score(1, 9.0), score(2, 0.5),
    )  # fmt: skip
    tasks = [done("a", True), done("a", True), done("b", False), done("c", True)]
    publish(settings, *tasks, done("late", True), done("other", True), b"garbage", b"[]", None)
    found = {
        (e["version"], e["source"], e["arm"]): e
        for e in lines(run("analytics.py", settings, "--once"))
    }
    assert {group: each["rows"] for group, each in found.items()} == {
        (3, "lstm", "champion"): 2,
        (3, "lnirt", "challenger"): 1,
        (None, "default", "champion"): 1,
    }
    champion = found[3, "lstm", "champion"]
    assert champion["log_loss"] == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2, abs=1e-6)
    assert champion["published"] == {"rows": 2, "log_loss": 0.5}
    assert found[None, "default", "champion"]["log_loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_analytics_follows_until_it_is_told_to_end(settings: Settings) -> None:
    declare.declare(settings)
    command = argv("analytics.py", settings)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        send(settings, prediction("a", 0.8))
        publish(settings, done("a", True))
        assert lines(process.stdout.readline())[0]["rows"] == 1
        publish(settings, done("b", True))
        send(settings, prediction("b", 0.8))
        assert lines(process.stdout.readline())[0]["rows"] == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
    assert values_of(settings, topics.DEAD_LETTERS) == []
