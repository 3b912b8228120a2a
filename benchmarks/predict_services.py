"""The services that `retrace bench predict` measures, the echo beside them, and trainings."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from benchmarks import peer_job, watch
from benchmarks.child import MeasurementFailed
from benchmarks.ground import Servers
from benchmarks.ingest_own import environment
from benchmarks.ingest_peers import ROOT
from benchmarks.watch import Running
from gateway import requests
from ops import train
from ops.processes import Process
from schemas import topics
from schemas.events import TrainRequest
from schemas.settings import PREFIX, Settings
from streams import declare, kafka

START_SECONDS = 60.0


@contextmanager
def services(on: Servers, settings: Settings, names: Sequence[str]) -> Iterator[Running]:
    """These services, ready."""
    processes = [_process(settings, name, names) for name in names]
    with watch.running(processes, on.pids) as running:
        for name in names:
            _await(running, partial(_ready, settings, name), name)
        yield running


def _process(settings: Settings, name: str, names: Sequence[str]) -> Process:
    argv = [sys.executable, "-m", "ops.cli", name]
    ports = {
        PREFIX + f"{each}_port".upper(): str(getattr(settings, f"{each}_port")) for each in names
    }
    log = settings.data_dir / f"{name}.log"
    return Process(name, argv, environment(settings) | ports, log, restart=False)


@contextmanager
def echoing(settings: Settings) -> Iterator[str]:
    """The echo's topic, while it runs."""
    with echo(settings) as (name, peer):
        yield name
        peer.check()


@contextmanager
def echo(
    settings: Settings, session_seconds: float = peer_job.OWN_SESSION
) -> Iterator[tuple[str, Running]]:
    """The echo's topic and its process, which reads already."""
    topic = topics.PREDICTION_REQUEST
    name = settings.topic_prefix + "echo"
    declare.create(kafka.admin(settings), [(name, topic)], 1)
    config = kafka.client(settings)
    job = peer_job.Job(
        kafka={key: value for key, value in config.items() if not callable(value)},
        topic=name, prefix=settings.topic_prefix, database="", partitions=6,
        folder=str(settings.data_dir), session_seconds=session_seconds,
    )  # fmt: skip
    told = {peer_job.VARIABLE: json.dumps(asdict(job)), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "benchmarks.peer_echo"]
    log = settings.data_dir / "echo.log"
    process = Process("echo", argv, environment(settings) | told, log, restart=False)
    edge = kafka.admin(settings)
    with watch.running([process], {}) as peer:
        _await(peer, lambda: _is_stable(edge, job.group), "the echo")
        yield name, peer


def _is_stable(edge: AdminClient, group: str) -> bool:
    """Whether its members have what they read; not asked about them (ops.instances says why)."""
    listed = edge.list_consumer_groups(request_timeout=10).result(20)
    return any(g.group_id == group and g.state is ConsumerGroupState.STABLE for g in listed.valid)


def train_once(settings: Settings, running: Running, wanted: TrainRequest | None = None) -> None:
    """A training to its end, by hand where none is ``wanted``; raises MeasurementFailed where it
    does not end well."""
    wanted = wanted or requests.request(settings, datetime.now(UTC))
    outcome = train.publish_and_wait(settings, wanted, lambda _: running.check())
    if outcome.state == "failed":
        raise MeasurementFailed(f"a training failed: {outcome.reason}")
    if outcome.state == "published":
        wanted_version = outcome.version or 0
        _await(running, lambda: version(settings) >= wanted_version, "the new version")


def _ready(settings: Settings, name: str) -> bool:
    return bool(_readiness(settings, name).get("ready"))


def version(settings: Settings) -> int:
    """The version that serves; 0 before any."""
    return int(_readiness(settings, "inference").get("version") or 0)


def _readiness(settings: Settings, name: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{getattr(settings, f'{name}_port')}/readyz"
    try:
        return dict(httpx.get(url, timeout=2.0, trust_env=False).json())
    except httpx.HTTPError:
        return {}


def _await(running: Running, condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        running.check()
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"{what} did not come in {START_SECONDS:.0f} s")
        time.sleep(0.1)
