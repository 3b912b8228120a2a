"""`retrace bench ingest` on real servers: exact counts, every peer's rows, nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from benchmarks import ingest_own, ingest_peers
from benchmarks.ground import Servers, ground
from benchmarks.ingest_own import Case
from schemas.settings import Settings
from streams import database, declare, kafka
from tests.servers import wait_until


@pytest.fixture
def on(kafka: str, database_url: str, tmp_path: Path) -> Servers:
    settings = Settings(kafka_bootstrap=kafka, database_url=SecretStr(database_url))
    return Servers(settings, tmp_path)


def test_two_workers_on_a_store_that_holds_some(on: Servers) -> None:
    case = Case(600, 10, workers=2, partitions=3, stored=1000, rate=100.0, seconds=1.0)
    found = ingest_own.measure(on, case, print)
    assert found["events"] == 600
    assert found["seconds"]["counted"] > 0
    assert len(found["peak_mib"]) == 2
    assert (found["latency"]["published"], found["latency"]["recorded_ms"]["samples"]) == (300, 100)
    # Of every fifth; the last request of the load before may come only now.
    assert found["latency"]["counted_ms"]["samples"] in (20, 21)
    assert 0 < found["latency"]["recorded_ms"]["p50"] <= found["latency"]["counted_ms"]["max"]


@pytest.mark.parametrize("name", ["faust", "insert", "copy"])
def test_a_peer_writes_every_row(on: Servers, name: str, tmp_path: Path) -> None:
    (peer,) = (each for each in ingest_peers.ALL if each.name == name)
    found = ingest_peers.measure(on, peer, Case(300, 10, partitions=2), tmp_path, print)
    assert "failed" not in found, found
    assert found["events"] == 300
    assert set(found["seconds"]) == {"stored"}


def test_a_peer_that_cannot_be_installed_is_told(on: Servers, tmp_path: Path) -> None:
    absent = ingest_peers.Peer("quix", "absent", "none", package=str(tmp_path / "absent.whl"))
    told: list[str] = []
    found = ingest_peers.measure(on, absent, Case(300, 10), tmp_path / "cache", told.append)
    assert found["failed"].startswith("not installed: ")
    assert found["failed"] in told


def test_what_a_run_makes_goes_with_it(on: Servers) -> None:
    edge = kafka.admin(on.settings)
    with ground(on, 2) as settings:
        declare.declare(settings)
        prefix = settings.topic_prefix
        assert databases(on.settings) & {prefix.rstrip(".")}
    wait_until(lambda: not any(name.startswith(prefix) for name in declare.partitions(edge)))
    assert not databases(on.settings) & {prefix.rstrip(".")}


def databases(settings: Settings) -> set[str]:
    engine = database.connect(settings.database_url.get_secret_value(), "tests")
    with engine.connect() as connection:
        found = connection.execute(text("SELECT datname FROM pg_database")).scalars().all()
    engine.dispose()
    return set(found)
