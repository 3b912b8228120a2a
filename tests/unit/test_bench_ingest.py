"""What `retrace bench ingest` publishes, sees and makes of it. No timings of this machine."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rich.console import Console

from benchmarks import (
    ingest,
    ingest_latency,
    ingest_own,
    ingest_peers,
    ingest_table,
    peer_job,
    watch,
)
from benchmarks.child import MeasurementFailed
from benchmarks.ingest_source import SPREAD, Source
from benchmarks.ingest_timeline import Look, Timeline, percentiles, speed
from ops import cli
from ops.machine import free_port
from ops.processes import Process
from ops.supervisor import Supervisor
from schemas import codec, events, tables, topics
from schemas.codec import Raw
from schemas.settings import Settings
from streams import health, metrics
from streams.windows import Rule, Windows

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def decoded(value: bytes) -> events.TaskCompleted:
    found = codec.decode(
        events.TaskCompleted, topics.TASK_COMPLETED.max_bytes, Raw("t", 0, 0, None, value), NOW
    )
    assert isinstance(found, events.TaskCompleted)
    return found


def test_a_backlog_is_what_producers_may_publish() -> None:
    made = list(Source(50, 1).backlog(1000, NOW))
    tasks = [decoded(completion.value) for completion in made]
    assert [c.task_id for c in made] == [task.task_id for task in tasks]
    assert [c.key.decode() for c in made] == [task.user_id for task in tasks]
    assert len({task.task_id for task in tasks}) == 1000
    assert len({task.user_id for task in tasks}) == 50
    assert {task.is_correct for task in tasks} == {True, False}
    assert {task.difficulty for task in tasks} == {"easy", "medium", "hard"}


def test_a_backlog_fills_the_windows_and_none_ages_out() -> None:
    times = [decoded(c.value).completed_at for c in Source(5, 1).backlog(5000, NOW)]
    assert times == sorted(times)
    assert times[-1] == NOW
    assert timedelta(0) < SPREAD - (times[-1] - times[0]) < timedelta(minutes=1)
    windows = Windows().add([*times[2500:], *times[:2500]], Rule())
    assert (windows.expired, windows.dropped) == (0, 0)
    assert len(windows.counts) >= SPREAD / timedelta(minutes=1)


def test_the_same_seed_publishes_the_same() -> None:
    first, again, other = (list(Source(9, seed).backlog(20, NOW)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_peers_write_the_columns_and_values_of_the_store() -> None:
    columns = [column.name for column in tables.completions.columns]
    assert (*peer_job.COLUMNS, "recorded_at") == tuple(columns)
    completion = Source(9, 1).next(NOW)
    task = decoded(completion.value)
    row = peer_job.row(json.loads(completion.value), 7, 3, 11)
    assert dict(zip(peer_job.COLUMNS, row, strict=True)) == {
        **task.model_dump(exclude={"started_at", "timed_out"}),
        "started_at": task.start(),
        "timed_out": False,
        "number": 7,
        "log_partition": 3,
        "log_offset": 11,
    }


def looks(*stored: int, counted: bool = True) -> list[Look]:
    """A look a second; two processors' seconds go by in each."""
    return [
        Look(100.0 + at, n, n if counted else None, {"worker": 2.0 * at})
        for at, n in enumerate(stored)
    ]


def test_reading_begins_where_nothing_was_stored_yet() -> None:
    found = Timeline(99.0, 1000, looks(0, 0, 0, 500, 1000)).figures()
    assert found["start_seconds"] == 3.0
    assert found["seconds"] == {"stored": 2.0, "counted": 2.0}
    assert found["per_second"] == {"stored": 500.0, "counted": 500.0}


def test_what_comes_all_at_once_between_two_questions_took_some_time() -> None:
    came = iter([0])

    def seen() -> int:
        """Nothing to the first question, everything to all others."""
        return next(came, 600)

    with Supervisor() as supervisor:
        running = watch.Running(supervisor, {}, {}, {}, time.monotonic())
        found = running.until(600, seen, seen).figures()
    assert found["seconds"]["counted"] > 0
    assert found["seconds"]["counted"] >= found["seconds"]["stored"]


def test_a_steady_rate_leaves_out_how_it_began_and_ended() -> None:
    steady = range(100, 901, 100)
    found = Timeline(100.0, 1000, looks(0, 10, 50, *steady, 950, 970, 1000)).figures()
    assert found["steady_per_second"] == {"stored": 100.0, "counted": 100.0}
    assert found["steady_cores"] == {"worker": 2.0}
    assert found["per_second"]["stored"] < 100.0


