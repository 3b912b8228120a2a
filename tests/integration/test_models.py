"""`retrace models` on real servers: what serves changes at a word, and everybody hears of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.models import Models
from schemas import events, topics
from schemas.settings import Settings
from tests.running import opened, prepared, values_of
from training import artifacts
from training.gate import UNRIVALLED, Verdict
from training.registry import Registry

LEARNED = {"users": 3, "topics": 2, "difficulties": 1}
WORSE = Verdict(False, False, 1, 200, 0.03, 0.01, 0.05)


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> Settings:
    return prepared(kafka, database_url, tmp_path)


@pytest.fixture
def registry(settings: Settings) -> Registry:
    """With versions 1, 2, 3; the gate has rejected the last."""
    made = Registry(opened(settings).engine, settings.model_store_url())
    for number, verdict in ((5, UNRIVALLED), (10, UNRIVALLED), (15, WORSE)):
        request = events.TrainRequest(
            request_id=f"count-{number}", trigger="count", completions=number,
            requested_at=datetime.now(UTC),
        )  # fmt: skip
        made.note([request])
        scores = events.Scores(rows=100, log_loss=0.6)
        metrics = events.ModelMetrics(rows=100, log_loss=0.5, lnirt=scores)
        learned = {**LEARNED, "completions": number}
        made.publish(request, {"a.onnx": b"x" * number}, learned, metrics, verdict)
    return made


def retrace(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator runs it."""
    known = {
        "RETRACE_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "RETRACE_DATABASE_URL": settings.database_url.get_secret_value(),
        "RETRACE_DATA_DIR": str(settings.data_dir),
        "RETRACE_TOPIC_PREFIX": settings.topic_prefix,
        "RETRACE_MODEL_STORE": settings.model_store_url(),
    }
    command = [sys.executable, "-m", "ops.cli", "models", *words]
    return subprocess.run(
        command, env=os.environ | known, capture_output=True, text=True, check=False
    )


def told(settings: Settings, *words: str) -> dict[str, Any]:
    done = retrace(settings, *words, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def announced(settings: Settings) -> list[tuple[int, int]]:
    """Revisions and versions on the topic."""
    said = values_of(settings, topics.MODEL_UPDATED)
    return [(event["revision"], event["version"]) for event in said]


def test_a_rollback_is_announced_held_and_released(settings: Settings, registry: Registry) -> None:
    back = told(settings, "rollback")
    assert back == {"version": 1, "revision": 3, "held": True, "announced": True}
    listed = told(settings, "list")
    assert (listed["serving"], listed["held"]) == (1, True)
    assert [each["state"] for each in listed["versions"]] == ["rejected", "published", "published"]
    again = retrace(settings, "rollback")
    assert again.returncode == 1
    assert again.stderr.strip().startswith("retrace: No earlier version is kept")
    assert told(settings, "release") == {
        "version": 2, "revision": 4, "held": False, "announced": True,
    }  # fmt: skip
    assert announced(settings) == [(3, 1), (4, 2)]
    assert retrace(settings, "release").returncode == 1


def test_what_the_gate_rejected_can_be_seen_and_promoted(
    settings: Settings, registry: Registry
) -> None:
    shown = told(settings, "show", "3")
    assert (shown["state"], shown["serves"], shown["revisions"]) == ("rejected", False, [])
    assert shown["gate"]["against"] == 1
    assert shown["files"]["a.onnx"] == 15
    assert told(settings, "promote", "3")["version"] == 3
    assert told(settings, "show", "3")["revisions"][0]["cause"] == "promote"
    missing = retrace(settings, "promote", "9")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.count("\n") == 1


def test_an_exported_version_verifies_elsewhere(
    settings: Settings, registry: Registry, tmp_path: Path
) -> None:
    target = Path(told(settings, "export", "2", str(tmp_path / "out"))["path"])
    sha256 = told(settings, "show", "2")["sha256"]
    copy = artifacts.read(str(target.parent), target.name, sha256)
    assert copy.files["a.onnx"] == b"x" * 10
    again = retrace(settings, "export", "2", str(tmp_path / "out"))
    assert again.returncode == 1
    assert "File exists" in again.stderr


def test_without_kafka_the_registry_has_it_and_the_words_say_who_announces(
    settings: Settings, registry: Registry
) -> None:
    models = Models(settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"}))
    facts = models.announce(models.revisions.promote(1))
    assert (facts["announced"], facts["held"]) == (False, True)
    assert "The trainer makes it" in models.words(facts)
    assert registry.revisions.reconcile(None) == registry.revisions.serving()


def test_tables_show_states_scores_and_damage(settings: Settings, registry: Registry) -> None:
    (Path(settings.model_store_url()) / "v000002" / "a.onnx").write_bytes(b"y")
    listed = retrace(settings, "list").stdout
    for words in ("● serves", "rejected", "0.500", "+0.0300 to v1", "best so far"):
        assert words in listed
    shown = retrace(settings, "show", "2").stdout
    assert "v000002/a.onnx is truncated: 1 of 10 bytes." in shown
    rejected = retrace(settings, "show", "3").stdout
    assert "+0.0300 against v1 on 200 rows (+0.0100 to +0.0500)" in rejected
