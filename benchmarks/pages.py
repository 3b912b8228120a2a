"""`retrace bench pages`: what live viewers cost those who practise.

Tasks are asked for over HTTP at a steady rate, in an open loop, beside predictions over Kafka:
with nobody looking, which is the peer, with viewers of all pages, and with as many whose tabs are
hidden.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from benchmarks import machine, predict_prefill, reported
from benchmarks.child import MeasurementFailed, Tell
from benchmarks.ground import Servers, ground
from benchmarks.ingest_timeline import percentiles
from benchmarks.predict_load import Asker, asking
from benchmarks.predict_services import services, train_once
from ops.machine import free_port
from schemas import topics
from schemas.settings import Settings
from streams import database, declare
from streams.store import Store

SERVICES = ("streams", "trainer", "inference", "gateway")
KINDS, ROUNDS = ("nobody", "seen", "hidden"), 2  # in turn: the machine is not the same twice
SETTLE_SECONDS = 5.0
LONGEST = 40


@dataclass(frozen=True)
class Asked:
    """The command's options."""

    viewers: int
    posts: float
    rate: float
    seconds: float
    learners: int
    longest: int = LONGEST


def run(asked: Asked, *, as_json: bool) -> None:
    """Measure and report."""
    reported.run(lambda on: measure(asked, on, reported.teller()), sentences, as_json=as_json)


def measure(asked: Asked, on: Servers, tell: Tell) -> dict[str, Any]:
    """The object that is printed."""
    found = machine.facts()
    with ground(on, 6) as own:
        settings = own.model_copy(update={f"{name}_port": free_port() for name in SERVICES})
        declare.declare(settings)
        store = Store(database.connect(settings.database_url.get_secret_value(), "bench"))
        store.prepare(settings.train_every)
        rows, _ = predict_prefill.prefill(store, asked.learners, asked.longest)
        store.engine.dispose()
        with services(on, settings, SERVICES) as running, asking(settings, asked.learners) as asker:
            train_once(settings, running)
            asker.everyone(settings.topic_prefix + topics.PREDICTION_REQUEST.name)
            load = Load(asked, settings, asker, running.pids["gateway"])
            load.run(asked.seconds)  # warms what is measured
            rounds = [load.beside(kind, tell) for _ in range(ROUNDS) for kind in KINDS]
            kinds = [_together([each for each in rounds if each["viewers"] == k]) for k in KINDS]
            running.cpu()
            peaks = {name: running.peaks[name] for name in running.pids}
    p99 = {each["viewers"]: each["posts"]["p99"] for each in kinds}
    return {
        "bench": "pages", "machine": found, "servers": on.kinds, "asked": asdict(asked),
        "completions": rows, "beside": kinds, "peak_mib": peaks,
        "ratio": {f"p99_{name}": round(p99[name] / p99["nobody"], 2) for name in p99},
    }  # fmt: skip


@dataclass
class Load:
    """Those who practise, and those who ask over Kafka."""

    asked: Asked
    settings: Settings
    asker: Asker
    gateway: int

    def beside(self, viewers: str, tell: Tell) -> dict[str, Any]:
        """The figures while nobody looks, or viewers whose tabs are ``seen`` or ``hidden``."""
        with looking(self.asked, self.settings, viewers) as told:
            before = machine.cpu_seconds(self.gateway)
            figures = self.run(self.asked.seconds)
            cpu = (machine.cpu_seconds(self.gateway) - before) / self.asked.seconds
        ms = percentiles(figures["posts"])
        tell(f"{viewers}: POST p50 {ms['p50']}, p99 {ms['p99']} ms, gateway {100 * cpu:.0f} % CPU")
        return {"viewers": viewers, **told, **figures, "gateway_cores": round(cpu, 3)}

    def run(self, seconds: float) -> dict[str, Any]:
        """Both loads at once, for so long."""
        name = self.settings.topic_prefix + topics.PREDICTION_REQUEST.name
        with ThreadPoolExecutor(1) as pool:
            predictions = pool.submit(self.asker.open_loop, name, self.asked.rate, seconds)
            posts = asyncio.run(self._posts(seconds))
            failed = sum(not well for _, well in posts)
            ms = [each for each, _ in posts]
            return {"posts": ms, "failed": failed, "predictions": predictions.result()}

    async def _posts(self, seconds: float) -> list[tuple[float, bool]]:
        base = f"http://127.0.0.1:{self.settings.gateway_port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=10) as http:
            begin = time.monotonic() + 0.1
            dues = [
                begin + turn / self.asked.posts for turn in range(round(self.asked.posts * seconds))
            ]
            return await asyncio.gather(*(_post(http, at, turn) for turn, at in enumerate(dues)))


@contextmanager
def looking(asked: Asked, settings: Settings, viewers: str) -> Iterator[dict[str, Any]]:
    """``asked.viewers`` of all pages while this lasts, ``seen`` or ``hidden``, or ``nobody``; what
    they told once it is over."""
    if viewers == "nobody":
        yield {}
        return
    base = f"http://127.0.0.1:{settings.gateway_port}"
    argv = [sys.executable, "-m", "benchmarks.viewers", base, str(asked.viewers), viewers]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        told: dict[str, Any] = {}
        try:
            told |= _said(process)
            time.sleep(SETTLE_SECONDS)  # what came with the pages' opening is over
            yield told
            told |= _said(process, end=True)
        finally:
            process.kill()


def _together(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The rounds of one kind: every POST, the last round's other figures."""
    failed = sum(each["failed"] for each in rounds)
    posts = [ms for each in rounds for ms in each["posts"]]
    cores = sum(each["gateway_cores"] for each in rounds) / len(rounds)
    own = {"posts": percentiles(posts), "failed": failed, "gateway_cores": round(cores, 3)}
    return rounds[-1] | own


def _said(process: subprocess.Popen[str], *, end: bool = False) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    if end:
        process.stdin.close()
    line = process.stdout.readline()
    if not line:
        raise MeasurementFailed("the viewers did not connect")
    return dict(json.loads(line))


async def _post(http: httpx.AsyncClient, at: float, turn: int) -> tuple[float, bool]:
    """Milliseconds from when it was due, and whether a task came of it."""
    await asyncio.sleep(at - time.monotonic())
    task = {"user_id": predict_prefill.name_of(1 + turn % 50), "topic": "topic-1"}
    difficulty = predict_prefill.DIFFICULTIES[0]
    try:
        answer = await http.post("/practice-tasks", json={**task, "difficulty": difficulty})
        well = answer.is_success
    except httpx.TransportError:
        well = False
    return (time.monotonic() - at) * 1000, well


def sentences(report: dict[str, Any]) -> str:
    """For people."""
    lines = [
        f"{each['viewers']:>7}: POST p50 {each['posts']['p50']:.1f}, p99 {each['posts']['p99']:.1f}"
        f" ms, {each['failed']} failed; the gateway takes "
        f"{100 * each['gateway_cores']:.0f} % of a core"
        for each in report["beside"]
    ]
    asked, ratio = report["asked"], report["ratio"]
    return "\n".join(
        [
            f"{asked['posts']:.0f} tasks a second asked for over HTTP beside {asked['rate']:.0f} "
            f"predictions over Kafka; {asked['viewers']} viewers.",
            *lines,
            f"p99 beside viewers {ratio['p99_seen']:.2f}, hidden ones {ratio['p99_hidden']:.2f} "
            "times that with nobody.",
        ]
    )
