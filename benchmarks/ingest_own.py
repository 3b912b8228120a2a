"""Retrace's own side: real streams processes read a backlog, then an open loop if asked to."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import text

from benchmarks import ingest_latency, ingest_prefill, ingest_publish, machine, watch
from benchmarks.child import MeasurementFailed, Tell
from benchmarks.ground import Servers, ground
from benchmarks.ingest_source import Source
from benchmarks.watch import Running
from ops.machine import free_port
from ops.processes import Process
from schemas.settings import PREFIX, Settings
from streams import database, declare
from streams.store import Store

COUNTED = "retrace_completions_counted "
COUNT_SECONDS = 60.0


@dataclass(frozen=True)
class Case:
    """One row: a worker or several, partitions, what is stored before, how much comes."""

    events: int
    learners: int
    workers: int = 1
    partitions: int = 6
    stored: int = 0
    rate: float = 0.0
    seconds: float = 0.0


def measure(on: Servers, case: Case, tell: Tell) -> dict[str, Any]:
    """The figures of a case. Raises MeasurementFailed where it did not end, or not exactly."""
    with ground(on, case.partitions) as settings, _store(settings) as store:
        declare.declare(settings)
        store.prepare(settings.train_every)
        if case.stored:
            took = ingest_prefill.prefill(settings, store, case.stored, case.learners)
            tell(f"{case.stored} completions stored beforehand in {took:.0f} s")
        source = Source(case.learners, settings.seed)
        backlog = source.backlog(case.events, datetime.now(UTC))
        took = ingest_publish.backlog(settings, backlog)
        tell(f"published in {took:.1f} s")
        return _run(on, settings, store, source, case)


def _run(
    on: Servers, settings: Settings, store: Store, source: Source, case: Case
) -> dict[str, Any]:
    ports = [free_port() for _ in range(case.workers)]
    workers = [_worker(settings, port) for port in ports]

    def stored() -> int:
        return store.standing()[1] - case.stored

    def counted() -> int:
        return max(0, max(counted_of(port) for port in ports) - case.stored)

    load = machine.load()
    with watch.running(workers, on.pids) as running:
        timeline = running.until(case.events, stored, counted)
        figures = timeline.figures() | {"cpu_seconds": round(running.cpu()["worker"], 1)}
        latency = _latency(running, settings, store, source, case, counted)
        peaks = sorted(running.peaks.values(), reverse=True)
    _require_exact(store, case.stored + case.events + latency.get("published", 0))
    return {
        "workers": case.workers,
        "partitions": case.partitions,
        "stored": case.stored,
        **figures,
        "peak_mib": peaks,
        "load": load,
        "latency": latency or None,
    }


def _latency(
    running: Running,
    settings: Settings,
    store: Store,
    source: Source,
    case: Case,
    counted: Callable[[], int],
) -> dict[str, Any]:
    if not case.seconds:
        return {}

    def await_counted(number: int) -> None:
        deadline = time.monotonic() + COUNT_SECONDS
        while counted() + case.stored < number:
            running.check()
            if time.monotonic() > deadline:
                raise MeasurementFailed(f"{number} were not counted in {COUNT_SECONDS:.0f} s")
            time.sleep(watch.PERIOD)

    return ingest_latency.measure(settings, store, source, case.rate, case.seconds, await_counted)


def counted_of(port: int) -> int:
    """What a worker's counter has seen, by its metrics; 0 while nothing answers."""
    try:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=2.0, trust_env=False).text
    except httpx.HTTPError:
        return 0
    found = [line for line in page.splitlines() if line.startswith(COUNTED)]
    return int(float(found[0].split()[1])) if found else 0


def _worker(settings: Settings, port: int) -> Process:
    name = f"streams-{port}"
    argv = [sys.executable, "-m", "ops.cli", "streams"]
    log = settings.data_dir / f"{name}.log"
    given = environment(settings) | {PREFIX + "STREAMS_PORT": str(port)}
    return Process(name, argv, given, log, stop_timeout=20.0, restart=False)


def environment(settings: Settings) -> dict[str, str]:
    """What a worker is told; every other setting is as the environment has it."""
    told = {
        "KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "KAFKA_PARTITIONS": str(settings.kafka_partitions),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "TOPIC_PREFIX": settings.topic_prefix,
        "DATA_DIR": str(settings.data_dir),
        "LOG_FORMAT": "json",
    }
    return {**os.environ, **{PREFIX + name: value for name, value in told.items()}}


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    store = Store(database.connect(settings.database_url.get_secret_value(), "bench"))
    yield store
    store.engine.dispose()


def _require_exact(store: Store, wanted: int) -> None:
    query = text("SELECT count(*), coalesce(max(number), 0) FROM completions")
    with store.engine.connect() as connection:
        rows, highest = connection.execute(query).one()
    if not rows == highest == wanted:
        raise MeasurementFailed(f"of {wanted} there are {rows}, numbered up to {highest}")
