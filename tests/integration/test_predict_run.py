"""`retrace bench predict` on real servers: every request answered, histories as they should be."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from benchmarks import freshness, predict, predict_practice, predict_prefill, recovery
from benchmarks.ground import Servers
from schemas.settings import Settings
from streams.store import Store
from tests.running import opened, settings_of


def test_a_small_run(kafka: str, database_url: str, tmp_path: Path) -> None:
    settings = Settings(kafka_bootstrap=kafka, database_url=SecretStr(database_url), train_epochs=2)
    asked = predict.Asked([40], 1.0, 30, 20, 40.0, 60, 3)
    told: list[str] = []
    found = predict.measure(asked, Servers(settings, tmp_path), told.append)
    (row,) = found["rates"]
    assert row["own"]["samples"] == row["echo"]["samples"] == row["practising"]["samples"] == 40
    assert 0 < row["own"]["p50"] <= row["own"]["p99"]
    assert found["training"]["own"]["samples"] == 40
    assert found["training"]["trainings"] >= 1
    assert found["saturated"]["per_second"] > 0
    assert set(found["peak_mib"]) == {"trainer", "inference"}
    assert set(found["ratio"]) == {
        "echo_p50_at_40", "echo_p99_at_40", "practising_p50_at_40", "practising_p99_at_40",
        "training_p50", "training_p99", "keras",
    }  # fmt: skip


def test_the_store_is_as_recording_leaves_it(kafka: str, database_url: str, tmp_path: Path) -> None:
    store: Store = opened(settings_of(kafka, database_url, tmp_path))
    store.prepare(5)
    rows, _ = predict_prefill.prefill(store, 12, 9)
    lengths = {n: predict_prefill.length_of(n, 9) for n in range(1, 13)}
    query = text("SELECT user_id, count(*), bool_and(number > 0) FROM completions GROUP BY user_id")
    with store.engine.connect() as connection:
        counts = {user: count for user, count, _ in connection.execute(query)}
    assert counts == {predict_prefill.name_of(n): c for n, c in lengths.items() if c}
    assert rows == sum(lengths.values()) == store.standing()[1]
    assert [item.number for item in store.numbered((1, rows))] == list(range(1, rows + 1))
    store.engine.dispose()


def test_practice_is_recorded_before_anyone_is_asked_about(
    kafka: str, database_url: str, tmp_path: Path
) -> None:
    store: Store = opened(settings_of(kafka, database_url, tmp_path))
    store.prepare(5)
    rows, _ = predict_prefill.prefill(store, 12, 9)
    with predict_practice.practising(store.engine, [3, 5, 3], 1000.0):
        numbered = store.numbered((rows + 1, rows + 3))
        assert store.standing()[1] == rows + 3
    assert [item.number for item in numbered] == [rows + 1, rows + 2, rows + 3]
    practised = text("SELECT user_id FROM completions WHERE number > :rows ORDER BY number")
    with store.engine.connect() as connection:
        users = connection.execute(practised, {"rows": rows}).scalars().all()
    assert users == [predict_prefill.name_of(learner) for learner in (3, 5, 3)]
    store.engine.dispose()


def test_practice_that_fails_is_told(kafka: str, database_url: str, tmp_path: Path) -> None:
    store: Store = opened(settings_of(kafka, database_url, tmp_path))
    with (
        pytest.raises(ProgrammingError),
        predict_practice.practising(store.engine, [1], 1000.0),
    ):
        pass
    store.engine.dispose()


def test_recovery_in_small(kafka: str, database_url: str, tmp_path: Path) -> None:
    settings = Settings(
        kafka_bootstrap=kafka, database_url=SecretStr(database_url), train_epochs=2,
        kafka_session_seconds=2,
    )  # fmt: skip
    told: list[str] = []
    found = recovery.measure(recovery.Asked(1, 2.0), Servers(settings, tmp_path), told.append)
    assert [row["service"] for row in found["rows"]] == [*recovery.SERVICES, "bare consumer"]
    assert all(len(row["seconds"]) == 1 for row in found["rows"])
    assert all(row["seconds"][0] > 0 for row in found["rows"])
    assert len(told) == 5


def test_freshness_in_small(kafka: str, database_url: str, tmp_path: Path) -> None:
    settings = Settings(kafka_bootstrap=kafka, database_url=SecretStr(database_url))
    told: list[str] = []
    found = freshness.measure(freshness.Asked(50, 2, 2), Servers(settings, tmp_path), told.append)
    assert found["ms"]["samples"] == len(found["seconds"]) == 2
    assert all(0 < each < freshness.MOST_SECONDS for each in found["seconds"])
    assert found["peer"]["rows"] == 50
    assert set(found["peak_mib"]) == set(freshness.SERVICES)
    assert found["ratio"]["peer_training"] > 0