def test_a_rate_falls_between_two_looks() -> None:
    found = Timeline(100.0, 100, looks(0, 5, 25, 45, 65, 80, 85, 95, 100)).figures()
    assert found["steady_per_second"]["stored"] == pytest.approx(80 / (6.5 - 1.25), abs=0.05)


def test_too_few_steps_give_no_steady_rate() -> None:
    found = Timeline(100.0, 1000, looks(0, 500, 1000)).figures()
    assert found["steady_per_second"] == {"stored": None, "counted": None}
    assert speed(found) == 500.0


def test_what_counts_last_is_what_is_compared() -> None:
    slower = [Look(look.at, 1000, look.stored) for look in looks(*range(0, 1001, 100))]
    found = Timeline(100.0, 1000, [Look(99.0, 0, 0), *slower]).figures()
    assert found["seconds"] == {"stored": 1.0, "counted": 11.0}
    assert speed(found) == found["steady_per_second"]["counted"] == 100.0


def test_a_peer_counts_nothing_to_be_seen() -> None:
    found = Timeline(100.0, 1000, looks(*range(0, 1001, 100), counted=False)).figures()
    assert set(found["seconds"]) == {"stored"}
    assert speed(found) == 100.0


def test_percentiles_are_values_that_were_seen() -> None:
    found = percentiles([float(n) for n in range(100, 0, -1)])
    assert found == {"samples": 100, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert percentiles([3.0]) == {"samples": 1, "p50": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}
    assert percentiles([])["p95"] is None


def test_a_latency_begins_when_its_completion_was_due() -> None:
    due, came = {1: 10.0, 2: 10.5, 3: 11.0}, {1: 10.25, 3: 11.75, 99: 1.0}
    found = ingest_latency.latencies(due, came)
    assert (found["samples"], found["p50"], found["max"]) == (2, 250.0, 750.0)


def test_messages_speak_of_numbers() -> None:
    items = tuple(events.NumberedCompletion(number=n, completed_at=NOW) for n in (4, 5))
    batch = codec.encode(topics.COMPLETIONS, events.Completions(generation=1, items=items), "s")
    request = events.TrainRequest(
        request_id="count-5", trigger="count", completions=5, requested_at=NOW
    )
    asked = codec.encode(topics.TRAIN_REQUEST, request, "s")
    by_hand = request.model_copy(update={"request_id": "manual-1", "trigger": "manual"})
    manual = codec.encode(topics.TRAIN_REQUEST, by_hand, "s")
    found = [
        ingest_latency.numbers(Raw("t", 0, 0, None, message.value))
        for message in (batch, asked, manual)
    ]
    assert found == [[4, 5], [5], []]


def test_every_combination_is_a_case() -> None:
    asked = ingest.Asked(1000, 10, (1, 2), (1, 24), (0, 50), 100.0, 1.0, 0, 100)
    found = [(case.stored, case.partitions, case.workers) for case in ingest.cases(asked)]
    assert found == [
        (0, 1, 1), (0, 1, 2), (0, 24, 1), (0, 24, 2),
        (50, 1, 1), (50, 1, 2), (50, 24, 1), (50, 24, 2),
    ]  # fmt: skip


def test_a_peer_is_compared_with_the_runs_on_both_its_sides() -> None:
    own = [figures(rate) for rate in (100.0, 300.0, 500.0, 700.0, 900.0)]
    peers = [
        {"name": "faust", **figures(20.0)},
        {"name": "quix", "failed": "not installed"},
        {"name": "insert", **figures(300.0)},
        {"name": "copy", **figures(1600.0)},
    ]
    found = ingest.ratio(own, peers)
    assert found == {"faust": 10.0, "quix": None, "insert": 2.0, "copy": 0.5, "limit": 0.5}
    assert ingest.ratio([], []) == {"limit": None}


def test_a_worker_is_told_its_own_servers_and_keeps_the_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RETRACE_BATCH_SIZE", "77")
    monkeypatch.setenv("RETRACE_TOPIC_PREFIX", "theirs.")
    for name, value in ingest_own.environment(settings(tmp_path)).items():
        monkeypatch.setenv(name, value)
    found = Settings()
    assert (found.batch_size, found.topic_prefix, found.kafka_partitions) == (77, "bench1.", 24)
    assert found.database_url.get_secret_value() == "postgresql+psycopg2://u:p@127.0.0.1:1/d"


def test_a_peers_job_survives_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = ingest_peers.job(settings(tmp_path), ingest_peers.ALL[-1])
    monkeypatch.setenv(peer_job.VARIABLE, json.dumps(asdict(told)))
    found = peer_job.job()
    assert found == told
    assert (found.topic, found.group) == ("bench1.task-completed", "bench1.peer")
    assert (found.database, found.variant) == ("postgresql://u:p@127.0.0.1:1/d", "copy")
    assert found.bootstrap == "127.0.0.1:2"


def test_counted_is_read_from_a_workers_metrics() -> None:
    assert ingest_own.counted_of(free_port()) == 0
    server = health.serve(health.Health("bench"), "127.0.0.1", 0)
    try:
        metrics.COUNTED.set(1_234_567)
        assert ingest_own.counted_of(server.server_address[1]) == 1_234_567
    finally:
        metrics.COUNTED.set(0)
        server.shutdown()
        server.server_close()


def test_a_process_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "print('no room left'); raise SystemExit(3)"]
    process = Process("worker", argv, None, tmp_path / "worker.log", restart=False)
    with (
        watch.running([process], {}) as running,
        pytest.raises(MeasurementFailed, match="worker ended with 3: no room left"),
    ):
        running.until(10, lambda: 0, lambda: None)


