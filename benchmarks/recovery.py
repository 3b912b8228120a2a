"""`retrace bench recovery`: from kill -9 of a service to its next useful output.

Real services on servers of the benchmark's own. Each is asked for something useful, killed, started
again at once, and asked for the same: the seconds from the kill to what comes of it. Beside: a bare
consumer with its library's own settings, which waits until the dead one's session is over.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from confluent_kafka import Producer
from sqlalchemy import Engine, select

from benchmarks import machine, reported
from benchmarks.child import MeasurementFailed, Tell
from benchmarks.ground import Servers, ground
from benchmarks.ingest_table import table
from benchmarks.predict_load import Asker, asking
from benchmarks.predict_prefill import DIFFICULTIES, TOPICS, name_of
from benchmarks.predict_services import echo, services, train_once
from benchmarks.watch import Running
from ops.machine import free_port
from schemas import codec, topics
from schemas.events import TaskCompleted
from schemas.settings import Settings
from schemas.tables import completions
from streams import database, declare, kafka

SERVICES = ("streams", "trainer", "inference", "gateway")
OUTPUTS = {
    "streams": "a completion is recorded",
    "trainer": "a training by hand is served",
    "inference": "a prediction is answered",
    "gateway": "a task is given out",
    "bare consumer": "a message is sent back",
}
MOST_SECONDS, LEARNERS, TASKS = 120.0, 30, 60
Output = Callable[[], object]


@dataclass(frozen=True)
class Asked:
    """The command's options."""

    repeats: int
    peer_session: float


def run(asked: Asked, *, as_json: bool) -> None:
    """Measure and report."""
    reported.run(lambda on: measure(asked, on, reported.teller()), view, as_json=as_json)


def measure(asked: Asked, on: Servers, tell: Tell) -> dict[str, Any]:
    """The object that is printed."""
    found = machine.facts()
    with ground(on, 6) as own:
        settings = own.model_copy(update={f"{name}_port": free_port() for name in SERVICES})
        declare.declare(settings)
        with asking(settings, LEARNERS) as asker:
            rows = _services(asked, on, settings, asker, tell)
            with echo(settings, asked.peer_session) as (name, peer):
                rows.append(
                    _row("bare consumer", lambda: asker.ask(name), "echo", peer, asked, tell)
                )
    median = {row["service"]: row["median"] for row in rows}
    ratio = {"bare_consumer": round(median["bare consumer"] / median["inference"], 1)}
    return {
        "bench": "recovery", "machine": found, "servers": on.kinds, "asked": asdict(asked),
        "rows": rows, "ratio": ratio,
    }  # fmt: skip


def _services(
    asked: Asked, on: Servers, settings: Settings, asker: Asker, tell: Tell
) -> list[dict[str, Any]]:
    engine = database.connect(settings.database_url.get_secret_value(), "bench")
    with services(on, settings, SERVICES) as running:
        recorded = Recorded(settings, engine)
        for _ in range(TASKS):
            recorded.publish()
        request = settings.topic_prefix + topics.PREDICTION_REQUEST.name
        outputs: dict[str, Output] = {
            "streams": recorded,
            "trainer": lambda: train_once(settings, running),
            "inference": lambda: asker.ask(request),
            "gateway": lambda: _given_out(settings),
        }
        rows = [_row(n, outputs[n], n, running, asked, tell) for n in SERVICES]
    engine.dispose()
    return rows


def _row(
    name: str, output: Output, process: str, running: Running, asked: Asked, tell: Tell
) -> dict[str, Any]:
    """Seconds to the same output before and after each kill."""
    output()
    normal, seconds = _timed(output), list[float]()
    for _ in range(asked.repeats):
        began = time.monotonic()
        _restart(running, process)
        output()
        seconds.append(round(time.monotonic() - began, 2))
        tell(f"{name}: {OUTPUTS[name]} {seconds[-1]:.1f} s after kill -9")
    return {
        "service": name, "output": OUTPUTS[name], "normal_seconds": normal, "seconds": seconds,
        "median": statistics.median(seconds), "most": max(seconds),
    }  # fmt: skip


def _timed(output: Output) -> float:
    began = time.monotonic()
    output()
    return round(time.monotonic() - began, 3)


def _restart(running: Running, name: str) -> None:
    """kill -9, and at once the same again."""
    os.kill(running.pids[name], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not any(event.name == name for event in running.supervisor.poll()):
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"{name} did not end by kill -9")
        time.sleep(0.005)
    running.pids[name] = running.supervisor.start(running.logs[name])


@dataclass
class Recorded:
    """Publishes a completion, and waits until the store has it."""

    settings: Settings
    engine: Engine
    number: int = 0

    def __post_init__(self) -> None:
        self.producer = Producer(kafka.client(self.settings, **{"partitioner": "murmur2_random"}))

    def __call__(self) -> None:
        wanted = self.publish()
        query = select(completions.c.task_id).where(completions.c.task_id == wanted)
        deadline = time.monotonic() + MOST_SECONDS
        while time.monotonic() < deadline:
            with self.engine.connect() as connection:
                if connection.execute(query).one_or_none() is not None:
                    return
            time.sleep(0.01)
        raise MeasurementFailed(f"{wanted} was not recorded in {MOST_SECONDS:.0f} s")

    def publish(self) -> str:
        """The task that is on the topic when this returns."""
        self.number += 1
        event = TaskCompleted(
            task_id=f"recovery-{self.number}",
            user_id=name_of(1 + self.number % LEARNERS),
            topic=f"topic-{self.number % TOPICS}",
            difficulty=DIFFICULTIES[self.number % len(DIFFICULTIES)],
            completed_at=datetime.now(UTC),
            is_correct=self.number % 3 > 0,
            actual_time_seconds=10.0 + self.number % 7,
        )
        message = codec.encode(topics.TASK_COMPLETED, event, "bench")
        name = self.settings.topic_prefix + topics.TASK_COMPLETED.name
        self.producer.produce(name, key=message.key, value=message.value)
        if self.producer.flush(30):
            raise MeasurementFailed("the broker did not take a completion")
        return event.task_id


def _given_out(settings: Settings) -> None:
    """A task of the gateway's with a prediction that inference made."""
    url = f"http://127.0.0.1:{settings.gateway_port}/practice-tasks"
    body = {"user_id": name_of(1), "topic": "topic-0", "difficulty": DIFFICULTIES[0]}
    deadline = time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = httpx.post(url, json=body, timeout=5.0, trust_env=False)
            if answer.status_code == 201 and answer.json()["reason"] != "timeout":
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.02)
    raise MeasurementFailed(f"the gateway gave no task out in {MOST_SECONDS:.0f} s")


def view(report: dict[str, Any]) -> Any:
    """A row a service."""
    return table(
        ("killed", "until", "normally, s", "median, s", "most, s"),
        [
            (
                row["service"], row["output"], f"{row['normal_seconds']:.2f}",
                f"{row['median']:.1f}", f"{row['most']:.1f}",
            )
            for row in report["rows"]
        ],
    )  # fmt: skip
