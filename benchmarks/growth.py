"""`retrace bench growth`: what a training and a prediction cost as the history grows.

For each size a store of its own, filled as recording leaves it; then trainings and predictions by
the real services.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import text

from benchmarks import growth_table, machine, predict_prefill, reported
from benchmarks.child import Tell
from benchmarks.ground import Servers, ground
from benchmarks.predict_load import Asker, asking
from benchmarks.predict_services import services, train_once
from benchmarks.watch import Running
from gateway.numerals import grouped
from ops.machine import free_port
from schemas import topics
from schemas.events import TaskCompleted, TrainRequest
from schemas.settings import Settings
from streams import database, declare
from streams.numbering import Place, Publication
from streams.store import Store

SERVICES = ("trainer", "inference")
LEAST_HISTORY = 10  # completions a learner, on the average
WARM = 500  # learners who are asked about again and again
WARM_TRAININGS = 3
_BYTES = text(
    "SELECT pg_table_size('completions') AS rows, pg_indexes_size('completions') AS indexes"
)


@dataclass(frozen=True)
class Asked:
    """The command's options; ``rate`` in requests a second, for ``seconds`` each time."""

    sizes: Sequence[int]
    learners: int
    rate: float
    seconds: float
    plot: Path | None = None


def run(asked: Asked, *, as_json: bool) -> None:
    """Measure and report; draw, where that was asked for."""
    report = reported.run(
        lambda on: measure(asked, on, reported.teller()), growth_table.view, as_json=as_json
    )
    if asked.plot is not None:
        from benchmarks.growth_plot import draw

        draw(asked.plot, report)


def measure(asked: Asked, on: Servers, tell: Tell) -> dict[str, Any]:
    """The object that is printed."""
    facts = machine.facts()
    sizes = [_size(asked, size, on, tell) for size in asked.sizes]
    return {
        "bench": "growth",
        "machine": facts,
        "servers": on.kinds,
        "asked": asdict(asked) | {"plot": asked.plot and str(asked.plot)},
        "sizes": sizes,
    }


def spread(size: int, learners: int) -> tuple[int, int]:
    """PURE: how many learners, and their longest history, for about so many completions in all;
    histories are of every length up to the longest."""
    some = max(1, min(learners, size // LEAST_HISTORY))
    return some, round(2 * size / some)


def _size(asked: Asked, size: int, on: Servers, tell: Tell) -> dict[str, Any]:
    learners, longest = spread(size, asked.learners)
    with ground(on, 6) as mine:
        ports = {"trainer_port": free_port(), "inference_port": free_port()}
        settings = mine.model_copy(update=ports)
        declare.declare(settings)
        store = Store(database.connect(settings.database_url.get_secret_value(), "bench"))
        store.prepare(settings.train_every)
        rows, _ = predict_prefill.prefill(store, learners, longest)
        with store.engine.connect() as connection:
            held = connection.execute(_BYTES).one()
        tell(f"{grouped(rows)} completions of {grouped(learners)} learners")
        load = machine.load()
        with services(on, settings, SERVICES) as running, asking(settings, learners) as asker:
            trainings = _trainings(settings, running, store)
            tell(f"trained in {trainings['cold_seconds']} s, again in {trainings['warm_seconds']}")
            predictions = _predictions(asked, settings, running, asker)
            tell(f"p50 {predictions['warm']['p50']} ms warm, {predictions['cold']['p50']} cold")
            running.cpu()
            peaks = dict(running.peaks)
        store.engine.dispose()
    return {
        "completions": rows,
        "learners": learners,
        "bytes_per_completion": round((held.rows + held.indexes) / rows, 1),
        "trainings": trainings,
        "predictions": predictions,
        "peak_mib": peaks,
        "load": load,
    }


def _trainings(settings: Settings, running: Running, store: Store) -> dict[str, Any]:
    """Seconds from a request to its version's service: the first, from nothing, and those after
    five more completions each, which go on from the version before."""
    seconds, used = list[float](), 0.0
    for turn in range(1 + WARM_TRAININGS):
        wanted = _five_more(store) if turn else None
        began, before = time.monotonic(), machine.cpu_seconds(running.pids["trainer"])
        train_once(settings, running, wanted)
        seconds.append(time.monotonic() - began)
        used += machine.cpu_seconds(running.pids["trainer"]) - before if turn else 0.0
    return {
        "cold_seconds": round(seconds[0], 2),
        "warm_seconds": round(median(seconds[1:]), 2),
        "warm_cpu_seconds": round(used / WARM_TRAININGS, 2),
    }


def _five_more(store: Store) -> TrainRequest:
    """Record five completions, and what the counter asks for after them."""
    recorded, now = store.standing()[1], datetime.now(UTC)
    batch = [
        Publication(
            TaskCompleted(
                task_id=f"new-{number}",
                user_id=predict_prefill.name_of(1 + number % 5),
                topic="topic-1",
                difficulty=predict_prefill.DIFFICULTIES[0],
                started_at=now,
                completed_at=now,
                is_correct=number % 2 == 0,
                actual_time_seconds=20.0,
            ),
            Place(0, number),
        )
        for number in range(recorded, recorded + 5)
    ]
    store.record(batch, None)
    upto = recorded + len(batch)
    return TrainRequest(
        request_id=f"count-{upto}", trigger="count", completions=upto, requested_at=now
    )


def _predictions(
    asked: Asked, settings: Settings, running: Running, asker: Asker
) -> dict[str, Any]:
    """At a rate, of learners whose states are held, then of anyone; and as many as it can."""
    name, everyone = settings.topic_prefix + topics.PREDICTION_REQUEST.name, asker.learners
    asker.learners = min(WARM, everyone)
    asker.everyone(name)
    pid, number = running.pids["inference"], round(asked.rate * asked.seconds)
    used = machine.cpu_seconds(pid)
    warm = asker.open_loop(name, asked.rate, asked.seconds)
    spent = machine.cpu_seconds(pid) - used
    saturated = asker.at_once(name, 10 * WARM)
    asker.learners = everyone
    cold = asker.open_loop(name, asked.rate, asked.seconds)
    return {
        "warm": warm,
        "cold": cold,
        "cpu_ms": round(1000 * spent / number, 2),
        "saturated_per_second": round(saturated),
    }