def test_a_running_process_is_accounted_for(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "while True: pass"]
    process = Process("worker", argv, None, tmp_path / "worker.log", restart=False)
    stored = iter(range(0, 1000, 10))
    with watch.running([process], {}) as running:
        timeline = running.until(100, lambda: next(stored), lambda: None)
        assert running.cpu()["worker"] > 0
        assert running.peaks["worker"] > 1
    assert [look.stored for look in timeline.looks] == list(range(0, 101, 10))
    assert timeline.looks[-1].cpu["worker"] >= timeline.looks[0].cpu["worker"]


def test_the_table_shows_ratios_and_failures() -> None:
    row = {"workers": 2, "partitions": 6, "stored": 1_000_000, **figures(12345.0)}
    latency = {"rate": 2000.0, "recorded_ms": percentiles([4.0]), "counted_ms": percentiles([])}
    own = [figures(100.0)] * 3
    peers = [
        {"name": "insert", "peer": "bare loop", **figures(50.0)},
        {"name": "quix", "peer": "Quix Streams", "failed": "not installed: no network"},
    ]
    shown = printed(
        {
            "machine": {"cpu": "a processor", "cores": 2, "memory_gib": 4, "python": "3.11"},
            "servers": {"kafka": "own", "postgres": "configured"},
            "rows": [row | {"latency": latency}],
            "beside": own,
            "peers": peers,
            "ratio": ingest.ratio(own, peers),
        }
    )
    assert "1 000 000" in shown
    assert "12 345" in shown
    assert "2.00" in shown
    assert "Quix Streams: not installed: no network" in shown
    assert "PostgreSQL configured" in shown


@pytest.mark.parametrize("option", ["workers", "partitions", "stored"])
@pytest.mark.parametrize("value", ["", "x", "1,", "-1", "999999999"])
def test_numbers_that_make_no_sense_are_wrong_usage(
    option: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["retrace", "bench", "ingest", f"--{option}={value}"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 2


def figures(rate: float) -> dict[str, Any]:
    """What a run on 1000 events at this rate came to."""
    return {
        "events": 1000,
        "seconds": {"stored": 1000 / rate, "counted": 1000 / rate},
        "per_second": {"stored": rate / 2, "counted": rate / 2},
        "steady_per_second": {"stored": rate, "counted": rate},
        "steady_cores": {"worker": 0.5, "kafka": 0.2},
        "cpu_seconds": 1.5,
        "peak_mib": [100.0, 99.0],
        "latency": None,
    }


def printed(report: Mapping[str, Any]) -> str:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(ingest_table.view(report))
    return console.export_text()


def settings(folder: Path) -> Settings:
    return Settings(
        kafka_bootstrap="127.0.0.1:2",
        database_url=SecretStr("postgresql+psycopg2://u:p@127.0.0.1:1/d"),
        topic_prefix="bench1.",
        kafka_partitions=24,
        data_dir=folder,
    )
