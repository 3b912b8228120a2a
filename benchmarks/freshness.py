"""`retrace bench freshness`: from the fifth completion to the first prediction that has learned it.

Real services on servers of the benchmark's own, a store of so many completions, then five more at a
time; a learner is asked about all the while. Beside: the training of the system that Retrace
replaces, which is the least that its users waited.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Producer

from benchmarks import child, machine, reported, simulated
from benchmarks import train as train_bench
from benchmarks.child import MeasurementFailed, Tell
from benchmarks.ground import Servers, ground
from benchmarks.ingest_timeline import percentiles
from benchmarks.predict_load import Asker, asking
from benchmarks.predict_services import services
from benchmarks.watch import Running
from ops.machine import free_port
from schemas import codec, topics
from schemas.codec import Bad
from schemas.events import ModelUpdated, Prediction, TaskCompleted
from schemas.history import History
from schemas.settings import Settings
from streams import declare, kafka, tails

EVERY, ASK_SECONDS, MOST_SECONDS = 5, 0.05, 120.0
LEARNERS = 30
SERVICES = ("streams", "trainer", "inference")


@dataclass(frozen=True)
class Asked:
    """The command's options."""

    completions: int
    repeats: int
    peer_epochs: int


def run(asked: Asked, *, as_json: bool) -> None:
    """Measure and report."""
    reported.run(lambda on: measure(asked, on, reported.teller()), sentences, as_json=as_json)


def measure(asked: Asked, on: Servers, tell: Tell) -> dict[str, Any]:
    """The object that is printed."""
    found = machine.facts()
    rows = asked.completions + EVERY * asked.repeats
    past = simulated.history(rows, LEARNERS, on.settings.seed)
    with ground(on, 6) as own:
        ports = {f"{name}_port": free_port() for name in SERVICES}
        settings = own.model_copy(update=ports)
        declare.declare(settings)
        with services(on, settings, SERVICES) as running, asking(settings, LEARNERS) as asker:
            fresh = Freshness(settings, asker, running, past)
            first = fresh.until_learned(0, asked.completions)
            tell(f"{asked.completions} completions learned in {first:.1f} s")
            seconds = []
            for turn in range(asked.repeats):
                start = asked.completions + EVERY * turn
                seconds.append(fresh.until_learned(start, start + EVERY))
                tell(f"five more served after {seconds[-1]:.2f} s")
            running.cpu()
            peaks = dict(running.peaks)
    asks = train_bench.job(on.settings, asked.completions, 0, None, 0)
    peer = child.run("benchmarks.padded_prefix", asks | {"epochs": asked.peer_epochs}, tell)
    median = statistics.median(seconds)
    return {
        "bench": "freshness", "machine": found, "servers": on.kinds, "asked": asdict(asked),
        "first_seconds": round(first, 2), "seconds": [round(each, 2) for each in seconds],
        "ms": percentiles([each * 1000 for each in seconds]), "peak_mib": peaks, "peer": peer,
        "ratio": {"peer_training": round(peer["seconds"] / median, 1)},
    }  # fmt: skip


@dataclass
class Freshness:
    """Publishes completions of a history, and asks until a version that learned them answers."""

    settings: Settings
    asker: Asker
    running: Running
    past: History

    def until_learned(self, first: int, end: int) -> float:
        """Publish rows ``first`` … ``end`` - 1; seconds from then to the first such answer."""
        self._publish(first, end)
        began = time.monotonic()
        name = self.settings.topic_prefix + topics.PREDICTION_REQUEST.name
        while time.monotonic() - began < MOST_SECONDS:
            self.running.check()
            asked = self.asker.ask(name)
            if self._has_learned(self.asker.answer(), end):
                return self.asker.came[asked] - began
            time.sleep(ASK_SECONDS)
        raise MeasurementFailed(f"{end} completions were not learned in {MOST_SECONDS:.0f} s")

    def _publish(self, first: int, end: int) -> None:
        producer = Producer(kafka.client(self.settings, **{"partitioner": "murmur2_random"}))
        name = self.settings.topic_prefix + topics.TASK_COMPLETED.name
        back = datetime.now(UTC) - timedelta(seconds=float(self.past.completed_at[-1]))
        for row in range(first, end):
            event = self._completion(row, back)
            message = codec.encode(topics.TASK_COMPLETED, event, "bench")
            producer.produce(name, key=message.key, value=message.value)
            producer.poll(0)
        if producer.flush(30):
            raise MeasurementFailed("the broker did not take the completions")

    def _completion(self, row: int, back: datetime) -> TaskCompleted:
        past = self.past
        return TaskCompleted(
            task_id=f"task-{row}",
            user_id=str(past.users[row]),
            topic=str(past.topics[row]),
            difficulty=str(past.difficulties[row]),
            completed_at=back + timedelta(seconds=float(past.completed_at[row])),
            is_correct=bool(past.is_correct[row]),
            actual_time_seconds=float(past.seconds[row]),
        )

    def _has_learned(self, answer: Prediction | None, completions: int) -> bool:
        if answer is None or answer.model_version is None:
            return False
        tail = tails.last_messages(
            self.settings, self.settings.topic_prefix + topics.MODEL_UPDATED.name
        )
        limit, now = topics.MODEL_UPDATED.max_bytes, datetime.now(UTC)
        heard = [codec.decode(ModelUpdated, limit, raw, now) for raw in tail]
        return any(
            not isinstance(each, Bad)
            and each.version == answer.model_version
            and each.completions >= completions
            for each in heard
        )


def sentences(report: dict[str, Any]) -> str:
    """For people."""
    ms, peer = report["ms"], report["peer"]
    return (
        f"At {report['asked']['completions']} completions, from the fifth more to the first "
        f"prediction that has learned it: p50 {ms['p50'] / 1000:.2f} s, p95 "
        f"{ms['p95'] / 1000:.2f} s, most {ms['max'] / 1000:.2f} s, of {ms['samples']}.\n"
        f"The training alone of the system that Retrace replaces takes {peer['seconds']:.0f} s on "
        f"as many, {report['ratio']['peer_training']:.0f} times as long."
    )
