"""`retrace bench predict`: from a request to its answer, idle and while trainings run.

Real services on servers of the benchmark's own. Beside: a bare echo over the same topics, at the
same rates and in turn, and the Keras models over whole histories.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import (
    child,
    machine,
    predict_prefill,
    predict_table,
    reported,
)
from benchmarks.child import Tell
from benchmarks.ground import Servers, ground
from benchmarks.predict_load import Asker, asking
from benchmarks.predict_practice import practising
from benchmarks.predict_services import echoing, services, train_once, version
from benchmarks.watch import Running
from gateway.numerals import grouped
from ops.machine import free_port
from schemas import topics
from schemas.settings import Settings
from streams import database, declare
from streams.store import Store

SERVICES = ("trainer", "inference")


@dataclass(frozen=True)
class Asked:
    """The command's options. ``training_rate`` 0: nothing is measured while trainings run."""

    rates: Sequence[int]
    seconds: float
    learners: int
    longest: int
    training_rate: float
    saturation: int
    keras_requests: int


def run(asked: Asked, *, as_json: bool) -> None:
    """Measure and report."""
    reported.run(
        lambda on: measure(asked, on, reported.teller()), predict_table.view, as_json=as_json
    )


def measure(asked: Asked, on: Servers, tell: Tell) -> dict[str, Any]:
    """The object that is printed."""
    found = machine.facts()
    with ground(on, 6) as mine:
        ports = {"trainer_port": free_port(), "inference_port": free_port()}
        settings = mine.model_copy(update=ports)
        declare.declare(settings)
        store = Store(database.connect(settings.database_url.get_secret_value(), "bench"))
        store.prepare(settings.train_every)
        rows, took = predict_prefill.prefill(store, asked.learners, asked.longest)
        tell(f"{grouped(rows)} completions of {grouped(asked.learners)} learners in {took:.0f} s")
        with services(on, settings, SERVICES) as running, asking(settings, asked.learners) as asker:
            train_once(settings, running)
            tell("a first version serves")
            figures = _figures(asked, settings, store, running, asker, tell)
            peaks = {name: running.peaks[name] for name in running.pids}
        store.engine.dispose()
    keras = child.run("benchmarks.peer_keras", _keras(asked, on.settings), tell)
    own = figures["saturated"]["per_second"]
    return {
        "bench": "predict",
        "machine": found,
        "servers": on.kinds,
        "asked": asdict(asked),
        "completions": rows,
        **figures,
        "peak_mib": peaks,
        "keras": keras,
        "ratio": ratios(figures) | {"keras": round(own / keras["per_second"], 1)},
    }


def ratios(figures: dict[str, Any]) -> dict[str, Any]:
    """Of medians and p99, ours over the echo's at each rate, where nothing is newer and just after
    a completion; while training over idle."""
    found: dict[str, Any] = {
        f"{key}_{name}_at_{row['rate']}": round(row[which][name] / row["echo"][name], 2)
        for row in figures["rates"]
        for key, which in (("echo", "own"), ("practising", "practising"))
        for name in ("p50", "p99")
    }
    training = figures["training"]
    if training is not None:
        idle = training["idle"]
        found |= {
            f"training_{name}": round(training["own"][name] / idle[name], 2)
            for name in ("p50", "p99")
        }
    return found


def _figures(
    asked: Asked, settings: Settings, store: Store, running: Running, asker: Asker, tell: Tell
) -> dict[str, Any]:
    name = settings.topic_prefix + topics.PREDICTION_REQUEST.name
    first = asker.everyone(name)
    tell(f"every learner asked about once, from nothing held, in {first:.1f} s")
    rows = []
    with echoing(settings) as echo:
        for rate in asked.rates:
            load_before = machine.load()
            own = asker.open_loop(name, rate, asked.seconds)
            peer = asker.open_loop(echo, rate, asked.seconds)
            whom = asker.in_turn(round(rate * asked.seconds))
            with practising(store.engine, whom, rate):
                after = asker.open_loop_about(whom, name, rate)
            row = {"rate": rate, "own": own, "practising": after, "echo": peer}
            rows.append(row | {"load": load_before})
            tell(
                f"{rate}/s: {own['p50']} and {own['p99']} ms; each just after a completion "
                f"{after['p50']}, {after['p99']}; echo {peer['p50']}, {peer['p99']}"
            )
            running.cpu()
    saturated = asker.at_once(name, asked.saturation)
    tell(f"{saturated:.0f} answers a second when all wait")
    training = (
        _while_training(asked, settings, running, asker, name) if asked.training_rate else None
    )
    running.cpu()
    return {
        "first_seconds": round(first, 2),
        "rates": rows,
        "saturated": {"requests": asked.saturation, "per_second": round(saturated, 1)},
        "training": training,
    }


def _while_training(
    asked: Asked, settings: Settings, running: Running, asker: Asker, name: str
) -> dict[str, Any]:
    """At one rate: idle, then with a training after the other."""
    idle = asker.open_loop(name, asked.training_rate, asked.seconds)
    ended, seconds = threading.Event(), list[float]()

    def train_on() -> None:
        while not ended.is_set():
            began = time.monotonic()
            train_once(settings, running)
            seconds.append(round(time.monotonic() - began, 2))

    before = version(settings)
    thread = threading.Thread(target=train_on, name="trainings")
    thread.start()
    try:
        own = asker.open_loop(name, asked.training_rate, asked.seconds)
    finally:
        ended.set()
        thread.join()
    return {
        "rate": asked.training_rate,
        "idle": idle,
        "own": own,
        "trainings": len(seconds),
        "seconds": seconds,
        "versions": version(settings) - before,
    }


def _keras(asked: Asked, settings: Settings) -> dict[str, Any]:
    requests = asked.keras_requests
    return {"seed": settings.seed, "longest": max(asked.longest, 1), "requests": requests}
